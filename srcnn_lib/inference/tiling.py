"""Processes a large picture in parts, without seams: the bicubic enlargement in bands of rows, the network in tiles.

An output pixel of the network depends only on input pixels up to `halo` away. A tile is therefore run with `halo` more
pixels on each side, and its output equals that part of a pass over the whole picture.
"""

import functools
import itertools
import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from ..data.degradation import check_enlargement, resize, upscaled_size
from ..data.images import Picture
from ..model import SRCNN
from ..runtime import memory
from ..runtime.console import Progress

# Limits for the feature maps of one tile. On a CPU, tiles of 32 MB are a quarter faster than tiles of 256 MB: the maps
# stay in its cache, and malloc reuses their pages. On a GPU, larger tiles are not faster.
CPU_BYTES = 32 * 2**20
GPU_BYTES = 512 * 2**20
LONGEST = 512  # pixels: the rows of a band, which is in memory over the picture's whole width, are those of a tile
SMALLEST = 32  # pixels: a GPU without memory for a tile of this side cannot run the network
OVERSHOOT = 0.28  # how far a bicubic enlargement can leave the range of its input, in both dimensions together

Span = tuple[int, int]  # (start, end) in pixels; the end is not included


# The bicubic enlargement


class BicubicEnlargement:
    """The bicubic enlargement of a picture, of which any band of rows can be computed. On the CPU, not clamped.

    Attributes:
        size: (H, W) of the enlargement in pixels.

    Raises:
        InputError: a scale outside 0.1 to 8.
    """

    def __init__(self, picture: Picture, scale: float):
        self.pixels = picture.pixels.detach().cpu().float()
        self.alpha = None if picture.alpha is None else picture.alpha.detach().cpu().float()
        height, width = self.pixels.shape[-2:]
        self.size = upscaled_size(height, width, check_enlargement(scale))
        # The kernel reaches two rows of the enlargement or of the picture, whichever are wider; one is for rounding.
        self._reach = math.ceil(2 / min(scale, 1.0)) + 1

    @functools.cached_property
    def _row_weights(self) -> Tensor:
        """What each row of the enlargement takes from the rows of the picture, (enlarged H, 2 · reach + 1).

        `resize` is linear, so resizing the columns of an identity matrix returns its weights, rounded exactly as in
        torch. A formula of our own would differ from torch's in the last bit, and so would the pixels. Here column k
        holds a one in all rows k, k + n, k + 2n…: of n = 2 · reach + 1 rows in succession, which are all that a row of
        the enlargement can depend on, each has a column of its own. So tall pictures take no square of their height.
        """
        height, period = self.pixels.shape[-2], 2 * self._reach + 1
        ones = torch.eye(period).repeat(math.ceil(height / period), 1)[:height]
        return resize(ones[None], (self.size[0], period))[0]

    def rows(self, top: int, bottom: int) -> tuple[Tensor, Tensor | None]:
        """Computes the rows from `top` to below `bottom`: (C, bottom − top, W) color and (1, bottom − top, W) alpha.

        Color under alpha is enlarged premultiplied, so that the color of invisible pixels does not leak over the edge.
        Alpha is None where the picture has none.
        """
        # 1. The rows of the picture that these depend on.
        height = self.pixels.shape[-2]
        first = max(0, top * height // self.size[0] - self._reach)
        source = slice(first, min(height, bottom * height // self.size[0] + self._reach + 1))
        # 2. Color as it is, and premultiplied where there is alpha.
        plain = self._enlarge(self.pixels[:, source], first, top, bottom)
        if self.alpha is None:
            return plain, None
        alpha = self._enlarge(self.alpha[:, source], first, top, bottom)
        premultiplied = self._enlarge(self.pixels[:, source] * self.alpha[:, source], first, top, bottom)
        # Where alpha is near zero the quotient is noise, which the network would spread over its halo.
        color = (premultiplied / alpha).clamp(-OVERSHOOT, 1 + OVERSHOOT)
        return torch.where(alpha > 1 / 255, color, plain), alpha

    def _enlarge(self, source: Tensor, first: int, top: int, bottom: int) -> Tensor:
        """Computes these rows of the enlargement from `source`, the rows of the picture from `first` on.

        `resize` interpolates each row. From row to row, the weights depend on where the band lies in the picture.
        """
        height, (enlarged_height, enlarged_width) = self.pixels.shape[-2], self.size
        if (top, bottom) == (0, enlarged_height):
            return resize(source, self.size)
        count = source.shape[-2]
        rows = torch.arange(first, first + count)  # of the picture
        centers = (torch.arange(top, bottom) * height + height // 2) // enlarged_height
        weights = self._row_weights[top:bottom][:, rows % (2 * self._reach + 1)]  # (bottom − top, count)
        weights = weights * ((rows - centers[:, None]).abs() <= self._reach)
        return weights @ resize(source, (count, enlarged_width))  # (C, bottom − top, W)


# The tiles of the network


class TileSize:
    """The largest side of a tile in pixels; it is halved when a GPU runs out of memory, with one message.

    Args:
        model: the network that is run.
        side: the side at first; None for one that suits the network, its device and the free memory.
        notify: called with the message.
    """

    def __init__(self, model: SRCNN, side: int | None = None, notify: Callable[[str], object] = warnings.warn):
        self.side = side or tile_for(model)
        self.notify = notify
        self._notified = False

    def halve(self, side: int) -> None:
        """Halves a side that was too large, for all later tiles, and returns unused memory to the GPU."""
        self.side = max(SMALLEST, min(self.side, side) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        if not self._notified:
            self.notify(f"the GPU has no memory for tiles of {side} pixels a side; smaller ones are used")
        self._notified = True


def tile_for(model: SRCNN) -> int:
    """Returns the side of the tile that suits the network, its device and the free memory, in pixels."""
    device = model.layer_1.weight.device
    available = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory.available()
    budget = CPU_BYTES if device.type == "cpu" else GPU_BYTES
    side = math.isqrt(min(budget, available // 4) // bytes_per_pixel(model)) - 2 * model.halo
    return max(SMALLEST, min(LONGEST, side))


def bytes_per_pixel(model: SRCNN) -> int:
    """Returns the bytes of the feature maps in memory at once: a layer's input, its output before and after ReLU."""
    first, second = model.widths
    return 4 * max(2 * first, first + 2 * second)


def spans(start: int, end: int, tile: int) -> list[Span]:
    """Splits a range into as few parts of at most `tile` pixels as possible, all nearly equal: [(start, end), …]."""
    length = end - start
    parts = math.ceil(length / tile)
    ends = [start + length * number // parts for number in range(parts + 1)]
    return list(itertools.pairwise(ends))


def run_in_tiles(
    upsampled: Tensor,
    model: SRCNN,
    tile_size: TileSize,
    rows: Span | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Runs the network over (C, H, W) and returns `rows` of the output, (C, rows, W); other rows are only context."""
    channels, height, width = upsampled.shape
    first, last = rows or (0, height)
    result = torch.empty(channels, last - first, width)
    tiles = _split((first, last), (0, width), tile_size.side)
    for done, tile in enumerate(tiles, start=1):
        waiting = [tile]  # the tile, or its parts where a GPU has no memory for all of it
        while waiting:
            part = waiting.pop()
            (top, bottom), (left, right) = part
            side = max(bottom - top, right - left)
            if side > tile_size.side:
                waiting += _split(*part, tile_size.side)
                continue
            try:
                result[:, top - first : bottom - first, left:right] = _run_tile(upsampled, model, *part)
                continue
            except RuntimeError as error:
                if side <= SMALLEST or not out_of_memory(error):
                    raise
            tile_size.halve(side)  # outside of `except`: there the error still holds the memory of the pass
            waiting.append(part)
        if progress:
            progress(done, len(tiles))
    return result


def _split(rows: Span, columns: Span, side: int) -> list[tuple[Span, Span]]:
    """Splits an area into tiles of at most `side` pixels a side: [((top, bottom), (left, right)), …]."""
    return list(itertools.product(spans(*rows, side), spans(*columns, side)))


@torch.inference_mode()
def _run_tile(upsampled: Tensor, model: SRCNN, rows: Span, columns: Span) -> Tensor:
    """Returns this part of the output for the whole picture, (C, rows, columns), from it and `halo` more pixels."""
    (top, bottom), (left, right) = rows, columns
    halo = model.halo
    # 1. The tile with as much of its surround as the picture has.
    above, below = min(halo, top), min(halo, upsampled.shape[-2] - bottom)
    before, after = min(halo, left), min(halo, upsampled.shape[-1] - right)
    crop = upsampled[None, :, top - above : bottom + below, left - before : right + after]
    crop = crop.to(model.layer_1.weight)  # its device and precision
    # 2. The rest of the surround lies beyond the picture's border: the network's border rule provides it.
    if model.padding_mode == "zeros":
        return model(crop)[0, :, above : above + bottom - top, before : before + right - left]
    return model.run_layers(model.pad(crop, (halo - before, halo - after, halo - above, halo - below)))[0]


def out_of_memory(error: RuntimeError) -> bool:
    """Tells whether a GPU ran out of memory: Apple's, and CUDA outside of torch, have no exception type for it."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)
