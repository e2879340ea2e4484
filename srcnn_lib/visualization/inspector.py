"""The inspector: feature maps, ranges and figures of a photograph, by layer and snapshot of a run."""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .. import activations
from ..data.images import Picture
from ..errors import InputError
from ..evaluation.sample import Sample
from ..model import LAYERS, SRCNN
from ..run import Run, Snapshot
from . import channel_analysis, figures
from .channel_analysis import ChannelReport
from .frames import limit_of
from .layers import LAYER_NAMES, ChannelAddress, layer_kernels
from .pictures import crop_picture, open_picture, region_at, region_of_largest_error
from .style import Figure

CACHE_BYTES = 512 * 2**20  # of feature maps that are kept
WEAKEST = 0.02  # least limit of a channel, as a share of its layer's: weaker channels are not enlarged to noise


class Inspector:
    """Computes and draws what the networks of a run, or the one in a weights file, make of a photograph.

        Inspector("runs/first", "samples:astronaut").channel_figure("layer_1:12", step=256)

    Feature maps are cached. A `step` is one of `steps`; None means the newest. Ranges of values cover the first and the
    newest snapshot together, so that a color means the same value at every step.

    Args:
        source: a run, its folder, or a weights file, whose only step is 0.
        picture: as in `open_picture`.
        crop: side in pixels of the square that is cut out of a larger photograph.
        at: (row, column) of its top left pixel; None for the place where bicubic's error is largest.

    Attributes:
        picture: what is shown, the photograph or a square of it.
        photograph: the whole photograph.
        region: top, left, height and width of the square in it; None where it is shown whole.

    Raises:
        InputError: for a source without snapshots or weights, or a picture that can't be read.
    """

    def __init__(
        self,
        source: Run | str | Path,
        picture: Picture | str | Path = "samples:astronaut",
        *,
        crop: int = 256,
        at: tuple[int, int] | None = None,
    ):
        self.source = source.path if isinstance(source, Run) else Path(source)
        self.run = None if self.source.is_file() else Run(self.source)
        snapshots = self.run.snapshots() if self.run else [Snapshot(0, 0, self.source)]
        if not snapshots:
            raise InputError(f"{self.source} has no snapshots yet; train it first")
        self._snapshots = {snapshot.step: snapshot for snapshot in snapshots}
        self.steps = list(self._snapshots)
        self._first_and_last = {self.steps[0], self.steps[-1]}
        self._maps: OrderedDict[int, dict[str, Tensor]] = OrderedDict()  # the least recently used step first
        self._models: dict[int, SRCNN] = {}
        self._limits: dict[tuple[str | ChannelAddress, bool], float] = {}
        self.photograph = self.picture = open_picture(picture, self.run)
        if at is None:
            self.region = region_of_largest_error(self.photograph, crop, self.model().scale)
        else:
            self.region = region_at(self.photograph, crop, at)
        if self.region:
            why = "" if at else ", where bicubic errs most"
            self.picture = crop_picture(self.photograph, self.region, why)
        self.sample = Sample(self.picture.pixels, self.model())

    def model(self, step: int | None = None) -> SRCNN:
        """Returns the network as it was after a step.

        Raises:
            InputError: for a step without a snapshot; the message lists the steps that have one.
        """
        step = self.steps[-1] if step is None else step
        if step not in self._snapshots:
            raise InputError(f"there is no snapshot of step {step}, only of {', '.join(map(str, self.steps))}")
        if step not in self._models:
            self._models[step] = self._snapshots[step].load()
        return self._models[step]

    # Values

    def feature_maps(self, layer: str, step: int | None = None, before_relu: bool = False) -> Tensor:
        """Returns a layer's maps, (channels, H, W), after its ReLU unless `before_relu`; layer 3 has none."""
        values = self._signed_maps(layer, step)
        return values if activations.is_signed(layer, before_relu) else values.relu()

    def feature_map(self, address: str | ChannelAddress, step: int | None = None, before_relu: bool = False) -> Tensor:
        """Returns the map of one channel, such as "layer_2:16", (H, W)."""
        layer, channel = ChannelAddress.parse(address, self.model(step))
        values = self._signed_maps(layer, step)[channel]
        return values if activations.is_signed(layer, before_relu) else values.relu()

    def _signed_maps(self, layer: str, step: int | None) -> Tensor:
        """Returns a layer's maps before its ReLU, from the cache if they are there."""
        step = self.steps[-1] if step is None else step
        model = self.model(step)
        activations.get_layer(model, layer)  # refuses an unknown one
        if step not in self._maps:
            maps = activations.feature_maps(model, self.sample.network_input, before_relu=True)
            self._maps[step] = {name: values[0] for name, values in maps.items()}
            size = sum(values.nbytes for values in self._maps[step].values())
            while len(self._maps) > 1 and len(self._maps) * size > CACHE_BYTES:
                self._maps.popitem(last=False)
        self._maps.move_to_end(step)
        return self._maps[step][layer]

    def layer_limit(self, layer: str, before_relu: bool = False) -> float:
        """Returns the limit of the range in which the maps of a layer are drawn."""
        key = (layer, before_relu)
        if key not in self._limits:
            self._limits[key] = _limit([self.feature_maps(layer, step, before_relu) for step in self._first_and_last])
        return self._limits[key]

    def channel_limit(self, address: str | ChannelAddress, before_relu: bool = False) -> float:
        """Returns the limit of the range in which the map of a channel is drawn; at most its layer's."""
        address = ChannelAddress.parse(address, self.model())
        key = (address, before_relu)
        if key not in self._limits:
            limit = _limit([self.feature_map(address, step, before_relu) for step in self._first_and_last])
            of_layer = self.layer_limit(address.layer, before_relu)
            self._limits[key] = min(max(limit, WEAKEST * of_layer), of_layer)
        return self._limits[key]

    def channel_reports(self, layer: str, step: int | None = None) -> list[ChannelReport]:
        """Returns a report on each channel of a layer, measured on this picture."""
        return channel_analysis.describe_channels(self.model(step), [self.sample.network_input], layer)

    # Figures, which a notebook displays and `save_figure` writes

    def channel_figure(
        self, address: str | ChannelAddress, step: int | None = None, before_relu: bool = False
    ) -> Figure:
        """Returns a figure of one channel: its map, the network's input, its kernel and its measurements."""
        model = self.model(step)
        address = ChannelAddress.parse(address, model)
        return figures.channel_figure(
            self.sample.network_input,
            self.feature_map(address, step, before_relu),
            layer_kernels(model, address.layer)[address.channel],
            rgb=address.layer == LAYERS[0],
            limit=self.channel_limit(address, before_relu),
            title=f"{address}, {self._step_name(step)}",
            report=self.channel_reports(address.layer, step)[address.channel],
        )

    def channels_figure(
        self, layer: str, step: int | None = None, before_relu: bool = False, *, labels: Sequence[str] | None = None
    ) -> Figure:
        """Returns a figure of all channels of a layer, each with its number and, if given, its label."""
        maps = self.feature_maps(layer, step, before_relu)
        title = f"{LAYER_NAMES[layer]}: {len(maps)} channels of {layer}, {self._step_name(step)}"
        return figures.channels_figure(maps, limit=self.layer_limit(layer, before_relu), labels=labels, title=title)

    def kernels_figure(self, layer: str = LAYERS[0], step: int | None = None, *, sort: str = "orientation") -> Figure:
        """Returns a figure of all kernels of a layer, sorted as `figures.kernels_figure` describes."""
        return figures.kernels_figure(self.model(step), layer, sort=sort)

    def receptive_field_figure(self, at: tuple[int, int] | None = None) -> Figure:
        """Returns a figure of how much of the picture one value of each layer depends on."""
        return figures.receptive_field_figure(self.picture.pixels, self.model(), at=at)

    def comparison_figure(self, step: int | None = None) -> Figure:
        """Returns a figure of original, bicubic and SRCNN with a zoom, PSNR and SSIM on Y."""
        model = self.model(step)
        sample = self.sample
        output = sample.reconstruct(model)
        scores = {"bicubic": sample.bicubic_scores, "srcnn": sample.scores(output)}
        return figures.comparison_figure(sample.original, sample.upsampled, sample.to_image(output), scores=scores)

    def _step_name(self, step: int | None) -> str:
        return f"step {self.steps[-1] if step is None else step}" if self.run else self.source.name


def _limit(maps: Sequence[Tensor]) -> float:
    """Returns the limit for maps of equal size, computed on every second row and column, which is enough."""
    values = torch.stack([each[..., ::2, ::2] for each in maps])
    # A channel that is hardly ever active is drawn up to its peak.
    return limit_of(values, 0.999 if values.count_nonzero() > 0.001 * values.numel() else 1)
