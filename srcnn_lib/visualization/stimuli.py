"""What excites a channel: the patches of photographs on which it is most active, and its average stimulus.

Reference: Zeiler, Fergus, Visualizing and Understanding Convolutional Networks, arXiv 1311.2901, section 4, for patches
that excite a channel most; the average, weighted by activation, is the spike-triggered average of neurophysiology
(de Boer, Kuyper 1968).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..model import LAYERS, SRCNN
from ..runtime.console import Progress
from .exact_pass import ExactPass
from .layers import ChannelAddress, receptive_field


@dataclass(frozen=True)
class Stimulus:
    """What excites one channel in a set of pictures.

    Attributes:
        address: of the channel.
        values: (n,) float64, its largest values, the largest first; none of two places that overlap by more than half.
        places: (picture, row, column) of each.
        patches: (n, C, s, s), the network's input around each: all that the value depends on.
        average: (C, s, s), the mean of all patches of all pictures, weighted by the channel's activation; the plain
            mean where it is never active.
        mean: (C, s, s), the plain mean of all patches: what an indifferent channel would have as its average.
        active: share of the pixels on which it is active, [0, 1].
    """

    address: ChannelAddress
    values: Tensor
    places: tuple[tuple[int, int, int], ...]
    patches: Tensor
    average: Tensor
    mean: Tensor
    active: float


def channel_stimuli(
    model: SRCNN,
    pictures: Sequence[Tensor],
    layer: str,
    channels: Sequence[int] | None = None,
    count: int = 9,
    progress: Progress | None = None,
) -> list[Stimulus]:
    """Finds what excites channels.

    Args:
        model: the network.
        pictures: its inputs, (C, H, W) each, such as `Sample.network_input` of several photographs.
        layer: "layer_1" or "layer_2".
        channels: numbers; None for all of the layer.
        count: patches of each channel; fewer where it is active in fewer places.
        progress: called as progress(done, total), in pictures.

    Raises:
        InputError: no picture, another layer, or a channel that the layer does not have.
    """
    if layer not in LAYERS[:2]:
        raise InputError(f"layer is {layer!r}, expected layer_1 or layer_2, which have a ReLU and so are active or not")
    if not pictures:
        raise InputError("there is no picture to look for patches in, expected at least one")
    width = model.widths[LAYERS.index(layer)]
    numbers = list(range(width)) if channels is None else list(channels)
    addresses = [ChannelAddress.parse(ChannelAddress(layer, number), model) for number in numbers]

    size = receptive_field(model, layer)
    patch = (model.channels, size, size)
    weighted = torch.zeros(len(numbers), *patch, dtype=torch.float64)
    activation, active = (torch.zeros(len(numbers), dtype=torch.float64) for _ in range(2))
    mean = torch.zeros(patch, dtype=torch.float64)
    pixels = 0
    found: list[list[tuple[float, tuple[int, int, int]]]] = [[] for _ in numbers]
    passes = [ExactPass(model, picture) for picture in pictures]
    for index, exact in enumerate(passes):
        maps = torch.empty(len(numbers), *exact.size, dtype=torch.float64)
        for tile, values in exact.each_tile():
            margin = sum(exact.radii[LAYERS.index(layer) + 1 :])
            part = (values.after_1 if layer == LAYERS[0] else values.after_2)[numbers]
            part = part[:, margin : margin + tile.height, margin : margin + tile.width]
            crop = exact.halo - size // 2
            window = values.pixels[:, crop : crop + tile.height + size - 1, crop : crop + tile.width + size - 1]
            patches = F.unfold(window[None], size)[0]  # (C · s · s, pixels)
            weighted += (part.flatten(1) @ patches.T).view(-1, *patch)
            mean += patches.sum(1).view(patch)
            maps[:, *tile.slices] = part
        activation += maps.sum((1, 2))
        active += (maps > 0).sum((1, 2))
        pixels += exact.size[0] * exact.size[1]
        for candidates, values in zip(found, maps, strict=True):
            candidates += [(value, (index, *place)) for value, place in _peaks(values, size // 2, count)]
        if progress:
            progress(index + 1, len(passes))

    mean = mean / pixels
    stimuli = []
    for number, candidates in enumerate(found):
        best = sorted(candidates, key=lambda candidate: -candidate[0])[:count]
        average = weighted[number] / activation[number] if activation[number] > 0 else mean
        shown = [_patch(passes[index], row, column, size) for _, (index, row, column) in best]
        stimuli.append(
            Stimulus(
                address=addresses[number],
                values=torch.tensor([value for value, _ in best], dtype=torch.float64),
                places=tuple(place for _, place in best),
                patches=torch.stack(shown) if shown else mean.new_zeros(0, *patch),
                average=average,
                mean=mean,
                active=float(active[number] / pixels),
            )
        )
    return stimuli


def _patch(exact: ExactPass, row: int, column: int, size: int) -> Tensor:
    """Returns the pixels around a place, (C, size, size), with the surround beyond the picture's border."""
    top, left = row + exact.halo - size // 2, column + exact.halo - size // 2
    return exact.surrounded[:, top : top + size, left : left + size]


def _peaks(values: Tensor, distance: int, count: int) -> list[tuple[float, tuple[int, int]]]:
    """Returns the largest positive values of a map (H, W) that are more than `distance` pixels apart, in order."""
    values = values.clone()
    peaks: list[tuple[float, tuple[int, int]]] = []
    while len(peaks) < count:
        row, column = divmod(int(values.argmax()), values.shape[1])
        value = float(values[row, column])
        if value <= 0:
            break
        peaks.append((value, (row, column)))
        rows = slice(max(0, row - distance), row + distance + 1)
        values[rows, max(0, column - distance) : column + distance + 1] = 0
    return peaks
