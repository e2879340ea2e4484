"""Draws the explorer's pictures as pixels, (H, W, 3) uint8, in a few hundredths of a second."""

import functools
import math

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..activations import is_signed
from ..data.color import luminance
from ..data.images import to_rgb_pixels
from ..model import LAYERS
from ..visualization.frames import (
    GAP,
    caption,
    join,
    kernel_pixels,
    limit_of,
    map_pixels,
    mosaic,
    outline,
    pad,
    range_text,
    repeat_pixels,
)
from ..visualization.inspector import Inspector
from ..visualization.layers import ChannelAddress, has_rgb_kernels, layer_kernels

CHANNEL_SIDE = 512  # pixels of the longer side of one channel
GRID_WIDTH, MAX_TILE_WIDTH = 640, 160  # pixels of the grid of all channels, and of a tile in it
GRID_LINE = 3  # pixels between two tiles
OVERVIEW_WIDTH, OVERVIEW_HEIGHT = 260, 200  # pixels of the whole photograph, at most
THINNEST = 6  # pixels of an outline's box, which has a rim of its own


class ExplorerPictures:
    """Draws the channels of an Inspector's networks. It keeps the latest pictures instead of drawing them again.

    Args:
        inspector: gives the photograph, the networks and the feature maps.
    """

    def __init__(self, inspector: Inspector):
        self.inspector = inspector
        self._grid = functools.lru_cache(maxsize=64)(self._draw_grid)
        self._bicubic = functools.lru_cache(maxsize=1)(self._draw_bicubic)
        self._srcnn = functools.lru_cache(maxsize=64)(self._draw_srcnn)

    def channel(self, address: ChannelAddress, step: int | None = None, before_relu: bool = False) -> np.ndarray:
        """Draws one channel enlarged; below it the bicubic picture, the network's output and the channel's kernel."""
        if address.layer == LAYERS[-1]:
            return self._draw_reconstruction(address, step)
        inspector = self.inspector

        # 1. The feature map.
        limit = inspector.channel_limit(address, before_relu)
        signed = is_signed(address.layer, before_relu)
        pixels = map_pixels(inspector.feature_map(address, step, before_relu), limit, signed=signed)  # (H, W, 3)
        pixels = repeat_pixels(pixels, max(1, CHANNEL_SIDE // max(pixels.shape[:2])))
        top = caption(pixels[None], str(address), range_text(limit, signed=signed))[0]

        # 2. The row below.
        width = (top.shape[1] - 2 * GAP) // 3
        return _above(top, [self._bicubic(width), self._srcnn(step, width), self._draw_kernel(address, step, width)])

    def _draw_reconstruction(self, address: ChannelAddress, step: int | None) -> np.ndarray:
        """Draws the network's output, which is what layer 3 gives, as a picture."""
        sample = self.inspector.sample
        output = self.inspector.feature_maps(LAYERS[-1], step)
        pixels = sample.to_pixels(output)
        pixels = repeat_pixels(pixels, max(1, CHANNEL_SIDE // max(pixels.shape[:2])))
        top = caption(pixels[None], "Reconstruction", sample.psnr_label(output))[0]
        width = (top.shape[1] - 2 * GAP) // 3
        original = caption(_resize(to_rgb_pixels(sample.original).numpy(), width)[None], "Original")
        return _above(top, [self._bicubic(width), original, self._draw_kernel(address, step, width)])

    def _draw_kernel(self, address: ChannelAddress, step: int | None, width: int) -> np.ndarray:
        """Draws a channel's kernel, (1, H, width, 3), with its range in the caption."""
        model = self.inspector.model(step)
        weights = layer_kernels(model, address.layer)[address.channel]
        rgb = address.layer == LAYERS[0] and has_rgb_kernels(model, address.layer)
        largest = limit_of(weights, 1)
        return caption(_draw_kernel(weights, largest, width, rgb)[None], "Kernel", range_text(largest, signed=True))

    def _draw_bicubic(self, width: int) -> np.ndarray:
        """Draws the bicubic picture, (1, H, width, 3)."""
        sample = self.inspector.sample
        return caption(_resize(sample.to_pixels(sample.network_input), width)[None], "Bicubic")

    def _draw_srcnn(self, step: int | None, width: int) -> np.ndarray:
        """Draws the network's output, (1, H, width, 3), with PSNR in the caption."""
        sample = self.inspector.sample
        output = self.inspector.feature_maps(LAYERS[-1], step)
        return caption(_resize(sample.to_pixels(output), width)[None], "SRCNN", sample.psnr_label(output))

    def channel_grid(
        self, layer: str, step: int | None = None, before_relu: bool = False, *, marked: int | None = None
    ) -> np.ndarray:
        """Draws all channels of a layer, each above its number, and an outline around the channel `marked`.

        All have the same range of values; the colors run over its square root. Of layer 3, whose output is the picture,
        its errors are drawn.
        """
        grid = self._grid(layer, step, before_relu)
        if marked is None or layer == LAYERS[-1]:
            return grid
        channels = len(self.inspector.feature_maps(layer, step))
        columns = _columns(channels)
        height = (grid.shape[0] - GRID_LINE) // math.ceil(channels / columns)
        width = (grid.shape[1] - GRID_LINE) // columns
        row, column = divmod(marked, columns)
        top = row * height + GRID_LINE
        left = column * width + GRID_LINE
        grid = grid.copy()
        outline(grid, top, left, top + height - GRID_LINE, left + width - GRID_LINE)
        return grid

    def _draw_grid(self, layer: str, step: int | None, before_relu: bool) -> np.ndarray:
        if layer == LAYERS[-1]:
            return self._draw_errors(step)
        maps = self.inspector.feature_maps(layer, step, before_relu)  # (channels, H, W)
        columns = _columns(len(maps))
        width = min(GRID_WIDTH // columns, MAX_TILE_WIDTH)
        height = max(1, round(width * maps.shape[1] / maps.shape[2]))
        small = F.interpolate(maps[None], (height, width), mode="area")[0]  # (channels, height, width)
        limit = self.inspector.layer_limit(layer, before_relu)
        tiles = map_pixels(small, limit, signed=is_signed(layer, before_relu), root=True)
        return mosaic(caption(tiles, [str(number) for number in range(len(maps))]), columns, gap=GRID_LINE)

    def _draw_errors(self, step: int | None) -> np.ndarray:
        """Draws the errors of SRCNN and of bicubic in one range, what SRCNN adds to bicubic, and its output as a map.

        They are drawn on luminance, which is what PSNR is measured on.
        """
        sample = self.inspector.sample
        output = self.inspector.feature_maps(LAYERS[-1], step)
        srcnn = sample.output_y(output)[0]  # (H, W)
        bicubic, original = (luminance(picture)[0] for picture in (sample.upsampled, sample.original))
        differences = {"SRCNN − original": srcnn - original, "Bicubic − original": bicubic - original}
        differences["SRCNN − bicubic"] = srcnn - bicubic
        limit = limit_of(bicubic - original, 0.995)
        side = (GRID_WIDTH - 3 * GRID_LINE) // 2
        height = max(1, round(side * srcnn.shape[0] / srcnn.shape[1]))
        tiles = [
            caption(_stretch(map_pixels(values, limit, signed=True), height, side)[None], name, f"±{limit:.2g}")[0]
            for name, values in differences.items()
        ]
        output_map = map_pixels(srcnn, 1.0, signed=False)
        tiles.append(caption(_stretch(output_map, height, side)[None], "SRCNN as a map", "0 to 1")[0])
        return mosaic(np.stack(tiles), 2, gap=GRID_LINE)

    def channel_at(self, layer: str, step: int | None, x: float, y: float) -> int | None:
        """Returns the channel whose tile is at a place of the grid; None where there is none.

        Args:
            layer, step: of the grid.
            x, y: from 0 at the left and at the top to 1.
        """
        channels = len(self.inspector.feature_maps(layer, step))
        columns = _columns(channels)
        rows = math.ceil(channels / columns)
        channel = min(int(y * rows), rows - 1) * columns + min(int(x * columns), columns - 1)
        return channel if channel < channels and layer != LAYERS[-1] else None

    def overview(self) -> np.ndarray:
        """Draws the whole photograph, small, with the square that is shown outlined.

        Raises:
            ValueError: the photograph is shown whole.
        """
        if self.inspector.region is None:
            raise ValueError("the photograph is shown whole")
        pixels = to_rgb_pixels(self.inspector.photograph.pixels).numpy()
        small = _resize(pixels, min(OVERVIEW_WIDTH, OVERVIEW_HEIGHT * pixels.shape[1] // pixels.shape[0])).copy()
        factor = small.shape[1] / pixels.shape[1]
        top, left, height, width = (round(factor * length) for length in self.inspector.region)
        outline(small, top, left, top + max(height, THINNEST), left + max(width, THINNEST))
        return small


def _above(top: np.ndarray, row: list[np.ndarray]) -> np.ndarray:
    """Lays a picture (H, W, 3) above a row of smaller ones, (1, h, w, 3) each."""
    bottom = join(row)[0]
    drawing = pad(top, top.shape[0] + GAP + bottom.shape[0], top.shape[1])
    drawing[-bottom.shape[0] :, : bottom.shape[1]] = bottom
    return drawing


def _stretch(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a map without mixing its colors: an error of one pixel stays visible."""
    resample = Image.Resampling.NEAREST if width >= pixels.shape[1] else Image.Resampling.BOX
    return np.asarray(Image.fromarray(pixels).resize((width, height), resample))


def _columns(channels: int) -> int:
    return math.ceil(math.sqrt(channels))


def _resize(pixels: np.ndarray, width: int) -> np.ndarray:
    """Resizes a photograph to a width."""
    height = max(1, round(width * pixels.shape[0] / pixels.shape[1]))
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _draw_kernel(weights: Tensor, limit: float, width: int, rgb: bool) -> np.ndarray:
    """Draws a kernel (inputs, k, k) as (width, width, 3): in colors for RGB, or all inputs in rows."""
    pixels = kernel_pixels(weights, limit, rgb=rgb)
    factor = width // pixels.shape[1]
    if factor == 0:
        return _resize(pixels, width)
    return pad(repeat_pixels(pixels, factor)[:width], width, width)
