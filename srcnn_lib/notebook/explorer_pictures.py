"""What a Lens shows at once, in some hundredths of a second: pixels (H, W, 3) uint8, for a screen."""

import functools
import io
import math

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

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
    repeat_pixels,
)
from ..visualization.inspector import Inspector
from ..visualization.layers import ChannelAddress, layer_kernels

LARGE, SHEET, TILE = 512, 640, 160  # pixels: a channel's longer side, a sheet's width, a tile's at most
LINE = 3  # pixels between two tiles


class Views:
    """A Lens's channels and sheets, drawn quickly; what two of them share is drawn once."""

    def __init__(self, lens: Inspector):
        self.lens = lens
        self.sheet = functools.lru_cache(maxsize=64)(self._sheet)
        self._bicubic = functools.lru_cache(maxsize=1)(self._bicubic)
        self._srcnn = functools.lru_cache(maxsize=64)(self._srcnn)

    def channel(self, address: ChannelAddress, step: int | None = None, before_relu: bool = False) -> np.ndarray:
        """One channel large; below it the bicubic picture, what the network makes of it, and the channel's kernel."""
        lens, (layer, number) = self.lens, address
        limit, signed = lens.channel_limit(address, before_relu), _signed(layer, before_relu)
        large = map_pixels(lens.feature_map(address, step, before_relu), limit, signed=signed)  # (H, W, 3)
        large = repeat_pixels(large, max(1, LARGE // max(large.shape[:2])))
        width = (large.shape[1] - 2 * GAP) // 3
        kernel = layer_kernels(lens.model(step), layer)[number]
        colors = layer == LAYERS[0] and len(kernel) == 3
        beside = caption(_kernel(kernel, width, colors)[None], "Kernel", f"±{limit_of(kernel, 1):.2g}")
        large = caption(large[None], str(address), f"±{limit:.2g}" if signed else f"0 to {limit:.2g}")
        below = join([self._bicubic(width), self._srcnn(step, width), beside])
        whole = pad(large[0], large.shape[1] + GAP + below.shape[1], large.shape[2])
        whole[-below.shape[1] :, : below.shape[2]] = below[0]
        return whole

    def _bicubic(self, width: int) -> np.ndarray:
        """(1, H, width, 3)"""
        return caption(_fitted(self.lens.sample.to_pixels(self.lens.sample.network_input), width)[None], "Bicubic")

    def _srcnn(self, step: int | None, width: int) -> np.ndarray:
        """(1, H, width, 3), with PSNR."""
        scene, made = self.lens.sample, self.lens.feature_maps(LAYERS[-1], step)
        return caption(_fitted(scene.to_pixels(made), width)[None], "SRCNN", scene.psnr_label(made))

    def _sheet(self, layer: str, step: int | None = None, before_relu: bool = False) -> np.ndarray:
        """All channels of a layer, each above its number; one range for all, colors over its square root."""
        maps = self.lens.feature_maps(layer, step, before_relu)  # (channels, H, W)
        columns = _columns(len(maps))
        width = min(SHEET // columns, TILE)
        height = max(1, round(width * maps.shape[1] / maps.shape[2]))
        small = F.interpolate(maps[None], (height, width), mode="area")[0]
        signed = _signed(layer, before_relu)
        tiles = map_pixels(small, self.lens.layer_limit(layer, before_relu), signed=signed, root=True)
        return mosaic(caption(tiles, [str(number) for number in range(len(maps))]), columns, gap=LINE)


def marked(sheet: np.ndarray, channels: int, chosen: int) -> np.ndarray:
    """A copy of a sheet with an outline around one of its channels."""
    columns = _columns(channels)
    height, width = ((sheet.shape[0] - LINE) // math.ceil(channels / columns), (sheet.shape[1] - LINE) // columns)
    top, left = chosen // columns * height + LINE, chosen % columns * width + LINE
    sheet = sheet.copy()
    outline(sheet, top, left, top + height - LINE, left + width - LINE)
    return sheet


def png(pixels: np.ndarray) -> bytes:
    """A PNG file's bytes, quick rather than small."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _columns(channels: int) -> int:
    return math.ceil(math.sqrt(channels))


def _signed(layer: str, before_relu: bool) -> bool:
    return before_relu or layer == LAYERS[-1]


def _fitted(pixels: np.ndarray, width: int) -> np.ndarray:
    """A photograph at another width."""
    height = max(1, round(width * pixels.shape[0] / pixels.shape[1]))
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def _kernel(weight: Tensor, width: int, colors: bool) -> np.ndarray:
    """(inputs, k, k) → (width, width, 3): three inputs in their colors, with zero as grey, or all inputs in rows."""
    pixels = kernel_pixels(weight, limit_of(weight, 1), rgb=colors)
    if (factor := width // pixels.shape[1]) == 0:
        return _fitted(pixels, width)
    return pad(repeat_pixels(pixels, factor)[:width], width, width)
