"""Runs a network over a picture in double precision and keeps the values before each ReLU.

Both border rules become one: the picture gets a surround of `halo` pixels, repeated edge pixels or zeros, and every
convolution is valid. With padding_mode "zeros" the maps are set to zero outside the picture, which is what padding each
layer with zeros does. An area of the picture is run from its own pixels and `halo` more on each side.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.regions import Area
from ..errors import InputError
from ..model import SRCNN

TILE_BYTES = 128 * 2**20  # of the largest matrix of a tile: torch unfolds a layer's input to convolve in float64


@dataclass(frozen=True)
class LayerValues:
    """What a network computes for an area of h×w pixels, in float64. r₂ and r₃ are the layers' radii, filter size // 2.

    Attributes:
        pixels: (C, h + 2·halo, w + 2·halo), the network's input with its surround.
        before_1: (C₁, h + 2(r₂ + r₃), w + 2(r₂ + r₃)), layer 1 before its ReLU.
        before_2: (C₂, h + 2r₃, w + 2r₃), layer 2 before its ReLU.
        active_1, active_2: bool, where the ReLU passes its input on; false where the map is outside the picture and the
            border rule makes it zero.
    """

    pixels: Tensor
    before_1: Tensor
    before_2: Tensor
    active_1: Tensor
    active_2: Tensor

    @property
    def after_1(self) -> Tensor:
        """Layer 1 after its ReLU, shaped like `before_1`."""
        return self.before_1 * self.active_1

    @property
    def after_2(self) -> Tensor:
        """Layer 2 after its ReLU, shaped like `before_2`."""
        return self.before_2 * self.active_2


class ExactPass:
    """A network on one picture, in float64 on the CPU.

    Args:
        model: the network, on any device.
        picture: (C, H, W), the bicubic picture in the network's channels (`Sample.network_input`).

    Attributes:
        size: (H, W).
        weights, biases: of the three layers, float64.
        radii: filter size // 2 of the three layers.
        surrounded: (C, H + 2·halo, W + 2·halo), the picture with its surround.

    Raises:
        InputError: a picture with another number of channels than the network's.
    """

    def __init__(self, model: SRCNN, picture: Tensor):
        if picture.ndim != 3 or picture.shape[0] != model.channels or not picture.numel():
            raise InputError(
                f"the picture is {tuple(picture.shape)}, expected ({model.channels}, H, W) as the network has channels"
            )
        self.size = (picture.shape[-2], picture.shape[-1])
        layers = model.layers()
        self.weights = tuple(layer.weight.detach().cpu().double() for layer in layers)
        self.biases = tuple(bias.detach().cpu().double() for bias in model.biases())
        self.radii = tuple(size // 2 for size in model.filters)
        self.halo = model.halo
        self.pads_with_zeros = model.padding_mode == "zeros"
        self._sides = [self.halo] * 4
        self.surrounded = self.surround(picture)

    def surround(self, picture: Tensor) -> Tensor:
        """Adds the surround to a picture of this size: (C, H, W) → (C, H + 2·halo, W + 2·halo), float64."""
        picture = picture.detach().cpu().double()
        mode = "constant" if self.pads_with_zeros else "replicate"
        return F.pad(picture[None], self._sides, mode=mode)[0] if self.halo else picture

    @property
    def whole(self) -> Area:
        """The area of the whole picture."""
        return Area(0, 0, *self.size)

    def tiles(self, area: Area | None = None) -> list[Area]:
        """Divides an area (None for the whole picture) into tiles that need little memory."""
        area = area or self.whole
        unfolded = max(weight[0].numel() for weight in self.weights)  # values for each pixel of a layer's output
        side = max(16, min(512, math.isqrt(TILE_BYTES // (8 * unfolded))))
        tops, lefts = (range(*ends, side) for ends in ((area.top, area.bottom), (area.left, area.right)))
        corners = itertools.product(tops, lefts)
        return [Area(top, left, min(top + side, area.bottom), min(left + side, area.right)) for top, left in corners]

    def run(self, area: Area) -> LayerValues:
        """Runs the first two layers over an area, as they run over the whole picture."""
        pixels = self.pixels(area)
        before_1 = F.conv2d(pixels[None], self.weights[0], self.biases[0])[0]
        active_1 = (before_1 > 0) & self.inside(area, 1)
        before_2 = F.conv2d((before_1 * active_1)[None], self.weights[1], self.biases[1])[0]
        return LayerValues(pixels, before_1, before_2, active_1, (before_2 > 0) & self.inside(area, 2))

    def each_tile(self) -> Iterator[tuple[Area, LayerValues]]:
        """Runs the first two layers over the whole picture, tile by tile."""
        for tile in self.tiles():
            yield tile, self.run(tile)

    def pixels(self, area: Area) -> Tensor:
        """Returns the pixels of an area with their surround: (C, h + 2·halo, w + 2·halo)."""
        twice = 2 * self.halo
        return self.surrounded[:, area.top : area.bottom + twice, area.left : area.right + twice]

    def inside(self, area: Area, layer: int) -> Tensor:
        """Returns where a layer's map over an area exists, (rows, columns) bool.

        With replicated edge pixels it exists everywhere, with zeros only inside the picture.

        Args:
            area: a part of the picture.
            layer: 0 for the picture itself, 1 or 2 for a layer.
        """
        margin = sum(self.radii[layer:])  # pixels by which the map exceeds the area, on each side
        rows = torch.arange(area.top - margin, area.bottom + margin)[:, None]
        columns = torch.arange(area.left - margin, area.right + margin)[None]
        if not self.pads_with_zeros:
            return torch.ones(len(rows), columns.shape[1], dtype=torch.bool)
        height, width = self.size
        return (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)

    def fold(self, surrounded: Tensor, area: Area) -> tuple[Tensor, Area]:
        """Moves what lies on an area's surround to the pixels that the surround repeats.

        It is the transpose of `pixels`: the sum of products with `pixels(area)` equals the sum of products of the
        folded values with the picture.

        Args:
            surrounded: (…, h + 2·halo, w + 2·halo), such as the weights of a filter on `pixels(area)`.
            area: the area.

        Returns:
            (…, rows, columns), and their place in the picture.
        """
        height, width = self.size
        halo = self.halo
        place = Area(
            max(0, area.top - halo),
            max(0, area.left - halo),
            min(height, area.bottom + halo),
            min(width, area.right + halo),
        )
        if self.pads_with_zeros:
            surrounded = surrounded * self.inside(area, 0)
        rows = torch.arange(area.top - halo, area.bottom + halo).clamp(0, height - 1) - place.top
        columns = torch.arange(area.left - halo, area.right + halo).clamp(0, width - 1) - place.left
        folded = surrounded.new_zeros(*surrounded.shape[:-2], place.height, surrounded.shape[-1])
        folded = folded.index_add(-2, rows, surrounded)
        result = folded.new_zeros(*folded.shape[:-1], place.width)
        return result.index_add(-1, columns, folded), place
