"""What each channel of layer 2 adds to the picture, and what it is worth in dB: exact, for any set of channels.

The last layer is linear. Without clamping, the output is y = b₃ + Σ p_c, where p_c = w₃,c ∗ h₂,c is the picture that
channel c paints. The mean squared error without some channels is therefore a quadratic function of which ones are left
out, and a matrix of one row for each channel holds the error of every set. All values are float64.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.color import luminance, output_luminance
from ..data.regions import Area
from ..errors import InputError
from ..evaluation.sample import Sample
from ..model import SRCNN
from ..runtime import memory
from ..runtime.console import Progress
from .exact_pass import ExactPass, LayerValues


@dataclass(frozen=True)
class Contributions:
    """The pictures that the channels of layer 2 paint: they and the constant add up to the network's output.

    Attributes:
        parts: (channels, C, H, W).
        constant: (C,), the bias of layer 3.
    """

    parts: Tensor
    constant: Tensor

    @property
    def output(self) -> Tensor:
        """The network's output, (C, H, W), not clamped."""
        return self.parts.sum(0) + self.constant[:, None, None]


def channel_pictures(model: SRCNN, picture: Tensor) -> Contributions:
    """Returns what each channel of layer 2 adds to the network's output.

    Args:
        model: the network.
        picture: (C, H, W), its input: `Sample.network_input`.

    Raises:
        InputError: a picture with another number of channels than the network's, or too large for the memory.
    """
    exact = ExactPass(model, picture)
    height, width = exact.size
    count = model.widths[1]
    memory.check(
        f"what {count} channels add to a picture of {width}x{height}",
        8 * count * model.channels * height * width,
        "take a part of the picture",
    )
    parts = torch.empty(count, model.channels, height, width, dtype=torch.float64)
    kernels = exact.weights[2].transpose(0, 1)  # (channels, C, size, size)
    for tile, values in exact.each_tile():
        parts[..., *tile.slices] = _paint(values.after_2, kernels)
    return Contributions(parts, exact.biases[2])


def _paint(maps: Tensor, kernels: Tensor) -> Tensor:
    """Convolves each map with its own kernels: (n, h, w), (n, C, size, size) → (n, C, h − size + 1, w − size + 1)."""
    count, outputs = kernels.shape[:2]
    painted = F.conv2d(maps[None], kernels.flatten(0, 1)[:, None], groups=count)[0]
    return painted.unflatten(0, (count, outputs))


@dataclass(frozen=True)
class ChannelWorth:
    """The mean squared error on Y of a network's result for every set of channels of layer 2.

    Y is in [16/255, 235/255] (1 is the peak of the PSNR, as in `metrics`). It is that of the whole picture as the
    network made it: nothing is clamped, and no border is left out.

    Attributes:
        error: mean squared error e of the result with all channels.
        correlation: (n,), mean(e · p_c): the error with what each channel paints on Y.
        gram: (n, n), mean(p_i · p_j).
    """

    error: float
    correlation: Tensor
    gram: Tensor

    def mse(self, kept: Tensor | Sequence[bool]) -> Tensor:
        """Returns the mean squared error with some of the channels.

        Args:
            kept: (…, n) bool, true for a channel that is kept. Fractions scale what a channel paints.

        Returns:
            (…,).
        """
        removed = 1 - torch.as_tensor(kept).double()  # (…, n)
        changed = 2 * removed @ self.correlation + ((removed @ self.gram) * removed).sum(-1)
        return (self.error + changed).clamp_min(0)

    def psnr(self, kept: Tensor | Sequence[bool] | None = None) -> Tensor:
        """Returns the PSNR on Y in dB with some of the channels, (…,) for (…, n); None for all channels."""
        return _psnr(torch.tensor(self.error, dtype=torch.float64) if kept is None else self.mse(kept))

    @cached_property
    def worth_db(self) -> Tensor:
        """What is lost without each channel alone, (n,) dB. Negative for a channel that makes the picture worse."""
        return self.psnr() - self.psnr(~torch.eye(len(self.gram), dtype=torch.bool))

    @cached_property
    def shapley(self) -> Tensor:
        """Each channel's Shapley value, (n,): its share of what all channels take off the mean squared error.

        It is the mean, over all orders in which the channels could be added, of how much the channel reduces the mean
        squared error when it comes in; for a quadratic error 2bᵢ − Σⱼ Gᵢⱼ. The values add up to the error of the bare
        constant b₃ minus the error of the result.

        Reference: Shapley, A Value for n-Person Games, 1953.
        """
        return 2 * self.linear - self.gram.sum(1)

    @cached_property
    def linear(self) -> Tensor:
        """The b of the quadratic form c − 2bᵀs + sᵀGs for a set s: mean(p_c · (t − b₃)), (n,), t the original's Y."""
        return self.correlation + self.gram.sum(1)

    @cached_property
    def constant(self) -> float:
        """The c of that form: the mean squared error of the bare constant b₃, without any channel."""
        return float(self.error + 2 * self.correlation.sum() + self.gram.sum())

    @property
    def ranking(self) -> list[int]:
        """The channels, the one with the largest `worth_db` first."""
        return _ranking(self.worth_db)

    def to_dict(self) -> dict:
        """Returns plain values for JSON: {"psnr", "channels": [{"channel", "worth_db", "shapley"}, …]}."""
        return _plain_figures(float(self.psnr()), self.worth_db, self.shapley)


def _ranking(worth_db: Tensor) -> list[int]:
    return worth_db.nan_to_num(0.0).argsort(descending=True, stable=True).tolist()


def _plain_figures(psnr: float, worth_db: Tensor, shapley: Tensor) -> dict:
    rows = enumerate(zip(worth_db.tolist(), shapley.tolist(), strict=True))
    channels = [{"channel": number, "worth_db": worth, "shapley": value} for number, (worth, value) in rows]
    return {"psnr": psnr, "channels": channels}


