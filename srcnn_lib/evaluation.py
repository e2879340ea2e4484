"""Quality of a network on photographs, measured as the papers do it, with bicubic beside it."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from . import metrics
from .degradation import degrade, shave_of
from .images import Picture, luminance, with_luminance
from .inference import apply, reconstruct
from .model import SRCNN

FIGURES = ("psnr_y", "ssim_y", "psnr_rgb")


def evaluate(
    model: SRCNN,
    photographs: Sequence[Picture],
    names: Sequence[str],
    scale: float | None = None,
    bar: Callable[[int, int], None] | None = None,
    **how,
) -> dict:
    """Degrade each photograph, bring it back by bicubic and by the network, and compare both with it.

    Args:
        photographs: what is measured, in [0, 1]; read one by one.
        names: one for each.
        scale: None for the network's own.
        bar: called with how many are done, and of how many.
        how: mode, patch, stride … as in `inference.reconstruct`.

    Returns:
        {"scale", "images", "bicubic": {"psnr_y", "ssim_y", "psnr_rgb"}, "srcnn": {the same}, "per_image": {name:
        {"bicubic": …, "srcnn": …}}}. The means are means of the dB; a photograph too small for SSIM's window has nan.

    Reference: arXiv 1501.00092, section 4; the README's section on the protocol.
    """
    scale = model.scale if scale is None else scale
    per_image = {}
    for done, name in enumerate(names):
        per_image[name] = compare(model, photographs[done].pixels, scale, **how)
        if bar:
            bar(done + 1, len(names))
    means = {
        method: {figure: _mean([scores[method][figure] for scores in per_image.values()]) for figure in FIGURES}
        for method in ("bicubic", "srcnn")
    }
    return {"scale": scale, "images": len(names), **means, "per_image": per_image}


def compare(model: SRCNN, photograph: Tensor, scale: float, **how) -> dict:
    """The figures of one photograph, (C, H, W): {"bicubic": {…}, "srcnn": {…}}."""
    bicubic, srcnn, original = restore(model, photograph, scale, **how)
    return {method: score(made, original, scale) for method, made in (("bicubic", bicubic), ("srcnn", srcnn))}


def restore(model: SRCNN, photograph: Tensor, scale: float, **how) -> tuple[dict, dict, dict]:
    """A photograph as bicubic brings it back, as the network does, and as it is.

    Returns:
        Three times {"y": (1, H, W), "rgb": (C, H, W)}, not clamped. Y is what is measured: of a Y network its own
        output, not what is left of it after a way through 8-bit RGB.
    """
    upsampled, original = degrade(photograph, scale)
    bicubic = {"y": luminance(upsampled), "rgb": upsampled}
    truth = {"y": luminance(original), "rgb": original}
    if len(photograph) == 3 and model.channels == 1:
        y = reconstruct(bicubic["y"], model, **how)
        return bicubic, {"y": y, "rgb": with_luminance(upsampled, y)}, truth
    rgb = apply(upsampled, model, **how)
    return bicubic, {"y": luminance(rgb), "rgb": rgb}, truth


def score(made: dict, original: dict, scale: float) -> dict[str, float]:
    """PSNR and SSIM on Y, PSNR on RGB, ceil(scale) pixels off each border (none where nothing would be left)."""
    shave = shave_of(scale)
    if min(original["y"].shape[-2:]) <= 2 * shave:
        shave = 0
    small = min(original["y"].shape[-2:]) - 2 * shave < metrics.WINDOW
    return {
        "psnr_y": metrics.psnr(made["y"], original["y"], shave=shave).item(),
        "ssim_y": math.nan if small else metrics.ssim(made["y"], original["y"], shave=shave).item(),
        "psnr_rgb": metrics.psnr(made["rgb"], original["rgb"], shave=shave).item(),
    }


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
