"""Overlapping patches: at stride 1 exact, without running each patch.

Every window of patch × patch pixels is run alone, over its own edge-replicated surround, and each pixel is the mean of
all values it got. One dimension at a time, for filter sizes f₁, f₂, f₃ with halves h₁, h₂, h₃, and a patch that begins
at pixel s (its end is a begin in the mirrored image, so that one border is all there is to think of):

Layer 1. Row s + d of a patch, d ≥ −(h₂ + h₃), is Σₖ w₁[k] · x[s + max(0, d + k − h₁)]. From d = h₁ on that is the
image's own row, the same in every patch. Below, the taps beyond the border fold onto pixel s: h₁ + h₂ + h₃ classes of
rows, each with a kernel of its own. With both borders that is 17 classes for 9-5-5, 289 maps in two dimensions.
Layer 2. Row s + e, e ≥ −h₃, takes the rows d = e − h₂ … e + h₂; from e = a = max(h₁ + h₂, h₃) on it is the image's
own. The others, a + h₃ a border, are for each s an ordinary convolution along d, so the minimal filtering algorithm
F(m, f₂) of Toom and Cook holds for them too: m rows for m + f₂ − 1 products in place of m · f₂.
Layer 3 is linear, so the sum over patches moves in front of it. Its tap k takes row s + e to pixel p = s + e + h₃ − k,
of the patch only where p ≥ s. With j = e + h₃: tap k is given the sum over s of the rows j ≥ k, each at u = s + j, and
writes p = u − k. Rows inside (a or more from both borders) count as often as there are patches that have them inside.

So a dimension has three *parts*, border, inside and mirrored border, and two parts make a *piece*. For 9-5-5, layer 2
is (4 · 8 + 2)² = 1 156 products of 128 × 64 a pixel by F(4, 5); sharing equal taps alone would leave 65² = 4 225; a
33×33 patch run alone takes 37² · 25 = 34 225.

References: Dong et al., arXiv 1501.00092, section 3.1, for the network; Lavin and Gray, arXiv 1509.09308, section 4,
for minimal filtering.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..model import SRCNN
from . import patches

BLOCK = 16  # positions a side that are worked on at once: 256 columns for the matrix products
GROUP = 2  # border classes that share a product of layer 1: fewer calls, against some taps that are zero
POINTS = (1.0, -1.0, 0.0, 2.0, -2.0, 0.5, -0.5)  # of Toom and Cook, with infinity; 8 in all lose one bit of float32


@dataclass(frozen=True)
class _Filtering:
    """F(m, f): m rows of a convolution with f taps as result @ ((kernel @ taps) * (data @ inputs))."""

    tile: int  # m
    result: Tensor  # (m, n)
    kernel: Tensor  # (n, f)
    data: Tensor  # (n, m + f − 1)

    def of_weight(self, weight: Tensor) -> Tensor:
        """(C₂, C₁, f, f) → (n, n, C₂, C₁), rounded once."""
        return torch.einsum("ay,bx,ocyx->aboc", self.kernel, self.kernel, weight.cpu().double()).to(weight)


class _Memory:
    """Tensors that each block writes again: fresh pages for them would take as long as the products do."""

    def __init__(self, like: Tensor):
        self.like, self.held = like, {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """(shape) uninitialised, in the memory that goes by this name."""
        size = math.prod(shape)
        if name not in self.held or self.held[name].numel() < size:
            self.held[name] = self.like.new_empty(size)
        return self.held[name][:size].view(shape)


class _Source(NamedTuple):
    """Rows of layer 1 that are made alike."""

    rows: slice
    fold: Tensor  # (classes, f₁, pixels), as in _Part
    places: int  # on end, for which each class is made
    span: int | None  # from the first position to the last, where the classes are the image's own rows: one for all


@dataclass(frozen=True)
class _Part:
    """One dimension of a piece: `positions` places, `step` pixels apart."""

    positions: int
    step: int  # 1: a position is where a patch begins; m: where the taps of a tile of m rows inside begin
    first: int  # the pixel of the first position
    fold: Tensor  # (classes, f₁, pixels): which pixel each tap of a border class reads; no classes inside
    rows: int  # of layer 1 that a position takes: the border classes, then the image's own
    outputs: int  # rows of layer 2 that it gives
    begin: int  # u of the first position's first output
    patches: Tensor | None  # (positions · m,): how many patches have each output inside; None at a border

    def blocks(self) -> range:
        return range(0, self.positions, BLOCK)

    def sources(self, positions: int) -> list[_Source]:
        """The border classes, and the image's own rows, where there are any."""
        classes, taps = self.fold.shape[:2]
        if classes == self.rows:  # a 1×1 second layer looks no further than the border is felt
            return [_Source(slice(0, classes), self.fold, positions, None)]
        span = self.step * (positions - 1) + 1
        own = torch.eye(taps).to(self.fold)[None]
        own = _Source(slice(classes, self.rows), own, span + self.rows - classes - 1, span)
        return [_Source(slice(0, classes), self.fold, positions, None), own] if classes else [own]


