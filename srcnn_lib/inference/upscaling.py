"""A network run over a whole picture, in three ways, with memory that does not grow with the picture."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..data.color import rgb_to_ycbcr, ycbcr_to_rgb
from ..data.images import Picture
from ..errors import InputError
from ..model import SRCNN
from . import overlap, patches
from .bands import BicubicEnlargement
from .patches import positions
from .self_ensemble import eight
from .tiling import Tiles, spans, tile_for, whole

MODES = ("whole", "non-overlapping", "overlapping")
ARITHMETICS = ("float32", "bfloat16")
BAND = 256  # rows of a picture that patches, each alone, are run over at once, or as many as a patch has
LUMA = (0.299, 0.587, 0.114)  # BT.601, full range: grey in, the same grey out


def upscale(image: Tensor, model: SRCNN, scale: float | None = None, mode: str = "whole", **how) -> Tensor:
    """Enlarge an image: bicubic to the new size, then the network.

    Args:
        image: (C, H, W) in [0, 1], 1 (grey) or 3 channels (RGB), whatever the network was trained on (see `apply`).
        model: the network, on any device.
        scale: from 1.1 to 8; None for the network's own.
        mode, **how: as in `reconstruct`; `progress` is told rows.

    Returns:
        (C, round(H·scale), round(W·scale)) on the CPU, clamped to [0, 1].

    Raises:
        InputError: as `reconstruct`, or a scale outside the range.
    """
    return upscale_picture(Picture(image), model, scale, mode, **how).pixels


def upscale_picture(picture: Picture, model: SRCNN, scale: float | None = None, mode: str = "whole", **how) -> Picture:
    """`upscale` for a picture with all that a tensor can't say: alpha is enlarged by bicubic, bits and name stay."""
    _check_image(picture.pixels)
    enlarged = BicubicEnlargement(picture, model.scale if scale is None else scale)
    pixels = torch.empty(len(picture.pixels), *enlarged.size)
    alpha = None if picture.alpha is None else torch.empty(1, *enlarged.size)
    for top, rows, alpha_rows in bands(enlarged, model, mode, **how):
        pixels[:, top : top + rows.shape[1]] = rows
        if alpha is not None:
            alpha[:, top : top + rows.shape[1]] = alpha_rows
    return dataclasses.replace(picture, pixels=pixels, alpha=alpha)


def bands(
    enlarged: BicubicEnlargement,
    model: SRCNN,
    mode: str = "whole",
    *,
    patch: int = 33,
    tile: int | Tiles | None = None,
    progress: Callable[[int, int], object] | None = None,
    **how,
) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """What the network makes of an enlargement, from top to bottom in bands of rows, so that no picture is ever whole.

    Args:
        enlarged: of a picture of 1 (grey) or 3 channels (RGB).
        model, mode, patch, tile, **how: as in `reconstruct`. Overlapping patches are run over all rows at once.
        progress: called with how many rows are done, and of how many.

    Yields:
        (top, (C, rows, W), (1, rows, W) or None): the row where the band begins, its pixels and its alpha, clamped to
        [0, 1], on the CPU.

    Raises:
        InputError: as `reconstruct`.
    """
    _check_numbers(mode, patch=patch, tile=None if isinstance(tile, Tiles) else tile)
    tiles = _tiles(tile, model)
    height = enlarged.size[0]
    for top, bottom in _parts(height, mode, patch, tiles.side):
        halo = model.halo if mode == "whole" else 0
        first, last = max(0, top - halo), min(height, bottom + halo)
        color, alpha = enlarged.rows(first, last)
        rows = (top - first, bottom - first)
        told = _told(progress, top, bottom, height)
        pixels = apply(color, model, mode, rows=rows, patch=patch, tile=tiles, progress=told, **how)
        yield top, pixels, None if alpha is None else alpha[:, slice(*rows)].clamp(0, 1)