def _psnr(error: Tensor) -> Tensor:
    return -10 * error.log10()


class _PaintedLuminance:
    """What each channel of a network paints on the Y of a sample, tile by tile."""

    def __init__(self, model: SRCNN, sample: Sample):
        self.exact = ExactPass(model, sample.network_input)
        weights, offset = output_luminance(model.channels, sample.original.shape[0])
        self.kernels = torch.einsum("k,kcij->cij", weights, self.exact.weights[2])[:, None]  # (n, 1, size, size)
        self.constant = float(weights @ self.exact.biases[2]) + offset

    def __call__(self, tile: Area, values: LayerValues | None = None) -> Tensor:
        """Returns (n, pixels of the tile)."""
        return _paint((values or self.exact.run(tile)).after_2, self.kernels).flatten(1)


def channel_worth(model: SRCNN, sample: Sample, progress: Progress | None = None) -> ChannelWorth:
    """Measures what each channel of layer 2 is worth on a photograph, and any set of them.

    Args:
        model: the network.
        sample: the photograph, of any size: only sums are kept. One sample serves all snapshots of a run.
        progress: called as progress(done, total), in tiles.
    """
    painted = _PaintedLuminance(model, sample)
    original = luminance(sample.original.double())[0]  # (H, W)
    count = model.widths[1]
    error, correlation = torch.zeros((), dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
    gram = torch.zeros(count, count, dtype=torch.float64)
    tiles = painted.exact.tiles()
    for done, tile in enumerate(tiles, start=1):
        parts = painted(tile)  # (n, pixels)
        difference = original[tile.slices].flatten() - painted.constant - parts.sum(0)
        error += difference @ difference
        correlation += parts @ difference
        gram += parts @ parts.T
        if progress:
            progress(done, len(tiles))
    pixels = original.numel()
    return ChannelWorth(float(error / pixels), correlation / pixels, gram / pixels)


@dataclass(frozen=True)
class MeanWorth:
    """The mean of `ChannelWorth` figures over several photographs: of the dB, and of the Shapley values.

    Attributes:
        psnr: dB.
        worth_db: (n,) dB.
        shapley: (n,), in squared values of Y.
    """

    psnr: float
    worth_db: Tensor
    shapley: Tensor

    @property
    def ranking(self) -> list[int]:
        """The channels, the one with the largest `worth_db` first."""
        return _ranking(self.worth_db)

    def to_dict(self) -> dict:
        """Returns plain values for JSON, as `ChannelWorth.to_dict`."""
        return _plain_figures(self.psnr, self.worth_db, self.shapley)


def mean_worth(worths: Sequence[ChannelWorth]) -> MeanWorth:
    """Returns the mean over photographs; there must be at least one, all with the same network."""
    return MeanWorth(
        psnr=float(torch.stack([worth.psnr() for worth in worths]).mean()),
        worth_db=torch.stack([worth.worth_db for worth in worths]).mean(0),
        shapley=torch.stack([worth.shapley for worth in worths]).mean(0),
    )


@dataclass(frozen=True)
class Transplants:
    """What one channel of another snapshot does in place of the same channel of the final network.

    Attributes:
        steps: the steps of the snapshots.
        psnr: on Y in dB, of the final network as it is.
        transplanted: (steps, n) dB, of the final network in which what one channel of layer 2 paints is replaced by
            what it paints in the snapshot. nan for a channel that neither has.
    """

    steps: tuple[int, ...]
    psnr: float
    transplanted: Tensor

    @property
    def change(self) -> Tensor:
        """The change in dB, (steps, n): near 0 from the step on at which a channel does its later work."""
        return self.transplanted - self.psnr


def transplants(
    model: SRCNN, snapshots: Mapping[int, SRCNN], sample: Sample, progress: Progress | None = None
) -> Transplants:
    """Measures the final network with one channel of layer 2 taken from an earlier snapshot, for all channels.

    The change of the mean squared error needs only what both paint: mean((e + p_c − p'_c)²).

    Args:
        model: the final network.
        snapshots: networks of the same widths by their steps, such as those of a run.
        sample: the photograph.
        progress: called as progress(done, total), in tiles times snapshots.

    Raises:
        InputError: no snapshot, or one of other widths or channels than the final network's.
    """
    if not snapshots:
        raise InputError("there is no snapshot to take channels from, expected at least one")
    for step, snapshot in snapshots.items():
        if (snapshot.channels, snapshot.widths[1]) != (model.channels, model.widths[1]):
            raise InputError(
                f"the snapshot of step {step} has {snapshot.widths[1]} channels in layer 2, expected {model.widths[1]}"
            )
    final = _PaintedLuminance(model, sample)
    givers = [_PaintedLuminance(snapshot, sample) for snapshot in snapshots.values()]
    original = luminance(sample.original.double())[0]
    total = torch.zeros((), dtype=torch.float64)
    change = torch.zeros(len(givers), model.widths[1], dtype=torch.float64)
    tiles = final.exact.tiles()
    for number, tile in enumerate(tiles):
        parts = final(tile)
        difference = original[tile.slices].flatten() - final.constant - parts.sum(0)
        total += difference @ difference
        for row, giver in enumerate(givers):
            replaced = parts - giver(tile)  # (n, pixels)
            change[row] += (2 * difference * replaced + replaced.square()).sum(1)
            if progress:
                progress(number * len(givers) + row + 1, len(tiles) * len(givers))
    pixels = original.numel()
    transplanted = _psnr(((total + change) / pixels).clamp_min(0))
    return Transplants(tuple(snapshots), float(_psnr(total / pixels)), transplanted)
