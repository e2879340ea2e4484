"""Prints and draws summaries of the machine and of a run for the notebooks."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..data.color import luminance
from ..data.images import to_rgb_pixels
from ..data.regions import Box, largest_error_region
from ..data.sources import split_photographs
from ..evaluation.quality import evaluate
from ..evaluation.report import print_table
from ..metrics import psnr, psnr_text
from ..run import Run, weights_digest
from ..runtime.devices import describe_device, package_versions, resolve_device
from ..training.tensorboard import reconstruct_probe
from ..visualization.frames import caption, join, limit_of, map_pixels, repeat_pixels
from .colab import is_colab

DETAIL = 48  # side in pixels of the part of a tile that the strip shows
DETAIL_SCALE = 4  # by which it is enlarged
SAME_QUALITY = 0.02  # dB


def print_environment() -> torch.device:
    """Prints the versions of the packages and the device; returns the device that a training would use.

    On Colab without a GPU a line says how to switch it on.
    """
    device = resolve_device("auto")
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    print(f"{versions} on {describe_device(device)}")
    if device.type == "cpu" and is_colab():
        print("There is no GPU. For one: menu Runtime, Change runtime type, T4 GPU, Save; then run all cells again.")
    return device


def print_weights_digest(run: Run) -> None:
    """Prints the SHA-256 of the newest snapshot, by which trainings can be compared; nothing before the first one."""
    if run.snapshots():
        print(f"SHA-256 of the weights at step {run.snapshot().step}: {weights_digest(run)[1]}")


def print_scores(run: Run, photographs: int = 20) -> None:
    """Prints PSNR and SSIM of bicubic and of a run's newest network on its validation photographs.

    Args:
        run: a run with snapshots.
        photographs: how many are measured at most.

    Raises:
        InputError: a run without snapshots, or photographs that can't be read any more.
    """
    config = run.config
    _, validation = split_photographs(config.data, config.validation, config.seed, config.limit)
    validation = validation[:photographs]
    print_table(evaluate(run.model(), validation, validation.names))


def probe_strip(run: Run, snapshots: int = 4, tiles: int = 2) -> Image.Image:
    """Draws how the network restored the probe during the training: detail of two tiles, and below it the error.

    The snapshots are chosen so that the quality rises in even steps from the first to the newest; between steps 32 and
    6 000 there may be nothing to see. The tiles are those that differ most. All errors have the same range of colors.

    Args:
        run: a run with snapshots.
        snapshots: how many are shown at most, between bicubic on the left and the original on the right.
        tiles: how many of the four tiles are shown.

    Raises:
        InputError: a run without snapshots, or whose probe can't be read.
    """
    run.snapshot()  # refuses a run without one
    upsampled, original = run.probe()
    upsampled = upsampled.clamp(0, 1)
    outputs = {snapshot.step: reconstruct_probe(snapshot.load(), upsampled) for snapshot in run.snapshots()}
    quality = {step: psnr(luminance(output), luminance(original)).mean().item() for step, output in outputs.items()}
    bicubic_quality = psnr(luminance(upsampled), luminance(original)).mean().item()
    # A network that starts as a copy of the bicubic picture would show it twice.
    differing = {step: value for step, value in quality.items() if abs(value - bicubic_quality) > SAME_QUALITY}
    steps = _evenly_improving(differing or quality, snapshots)
    limit = limit_of(luminance(upsampled) - luminance(original), 0.998)

    columns = [("Bicubic", f"{bicubic_quality:.2f} dB", upsampled)]
    columns += [
        (f"Step {step:,}".replace(",", "\u2009"), psnr_text(quality[step], bicubic_quality), outputs[step])
        for step in steps
    ]
    columns.append(("Original", f"errors (Y): ±{limit:.2g}", original))
    chosen = _most_different(original, tiles)
    boxes = [largest_error_region(original[tile], upsampled[tile], (DETAIL, DETAIL)) for tile in chosen]
    pictures = [_strip_column(picture, original, chosen, boxes, limit, texts) for *texts, picture in columns]
    return Image.fromarray(join(pictures)[0])


def _strip_column(
    picture: Tensor,
    original: Tensor,
    tiles: Sequence[int],
    boxes: Sequence[Box],
    limit: float,
    texts: Sequence[str],
) -> np.ndarray:
    """Returns (1, H, W, 3): the text, then each tile's detail and its error."""
    parts = []
    for tile, (top, left, height, width) in zip(tiles, boxes, strict=True):
        detail, target = (each[tile, :, top : top + height, left : left + width] for each in (picture, original))
        error = map_pixels((luminance(detail) - luminance(target))[0], limit, signed=True)
        parts += [repeat_pixels(pixels, DETAIL_SCALE) for pixels in (to_rgb_pixels(detail).numpy(), error)]
    header = caption(np.empty((1, 0, parts[0].shape[1], 3), np.uint8), *texts)
    return np.concatenate([header, join([part[None] for part in parts], columns=1)], axis=1)


def _evenly_improving(quality: dict[int, float], count: int) -> list[int]:
    """Returns at most `count` steps, the first and the last among them, between which the quality rises evenly."""
    steps = list(quality)
    first, last = quality[steps[0]], quality[steps[-1]]
    chosen = {steps[0], steps[-1]}
    for number in range(1, count - 1):
        wanted = first + (last - first) * number / (count - 1)
        left = [step for step in steps if step not in chosen]
        if left:
            chosen.add(min(left, key=lambda step: (abs(quality[step] - wanted), step)))
    return sorted(chosen)[-count:]


def _most_different(tiles: Tensor, count: int) -> list[int]:
    """Returns the numbers of the tiles, (N, 3, H, W), that differ most: each next one is farthest from those before."""
    small = F.avg_pool2d(tiles, 12).flatten(1)
    distance = torch.cdist(small, small)
    chosen = [0]
    while len(chosen) < min(count, len(tiles)):
        nearest = distance[:, chosen].min(1).values  # to the chosen ones
        chosen.append(int(nearest.argmax()))
    return sorted(chosen)