def _parts(height: int, mode: str, patch: int, tile: int) -> list[tuple[int, int]]:
    """(top, bottom) of bands that can be worked on one after another: of one tile, or of whole patches."""
    if mode == "overlapping":
        return [(0, height)]
    if mode == "whole":
        return spans(height, tile)
    # Not the last patch of a column: it is moved inside the picture, over the rows of the one above it.
    tops = positions(height, patch, patch)[: -1 : max(1, BAND // patch)] or [0]
    return list(zip(tops, [*tops[1:], height], strict=True))


def _told(progress: Callable | None, top: int, bottom: int, height: int) -> Callable | None:
    """A bar for a part of the rows."""
    return progress and (lambda done, total: progress(top + (bottom - top) * done // total, height))


def apply(
    upsampled: Tensor, model: SRCNN, mode: str = "whole", *, rows: tuple[int, int] | None = None, **how
) -> Tensor:
    """What the network makes of a picture that is already enlarged, whatever the channels of both.

    A Y network gets the Y of an RGB picture, and Cb and Cr stay as they are. An RGB network gets a grey picture as
    three copies, and the luma of what it makes is the grey that comes back.

    Args:
        upsampled: (C, H, W) in [0, 1], 1 (grey) or 3 channels (RGB).
        model, mode, rows, **how: as in `reconstruct`.

    Returns:
        (C, H, W) on the CPU, clamped to [0, 1].

    Raises:
        InputError: as `reconstruct`.
    """
    _check_image(upsampled)
    channels = upsampled.shape[0]
    if channels == model.channels:
        result = reconstruct(upsampled, model, mode, rows=rows, **how)
    elif channels == 3:
        ycbcr = rgb_to_ycbcr(upsampled.detach().cpu())
        y = reconstruct(ycbcr[:1], model, mode, rows=rows, **how)
        result = ycbcr_to_rgb(torch.cat([y, _rows(ycbcr[1:], rows)]))
    else:
        rgb = reconstruct(upsampled.expand(3, -1, -1), model, mode, rows=rows, **how)
        result = sum(weight * plane for weight, plane in zip(LUMA, rgb.split(1), strict=True))
    return result.clamp(0, 1)


def reconstruct(
    upsampled: Tensor,
    model: SRCNN,
    mode: str = "whole",
    *,
    patch: int = 33,
    stride: int = 1,
    tile: int | Tiles | None = None,
    batch: int | None = None,
    rows: tuple[int, int] | None = None,
    arithmetic: str = "float32",
    ensemble: bool = False,
    progress: Callable[[int, int], object] | None = None,
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
        tile: side of a tile in pixels, or Tiles that are shared with other calls; None for what suits network, device
            and memory. A GPU whose memory ends gets smaller ones.
        batch: patches at a time; None for as many as take some 64 MB. A GPU whose memory ends gets fewer.
        rows: (first, end) of the rows that are wanted; None for all. In mode "whole" the others are no more than the
            surround of these.
        arithmetic: "float32", or "bfloat16" for the first two layers.
        ensemble: the mean of what the network makes of the eight flips and rotations (of each patch, where patches
            are run alone), at eight times the work.
        progress: called with how many tiles or patches are done, and of how many.

    Returns:
        (C, H, W) float32 on the CPU, not clamped.

    Raises:
        InputError: an unknown mode or arithmetic, a size below 1, a stride that would leave pixels out, or an image
            that is not of the network's channels.

    Reference: arXiv 1501.00092, section 3.1, for the network; the modes are the README's.
    """
    _check_image(upsampled, model.channels)
    numbers = {"patch": patch, "stride": stride, "tile": None if isinstance(tile, Tiles) else tile, "batch": batch}
    _check_numbers(mode, **numbers)
    if arithmetic not in ARITHMETICS:
        raise InputError(f"arithmetic is {arithmetic!r}, expected one of {', '.join(ARITHMETICS)}")
    upsampled, tiles = upsampled.detach(), _tiles(tile, model)
    exact = mode == "overlapping" and stride == 1 and overlap.applies(model, *upsampled.shape[-2:], patch)
    if exact and arithmetic != "float32":
        raise InputError("overlapping patches at stride 1 are run in float32 only; take it, another mode or stride")

    def once(network: SRCNN, progress) -> Tensor:
        if mode == "whole":
            return whole(upsampled, network, tiles, rows, progress)
        if mode == "non-overlapping":
            return _rows(patches.non_overlapping(upsampled, network, patch, batch, progress), rows)
        return _rows(overlap.overlapping(network, upsampled, patch, stride, batch, progress).float().cpu(), rows)

    with _computing_in(arithmetic, model):
        return _mean_of_eight(once, model, progress) if ensemble else once(model, progress)


def _mean_of_eight(once: Callable[[SRCNN, Callable | None], Tensor], model: SRCNN, progress) -> Tensor:
    total = 0
    for number, network in enumerate(eight(model)):
        share = progress and (lambda done, of, before=number: progress(before * of + done, 8 * of))
        total = total + once(network, share)
    return total / 8


def _computing_in(arithmetic: str, model: SRCNN):
    if arithmetic == "float32":
        return contextlib.nullcontext()
    return torch.autocast(model.layer_1.weight.device.type, torch.bfloat16)


def _tiles(tile: int | Tiles | None, model: SRCNN) -> Tiles:
    return tile if isinstance(tile, Tiles) else Tiles(tile or tile_for(model))


def _rows(image: Tensor, rows: tuple[int, int] | None) -> Tensor:
    """(C, H, W) → these rows of it."""
    return image if rows is None else image[:, slice(*rows)]


def _check_numbers(mode: str, *, patch: int, stride: int = 1, **numbers: int | None) -> None:
    if mode not in MODES:
        raise InputError(f"mode is {mode!r}, expected one of {', '.join(MODES)}")
    for name, value in {"patch": patch, "stride": stride, **numbers}.items():
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}, expected 1 or more")
    if stride > patch:
        raise InputError(f"stride is {stride}, expected from 1 to the patch's {patch}: pixels would be left out")


def _check_image(image: Tensor, channels: int | None = None) -> None:
    expected = "1 or 3 channels" if channels is None else f"the network's channels, {channels}"
    allowed = (1, 3) if channels is None else (channels,)
    if image.ndim != 3 or image.shape[0] not in allowed or not image.numel():
        raise InputError(f"image of shape {tuple(image.shape)}, expected (C, H, W) with {expected} and a pixel or more")
    if not image.is_floating_point():
        raise InputError(f"image of {image.dtype}, expected float32 in [0, 1]")
