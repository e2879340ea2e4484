"""A pass through the network on a CPU with a quarter of the products, in float32.

Nine tenths of the network's arithmetic is its second layer. Here it is computed by minimal filtering (see
`minimal_filtering`), in tiles of m × m outputs. The pass goes through the picture by rows of tiles, as many side by
side as keep all intermediate values in the processor's caches:

1. Layer 1 for the m new rows. The pixels of a row of tiles are sorted by *phase*, their column within a tile: map
   [y][v] holds pixel (y, m·t + v) of every tile t. One matrix product then computes several phases, although some of
   its weights are zeros.
2. The data transform, first down, then across. Down, the n rows of a tile lie one behind the other. Across, phase
   v + m of tile t is phase v of tile t + 1: a shift by one element.
3. n² products of a matrix (C₂ × C₁) with the tiles.
4. The result transform, down and across, and the ReLU.
5. Layer 3. A row of layer 2 is used at once and not kept: one matrix product adds what its m phases contribute to f₃
   rows of the output, at m + f₃ − 1 phases.

All sums are taken in the same order in every run, so the result is always the same, to the bit.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model import SRCNN
from ..runtime.console import Progress
from .minimal_filtering import TILES, minimal_filtering
from .workspace import Workspace

BLOCK_BYTES = 4 * 2**20  # of the transformed maps of a row of tiles: more would leave the caches
MOST_TILES = 127  # side by side; with 63 a pass takes 5 % longer on one thread and 10 % on two
SIMD = 16  # floats in a vector register
TILE_ROWS = 64  # at most, in a block

Item = TypeVar("Item")
Result = TypeVar("Result")
Block = tuple[int, int]  # first row and first column of tiles


def applies(model: SRCNN) -> bool:
    """Returns whether `FastPass` can run this network: on a CPU, in float32, with a second layer of 3×3 to 9×9."""
    weight = model.layer_2.weight
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and model.filters[1] in TILES


class FastPass:
    """Runs a network by minimal filtering; the weights are transformed once.

    Args:
        model: a network for which `applies` returns True.
    """

    def __init__(self, model: SRCNN):
        self.model = model
        self.halves = tuple(size // 2 for size in model.filters)
        filtering = minimal_filtering(TILES[model.filters[1]], model.filters[1])
        weights = [layer.weight.detach() for layer in model.layers()]
        self.biases = [bias.detach() for bias in model.biases()]
        self.tile = filtering.tile
        self.points = len(filtering.data)
        self.group = self.tile // 2  # phases of layer 1 that share a matrix product
        self.filtering = filtering.like(weights[0])
        self.first = _phases_of_outputs(weights[0], self.group, self.biases[0])
        self.second = filtering.of_weight(weights[1]).flatten(0, 1).contiguous()  # (n², C₂, C₁)
        self.third = _phases_of_inputs(weights[2], self.tile)
        per_tile = 4 * self.points**2 * model.widths[0]
        self.tiles = max(8, min(MOST_TILES, BLOCK_BYTES // per_tile))  # side by side in a block
        self.workspaces: list[Workspace] = []  # of threads that are done

    def whole(
        self, upsampled: Tensor, rows: tuple[int, int] | None = None, tile: int | None = None,
        progress: Progress | None = None,
    ) -> Tensor:  # fmt: skip
        """Runs the network over a whole picture.

        Args:
            upsampled: (C, H, W) in [0, 1] with the network's channels.
            rows: (start, end) of the rows to return; None for all.
            tile: largest side of a block in pixels; None for one that suits the caches.
            progress: called as progress(done, total), in blocks.

        Returns:
            (C, rows, W) float32.
        """
        channels, height, width = upsampled.shape
        first, last = rows or (0, height)
        m, reach = self.tile, self.halves[2]
        threads = torch.get_num_threads()
        # 1. A grid of tiles for layer 2, whose output exceeds the network's by `reach` pixels on each side; in blocks.
        down, across = (-(-(length + 2 * reach) // m) for length in (last - first, width))
        most = self.tiles if tile is None else max(1, min(self.tiles, tile // m))
        columns = _equal_parts(across, most)
        together = max(1, most // columns)  # blocks that are computed side by side, below each other in the picture
        row_limit = TILE_ROWS if tile is None else max(1, min(TILE_ROWS, tile // m))
        bands = max(-(-down // row_limit), min(down, together * threads if columns * threads > across else 1))
        tall = -(-down // bands)
        # 2. The picture and its surround, as far as the grid needs it.
        outer = sum(self.halves[:2])
        sizes = [-(-count // part) * part * m + 2 * outer for count, part in ((down, tall), (across, columns))]
        starts = [first - reach - outer, -reach - outer]
        padded, inside = self._surround(upsampled, starts, sizes)
        # 3. What each block contributes to the output; neighbors overlap.
        blocks = list(itertools.product(range(0, across, columns), range(0, down, tall)))
        groups = [
            [(top, left) for left, top in blocks[start : start + together]] for start in range(0, len(blocks), together)
        ]
        canvas = torch.zeros(channels, *(size - 2 * outer + 2 * reach for size in sizes))
        shape = (tall * m, columns * m)

        def run(group: list[Block]) -> Tensor:
            windows = [_window(padded, block, m, shape, outer) for block in group]
            masks = (
                None if inside is None else torch.stack([_window(inside, block, m, shape, outer) for block in group])
            )
            return self._contributions(torch.stack(windows), masks)

        for done, (group, outputs) in enumerate(zip(groups, in_threads(run, groups, threads), strict=True), start=1):
            for block, output in zip(group, outputs, strict=True):
                _window(canvas, block, m, shape, reach).add_(output)
            if progress:
                progress(done, len(groups))
        result = canvas[:, 2 * reach : 2 * reach + last - first, 2 * reach : 2 * reach + width]
        return result + self.biases[2][:, None, None]

    def patches(self, patches: Tensor) -> Tensor:
        """Runs the network over patches, each alone: (N, C, H, W) → the same shape, float32."""
        height, width = patches.shape[-2:]
        m, reach, outer = self.tile, self.halves[2], sum(self.halves[:2])
        sizes = [-(-(length + 2 * reach) // m) * m + 2 * outer for length in (height, width)]
        padded, inside = self._surround(patches, [-reach - outer] * 2, sizes)
        count = max(1, round(self.tiles / (sizes[1] / m)))

        def run(some: Tensor) -> Tensor:
            masks = None if inside is None else inside.expand(len(some), 1, *sizes)
            return self._contributions(some, masks)

        outputs = torch.cat(list(in_threads(run, padded.split(count), torch.get_num_threads())))
        result = outputs[:, :, 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width]
        return result + self.biases[2][:, None, None]

    def _surround(self, pictures: Tensor, starts: Sequence[int], sizes: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Cuts a window that may exceed the picture, which the border rule continues: (…, C, H, W) → (…, C, *sizes).

        Returns:
            The window; and for padding_mode "zeros" where the picture is, (1, *sizes) of ones and zeros.
        """
        places = [torch.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        lengths = pictures.shape[-2:]
        rows, columns = (place.clamp(0, length - 1) for place, length in zip(places, lengths, strict=True))
        window = pictures.float().index_select(-2, rows).index_select(-1, columns)
        if self.model.padding_mode == "replicate":
            return window, None
        down, across = (
            ((place >= 0) & (place < length)).float() for place, length in zip(places, lengths, strict=True)
        )
        inside = (down[:, None] * across)[None]
        return window * inside, inside

    @torch.inference_mode()
    def _contributions(self, images: Tensor, inside: Tensor | None) -> Tensor:
        """Computes what the tiles of layer 2 contribute to the network's output, without the last bias.

        Args:
            images: (N, C, S·m + 2·(h₁ + h₂), T·m + 2·(h₁ + h₂)): S rows of T tiles each, and what they read around.
            inside: (N, 1, …) of the same size: 0 where padding_mode "zeros" makes every layer's output zero.

        Returns:
            (N, C, S·m + 2·h₃, T·m + 2·h₃).
        """
        m, n, (first, second, third) = self.tile, self.points, self.halves
        count, channels = images.shape[:2]
        tall, wide = ((size - 2 * (first + second)) // m for size in images.shape[-2:])
        slots = wide + -(-2 * second // m)  # the last tile reads from tiles to its right
        slots += -slots % (SIMD // math.gcd(SIMD, count))  # matrix products are faster by whole vectors
        places = count * slots
        inner, outer = self.model.widths
        space = self.workspaces.pop() if self.workspaces else Workspace(self.first)
        pixels = _by_phase(images, m, self.group, first, slots, space)  # (groups, Y, V·C + 1, places)
        masks = None if inside is None else _mask_by_phase(inside, m, slots, first, second)
        maps = space("layer 1", n, m, inner * places)
        transformed = space("down", n, n, inner * places)
        data, both = self.filtering.data.expand(n, n, n), space("both", n, n, inner * places)
        products = space("products", n * n, outer, places)
        half, result = space("half", m, n, outer * places), space("layer 2", m, m, outer * places)
        output_rows, output_phases = tall * m + 2 * third, m + 2 * third
        outputs = space("outputs", output_rows, output_phases * channels, places).zero_()
        one = n + 1  # the second point is 1, where all outputs of a tile have the coefficient 1
        for row in range(tall):
            top = row * m
            # 1. Layer 1: the first rows are the last ones of the tiles above.
            known = 2 * second if row else 0
            if row:
                maps[:known].copy_(maps[m:].clone() if known > m else maps[m:])
            self._layer_1(pixels, maps, top, known)
            if masks is not None:
                maps[known:].view(n - known, m, inner, places).mul_(masks[0][top + known : top + n, :, None])
            # 2. The data transform.
            torch.mm(self.filtering.data, maps.view(n, -1), out=transformed.view(n, -1)[:, : m * inner * places])
            for phase in range(m, n, m):
                shift, phases = phase // m, min(m, n - phase)
                transformed[:, phase : phase + phases, :-shift].copy_(transformed[:, :phases, shift:])
            torch.bmm(data, transformed, out=both)
            # 3. The products.
            torch.bmm(self.second, both.view(n * n, inner, places), out=products)
            products[one].add_(self.biases[1][:, None])
            # 4. The result transform.
            torch.mm(self.filtering.result, products.view(n, -1), out=half.view(m, -1))
            torch.bmm(self.filtering.result.expand(m, m, n), half, out=result)
            result.relu_()
            if masks is not None:
                result.view(m, m, outer, places).mul_(masks[1][top : top + m, :, None])
            # 5. Layer 3.
            for line in range(m):
                target = outputs[top + line : top + line + 2 * third + 1].view(-1, places)
                target.addmm_(self.third, result[line].view(m * outer, places))
        output = _side_by_side(outputs.view(output_rows, output_phases, channels, count, slots), m, wide)
        self.workspaces.append(space)
        return output

    def _layer_1(self, pixels: Tensor, maps: Tensor, top: int, known: int) -> None:
        """Computes rows `known` … n − 1 of layer 1 for a row of tiles, and its ReLU."""
        groups, _, channels, places = pixels.shape
        taps = 2 * self.halves[0] + 1
        lines = pixels.view(groups, -1, places)
        targets = maps.view(len(maps), groups, -1, places)
        for y, group in itertools.product(range(known, len(maps)), range(groups)):
            start = (top + y) * channels
            torch.mm(self.first, lines[group, start : start + taps * channels], out=targets[y, group])
        maps[known:].relu_()


def in_threads(function: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """Applies a function to the items in parallel threads, and yields the results in order.

    Each thread runs torch on one core: that is quicker than dividing each of many small matrix products.
    """
    if threads == 1 or len(items) == 1:
        yield from map(function, items)
        return
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            # A few at a time, so that their results do not fill the memory.
            for start in range(0, len(items), 4 * threads):
                yield from pool.map(function, items[start : start + 4 * threads])
    finally:
        torch.set_num_threads(threads)  # what the threads set is also the default of new ones


def _phases_of_outputs(weight: Tensor, group: int, bias: Tensor) -> Tensor:
    """Returns layer 1 for `group` adjacent phases as one matrix: (group · C₁, f · ((group + f − 1) · C + 1)).

    Its columns are sorted as `_by_phase` sorts pixels; the last of each row is 1, for the bias.
    """
    outputs, channels, taps, _ = weight.shape
    matrix = weight.new_zeros(group, outputs, taps, (group + taps - 1) * channels + 1)
    by_column = weight.permute(0, 2, 3, 1)  # (C₁, f, f, C)
    for phase in range(group):
        matrix[phase, :, :, phase * channels : (phase + taps) * channels] = by_column.flatten(2)
    matrix[:, :, 0, -1] = bias
    return matrix.reshape(group * outputs, -1)


def _phases_of_inputs(weight: Tensor, tile: int) -> Tensor:
    """Returns what `tile` phases of a row of layer 2 contribute to the output: (f · (tile + f − 1) · C, tile · C₂)."""
    channels, inputs, taps, _ = weight.shape
    matrix = weight.new_zeros(taps, tile + taps - 1, channels, tile, inputs)
    backwards = weight.flip(2, 3).permute(2, 3, 0, 1)  # (f, f, C, C₂)
    for phase in range(tile):
        matrix[:, phase : phase + taps, :, phase] = backwards
    return matrix.reshape(-1, tile * inputs)


def _by_phase(images: Tensor, tile: int, group: int, half: int, wide: int, space: Workspace) -> Tensor:
    """Sorts pixels by their column within a group of phases: (N, C, Y, X) → (groups, Y, V·C + 1, N · wide).

    The last map of each row is 1, for layer 1's bias.
    """
    count, channels, height, width = images.shape
    images = F.pad(images, [0, max(0, wide * tile + 2 * half - width)])
    windows = images.unfold(3, group + 2 * half, group)  # (N, C, Y, groups · wide, V)
    groups, phases = tile // group, group + 2 * half
    pixels = space("pixels", groups, height, phases * channels + 1, count * wide)
    pixels[:, :, -1] = 1
    for number in range(groups):
        target = pixels[number, :, :-1].view(height, phases, channels, count, wide)
        target.copy_(windows[:, :, :, number::groups][:, :, :, :wide].permute(2, 4, 1, 0, 3))
    return pixels


def _mask_by_phase(inside: Tensor, tile: int, wide: int, first: int, second: int) -> tuple[Tensor, Tensor]:
    """Returns where the outputs of layers 1 and 2 lie inside the picture: two times (rows, tile, N · wide)."""
    masks = []
    for margin in (first, first + second):
        mask = inside[:, 0, margin : inside.shape[2] - margin, margin:]
        mask = F.pad(mask, [0, max(0, wide * tile - mask.shape[2])])[..., : wide * tile]
        masks.append(mask.unflatten(2, (wide, tile)).permute(1, 3, 0, 2).flatten(2))
    return masks[0], masks[1]


def _side_by_side(outputs: Tensor, tile: int, wide: int) -> Tensor:
    """Adds phases beyond a tile to the next tiles: (rows, phases, C, N, tiles) → (N, C, rows, wide · tile + extra)."""
    rows, phases, channels, count, _ = outputs.shape
    length = wide + math.ceil(phases / tile) - 1
    total = outputs.new_zeros(rows, channels, count, length, tile)
    for first in range(0, phases, tile):
        shift, some = first // tile, outputs[:, first : first + tile, :, :, :wide]
        total[:, :, :, shift : shift + wide, : some.shape[1]] += some.permute(0, 2, 3, 4, 1)
    return total.flatten(3)[..., : wide * tile + phases - tile].permute(2, 1, 0, 3)


def _equal_parts(length: int, most: int) -> int:
    """Returns the size of the parts when a length is divided into as few equal parts of at most `most` as possible."""
    return -(-length // -(-length // most))


def _window(plane: Tensor, block: Block, tile: int, shape: tuple[int, int], margin: int) -> Tensor:
    """Returns a block of tiles with `margin` more pixels on each side, as a view."""
    top, left = (tile * place for place in block)
    return plane[:, top : top + shape[0] + 2 * margin, left : left + shape[1] + 2 * margin]
