"""A pass through the network on a CPU with a quarter of the products, in float32.

Layers 1 and 2 are computed by minimal filtering (see `minimal_filtering`): layer 2, most of the network's arithmetic,
in both dimensions, in tiles of m × m outputs; layer 1 along its rows only, whose taps are divided into segments of
three. The pass goes through the picture by rows of tiles, as many side by side as keep the intermediate values in a
core's cache. Pixels are sorted by *phase*, their column within a tile: map v of a row holds pixel m·t + v of every tile
t, so that each step is a matrix product:

1. Layer 1, row by row: the products, the result transform, the ReLU, and at once the data transform of layer 2 across.
   Phase v + m of tile t is phase v of tile t + 1: a shift by one element. A row of tiles reads n = m + f₂ − 1 of these
   rows; m are new.
2. Layer 2, for one of the n points across after the other: the data transform down, n products of a matrix (C₂ × C₁)
   with the tiles, and the result transform down.
3. Row by row: the result transform across, the ReLU, and layer 3. One matrix product adds what the m phases contribute
   to f₃ rows of the output, at m + f₃ − 1 phases; a row of layer 2 is not kept.

All sums are taken in the same order in every run and on any number of threads, so the result is the same, to the bit.
"""

import functools
import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..model import SRCNN
from ..runtime.console import Progress
from ..runtime.devices import cpu_threads
from .minimal_filtering import TILES, minimal_filtering
from .workspace import Workspace

CACHE_BYTES = 3 * 2**18  # of the maps of one point across: more would leave a core's own cache
MOST_PLACES = 192  # tiles side by side
CALLS = 10  # the calls for a row of tiles take as long as this many tiles
SIMD = 16  # floats in a vector register: matrix products are faster by whole vectors
SEGMENT = 3  # taps of layer 1 that are filtered together: more need points at which float32 loses digits
MOST_ROWS, FEWEST_ROWS = 24, 8  # of tiles in a block
ONE = 1  # the number of the point 1, where all outputs of a tile have the coefficient 1
FEWEST_GROUPS = 4  # of blocks, where the picture has rows for them: work for as many threads

_of_thread = threading.local()

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Group:
    """Blocks of tiles of one size that are computed side by side: the place of each in the grid, (row, column)."""

    rows: int
    columns: int
    places: tuple[tuple[int, int], ...]


def applies(model: SRCNN) -> bool:
    """Returns whether `FastPass` can run this network: on a CPU, in float32, with a second layer of 3×3 to 9×9."""
    weight = model.layer_2.weight
    return weight.device.type == "cpu" and weight.dtype == torch.float32 and model.filters[1] in TILES


