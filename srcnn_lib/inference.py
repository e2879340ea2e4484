"""A network run over a whole picture, in three ways, with memory that does not grow with the picture."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from . import overlap
from .degradation import check_scale, resize, upscaled_size
from .errors import InputError
from .images import Picture, rgb_to_ycbcr, ycbcr_to_rgb
from .model import SRCNN

MODES = ("whole", "non-overlapping", "overlapping")
TILE_BYTES = 256 * 2**20  # what the feature maps of one tile may take
BATCH_BYTES = 64 * 2**20  # those of one batch of patches: larger ones were slower on a CPU
LUMA = (0.299, 0.587, 0.114)  # BT.601, full range: grey in, the same grey out
OVERSHOOT = 0.28  # how far a bicubic enlargement can leave the range of its input, in both dimensions together


def upscale(image: Tensor, model: SRCNN, scale: float | None = None, mode: str = "whole", **how) -> Tensor:
    """Enlarge an image: bicubic to the new size, then the network.

    Args:
        image: (C, H, W) in [0, 1], 1 (grey) or 3 channels (RGB), whatever the network was trained on (see `apply`).
        model: the network, on any device.
        scale: from 1.1 to 8; None for the network's own.
        mode, **how: as in `reconstruct`.

    Returns:
        (C, round(H·scale), round(W·scale)) on the CPU, clamped to [0, 1].

    Raises:
        InputError: as `reconstruct`, or a scale outside the range.
    """
    return apply(_enlarged(image, model, scale), model, mode, **how)


def upscale_picture(picture: Picture, model: SRCNN, scale: float | None = None, mode: str = "whole", **how) -> Picture:
    """`upscale` for a picture with all that a tensor can't say: alpha is enlarged by bicubic, bits and name stay.

    Colour under alpha is enlarged premultiplied: what an invisible pixel is painted with must not leak over the edge.
    """
    if picture.alpha is None:
        return dataclasses.replace(picture, pixels=upscale(picture.pixels, model, scale, mode, **how))
    alpha = _enlarged(picture.alpha, model, scale)
    plain = _enlarged(picture.pixels, model, scale)
    premultiplied = _enlarged(picture.pixels * picture.alpha, model, scale)
    # Near zero the quotient is noise, which the network would spread over its halo.
    colour = (premultiplied / alpha).clamp(-OVERSHOOT, 1 + OVERSHOOT)
    pixels = apply(torch.where(alpha > 1 / 255, colour, plain), model, mode, **how)
    return dataclasses.replace(picture, pixels=pixels, alpha=alpha.clamp(0, 1))


def apply(upsampled: Tensor, model: SRCNN, mode: str = "whole", **how) -> Tensor:
    """What the network makes of a picture that is already enlarged, whatever the channels of both.

    A Y network gets the Y of an RGB picture, and Cb and Cr stay as they are. An RGB network gets a grey picture as
    three copies, and the luma of what it makes is the grey that comes back.

    Args:
        upsampled: (C, H, W) in [0, 1], 1 (grey) or 3 channels (RGB).
        model, mode, **how: as in `reconstruct`.

    Returns:
        (C, H, W) on the CPU, clamped to [0, 1].

    Raises:
        InputError: as `reconstruct`.
    """
    _check_image(upsampled)
    channels = upsampled.shape[0]
    if channels == model.channels:
        result = reconstruct(upsampled, model, mode, **how)
    elif channels == 3:
        ycbcr = rgb_to_ycbcr(upsampled.detach().cpu())
        y = reconstruct(ycbcr[:1], model, mode, **how)
        result = ycbcr_to_rgb(torch.cat([y, ycbcr[1:]]))
    else:
        rgb = reconstruct(upsampled.expand(3, -1, -1), model, mode, **how)
        result = sum(weight * plane for weight, plane in zip(LUMA, rgb.split(1), strict=True))
    return result.clamp(0, 1)


def reconstruct(
    upsampled: Tensor,
    model: SRCNN,
    mode: str = "whole",
    *,
    patch: int = 33,
    stride: int = 1,
    tile: int | None = None,
    batch: int | None = None,
    bar: Callable[[int, int], object] | None = None,
) -> Tensor:
    """The network's reconstruction of a bicubic picture.

    Args:
        upsampled: (C, H, W) in [0, 1], with the network's channels: Y for one, RGB for three. Any size.
        model: the network; the picture travels to its device piece by piece.
        mode: "whole": as one pass over the picture, in tiles that know their surround, so that no seam can exist.
            "non-overlapping": each patch once, alone; the last one of a row or column is moved inside, and where two
            cover a pixel the later one (to the right, then further down) overwrites. "overlapping": a patch at every
            `stride` pixels, alone; each pixel is the mean of all values it got.
        patch: side of a patch in pixels; a picture smaller than that is one patch in that dimension.
        stride: pixels from one patch to the next, from 1 to `patch`; overlapping only.
        tile: side of a tile in pixels; None for one whose feature maps take some 256 MB.
        batch: patches at a time; None for as many as take some 64 MB.
        bar: called with how many tiles or patches are done, and of how many.

    Returns:
        (C, H, W) float32 on the CPU, not clamped.

    Raises:
        InputError: an unknown mode, a size below 1, a stride that would leave pixels out, or an image that is not of
            the network's channels.

    Reference: arXiv 1501.00092, section 3.1, for the network; the modes are the README's.
    """
    _check_image(upsampled, model.channels)
    if mode not in MODES:
        raise InputError(f"mode is {mode!r}, expected one of {', '.join(MODES)}")
    for name, value in {"patch": patch, "stride": stride, "tile": tile, "batch": batch}.items():
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}, expected 1 or more")
    if stride > patch:
        raise InputError(f"stride is {stride}, expected from 1 to the patch's {patch}: pixels would be left out")
    upsampled = upsampled.detach()
    if mode == "whole":
        return _whole(upsampled, model, tile or tile_for(model), bar)
    if mode == "non-overlapping":
        return _non_overlapping(upsampled, model, patch, batch, bar)
    if stride == 1 and overlap.applies(model, *upsampled.shape[-2:], patch):
        return overlap.overlapping(model, upsampled, patch, bar).float().cpu()
    return _overlapping(upsampled, model, patch, stride, batch, bar)


def tile_for(model: SRCNN) -> int:
    """Side of the tile whose feature maps take some TILE_BYTES."""
    return max(1, math.isqrt(TILE_BYTES // _bytes_a_pixel(model)) - 2 * model.halo)


def batch_for(model: SRCNN, patch: int) -> int:
    """How many patches' feature maps take some BATCH_BYTES."""
    return max(1, BATCH_BYTES // (_bytes_a_pixel(model) * (patch + 2 * model.halo) ** 2))


def _bytes_a_pixel(model: SRCNN) -> int:
    """Of the feature maps that are alive at once: a layer's input, and its output before and after the ReLU."""
    first, second = model.widths
    return 4 * max(2 * first, first + 2 * second)


def spans(length: int, tile: int) -> list[tuple[int, int]]:
    """(start, end) of the fewest pieces of at most `tile` pixels that part `length`, all but equally long."""
    pieces = math.ceil(length / tile)
    ends = [length * number // pieces for number in range(pieces + 1)]
    return list(itertools.pairwise(ends))


def positions(length: int, patch: int, stride: int) -> list[int]:
    """Where patches begin so that they cover `length`: every `stride` pixels, the last one moved inside."""
    last = max(0, length - patch)
    return [*range(0, last, stride), last]


def _whole(upsampled: Tensor, model: SRCNN, tile: int, bar) -> Tensor:
    result = torch.empty(upsampled.shape)
    height, width = upsampled.shape[-2:]
    down, across = spans(height, tile), spans(width, tile)
    for done, (rows, columns) in enumerate(itertools.product(down, across), start=1):
        result[:, slice(*rows), slice(*columns)] = _tile(upsampled, model, rows, columns)
        if bar:
            bar(done, len(down) * len(across))
    return result


@torch.inference_mode()
def _tile(upsampled: Tensor, model: SRCNN, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """(C, rows, columns) of the pass over the whole picture, from these pixels and `halo` more to each side."""
    (top, bottom), (left, right), halo = rows, columns, model.halo
    # 1. The tile with as much of its surround as the picture has.
    above, below = min(halo, top), min(halo, upsampled.shape[-2] - bottom)
    before, after = min(halo, left), min(halo, upsampled.shape[-1] - right)
    crop = upsampled[None, :, top - above : bottom + below, left - before : right + after]
    crop = crop.to(model.layer_1.weight)  # its device and precision
    # 2. What is missing lies beyond the picture's border: zeros of every layer's own, or the replicated edge.
    if model.padding_mode == "zeros":
        return model(crop)[0, :, above : above + bottom - top, before : before + right - left]
    missing = [halo - before, halo - after, halo - above, halo - below]
    return model.valid(F.pad(crop, missing, mode="replicate"))[0]


def _non_overlapping(upsampled: Tensor, model: SRCNN, patch: int, batch: int | None, bar) -> Tensor:
    result = torch.empty(upsampled.shape)
    for top, left, pixels in _patches(upsampled, model, patch, patch, batch, bar):
        height, width = pixels.shape[-2:]
        result[:, top : top + height, left : left + width] = pixels
    return result


def _overlapping(upsampled: Tensor, model: SRCNN, patch: int, stride: int, batch: int | None, bar) -> Tensor:
    # A thousand values a pixel: their sum in float32 would lose two of its seven digits.
    total = torch.zeros(upsampled.shape, dtype=torch.float64)
    for top, left, pixels in _patches(upsampled, model, patch, stride, batch, bar):
        height, width = pixels.shape[-2:]
        total[:, top : top + height, left : left + width] += pixels
    down, across = (_coverage(length, patch, stride) for length in upsampled.shape[-2:])
    return (total / (down[:, None] * across)).float()


def _coverage(length: int, patch: int, stride: int) -> Tensor:
    """(length,) in how many patches a row, or a column, lies."""
    count = torch.zeros(length)
    for start in positions(length, patch, stride):
        count[start : start + patch] += 1
    return count


def _patches(
    upsampled: Tensor, model: SRCNN, patch: int, stride: int, batch: int | None, bar
) -> Iterator[tuple[int, int, Tensor]]:
    """(top, left, (C, patch, patch)) of every patch run alone, row by row, computed in batches."""
    height, width = (min(patch, length) for length in upsampled.shape[-2:])
    tops, lefts = (torch.tensor(positions(length, patch, stride)) for length in upsampled.shape[-2:])
    windows = upsampled.unfold(1, height, 1).unfold(2, width, 1)  # (C, tops, lefts, height, width), a view
    batch, total = batch or batch_for(model, patch), len(tops) * len(lefts)
    for first in range(0, total, batch):
        numbers = torch.arange(first, min(first + batch, total))
        top, left = tops[numbers // len(lefts)], lefts[numbers % len(lefts)]
        results = _run(windows[:, top, left].transpose(0, 1), model)  # (batch, C, height, width)
        yield from zip(top.tolist(), left.tolist(), results, strict=True)
        if bar:
            bar(min(first + batch, total), total)


@torch.inference_mode()
def _run(patches: Tensor, model: SRCNN) -> Tensor:
    return model(patches.to(model.layer_1.weight)).cpu()


def _enlarged(image: Tensor, model: SRCNN, scale: float | None) -> Tensor:
    """The bicubic enlargement, not clamped."""
    _check_image(image)
    scale = check_scale(model.scale if scale is None else scale)
    return resize(image, upscaled_size(*image.shape[-2:], scale))


def _check_image(image: Tensor, channels: int | None = None) -> None:
    expected = "1 or 3 channels" if channels is None else f"the network's channels, {channels}"
    allowed = (1, 3) if channels is None else (channels,)
    if image.ndim != 3 or image.shape[0] not in allowed or not image.numel():
        raise InputError(f"image of shape {tuple(image.shape)}, expected (C, H, W) with {expected} and a pixel or more")
    if not image.is_floating_point():
        raise InputError(f"image of {image.dtype}, expected float32 in [0, 1]")
