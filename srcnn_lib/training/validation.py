"""Measures a network on fixed patches."""

import torch

from .. import metrics
from ..data.augmentation import remove_border
from ..data.color import from_network_channels, luminance
from ..data.training_data import Patches
from ..model import SRCNN
from ..runtime.distributed import ProcessGroup

HIGHEST_PSNR = 100  # dB; a flat patch is reproduced without error, and the mean would be infinite


@torch.inference_mode()
def validate(
    model: SRCNN, patches: Patches, group: ProcessGroup | None = None, batch_size: int = 64
) -> dict[str, float]:
    """Computes the mean scores of a network and of bicubic over the patches, in float32 arithmetic.

    Args:
        model: the network, on any device.
        patches: inputs and targets, in RGB and in Y.
        group: the processes that share the work; each patch is measured by one of them.
        batch_size: patches per forward pass.

    Returns:
        "loss" and "mse": mean squared error in the network's own channels, of values in [0, 1] and in [0, 255].
        "psnr_rgb", "psnr_y", "bicubic_psnr_rgb", "bicubic_psnr_y": the mean of the patches' dB. A Y network's RGB
        output has bicubic's Cb and Cr.
    """
    group = group or ProcessGroup()
    device = next(model.parameters()).device
    sums = dict.fromkeys(("loss", "psnr_rgb", "psnr_y", "bicubic_psnr_rgb", "bicubic_psnr_y"), 0.0)
    first, last = group.share(0, len(patches))
    for start in range(first, last, batch_size):
        part = slice(start, min(start + batch_size, last))
        rgb_input, rgb_target = (image[part].to(device) for image in patches.rgb)
        y_input, y_target = (image[part].to(device) for image in patches.y)
        bicubic_rgb = remove_border(rgb_input, model.margin)
        bicubic_y = remove_border(y_input, model.margin)
        if model.channels == 1:
            output_y = model.run_layers(y_input)
            output_rgb = from_network_channels(output_y, bicubic_rgb)
            squared_error = metrics.mse(output_y, y_target)
        else:
            output_rgb = model.run_layers(rgb_input)
            output_y = luminance(output_rgb.clamp(0, 1))
            y_target = luminance(rgb_target)
            bicubic_y = luminance(bicubic_rgb)
            squared_error = metrics.mse(output_rgb, rgb_target)
        scores = {
            "loss": squared_error,
            "psnr_rgb": metrics.psnr(output_rgb, rgb_target),
            "psnr_y": metrics.psnr(output_y, y_target),
            "bicubic_psnr_rgb": metrics.psnr(bicubic_rgb, rgb_target),
            "bicubic_psnr_y": metrics.psnr(bicubic_y, y_target),
        }
        for name, values in scores.items():
            sums[name] += values.clamp(max=HIGHEST_PSNR).sum().item()
    totals = group.all_reduce(torch.tensor(list(sums.values()), dtype=torch.float64)).tolist()
    means = {name: total / len(patches) for name, total in zip(sums, totals, strict=True)}
    return {**means, "mse": means["loss"] * 255**2}
