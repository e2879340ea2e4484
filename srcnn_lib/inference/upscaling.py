"""Upscales pictures: bicubic interpolation to the new size, then the network.

upscale            an image, with every option explicit
upscale_picture    a picture that may have alpha
upscale_bands      the same in bands of rows, so that a large enlargement need not be in memory as a whole
reconstruct        the network alone, over a picture that is already enlarged
"""

import contextlib
import copy
import dataclasses
import functools
from collections.abc import Iterator

import torch
from torch import Tensor

from ..data.color import from_network_channels, to_network_channels
from ..data.images import Picture
from ..errors import InputError
from ..model import SRCNN
from ..runtime.console import Progress
from . import fast_pass, overlap, patches
from .convolution import rearrange
from .options import InferenceOptions
from .self_ensemble import eight
from .tiling import BicubicEnlargement, Span, TileSize, run_in_tiles, spans

BAND = 256  # rows of a band of non-overlapping patches; a band has at least the rows of one patch


def upscale(
    image: Tensor,
    model: SRCNN,
    scale: float | None = None,
    *,
    mode: str = "whole",
    patch: int = 33,
    stride: int = 1,
    tile: int | None = None,
    batch_size: int | None = None,
    arithmetic: str = "float32",
    ensemble: bool = False,
    progress: Progress | None = None,
) -> Tensor:
    """Upscales an image: bicubic interpolation to the new size, then the network.

    A Y network restores the luminance of an RGB image; Cb and Cr are those of the bicubic image. An RGB network gets a
    gray image as three equal channels, and the luma of its output is returned.

    Args:
        image: (C, H, W) in [0, 1], 1 (gray) or 3 channels (RGB), whatever the network works on.
        model: the network, on any device.
        scale: from 0.1 to 8; None for the network's own.
        mode: "whole": one pass over the picture, without seams. "non-overlapping": each patch once, alone.
            "overlapping": a patch every `stride` pixels, alone; each pixel is the mean of all values that it got.
        patch: side of a patch in pixels; a picture smaller than that is one patch in that dimension.
        stride: pixels from one overlapping patch to the next, from 1 to `patch`.
        tile: largest side of the tiles of mode "whole", in pixels; None for a size that suits network and memory.
        batch_size: patches at a time; None for as many as take some 64 MB.
        arithmetic: "float32": on a CPU by minimal filtering, within 2e-5 of the exact result. "exact": float32 by plain
            convolutions, slower on a CPU. "bfloat16": 16 bits for the first two layers.
        ensemble: average over the eight flips and rotations, at eight times the work.
        progress: called as progress(done, total), in rows of the result.

    Returns:
        (C, round(H · scale), round(W · scale)) on the CPU, clamped to [0, 1].

    Raises:
        InputError: a scale outside 0.1 to 8, an image of another shape or type, an unknown mode or arithmetic, a number
            below 1, a stride above the patch, or bfloat16 for overlapping patches at stride 1.
    """
    options = InferenceOptions(mode, patch, stride, tile, batch_size, arithmetic, ensemble)
    return upscale_picture(Picture(image), model, scale, options, progress).pixels


def upscale_picture(
    picture: Picture,
    model: SRCNN,
    scale: float | None = None,
    options: InferenceOptions = InferenceOptions(),
    progress: Progress | None = None,
) -> Picture:
    """Upscales a picture, and its alpha by bicubic interpolation; its name, bits and notes stay the same.

    Args:
        picture: 1 (gray) or 3 channels (RGB), with or without alpha.
        model, scale, progress: as in `upscale`.
        options: how the network is run.

    Raises:
        InputError: as `upscale`.
    """
    _check_image(picture.pixels)
    enlargement = BicubicEnlargement(picture, model.scale if scale is None else scale)
    pixels = torch.empty(len(picture.pixels), *enlargement.size)
    alpha = None if picture.alpha is None else torch.empty(1, *enlargement.size)
    for top, pixel_rows, alpha_rows in upscale_bands(enlargement, model, options, progress=progress):
        bottom = top + pixel_rows.shape[1]
        pixels[:, top:bottom] = pixel_rows
        if alpha is not None and alpha_rows is not None:
            alpha[:, top:bottom] = alpha_rows
    return dataclasses.replace(picture, pixels=pixels, alpha=alpha)