class FastPass:
    """Runs a network by minimal filtering; the weights are transformed once.

    Args:
        model: a network for which `applies` returns True.
    """

    @cpu_threads(1)  # so no sum depends on their number; such small products take fifteen times as long on two
    def __init__(self, model: SRCNN):
        self.model = model
        self.halves = tuple(size // 2 for size in model.filters)
        filtering = minimal_filtering(TILES[model.filters[1]], model.filters[1])
        segment = minimal_filtering(filtering.tile, SEGMENT)
        weights = [layer.weight.detach() for layer in model.layers()]
        self.biases = [bias.detach() for bias in model.biases()]
        self.tile = filtering.tile
        self.points = len(filtering.data)
        self.filtering, self.segment = filtering.like(weights[0]), segment.like(weights[0])
        self.first = _by_segments(weights[0], self.segment.kernel)  # (n₁, C₁, f₁ · segments · C)
        self.sorting = _segments_of_phases(-(-model.filters[0] // SEGMENT), self.segment.data)
        self.second = filtering.of_weight(weights[1]).transpose(0, 1).contiguous()  # (n across, n down, C₂, C₁)
        self.third = _phases_of_inputs(weights[2], self.tile)
        # Rows of layer 1 are kept in turn, row y in place y mod n: the data transform down with its columns so sorted.
        self.turned = [self.filtering.data.roll(turn, 1).contiguous() for turn in range(self.points)]
        self.spare = -(-2 * self.halves[1] // self.tile)  # the last tile of a block reads from tiles to its right
        places = CACHE_BYTES // (4 * self.points * sum(model.widths))
        self.places = max(2 * SIMD, min(MOST_PLACES, places - places % SIMD))

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
        height, width = upsampled.shape[-2:]
        first, last = rows or (0, height)
        m, reach, outer = self.tile, self.halves[2], sum(self.halves[:2])
        # A grid of tiles for layer 2, whose output exceeds the network's by `reach` pixels on each side; in blocks.
        down, across = (-(-(length + 2 * reach) // m) for length in (last - first, width))
        groups = self._groups(down, across, None if tile is None else max(1, tile // m))
        result = self.biases[2][:, None, None].repeat(1, last - first, width)

        def run(group: Group) -> Tensor:
            sizes = [count * m + 2 * outer for count in (group.rows, group.columns)]
            starts = [(first - reach - outer + m * row, m * column - reach - outer) for row, column in group.places]
            windows, masks = zip(*(self._surround(upsampled, start, sizes) for start in starts), strict=True)
            return self._contributions(torch.stack(windows), None if masks[0] is None else torch.stack(masks))

        outputs = in_threads(run, groups, torch.get_num_threads())
        for done, (group, blocks) in enumerate(zip(groups, outputs, strict=True), start=1):
            for (row, column), block in zip(group.places, blocks, strict=True):
                _add_inside(result, block, m * row - 2 * reach, m * column - 2 * reach)  # neighbors overlap
            if progress:
                progress(done, len(groups))
        return result

    def patches(self, patches: Tensor) -> Tensor:
        """Runs the network over patches, each alone: (N, C, H, W) → the same shape, float32."""
        height, width = patches.shape[-2:]
        m, reach, outer = self.tile, self.halves[2], sum(self.halves[:2])
        sizes = [-(-(length + 2 * reach) // m) * m + 2 * outer for length in (height, width)]
        padded, inside = self._surround(patches, [-reach - outer] * 2, sizes)
        count = max(1, self.places // (-(-(width + 2 * reach) // m) + self.spare))

        def run(some: Tensor) -> Tensor:
            masks = None if inside is None else inside.expand(len(some), 1, *sizes)
            return self._contributions(some, masks)

        outputs = torch.cat(list(in_threads(run, padded.split(count), torch.get_num_threads())))
        result = outputs[:, :, 2 * reach : 2 * reach + height, 2 * reach : 2 * reach + width]
        return result + self.biases[2][:, None, None]

    def _groups(self, down: int, across: int, most: int | None) -> list[Group]:
        """Divides a grid of tiles into blocks, the same for any number of threads.

        Args:
            down, across: rows and columns of the grid.
            most: rows and columns of a block, at most; None for what suits the caches.
        """
        stack = max(1, down // (2 * FEWEST_ROWS))
        columns = min(_columns(across, self.spare, self.places, stack), most or across)
        groups = []
        for left in range(0, across, columns):
            wide = min(columns, across - left)
            together = _stacked(wide, self.spare, self.places, stack)
            bands = together * _power_of_two(min(FEWEST_GROUPS, down // (FEWEST_ROWS * together)))
            bands = max(bands, -(-down // MOST_ROWS), -(-down // (most or down)))
            tall = -(-down // bands)
            tops = range(0, down, tall)
            rest = [tops[-1]] if together == 1 and down % tall else []  # a lower block; others may leave the grid
            tops = tops[: len(tops) - len(rest)]
            for start in range(0, len(tops), together):
                groups.append(Group(tall, wide, tuple((top, left) for top in tops[start : start + together])))
            groups += [Group(down % tall, wide, ((top, left),)) for top in rest]
        return groups

    def _surround(self, pictures: Tensor, starts: Sequence[int], sizes: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Cuts a window that may exceed the picture, which the border rule continues: (…, C, H, W) → (…, C, *sizes).

        Returns:
            The window; and for padding_mode "zeros" where the picture is, (1, *sizes) of ones and zeros.
        """
        places = [torch.arange(start, start + size) for start, size in zip(starts, sizes, strict=True)]
        lengths = pictures.shape[-2:]
        rows, columns = (place.clamp(0, length - 1) for place, length in zip(places, lengths, strict=True))
        window = pictures.index_select(-2, rows).index_select(-1, columns).float()
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
        slots = _whole_vectors(wide + self.spare, count)
        places = count * slots
        space = _workspace(self.first)
        masks = None if inside is None else _mask_by_phase(inside, m, slots, first, second)
        layer_1 = self._layer_1(images, slots, masks and masks[0], space)
        layer_2 = self._layer_2(places, masks and masks[1], space)
        kept = space("kept rows", n, n, self.model.widths[0] * places)  # rows of layer 1, transformed across
        output_rows, output_phases = tall * m + 2 * third, m + 2 * third
        outputs = space("outputs", output_rows, output_phases * channels, places).zero_()
        for top in range(0, tall * m, m):
            for y in range(
                top + (2 * second if top else 0), top + n
            ):  # the first rows are the last ones of the tiles above
                layer_1(y, kept[y % n])
            for y, row in layer_2(top, kept):
                outputs[y : y + 2 * third + 1].view(-1, places).addmm_(self.third, row)
        output = _side_by_side(outputs.view(output_rows, output_phases, channels, count, slots), m, wide)
        return output

    def _layer_1(
        self, images: Tensor, slots: int, masks: Tensor | None, space: Workspace
    ) -> Callable[[int, Tensor], object]:
        """Returns a function that computes a row of layer 1 and its data transform across, (n, C₁ · places)."""
        m, n, (points, inner, taps) = self.tile, self.points, self.first.shape
        pixels = self._by_phase(images, slots, space)  # (n₁, Y · segments · C, places)
        places, step = pixels.shape[2], taps // self.model.filters[0]
        products, row = space("products of layer 1", points, inner, places), space("row", n, inner * places)
        at_one = products[ONE]
        bias = space("bias of layer 1", inner, places).copy_(self.biases[0][:, None])
        by_point, outputs = products.view(points, -1), row[:m]
        shifts = [(phase // m, phase, min(m, n - phase)) for phase in range(m, n, m)]
        shifted = [(row[phase : phase + some, :-shift], row[:some, shift:]) for shift, phase, some in shifts]

        def compute(y: int, target: Tensor) -> None:
            torch.bmm(self.first, pixels[:, y * step : y * step + taps], out=products)
            at_one.add_(bias)
            torch.mm(self.segment.result, by_point, out=outputs)
            outputs.relu_()
            if masks is not None:
                outputs.view(m, inner, places).mul_(masks[y, :, None])
            for phases, earlier in shifted:
                phases.copy_(earlier)
            torch.mm(self.filtering.data, row, out=target)

        return compute

    def _layer_2(
        self, places: int, masks: Tensor | None, space: Workspace
    ) -> Callable[[int, Tensor], Iterator[tuple[int, Tensor]]]:
        """Returns a function that yields the rows of layer 2 of a row of tiles: (y, (m · C₂, places))."""
        m, n, (inner, outer) = self.tile, self.points, self.model.widths
        transformed, products = space("transformed", n, inner, places), space("products", n, outer, places)
        half, result = space("half", m, n, outer * places), space("layer 2", m, outer * places)
        at_one = products[ONE]
        bias = space("bias of layer 2", outer, places).copy_(self.biases[1][:, None])
        down, by_point = transformed.view(n, -1), products.view(n, -1)
        halves, rows, output = half.unbind(1), half.unbind(0), result.view(m * outer, places)

        def compute(top: int, kept: Tensor) -> Iterator[tuple[int, Tensor]]:
            data = self.turned[top % n]
            for point, maps in enumerate(kept.unbind(1)):
                torch.mm(data, maps, out=down)
                torch.bmm(self.second[point], transformed, out=products)
                if point == ONE:
                    at_one.add_(bias)
                torch.mm(self.filtering.result, by_point, out=halves[point])
            for y, row in enumerate(rows, start=top):
                torch.mm(self.filtering.result, row, out=result)
                result.relu_()
                if masks is not None:
                    result.view(m, outer, places).mul_(masks[y, :, None])
                yield y, output

        return compute

    def _by_phase(self, images: Tensor, slots: int, space: Workspace) -> Tensor:
        """Sorts pixels by phase and applies layer 1's data transform: (N, C, Y, X) → (n₁, Y · segments · C, places)."""
        count, channels, height, width = images.shape
        (rows, phases), points = self.sorting.shape, len(self.first)
        images = F.pad(images, [0, max(0, (slots - 1) * self.tile + phases - width)])
        windows = images.unfold(3, phases, self.tile)[:, :, :, :slots]  # (N, C, Y, slots, phases)
        by_phase = space("phases", phases, height, channels, count, slots).copy_(windows.permute(4, 2, 1, 0, 3))
        size = channels * count * slots
        transformed = torch.mm(self.sorting, by_phase.view(phases, -1), out=space("segments", rows, height * size))
        pixels = space("pixels", points, height, rows // points, size)
        pixels.copy_(transformed.view(points, -1, height, size).transpose(1, 2))
        return pixels.view(points, -1, count * slots)


def _workspace(like: Tensor) -> Workspace:
    """Returns this thread's memory, some ten megabytes that it keeps for the next block and the next picture."""
    if not hasattr(_of_thread, "workspace"):
        _of_thread.workspace = Workspace(like)
    return _of_thread.workspace


def _power_of_two(number: int) -> int:
    """Returns the largest power of two up to a number, at least 1."""
    return 1 << max(1, number).bit_length() - 1


def _whole_vectors(slots: int, count: int) -> int:
    """Rounds up a number of places so that `count` times as many fill whole vectors."""
    return slots + -slots % (SIMD // math.gcd(SIMD, count))


@functools.cache
def _stacked(wide: int, spare: int, places: int, most: int) -> int:
    """Returns the number of blocks to compute side by side, a power of two, that takes the least time for each."""
    numbers = [
        1 << power for power in range(most.bit_length()) if _whole_vectors(wide + spare, 1 << power) << power <= places
    ]
    return min(numbers, key=lambda number: _whole_vectors(wide + spare, number) + CALLS / number, default=1)


@functools.cache
def _columns(across: int, spare: int, places: int, most: int) -> int:
    """Returns the number of tiles across a block for which a whole row of tiles takes the least time."""

    def cost(wide: int) -> float:
        parts = [wide] * (across // wide) + [across % wide] * (across % wide > 0)
        numbers = [_stacked(part, spare, places, most) for part in parts]
        return sum(
            _whole_vectors(part + spare, number) + CALLS / number for part, number in zip(parts, numbers, strict=True)
        )

    return min(range(min(across, places - spare), 0, -1), key=cost)


def in_threads(function: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """Applies a function to the items in parallel threads, and yields the results in order.

    Each thread runs torch on one core: that is quicker than dividing each of many small matrix products, and their sums
    would not be taken in the same order. So does the calling thread meanwhile.
    """
    if threads == 1 or len(items) == 1:
        with cpu_threads(1):
            yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    pool = _pool(threads, os.getpid())
    with cpu_threads(1):
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 3 * threads:  # not all at once, so that their results do not fill the memory
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:  # after an error, or where the results are not wanted any more
                future.cancel()
            wait(waiting)  # what a thread sets as it starts is also the default of new ones, until it is set back


@functools.cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Returns threads that are kept from one call to the next: to start them takes a third of a pass over 256×256.

    Args:
        threads: how many.
        process: its number, since a forked process does not have its parent's threads.
    """
    return ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))


def _by_segments(weight: Tensor, kernel: Tensor) -> Tensor:
    """Transforms layer 1's rows of taps in segments: (C₁, C, f, f) → (n₁, C₁, f · segments · C)."""
    taps = weight.shape[-1]
    segments = F.pad(weight.double(), [0, -taps % SEGMENT]).unflatten(-1, (-1, SEGMENT))  # (C₁, C, f, segments, 3)
    return torch.einsum("px,ocysx->poysc", kernel, segments).flatten(2).to(weight)


def _segments_of_phases(segments: int, data: Tensor) -> Tensor:
    """Returns the data transform of all segments as one matrix: (n₁ · segments, n₁ + 3 · (segments − 1))."""
    points = len(data)
    matrix = data.new_zeros(points, segments, points + SEGMENT * (segments - 1))
    for segment in range(segments):
        matrix[:, segment, SEGMENT * segment : SEGMENT * segment + points] = data
    return matrix.flatten(0, 1)


def _phases_of_inputs(weight: Tensor, tile: int) -> Tensor:
    """Returns what `tile` phases of a row of layer 2 contribute to the output: (f · (tile + f − 1) · C, tile · C₂)."""
    channels, inputs, taps, _ = weight.shape
    matrix = weight.new_zeros(taps, tile + taps - 1, channels, tile, inputs)
    backwards = weight.flip(2, 3).permute(2, 3, 0, 1)  # (f, f, C, C₂)
    for phase in range(tile):
        matrix[:, phase : phase + taps, :, phase] = backwards
    return matrix.reshape(-1, tile * inputs)


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


def _add_inside(result: Tensor, block: Tensor, top: int, left: int) -> None:
    """Adds the part of a block that lies inside the result: (C, H, W) += (C, h, w), whose corner is (top, left)."""
    rows, columns = (
        slice(max(0, start), max(0, start + size)) for start, size in zip((top, left), block.shape[1:], strict=True)
    )
    part = result[:, rows, columns]
    above, before = max(0, -top), max(0, -left)
    part += block[:, above : above + part.shape[1], before : before + part.shape[2]]
