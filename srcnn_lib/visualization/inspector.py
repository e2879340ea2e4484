"""A photograph looked at through the networks of a run: what each layer and channel sees of it, at every snapshot."""

import dataclasses
import glob
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..data import images
from ..data.degradation import degrade
from ..data.download import is_address
from ..data.images import Picture
from ..data.regions import largest_error_region
from ..data.sources import load_photographs
from ..errors import InputError
from ..evaluation import quality
from ..evaluation.sample import Sample
from ..model import LAYERS, SRCNN
from ..run import Run, Snapshot
from . import activations, figures
from .activations import ChannelReport
from .figures import Figure, limit_of

KEPT = 512 * 2**20  # bytes of feature maps that are held
WEAKEST = 0.02  # of the layer's range: a channel that stays below is drawn as weak as it is, not as noise


class Inspector:
    """A photograph, looked at through the networks of a run, or through the one in a file of weights.

        Lens("runs/first", "samples:astronaut").channel("layer_1:12", step=256)

    What the layers see is kept, so that the next look at it costs nothing. A step is one of `steps`, None the newest.
    Ranges of values are those of the first and the newest snapshot together: the same color means the same value at
    every step.

    Args:
        source: a run, its folder, or a file of weights, whose only step is 0.
        picture: as in `open_picture`.
        crop: side in pixels of the square that is taken of a larger photograph: where bicubic loses most.

    Raises:
        InputError: no run, no snapshots, no weights, or a picture that can't be read.
    """

    def __init__(
        self, source: Run | str | Path, picture: Picture | str | Path = "samples:astronaut", *, crop: int = 256
    ):
        self.source = source.path if isinstance(source, Run) else Path(source)
        self.run = None if self.source.is_file() else Run(self.source)
        self._snapshots = {snapshot.step: snapshot for snapshot in _snapshots(self.source, self.run)}
        self.steps = list(self._snapshots)
        self._maps: OrderedDict[int, dict[str, Tensor]] = OrderedDict()
        self._models: dict[int, SRCNN] = {}
        self._limits: dict[tuple, float] = {}
        self.picture = cropped(open_picture(picture, self.run), crop, self.model().scale)
        self.scene = Sample(self.picture.pixels, self.model())

    def model(self, step: int | None = None) -> SRCNN:
        """The network as it was after a step.

        Raises:
            InputError: a step without a snapshot.
        """
        step = self.steps[-1] if step is None else step
        if step not in self._snapshots:
            raise InputError(f"there is no snapshot of step {step}, only of {', '.join(map(str, self.steps))}")
        if step not in self._models:
            self._models[step] = self._snapshots[step].load()
        return self._models[step]

    def maps(self, layer: str, step: int | None = None, before_relu: bool = False) -> Tensor:
        """(channels, H, W): what a layer sees, after its ReLU unless `before_relu`; layer 3 has none."""
        step, model = self.steps[-1] if step is None else step, self.model(step)
        if step not in self._maps:
            seen = activations.feature_maps(model, self.scene.seen, before_relu=True)
            self._maps[step] = {name: values[0] for name, values in seen.items()}
            held = sum(values.nbytes for values in self._maps[step].values())
            while len(self._maps) > 1 and len(self._maps) * held > KEPT:
                self._maps.popitem(last=False)
        self._maps.move_to_end(step)
        if layer not in LAYERS:
            raise InputError(f"{layer!r} is no layer of this network, expected one of {', '.join(LAYERS)}")
        values = self._maps[step][layer]
        return values if before_relu or layer == LAYERS[-1] else values.relu()

    def map(self, address: str, step: int | None = None, before_relu: bool = False) -> Tensor:
        """(H, W): what one channel sees, such as "layer_2:16"; channels count from 0."""
        layer, channel = activations.parse_address(address, self.model(step))
        values = self.maps(layer, step, before_relu=True)[channel]
        return values if before_relu or layer == LAYERS[-1] else values.relu()

    def limit(self, address: str, before_relu: bool = False) -> float:
        """The largest value that is told apart in a layer ("layer_2") or one of its channels ("layer_2:16")."""
        layer, colon, _ = address.partition(":")
        key = (address, before_relu)
        if key not in self._limits:
            look, ends = self.map if colon else self.maps, {self.steps[0], self.steps[-1]}
            # A quarter of the pixels tells as much.
            values = torch.stack([look(address, step, before_relu)[..., ::2, ::2] for step in ends])
            # Of a channel that is hardly ever active the few values are all there is to see.
            limit = limit_of(values, 0.999 if values.count_nonzero() > 0.001 * values.numel() else 1)
            if colon:
                whole = self.limit(layer, before_relu)
                limit = min(max(limit, WEAKEST * whole), whole)
            self._limits[key] = limit
        return self._limits[key]

    # Figures, to be shown as they are or written with figures.save

    def channel(self, address: str, step: int | None = None, before_relu: bool = False) -> Figure:
        """One channel large, beside the bicubic picture and the kernel that it was seen with; what it does, below."""
        layer, number = activations.parse_address(address, self.model(step))
        return figures.channel(
            self.scene.seen,
            self.map(address, step, before_relu),
            activations.kernels(self.model(step), layer)[number],
            colors=layer == LAYERS[0],
            limit=self.limit(address, before_relu),
            title=f"{address}, {self._name(step)}",
            report=self.reports(layer, step)[number],
        )

    def sheet(
        self, layer: str, step: int | None = None, before_relu: bool = False, *, labels: Sequence[str] | None = None
    ) -> Figure:
        """All channels of a layer, each with its number and label."""
        maps = self.maps(layer, step, before_relu)
        title = f"{figures.STEPS[layer]}: {len(maps)} channels of {layer}, {self._name(step)}"
        return figures.channel_sheet(maps, limit=self.limit(layer, before_relu), labels=labels, title=title)

    def reports(self, layer: str, step: int | None = None) -> list[ChannelReport]:
        """What each channel of a layer does, measured on this picture."""
        return activations.describe(self.model(step), [self.scene.seen], layer)

    def kernels(self, layer: str = LAYERS[0], step: int | None = None, *, sort: str = "orientation") -> Figure:
        """All kernels of a layer, sorted by what they do."""
        return figures.kernel_sheet(self.model(step), layer, sort=sort)

    def receptive_field(self, at: tuple[int, int] | None = None) -> Figure:
        """How much of the picture one value of each layer depends on."""
        return figures.receptive_field_figure(self.picture.pixels, self.model(), at=at)

    def comparison(self, step: int | None = None) -> Figure:
        """Original, bicubic and SRCNN with a zoom, PSNR and SSIM on Y."""
        model = self.model(step)
        bicubic, srcnn, original = quality.restore(model, self.picture.pixels, model.scale)
        measured = {"bicubic": bicubic, "srcnn": srcnn}
        measured = {name: quality.score(made, original, model.scale) for name, made in measured.items()}
        scores = {name: (found["psnr_y"], found["ssim_y"]) for name, found in measured.items()}
        return figures.comparison(original["rgb"], bicubic["rgb"], srcnn["rgb"], scores=scores)

    def _name(self, step: int | None) -> str:
        return f"step {self.steps[-1] if step is None else step}" if self.run else self.source.name


