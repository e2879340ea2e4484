"""Overlapping patches at stride 1: the mean over all patches, exactly, without running each patch.

Definition. Every window of patch × patch pixels is run alone, padded with its own edge pixels, and each pixel is the
mean of all values that it got. Only near a patch's borders do the values depend on the padding; elsewhere all patches
give a pixel the same value. What is equal in several patches is computed once.

Consider one dimension, filter sizes f₁, f₂, f₃ with halves h₁, h₂, h₃, and a patch that begins at pixel s. (The end of
a patch is the beginning of one in the mirrored image, so only one border has to be considered.)

Layer 1. Row s + d of a patch, d ≥ −(h₂ + h₃), is Σₖ w₁[k] · x[s + max(0, d + k − h₁)]. From d = h₁ on this is the
image's own row, the same in every patch. For smaller d the taps beyond the border fold onto pixel s: this gives
h₁ + h₂ + h₃ classes of rows, each with a kernel of its own. With both borders there are 17 classes for 9-5-5, and 289
maps in two dimensions.

Layer 2. Row s + e, e ≥ −h₃, reads the rows d = e − h₂ … e + h₂; from e = a = max(h₁ + h₂, h₃) on it is the image's own
row. The other rows, a + h₃ at each border, are for each s an ordinary convolution along d, so the minimal filtering
algorithm F(m, f₂) applies to them too (see `minimal_filtering`): m rows for m + f₂ − 1 products instead of m · f₂.

Layer 3 is linear, so the sum over patches can be taken before it. Its tap k writes row s + e to pixel
p = s + e + h₃ − k, which lies in the patch only if p ≥ s. With j = e + h₃, tap k gets the sum over s of the rows
j ≥ k, each at u = s + j, and writes to p = u − k. Rows inside (a or more from both borders) count as often as there are
patches that have them inside.

So each dimension has three *parts*: border, inside, and mirrored border. A part for the rows and a part for the columns
make a *piece*. For 9-5-5, layer 2 takes (4 · 8 + 2)² = 1 156 products of 128 × 64 per pixel with F(4, 5). Sharing equal
taps alone would leave 65² = 4 225; a 33×33 patch run alone takes 37² · 25 = 34 225.

References: Dong et al., arXiv 1501.00092, section 3.1, for the network; Lavin and Gray, arXiv 1509.09308, section 4,
for minimal filtering.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model import SRCNN
from ..runtime.console import Progress
from .minimal_filtering import MinimalFiltering, minimal_filtering
from .workspace import Workspace

BLOCK = 16  # positions per side that are computed at once: 256 columns for the matrix products
GROUP = 2  # border classes that share a matrix product of layer 1: fewer calls, although some taps are then zero


class _Source(NamedTuple):
    """Rows of layer 1 that are computed in the same way: the border classes, or the image's own rows."""

    rows: slice
    fold: Tensor  # (classes, f₁, pixels), as in _Part
    places: int  # adjacent pixels for which each class is computed
    span: int | None  # of the image's own rows: pixels from the first position to the last; None for border classes


@dataclass(frozen=True)
class _Part:
    """One dimension of a piece: `positions`, `step` pixels apart."""

    positions: int
    step: int  # at a border 1: a position is where a patch begins; inside m: where a tile of m rows begins to read
    first: int  # the pixel of the first position
    fold: Tensor  # (classes, f₁, pixels): which pixel each tap of a border class reads; no classes inside
    rows: int  # of layer 1 that a position reads: the border classes, then the image's own
    outputs: int  # rows of layer 2 that a position yields
    begin: int  # u of the first position's first output
    patches: Tensor | None  # (positions · m,): in how many patches each output lies inside; None at a border

    def blocks(self) -> range:
        """Returns the first position of each block."""
        return range(0, self.positions, BLOCK)

    def sources(self, positions: int) -> list[_Source]:
        """Returns the border classes and the image's own rows, whichever there are, for so many positions."""
        classes, taps = self.fold.shape[:2]
        sources = []
        if classes:
            sources.append(_Source(slice(0, classes), self.fold, positions, None))
        if classes < self.rows:  # with a 1×1 second layer all rows may be border classes
            span = self.step * (positions - 1) + 1
            identity = torch.eye(taps).to(self.fold)[None]  # (1, f₁, f₁)
            places = span + self.rows - classes - 1
            sources.append(_Source(slice(classes, self.rows), identity, places, span))
        return sources