def applies(model: SRCNN, height: int, width: int, patch: int) -> bool:
    """Whether stride 1 needs no patch run: a replicated surround, and patches with a pixel that feels no border."""
    return model.padding_mode == "replicate" and min(height, width, patch) > 2 * model.halo


@torch.no_grad()  # not inference_mode: what it makes could not be used in training
def overlapping(
    model: SRCNN, image: Tensor, patch: int = 33, stride: int = 1, batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Tensor:  # fmt: skip
    """The mean over all patches, each run alone through `model.forward`.

    At stride 1 no patch is run where `applies` says so; all are in every other case.

    Args:
        model: a network in float32 or float64, on any device.
        image: (C, H, W) bicubic picture in [0, 1] with the network's channels.
        patch: side of a patch in pixels; an image smaller than it is one patch in that dimension.
        stride: pixels from one patch to the next, from 1 to `patch`; the last one of a row or column is moved inside.
        batch_size: patches at a time where they are run; None for as many as take some 64 MB.
        progress: called with how many blocks, or patches, are done, and of how many.

    Returns:
        (C, H, W) in the network's precision, on its device, not clamped: what running every patch gives, but for
        rounding (1e-6 in float32). Memory: a few copies of the image, and some 150 MB for 128-64.

    Raises:
        InputError: an image that is not of the network's channels, or a stride that would leave pixels out.
    """
    if image.ndim != 3 or image.shape[0] != model.channels or not image.is_floating_point() or not image.numel():
        raise InputError(f"image of shape {tuple(image.shape)}, expected float (C, H, W), {model.channels} channels")
    if not 1 <= stride <= patch:
        raise InputError(f"stride is {stride}, expected from 1 to the patch's {patch}: pixels would be left out")
    if stride > 1 or not applies(model, *image.shape[1:], patch):
        return patches.overlapping(image, model, patch, stride, batch_size, progress).to(model.layer_1.weight)
    image = image.to(model.layer_1.weight)
    sizes = [(length, min(patch, length)) for length in image.shape[1:]]
    # Under autocast the products would lose the digits that an exact method is for.
    with torch.autocast(image.device.type, enabled=False):
        total = _sum_over_patches(model, image, sizes, progress)  # (C, H, W)
    down, across = (_patches_around(0, *size).to(total) for size in sizes)
    return total / (down[:, None] * across) + model.layer_3.bias[:, None, None]


def _sum_over_patches(model: SRCNN, image: Tensor, sizes: list[tuple[int, int]], progress) -> Tensor:
    """(C, H, W) the sum of all that each pixel got, but for the last layer's bias."""
    filtering = _minimal_filtering(model.filters[1])
    filtering = replace(filtering, result=filtering.result.to(image), data=filtering.data.to(image))
    borders = [_border(model.filters, *size, filtering.tile, image) for size in sizes]
    insides = [_inside(model.filters, *size, filtering.tile, image) for size in sizes]
    # The far border is the near one of the mirrored image; what is inside is taken once, unmirrored.
    pieces = [
        (mirrored, rows, columns)
        for mirrored in ((), (1,), (2,), (1, 2))
        for rows in ([borders[0]] if 1 in mirrored else [borders[0], insides[0]])
        for columns in ([borders[1]] if 2 in mirrored else [borders[1], insides[1]])
    ]
    blocks = sum(len(rows.blocks()) * len(columns.blocks()) for _, rows, columns in pieces)
    memory, total, done, margin = _Memory(image), torch.zeros_like(image), 0, model.filters[2]
    for mirrored, rows, columns in pieces:
        # A last tile that is not full looks, and writes, beyond the image; what it finds there is not used.
        padded = F.pad(image.flip(mirrored)[None], [0, filtering.tile] * 2, mode="replicate")[0]
        sums = F.pad(torch.zeros_like(padded), [margin, 0] * 2)
        for _ in _piece(model, mirrored, padded, filtering, rows, columns, sums, memory):
            done += 1
            if progress:
                progress(done, blocks)
        total += sums[:, margin : margin + sizes[0][0], margin : margin + sizes[1][0]].flip(mirrored)
    return total


def _piece(model, mirrored, image, filtering, rows: _Part, columns: _Part, sums, memory: _Memory) -> Iterator[None]:
    """Add a piece of the (padded, mirrored) image to `sums`, whose first pixel is f₃, f₃; yields after each block."""
    first, second, third = (layer.weight.flip([axis + 1 for axis in mirrored]) for layer in model.layers())
    kernels = _layer_1_kernels(first, model.layer_1.bias, rows, columns)
    second = filtering.of_weight(second)
    taps = third.shape[2]
    for top, left in itertools.product(rows.blocks(), columns.blocks()):
        size = min(BLOCK, rows.positions - top), min(BLOCK, columns.positions - left)
        # 1. Layer by layer, for all pairs of a class of rows and a class of columns.
        crop = image[:, rows.first + top * rows.step :, columns.first + left * columns.step :]
        maps = _layer_1(crop, kernels, rows, columns, size, memory)  # (rows, columns, C₁, S, T)
        maps = _layer_2(maps, second, model.layer_2.bias, filtering, memory)  # (outputs, outputs, C₂, S, T)
        # 2. The sum over patches, for each tap of layer 3.
        given = [  # for each row of taps, and there for each tap: (C₂, U, V)
            _given_to_taps(across.unbind(), columns, left, taps, -1)
            for across in _given_to_taps(maps.unbind(), rows, top, taps, -2)
        ]
        # 3. Layer 3: a tap writes what lies at (u, v) to pixel (u − down, v − across).
        y, x = rows.begin + top * rows.step + taps, columns.begin + left * columns.step + taps
        for down, across in itertools.product(range(taps), repeat=2):
            row = given[down % len(given)]  # a part without borders has one sum for all taps
            maps = row[across % len(row)]
            _, height, width = maps.shape
            pixels = third[:, :, down, across] @ maps.flatten(1)  # (C, U · V)
            sums[:, y - down : y - down + height, x - across : x - across + width] += pixels.view(-1, height, width)
        yield


def _layer_1_kernels(weight: Tensor, bias: Tensor, rows: _Part, columns: _Part) -> list:
    """For each pair of sources, groups of column classes: (slice, pixels across, a matrix for each class of rows).

    A matrix is (classes · C₁, 1 + pixels down · C · pixels across), its first column the bias. From class to class a
    kernel reaches a pixel further; each matrix leaves out the pixels that all its classes are blind to.
    """
    kernels = []
    for pair in itertools.product(rows.sources(1), columns.sources(1)):
        down, across = (source.fold for source in pair)
        folded = torch.einsum("ocyx,iyr,jxs->ijorcs", weight, down, across)
        groups = []
        for j in range(0, len(across), GROUP):
            group = slice(j, min(j + GROUP, len(across)))
            width = _reach(across[group])
            matrices = [
                folded[i, group, :, : _reach(down[i]), :, :width].flatten(2).flatten(0, 1) for i in range(len(down))
            ]
            biases = bias.repeat(group.stop - group.start)[:, None]
            groups.append((group, width, [torch.cat([biases, matrix], 1) for matrix in matrices]))
        kernels.append(groups)
    return kernels


def _reach(fold: Tensor) -> int:
    """How many pixels from the first on are read at all."""
    return int(fold.flatten(0, -2).any(0).nonzero().max()) + 1


def _layer_1(crop: Tensor, kernels: list, rows: _Part, columns: _Part, size: tuple[int, int], memory) -> Tensor:
    """(rows, columns, C₁, *size): layer 1 and its ReLU at each position, for every class of rows and of columns."""
    classes, _, matrices = kernels[-1][0]
    channels = len(matrices[0]) // (classes.stop - classes.start)
    result = memory("layer 1", rows.rows, columns.rows, channels, *size)
    pairs = itertools.product(rows.sources(size[0]), columns.sources(size[1]))
    for (down, across), groups in zip(pairs, kernels, strict=True):
        places = down.places, across.places
        target = result[down.rows, across.rows]
        # Two borders are most of the work: their maps are written where they belong, the others copied there.
        alone = down.span is None and across.span is None
        maps = target if alone else memory("own rows", len(down.fold), len(across.fold), channels, *places)
        for classes, width, matrices in groups:
            inputs = _windows(crop, down.fold.shape[2], width, places)
            for of_row, matrix in zip(maps[:, classes], matrices, strict=True):
                torch.mm(matrix, inputs[: matrix.shape[1]], out=of_row.view(len(matrix), -1))
        maps.relu_()
        if down.span is not None:
            maps = maps.unfold(3, down.span, 1)[0, ..., :: rows.step]  # (columns, C₁, rows, V, S)
            maps = maps.permute(2, 0, 1, 4, 3)  # (rows, columns, C₁, S, V)
        if across.span is not None:
            maps = maps.unfold(4, across.span, 1)[:, 0, ..., :: columns.step]  # (rows, C₁, S, columns, T)
            maps = maps.permute(0, 3, 1, 2, 4)  # (rows, columns, C₁, S, T)
        if not alone:
            target.copy_(maps)
    return result


def _windows(crop: Tensor, down: int, across: int, places: tuple[int, int]) -> Tensor:
    """(1 + down · C · across, places): the pixels that a place's kernel reads, after a one for its bias."""
    height, width = places
    crop = crop[:, : down + height - 1, : across + width - 1]
    pixels = crop.unfold(1, height, 1).unfold(2, width, 1).transpose(0, 1)  # (down, C, across, height, width)
    return torch.cat([crop.new_ones(1, height * width), pixels.reshape(-1, height * width)])


def _layer_2(maps: Tensor, weight: Tensor, bias: Tensor, filtering: _Filtering, memory: _Memory) -> Tensor:
    """(rows, columns, C₁, S, T) → (outputs, outputs, C₂, S, T): layer 2 and its ReLU, by tiles of m × m outputs.

    Args:
        weight: (n, n, C₂, C₁), transformed.
    """
    m, (n, reach) = filtering.tile, filtering.data.shape
    rows, columns, inner, *size = maps.shape
    places, outer = math.prod(size), len(bias)
    result = memory("layer 2", rows - reach + m, columns - reach + m, outer, *size)
    data, back = filtering.data, filtering.result.expand(m, m, n)
    down = memory("down", n, columns, inner * places)
    both = memory("both", n, n, inner * places)
    products = memory("products", n * n, outer, places)
    half = memory("half", m, n, outer * places)
    tile = memory("tile", m, m, outer * places)
    for i in range(0, len(result), m):
        torch.mm(data, maps[i : i + reach].view(reach, -1), out=down.view(n, -1))
        for j in range(0, result.shape[1], m):
            torch.bmm(data.expand(n, n, reach), down[:, j : j + reach], out=both)
            torch.bmm(weight.flatten(0, 1), both.view(n * n, inner, places), out=products)
            torch.mm(filtering.result, products.view(n, -1), out=half.view(m, -1))
            torch.bmm(back, half, out=tile)
            target = result[i : i + m, j : j + m]
            torch.add(tile.view(m, m, outer, *size), bias[:, None, None], out=target)
    return result.relu_()


def _given_to_taps(outputs, part: _Part, first: int, taps: int, dim: int) -> list[Tensor]:
    """Sums over the patches of a block, along dimension `dim`: one for each tap, or a single one where all are alike.

    Args:
        outputs: one tensor for each row of layer 2, with the positions along `dim`.
        first: position at which the block begins.
    """
    if part.patches is not None:
        together = torch.stack(outputs, dim).flatten(dim - 1, dim)  # the tiles stand side by side
        count = part.patches[first * part.step :][: together.shape[dim]]
        return [together * count.view(-1, *[1] * (-dim - 1))]
    outputs, sums = outputs[: part.outputs], []
    size = list(outputs[0].shape)
    positions = size[dim]
    size[dim] += part.outputs - 1
    total = outputs[0].new_zeros(size)
    for tap in reversed(range(taps)):
        # Row j is not for the taps beyond j: they would take it to a pixel outside the patch.
        rows = range(tap, part.outputs) if tap == taps - 1 else range(tap, min(tap + 1, part.outputs))
        for j in rows:
            total.narrow(dim, j, positions).add_(outputs[j])
        sums.append(total.clone() if tap else total)
    return sums[::-1]


def _minimal_filtering(taps: int) -> _Filtering:
    """F(m, taps) with at most eight products, in float64.

    Reference: arXiv 1509.09308, section 4.1; as the transpose of a product of polynomials by evaluation at the points.
    """
    if taps == 1:
        return _Filtering(4, torch.eye(4).double(), torch.ones(4, 1).double(), torch.eye(4).double())
    tile = {3: 4, 5: 4, 7: 2}.get(taps, 1)
    if tile == 1:  # more points would lose digits: plain products, one a tap
        return _Filtering(1, torch.ones(1, taps).double(), torch.eye(taps).double(), torch.eye(taps).double())
    size = tile + taps - 1

    def evaluation(degrees: int) -> Tensor:  # (points, degrees), the last point is infinity
        finite = torch.tensor(POINTS[: size - 1]).double()[:, None] ** torch.arange(degrees)
        return torch.cat([finite, torch.eye(degrees).double()[-1:]])

    return _Filtering(tile, evaluation(tile).T, evaluation(taps), torch.linalg.inv(evaluation(size)).T)


def _border(filters: tuple[int, int, int], length: int, patch: int, tile: int, like: Tensor) -> _Part:
    """The begin of each patch."""
    first, second, third = (size // 2 for size in filters)
    classes, outputs = first + second + third, max(first + second, third) + third
    fold = torch.zeros(classes, filters[0], max(1, 2 * first))
    for i, tap in itertools.product(range(classes), range(filters[0])):
        fold[i, tap, max(0, i - second - third + tap - first)] = 1
    positions = length - patch + 1 if outputs else 0  # three 1×1 filters feel no border
    rows = -(-outputs // tile) * tile + 2 * second
    return _Part(positions, 1, 0, fold.to(like), rows, outputs, 0, None)


def _inside(filters: tuple[int, int, int], length: int, patch: int, tile: int, like: Tensor) -> _Part:
    """What no patch's border is felt in, in tiles; the last one may reach beyond, where no patch is counted."""
    first, second, third = (size // 2 for size in filters)
    margin = max(first + second, third)
    tiles = -(-(length - 2 * margin) // tile)
    patches = F.pad(_patches_around(margin, length, patch)[margin : length - margin], [0, tile])[: tiles * tile]
    fold = torch.zeros(0, filters[0], 1).to(like)
    return _Part(tiles, tile, margin - first - second, fold, tile + 2 * second, tile, margin + third, patches.to(like))


def _patches_around(margin: int, length: int, patch: int) -> Tensor:
    """(length,) the number of patches in which a pixel is `margin` or more from both borders."""
    pixel = torch.arange(length)
    first = (pixel + margin - patch + 1).clamp(min=0)
    last = (pixel - margin).clamp(max=length - patch)
    return (last - first + 1).clamp(min=0)