def upscale_bands(
    enlargement: BicubicEnlargement,
    model: SRCNN,
    options: InferenceOptions = InferenceOptions(),
    *,
    tile_size: TileSize | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """Runs the network over an enlargement in bands of rows, from top to bottom.

    Neither the bicubic picture nor the result is ever in memory as a whole, except with overlapping patches, which are
    run over all rows at once.

    Args:
        enlargement: of a picture with 1 (gray) or 3 channels (RGB).
        model: the network.
        options: how the network is run.
        tile_size: shared with other pictures, so that a GPU's limit is found only once; None for a new one.
        progress: called as progress(done, total), in rows of the result.

    Yields:
        (top, pixels, alpha): the band's first row, (C, rows, W) and (1, rows, W) or None, clamped to [0, 1], on the
        CPU.

    Raises:
        InputError: as `reconstruct`.
    """
    height = enlargement.size[0]
    tile_size = tile_size or TileSize(model, options.tile)
    for top, bottom in _bands(height, options, tile_size.side):
        halo = model.halo if options.mode == "whole" else 0
        first = max(0, top - halo)
        last = min(height, bottom + halo)
        bicubic, alpha = enlargement.rows(first, last)
        band = (top - first, bottom - first)  # of the rows from `first` on
        output = reconstruct(
            to_network_channels(bicubic, model.channels),
            model,
            options,
            rows=band,
            tile_size=tile_size,
            progress=progress and _part_of(progress, top, bottom, height),
        )
        pixels = from_network_channels(output, bicubic[:, slice(*band)]).clamp(0, 1)
        yield top, pixels, None if alpha is None else alpha[:, slice(*band)].clamp(0, 1)


def reconstruct(
    upsampled: Tensor,
    model: SRCNN,
    options: InferenceOptions = InferenceOptions(),
    *,
    rows: Span | None = None,
    tile_size: TileSize | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Runs the network over a bicubic picture.

    Args:
        upsampled: (C, H, W) in [0, 1] with the network's channels (see `data.color.to_network_channels`), of any size.
        model: the network; the picture is moved to its device piece by piece.
        options: how the network is run.
        rows: (start, end) of the rows to return; None for all. In mode "whole" the other rows are only context.
        tile_size: shared with other calls; None for a new one.
        progress: called as progress(done, total), in tiles or patches.

    Returns:
        (C, rows, W) float32 on the CPU, not clamped.

    Raises:
        InputError: an image without the network's channels, or bfloat16 for overlapping patches at stride 1.

    Reference: arXiv 1501.00092, section 3.1, for the network.
    """
    _check_image(upsampled, model.channels)
    upsampled = upsampled.detach()
    exact = (
        options.mode == "overlapping" and options.stride == 1 and overlap.applies(model, upsampled.shape, options.patch)
    )
    reduced = options.arithmetic == "bfloat16"
    if exact and reduced:
        raise InputError(
            "overlapping patches at stride 1 are run in float32 only; choose float32, another mode or another stride"
        )
    tile_size = tile_size or TileSize(model, options.tile)
    if options.ensemble:
        plain = dataclasses.replace(options, ensemble=False)
        total = torch.zeros(())
        for number, network in enumerate(eight(model)):
            part = progress and _turn_of(progress, number)
            total = total + reconstruct(upsampled, network, plain, rows=rows, tile_size=tile_size, progress=part)
        return total / 8
    device = model.layer_1.weight.device.type
    fast = None
    if options.arithmetic == "float32" and not exact and fast_pass.applies(model):
        fast = fast_pass.FastPass(model)
    elif device == "cpu" and not exact:
        model = rearrange(copy.deepcopy(model))  # the caller's network stays as it is
    run = fast.patches if fast else functools.partial(patches.run_alone, model=model)
    batch_size = options.batch_size or patches.batch_for(model, options.patch)
    with torch.autocast(device, torch.bfloat16) if reduced else contextlib.nullcontext():
        if options.mode == "whole" and fast:
            return fast.whole(upsampled, rows, options.tile, progress)
        if options.mode == "whole":
            return run_in_tiles(upsampled, model, tile_size, rows, progress)
        if options.mode == "non-overlapping":
            output = patches.non_overlapping(upsampled, run, options.patch, batch_size, progress)
        elif exact:
            output = overlap.overlapping(upsampled, model, options.patch, progress)
        else:
            output = patches.overlapping(upsampled, run, options.patch, options.stride, batch_size, progress)
    output = output.float().cpu()
    return output if rows is None else output[:, slice(*rows)]


def _bands(height: int, options: InferenceOptions, tile: int) -> list[Span]:
    """Splits the rows into bands: each one tile high, or of whole patches, or all rows in one band."""
    if options.mode == "overlapping":
        return [(0, height)]
    if options.mode == "whole":
        return spans(0, height, tile)
    # No band begins at the last patch of a column: it is moved inside the picture and covers rows of the patch above.
    tops = patches.positions(height, options.patch, options.patch)[: -1 : max(1, BAND // options.patch)] or [0]
    return list(zip(tops, [*tops[1:], height], strict=True))


def _part_of(progress: Progress, top: int, bottom: int, height: int) -> Progress:
    """Converts the progress within a band to rows of the whole picture."""
    return lambda done, total: progress(top + (bottom - top) * done // total, height)


def _turn_of(progress: Progress, number: int) -> Progress:
    """Converts the progress within one of eight passes to that of all eight."""
    return lambda done, total: progress(number * total + done, 8 * total)


def _check_image(image: Tensor, channels: int | None = None) -> None:
    """Checks an image's shape and type.

    Args:
        channels: how many the image must have; None for 1 or 3.
    """
    expected = "1 or 3 channels" if channels is None else f"the network's channels, {channels}"
    allowed = (1, 3) if channels is None else (channels,)
    if image.ndim != 3 or image.shape[0] not in allowed or not image.numel():
        raise InputError(f"image of shape {tuple(image.shape)}, expected (C, H, W) with {expected} and a pixel or more")
    if not image.is_floating_point():
        raise InputError(f"image of {image.dtype}, expected float32 in [0, 1]")