def applies(model: SRCNN, shape: Sequence[int], patch: int) -> bool:
    """Returns whether stride 1 can be computed without running patches, for a picture of this shape (C, H, W).

    The network must use padding_mode "replicate", and a patch must have pixels that its borders do not influence.
    """
    return model.padding_mode == "replicate" and min(*shape[-2:], patch) > 2 * model.halo


@torch.no_grad()  # not inference_mode: the result could not be used in training
def overlapping(upsampled: Tensor, model: SRCNN, patch: int = 33, progress: Progress | None = None) -> Tensor:
    """Computes the mean over all patches at stride 1, each run alone through `model.forward`.

    Args:
        upsampled: (C, H, W) bicubic picture in [0, 1] with the network's channels, for which `applies` returns True.
        model: a network in float32 or float64, on any device.
        patch: side of a patch in pixels; a picture smaller than that is one patch in that dimension.
        progress: called as progress(done, total), in blocks.

    Returns:
        (C, H, W) in the network's precision, on its device, not clamped. It differs from running every patch only by
        rounding (1e-6 in float32). Memory: a few copies of the picture, and some 150 MB for 128-64.
    """
    image = upsampled.to(model.layer_1.weight)
    sizes = [(length, min(patch, length)) for length in image.shape[-2:]]
    # Under autocast the products would lose the digits that an exact method is for.
    with torch.autocast(image.device.type, enabled=False):
        total = _sum_over_patches(model, image, sizes, progress)  # (C, H, W)
    down, across = (_patches_around(0, *size).to(total) for size in sizes)
    return total / (down[:, None] * across) + model.biases()[2][:, None, None]


def _sum_over_patches(model: SRCNN, image: Tensor, sizes: list[tuple[int, int]], progress: Progress | None) -> Tensor:
    """Computes the sum of all values that each pixel got, without the last layer's bias: (C, H, W).

    Args:
        sizes: (length, patch) of the rows and of the columns.
    """
    filtering = _filtering_for(model.filters[1]).like(image)
    borders = [_border(model.filters, *size, filtering.tile, image) for size in sizes]
    insides = [_inside(model.filters, *size, filtering.tile, image) for size in sizes]
    # The second border is the first one of the mirrored image; the inside is computed once, not mirrored.
    pieces = [
        (mirrored, rows, columns)
        for mirrored in ((), (1,), (2,), (1, 2))
        for rows in ([borders[0]] if 1 in mirrored else [borders[0], insides[0]])
        for columns in ([borders[1]] if 2 in mirrored else [borders[1], insides[1]])
    ]
    blocks = sum(len(rows.blocks()) * len(columns.blocks()) for _, rows, columns in pieces)
    workspace = Workspace(image)
    total = torch.zeros_like(image)
    margin = model.filters[2]
    done = 0
    for mirrored, rows, columns in pieces:
        # A last tile that is not full reads and writes beyond the image; these values are not used.
        padded = F.pad(image.flip(mirrored)[None], [0, filtering.tile] * 2, mode="replicate")[0]
        sums = F.pad(torch.zeros_like(padded), [margin, 0] * 2)
        for _ in _piece(model, mirrored, padded, filtering, rows, columns, sums, workspace):
            done += 1
            if progress:
                progress(done, blocks)
        total += sums[:, margin : margin + sizes[0][0], margin : margin + sizes[1][0]].flip(mirrored)
    return total


