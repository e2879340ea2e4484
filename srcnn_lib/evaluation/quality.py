"""Quality of a network on photographs, measured as the papers do it, with bicubic beside it."""

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from .. import metrics
from ..data.color import luminance, with_luminance
from ..data.degradation import degrade, shave_of
from ..data.images import Picture
from ..inference.upscaling import apply, reconstruct
from ..model import SRCNN
from ..runtime import memory

FIGURES = ("psnr_y", "ssim_y", "psnr_rgb")
PLAIN = {"ensemble": False, "arithmetic": "float32"}  # options that change the figures, where nobody asks for them
PIXEL_BYTES = 210  # of memory, measured: the picture, what is made of it, and SSIM in double precision


def evaluate(
    model: SRCNN,
    photographs: Sequence[Picture],
    names: Sequence[str],
    scale: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    **how,
) -> dict:
    """Degrade each photograph, bring it back by bicubic and by the network, and compare both with it.

    Args:
        photographs: what is measured, in [0, 1]; read one by one.
        names: one for each.
        scale: None for the network's own.
        progress: called with how many are done, and of how many.
        how: mode, patch, stride … as in `inference.reconstruct`. For each of ensemble and arithmetic that is not as
            plain as it could be, all is measured once more.

    Returns:
        {"scale", "images", "bicubic": {"psnr_y", "ssim_y", "psnr_rgb"}, "srcnn": {the same}, "per_image": {name:
        {"bicubic": …, "srcnn": …}}}. The means are means of the dB; a photograph too small for SSIM's window has nan.
        With an option, also its name and value ("ensemble": True), and under "without" what "srcnn" would be if this
        one option were plain: {"ensemble": {"psnr_y", …}}.

    Raises:
        InputError: as `inference.reconstruct`, or a photograph that is too large for the memory.

    Reference: arXiv 1501.00092, section 4; the README's section on the protocol.
    """
    scale = model.scale if scale is None else scale
    options = {name: how[name] for name, plain in PLAIN.items() if how.get(name, plain) != plain}
    without = {name: {**how, name: PLAIN[name]} for name in options}
    per_image, plainer = {}, {name: [] for name in without}
    for done, name in enumerate(names):
        photograph = photographs[done].pixels
        check_memory(name, photograph)
        per_image[name] = compare(model, photograph, scale, **how)
        for option, other in without.items():
            plainer[option].append(compare(model, photograph, scale, **other)["srcnn"])
        if progress:
            progress(done + 1, len(names))
    means = {method: _means([scores[method] for scores in per_image.values()]) for method in ("bicubic", "srcnn")}
    table = {"scale": scale, "images": len(names), **means, "per_image": per_image}
    if options:
        table |= {**options, "without": {name: _means(scores) for name, scores in plainer.items()}}
    return table


def check_memory(name: str, photograph: Tensor) -> None:
    """Refuse a photograph (C, H, W) whose evaluation would not fit into memory.

    Raises:
        InputError: with what it would take and what there is.
    """
    height, width = photograph.shape[-2:]
    what = f"{name}: to measure {width}×{height} pixels"
    memory.check(what, PIXEL_BYTES * height * width, "cut the picture")


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


def _means(scores: list[dict[str, float]]) -> dict[str, float]:
    return {figure: _mean([each[figure] for each in scores]) for figure in FIGURES}


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
