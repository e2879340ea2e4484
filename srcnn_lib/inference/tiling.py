"""One pass over a whole picture in pieces, without a seam: bands of the bicubic enlargement, tiles of the network.

An output pixel depends on the input pixels up to `halo` away and on no others. So a tile is run with `halo` more pixels
on each side, and its output is what one pass over the whole picture gives there.
"""

import itertools
import math
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from ..data.degradation import check_scale, resize, upscaled_size
from ..data.images import Picture
from ..model import SRCNN
from ..runtime import memory

# What the feature maps of one tile may take. On a CPU they stay in its cache and in pages that malloc hands out again:
# faster by a quarter than tiles of 256 MB. A GPU gains nothing from larger ones.
CPU_BYTES, GPU_BYTES = 32 * 2**20, 512 * 2**20
LONGEST = 512  # pixels: a band of a wide picture is as high as its tiles, and is held with all its channels
SMALLEST = 32  # pixels: a GPU without memory for a tile of this side cannot run the network
OVERSHOOT = 0.28  # how far a bicubic enlargement can leave the range of its input, in both dimensions together


# The bicubic enlargement


class BicubicEnlargement:
    """The bicubic enlargement of a picture, of which any band of rows can be computed. On the CPU, not clamped.

    Attributes:
        size: (H, W) of the enlargement in pixels.

    Raises:
        InputError: a scale outside 1.1 to 8.
    """

    def __init__(self, picture: Picture, scale: float):
        self.pixels = picture.pixels.detach().cpu().float()
        self.alpha = None if picture.alpha is None else picture.alpha.detach().cpu().float()
        height, width = self.pixels.shape[-2:]
        self.size = upscaled_size(height, width, check_scale(scale))

    def rows(self, top: int, bottom: int) -> tuple[Tensor, Tensor | None]:
        """Computes the rows from `top` to below `bottom`: (C, bottom − top, W) color and (1, bottom − top, W) alpha.

        Color under alpha is enlarged premultiplied, so that the color of invisible pixels does not leak over the edge.
        Alpha is None where the picture has none.
        """
        # 1. The rows of the picture that these depend on: the kernel reaches two rows, one more is for rounding.
        height = self.pixels.shape[-2]
        first = max(0, top * height // self.size[0] - 3)
        last = min(height, bottom * height // self.size[0] + 4)
        if (top, bottom) == (0, self.size[0]):
            first, last = 0, height
        source = slice(first, last)

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
        """Computes rows of what `resize` makes of the whole picture, from its rows `source`, which begin at `first`.

        Across, `resize` does it. Down, the weights depend on where the band lies in the picture. `resize` is linear, so
        resizing the columns of an identity matrix returns its weights, exactly as torch has rounded them; a formula of
        ours would differ from torch's in the last bit, and so would the pixels.
        """
        height, (enlarged_height, enlarged_width) = self.pixels.shape[-2], self.size
        if (top, bottom) == (0, enlarged_height):
            return resize(source, self.size)
        count = source.shape[-2]
        identity = torch.zeros(1, height, count)
        identity[0, first : first + count] = torch.eye(count)
        weights = resize(identity, (enlarged_height, count))[0, top:bottom]  # (bottom − top, count)
        return weights @ resize(source, (count, enlarged_width))  # (C, bottom − top, W)


# The tiles of the network


class TileSize:
    """The largest side of a tile in pixels; it is halved when a GPU runs out of memory, with one message.

    Args:
        side: at first.
        notify: called with the message.
    """

    def __init__(self, side: int, notify: Callable[[str], object] = warnings.warn):
        self.side = side
        self.notify = notify
        self._notified = False

    @classmethod
    def suitable(
        cls, model: SRCNN, side: int | None = None, notify: Callable[[str], object] = warnings.warn
    ) -> "TileSize":
        """Returns the side that is asked for, or one that suits the network, its device and the free memory."""
        return cls(side or tile_for(model), notify)

    def halve(self, side: int) -> None:
        """Halves a side that was too long, for all later tiles, and returns unused memory to the GPU."""
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
    if available is not None:
        budget = min(budget, available // 4)
    side = math.isqrt(budget // bytes_per_pixel(model)) - 2 * model.halo
    return max(SMALLEST, min(LONGEST, side))


def bytes_per_pixel(model: SRCNN) -> int:
    """Returns the bytes of the feature maps alive at once: a layer's input, its output before and after the ReLU."""
    first, second = model.widths
    return 4 * max(2 * first, first + 2 * second)


def spans(length: int, tile: int) -> list[tuple[int, int]]:
    """Splits `length` into the fewest pieces of at most `tile` pixels, all but equally long: [(start, end), …]."""
    pieces = math.ceil(length / tile)
    ends = [length * number // pieces for number in range(pieces + 1)]
    return list(itertools.pairwise(ends))


def run_in_tiles(
    upsampled: Tensor,
    model: SRCNN,
    tile_size: TileSize,
    rows: tuple[int, int] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Tensor:
    """Runs the network over `upsampled` (C, H, W) and returns (C, rows, W); other rows only provide context."""
    channels, height, width = upsampled.shape
    top, bottom = rows or (0, height)
    result = torch.empty(channels, bottom - top, width)
    tiles = list(itertools.product(spans(bottom - top, tile_size.side), spans(width, tile_size.side)))
    for done, (down, across) in enumerate(tiles, start=1):
        _fill(result[:, slice(*down), slice(*across)], upsampled, model, tile_size, top + down[0], across[0])
        if progress:
            progress(done, len(tiles))
    return result


def _fill(result: Tensor, upsampled: Tensor, model: SRCNN, tile_size: TileSize, top: int, left: int) -> None:
    """Writes the part of the pass that begins at (top, left) into `result`, a view; in smaller tiles if need be."""
    height, width = result.shape[-2:]
    longest = max(height, width)
    if longest <= tile_size.side:
        try:
            result[:] = _run_tile(upsampled, model, (top, top + height), (left, left + width))
            return
        except RuntimeError as error:
            if longest <= SMALLEST or not out_of_memory(error):
                raise
        tile_size.halve(longest)  # outside of `except`: there the error still holds the memory of the pass
    for down, across in itertools.product(spans(height, tile_size.side), spans(width, tile_size.side)):
        part = result[:, slice(*down), slice(*across)]
        _fill(part, upsampled, model, tile_size, top + down[0], left + across[0])


@torch.inference_mode()
def _run_tile(upsampled: Tensor, model: SRCNN, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """Returns (C, rows, columns) of the pass over the whole picture, from these pixels and `halo` more on each side."""
    (top, bottom), (left, right), halo = rows, columns, model.halo
    # 1. The tile with as much of its surround as the picture has.
    above, below = min(halo, top), min(halo, upsampled.shape[-2] - bottom)
    before, after = min(halo, left), min(halo, upsampled.shape[-1] - right)
    crop = upsampled[None, :, top - above : bottom + below, left - before : right + after]
    crop = crop.to(model.layer_1.weight)  # its device and precision
    # 2. The rest of the surround lies beyond the picture's border: the network's border rule provides it.
    if model.padding_mode == "zeros":
        return model(crop)[0, :, above : above + bottom - top, before : before + right - left]
    return model.valid(model.pad(crop, (halo - before, halo - after, halo - above, halo - below)))[0]


def out_of_memory(error: RuntimeError) -> bool:
    """Tells whether a GPU ran out of memory: Apple's, and CUDA outside of torch, have no exception type for it."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)