def _piece(
    model: SRCNN,
    mirrored: tuple[int, ...],
    image: Tensor,
    filtering: MinimalFiltering,
    rows: _Part,
    columns: _Part,
    sums: Tensor,
    workspace: Workspace,
) -> Iterator[None]:
    """Adds a piece of the (padded, mirrored) image to `sums`, whose first pixel is (f₃, f₃); yields after a block."""
    first, second, third = (layer.weight.flip([axis + 1 for axis in mirrored]) for layer in model.layers())
    kernels = _layer_1_kernels(first, model.biases()[0], rows, columns)
    second = filtering.of_weight(second)
    taps = third.shape[2]
    for top, left in itertools.product(rows.blocks(), columns.blocks()):
        size = min(BLOCK, rows.positions - top), min(BLOCK, columns.positions - left)
        # 1. Layers 1 and 2, for all pairs of a class of rows and a class of columns.
        crop = image[:, rows.first + top * rows.step :, columns.first + left * columns.step :]
        maps = _layer_1(crop, kernels, rows, columns, size, workspace)  # (rows, columns, C₁, S, T)
        maps = _layer_2(maps, second, model.biases()[1], filtering, workspace)  # (outputs, outputs, C₂, S, T)
        # 2. The sum over patches, for each tap of layer 3.
        inputs = [  # for each row of taps a list with, for each tap, (C₂, U, V)
            _sums_for_taps(row_of_taps.unbind(), columns, left, taps, -1)
            for row_of_taps in _sums_for_taps(maps.unbind(), rows, top, taps, -2)
        ]
        # 3. Layer 3: a tap writes the value at (u, v) to pixel (u − down, v − across).
        y = rows.begin + top * rows.step + taps
        x = columns.begin + left * columns.step + taps
        for down, across in itertools.product(range(taps), repeat=2):
            row = inputs[down % len(inputs)]  # a part without borders has one sum for all taps
            maps = row[across % len(row)]
            _, height, width = maps.shape
            pixels = third[:, :, down, across] @ maps.flatten(1)  # (C, U · V)
            sums[:, y - down : y - down + height, x - across : x - across + width] += pixels.view(-1, height, width)
        yield


def _layer_1_kernels(weight: Tensor, bias: Tensor, rows: _Part, columns: _Part) -> list:
    """Returns, for each pair of sources, groups of column classes: (slice, pixels across, a matrix per class of rows).

    A matrix is (classes · C₁, 1 + pixels down · C · pixels across); its first column is the bias. From class to class a
    kernel reaches one pixel further; each matrix leaves out the pixels that none of its classes reads.
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
    """Returns how many leading pixels a fold matrix reads: the index of its last nonzero column, plus one."""
    return int(fold.flatten(0, -2).any(0).nonzero().max()) + 1


def _layer_1(
    crop: Tensor, kernels: list, rows: _Part, columns: _Part, size: tuple[int, int], workspace: Workspace
) -> Tensor:
    """Computes layer 1 and its ReLU at each position, for all classes: (rows, columns, C₁, *size)."""
    classes, _, matrices = kernels[-1][0]
    channels = len(matrices[0]) // (classes.stop - classes.start)
    result = workspace("layer 1", rows.rows, columns.rows, channels, *size)
    pairs = itertools.product(rows.sources(size[0]), columns.sources(size[1]))
    for (down, across), groups in zip(pairs, kernels, strict=True):
        places = down.places, across.places
        target = result[down.rows, across.rows]
        # Two borders are most of the work: their maps are written in place, the others are copied.
        in_place = down.span is None and across.span is None
        maps = target if in_place else workspace("own rows", len(down.fold), len(across.fold), channels, *places)
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
        if not in_place:
            target.copy_(maps)
    return result


def _windows(crop: Tensor, down: int, across: int, places: tuple[int, int]) -> Tensor:
    """Returns the pixels that each place's kernel reads, after a one for its bias: (1 + down · C · across, places)."""
    height, width = places
    crop = crop[:, : down + height - 1, : across + width - 1]
    pixels = crop.unfold(1, height, 1).unfold(2, width, 1).transpose(0, 1)  # (down, C, across, height, width)
    return torch.cat([crop.new_ones(1, height * width), pixels.reshape(-1, height * width)])


