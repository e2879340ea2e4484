"""One pass over a whole picture in tiles that know their surround: bounded memory, and no seam."""

import itertools
import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model import SRCNN
from ..runtime import memory

# What the feature maps of one tile may take. On a CPU they stay in its cache and in pages that malloc hands out again,
# the faster by a quarter than tiles of 256 MB; a GPU has no more to gain from larger ones.
CPU_BYTES, GPU_BYTES = 32 * 2**20, 512 * 2**20
LONGEST = 512  # pixels: a band of a wide picture is as high as its tiles, and is held with all its channels
SMALLEST = 32  # a GPU that has no memory for a tile of that side has none for the work


class Tiles:
    """How long the side of a tile may be, in pixels; what a GPU has no memory for is halved, and that is said.

    Args:
        side: at first.
        say: called with the line that a person should read.
    """

    def __init__(self, side: int, say: Callable[[str], object] = warnings.warn):
        self.side, self.say, self.said = side, say, False

    def halve(self, side: int) -> None:
        """Half of a side that was too long from now on; the rest of the GPU's memory is given back."""
        self.side = max(SMALLEST, min(self.side, side) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self.said:
            self.say(f"the GPU has no memory for tiles of {side} pixels a side; smaller ones are used")
        self.said = True


def tile_for(model: SRCNN) -> int:
    """Side of the tile that suits the network, its device and the memory at hand, in pixels."""
    device = model.layer_1.weight.device
    there = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory.available()
    most = CPU_BYTES if device.type == "cpu" else GPU_BYTES
    budget = most if there is None else min(most, there // 4)
    return max(SMALLEST, min(LONGEST, math.isqrt(budget // bytes_a_pixel(model)) - 2 * model.halo))


def bytes_a_pixel(model: SRCNN) -> int:
    """Of the feature maps that are alive at once: a layer's input, and its output before and after the ReLU."""
    first, second = model.widths
    return 4 * max(2 * first, first + 2 * second)


def spans(length: int, tile: int) -> list[tuple[int, int]]:
    """(start, end) of the fewest pieces of at most `tile` pixels that part `length`, all but equally long."""
    pieces = math.ceil(length / tile)
    ends = [length * number // pieces for number in range(pieces + 1)]
    return list(itertools.pairwise(ends))


def whole(upsampled: Tensor, model: SRCNN, tiles: Tiles, rows: tuple[int, int] | None = None, progress=None) -> Tensor:
    """(C, rows, W) of one pass over `upsampled` (C, H, W); rows that are not wanted are looked at as a surround."""
    channels, height, width = upsampled.shape
    top, bottom = rows or (0, height)
    result = torch.empty(channels, bottom - top, width)
    parts = list(itertools.product(spans(bottom - top, tiles.side), spans(width, tiles.side)))
    for done, (down, across) in enumerate(parts, start=1):
        _fill(result[:, slice(*down), slice(*across)], upsampled, model, tiles, top + down[0], across[0])
        if progress:
            progress(done, len(parts))
    return result


def _fill(result: Tensor, upsampled: Tensor, model: SRCNN, tiles: Tiles, top: int, left: int) -> None:
    """Write the part of the pass that begins at (top, left) into `result`, a view; in parts where it is too large."""
    height, width = result.shape[-2:]
    longest = max(height, width)
    if longest <= tiles.side:
        try:
            result[:] = _tile(upsampled, model, (top, top + height), (left, left + width))
            return
        except RuntimeError as error:
            if longest <= SMALLEST or not out_of_memory(error):
                raise
        tiles.halve(longest)  # not above: there the error still holds what the pass had in memory
    for down, across in itertools.product(spans(height, tiles.side), spans(width, tiles.side)):
        part = result[:, slice(*down), slice(*across)]
        _fill(part, upsampled, model, tiles, top + down[0], left + across[0])


def out_of_memory(error: RuntimeError) -> bool:
    """Of a GPU. Apple's has no exception of its own for it, nor has what CUDA allocates without torch."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)


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