def open_picture(source: Picture | str | Path, run: Run | None = None) -> Picture:
    """The photograph that is meant, without its transparency: what the network would see of it.

    Args:
        source: a picture that is read already, an address, a file, what `datasets.photographs` knows, of which the
            first is taken, such as "samples:astronaut", or "probe:0" to "probe:3", a tile of the run's probe.

    Raises:
        InputError: nothing of all that.
    """
    if isinstance(source, Picture):
        return _opaque(source)
    name = str(source)
    if name.startswith("probe:"):
        if run is None or name[6:] not in ("0", "1", "2", "3"):
            raise InputError(f"{name} is no picture: only runs have a probe, with the tiles probe:0 to probe:3")
        return Picture(run.probe()[1][int(name[6:])], name=name)
    path = Path(name)
    # What is written like a file but isn't there is missed as a file, not as a set.
    a_file = path.is_file() or (path.suffix and not path.is_dir() and not glob.has_magic(name))
    return _opaque(images.read_image(name) if is_address(name) or a_file else load_photographs(name)[0])


def _opaque(picture: Picture) -> Picture:
    """`notes` says where a transparency was left out."""
    if picture.alpha is None:
        return picture
    note = f"{picture.name}: transparency is left out"
    return dataclasses.replace(picture, alpha=None, notes=(*picture.notes, note))


def cropped(picture: Picture, side: int, scale: float) -> Picture:
    """The square of at most `side` pixels in which bicubic loses most; `notes` says where a picture was larger."""
    upsampled, original = degrade(picture.pixels, scale)
    height, width = original.shape[-2:]
    if max(height, width) <= side:
        return picture
    top, left, tall, wide = largest_error_region(original, upsampled, (side, side))
    note = f"Of {width} × {height} pixels {wide} × {tall} are shown, at {left}, {top}: where bicubic loses most."
    pixels = original[:, top : top + tall, left : left + wide].clone()
    return dataclasses.replace(picture, pixels=pixels, alpha=None, notes=(*picture.notes, note))


def _snapshots(path: Path, run: Run | None) -> list[Snapshot]:
    found = run.snapshots() if run else [Snapshot(0, 0, path)]
    if not found:
        raise InputError(f"{path} has no snapshots yet; train it first")
    return found