def _layer_2(maps: Tensor, weight: Tensor, bias: Tensor, filtering: MinimalFiltering, workspace: Workspace) -> Tensor:
    """Computes layer 2 and its ReLU in tiles of m × m outputs; returns (outputs, outputs, C₂, S, T).

    Args:
        maps: (rows, columns, C₁, S, T) of layer 1.
        weight: (n, n, C₂, C₁), transformed by `filtering`.
    """
    m, (n, reach) = filtering.tile, filtering.data.shape
    rows, columns, inner, *size = maps.shape
    places, outer = math.prod(size), len(bias)
    result = workspace("layer 2", rows - reach + m, columns - reach + m, outer, *size)
    data, back = filtering.data, filtering.result.expand(m, m, n)
    down = workspace("down", n, columns, inner * places)
    both = workspace("both", n, n, inner * places)
    products = workspace("products", n * n, outer, places)
    half = workspace("half", m, n, outer * places)
    tile = workspace("tile", m, m, outer * places)
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


def _sums_for_taps(outputs: Sequence[Tensor], part: _Part, first: int, taps: int, dim: int) -> list[Tensor]:
    """Sums over the patches of a block, along dimension `dim`: one sum for each tap, or a single one if all are equal.

    Args:
        outputs: one tensor for each row of layer 2, with the positions along `dim`.
        part: rows or columns.
        first: the position at which the block begins.
        taps: of layer 3.
    """
    if part.patches is not None:
        together = torch.stack(tuple(outputs), dim).flatten(dim - 1, dim)  # the tiles side by side
        count = part.patches[first * part.step :][: together.shape[dim]]
        return [together * count.view(-1, *[1] * (-dim - 1))]
    outputs = outputs[: part.outputs]
    sums = []
    size = list(outputs[0].shape)
    positions = size[dim]
    size[dim] += part.outputs - 1
    total = outputs[0].new_zeros(size)
    for tap in reversed(range(taps)):
        # Taps beyond j do not get row j: they would write it to a pixel outside the patch.
        rows = range(tap, part.outputs) if tap == taps - 1 else range(tap, min(tap + 1, part.outputs))
        for j in rows:
            total.narrow(dim, j, positions).add_(outputs[j])
        sums.append(total.clone() if tap else total)
    return sums[::-1]


def _filtering_for(taps: int) -> MinimalFiltering:
    """Returns F(m, taps) with at most eight products: this exact mode keeps more digits than it could be quicker."""
    if taps == 1:
        return MinimalFiltering(4, torch.eye(4).double(), torch.ones(4, 1).double(), torch.eye(4).double())
    tile = {3: 4, 5: 4, 7: 2}.get(taps)
    if tile is None:  # more points would lose digits: plain products, one for each tap
        return MinimalFiltering(1, torch.ones(1, taps).double(), torch.eye(taps).double(), torch.eye(taps).double())
    return minimal_filtering(tile, taps)


def _border(filters: Sequence[int], length: int, patch: int, tile: int, like: Tensor) -> _Part:
    """Returns the part at the first border of the patches, with a position for each patch."""
    first, second, third = (size // 2 for size in filters)
    classes, outputs = first + second + third, max(first + second, third) + third
    fold = torch.zeros(classes, filters[0], max(1, 2 * first))
    for i, tap in itertools.product(range(classes), range(filters[0])):
        fold[i, tap, max(0, i - second - third + tap - first)] = 1
    positions = length - patch + 1 if outputs else 0  # with three 1×1 filters there is no border
    rows = -(-outputs // tile) * tile + 2 * second
    return _Part(positions, 1, 0, fold.to(like), rows, outputs, 0, None)


def _inside(filters: Sequence[int], length: int, patch: int, tile: int, like: Tensor) -> _Part:
    """Returns the part inside the patches, in tiles; the last one may reach beyond the image, where no patch counts."""
    first, second, third = (size // 2 for size in filters)
    margin = max(first + second, third)
    tiles = -(-(length - 2 * margin) // tile)
    patches = F.pad(_patches_around(margin, length, patch)[margin : length - margin], [0, tile])[: tiles * tile]
    fold = torch.zeros(0, filters[0], 1).to(like)
    return _Part(tiles, tile, margin - first - second, fold, tile + 2 * second, tile, margin + third, patches.to(like))


def _patches_around(margin: int, length: int, patch: int) -> Tensor:
    """Counts the patches in which each pixel is `margin` or more from both borders: (length,)."""
    pixel = torch.arange(length)
    first = (pixel + margin - patch + 1).clamp(min=0)
    last = (pixel - margin).clamp(max=length - patch)
    return (last - first + 1).clamp(min=0)
