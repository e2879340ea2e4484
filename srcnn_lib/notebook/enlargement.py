"""Enlarges a photograph in a notebook: with a progress bar, a slider, a zoomed figure and its measured quality."""

import dataclasses
import html
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..data.degradation import check_scale, resize, upscaled_size
from ..data.images import Picture, write_image
from ..data.regions import Box, largest_error_region
from ..errors import InputError
from ..evaluation.quality import Evaluation, check_memory
from ..evaluation.report import print_table
from ..evaluation.sample import Sample
from ..inference.options import InferenceOptions
from ..inference.tiling import BicubicEnlargement
from ..inference.upscaling import upscale_picture
from ..model import SRCNN
from ..pretrained import open_weights, released_for
from ..run import Run
from ..runtime import memory
from ..runtime.devices import resolve_device
from ..visualization.figures import comparison_figure, enlargement_figure
from ..visualization.html.comparison import render_comparison
from ..visualization.pictures import open_picture
from ..visualization.style import Figure
from .throttle import Throttle

if TYPE_CHECKING:
    import IPython.display

SLIDER_PIXELS = 4_000_000  # of the enlargement: larger pictures would make the saved notebook heavy
PIXEL_BYTES = 60  # of memory for a pixel of the enlargement, measured: both pictures, and the slider's
RELEASED = "released"


def open_network(network: str, scale: float, runs: str | Path = "runs") -> SRCNN:
    """Opens the network that enlarges by `scale`, on the device that is there, and prints where it is from.

    Args:
        network: "released" for the released network of that scale, the name of a run, or the path of a run or a
            weights file.
        scale: from 1.1 to 8.
        runs: the folder of the runs.

    Raises:
        InputError: there is no such network, or the scale is out of range.
    """
    check_scale(scale)
    note = None
    source = Path(network.strip() or RELEASED).expanduser()
    if str(source) == RELEASED:
        source, note = released_for(scale)
    elif not source.exists():
        source = Path(runs) / source
    if source.is_dir() and (source / "config.json").exists():
        source = Run(source).snapshot("best").path
    if not source.exists():
        raise InputError(f"network is {network!r}, expected {RELEASED!r}, the name of a run, or the path of weights")
    model, path = open_weights(source)
    if note is None and model.scale != scale:
        note = f"the picture is enlarged ×{scale:g}; the network was trained for ×{model.scale:g}"
    print(f"network: {'/'.join(path.parts[-3:] if path.parent.name == 'snapshots' else path.parts[-1:])}")
    if note:
        print(note)
    return model.to(resolve_device("auto"))


class Enlargement:
    """A photograph that is enlarged twice: by bicubic interpolation and by a network.

    Args:
        photograph: with or without transparency.
        model: the network, on any device.
        scale: from 1.1 to 8.
        options: how the network is run.
        longest_side: of the photograph, in pixels. A larger one is reduced to it first; 0 takes it as it is.

    Attributes:
        photograph: the photograph that was enlarged, which may have been reduced.
        picture: the network's enlargement, with its transparency.
        bicubic: (C, H, W) in [0, 1], of the same size.

    Raises:
        InputError: a number out of range, or an enlargement that is too large for the memory.
    """

    def __init__(
        self,
        photograph: Picture,
        model: SRCNN,
        scale: float,
        options: InferenceOptions = InferenceOptions(),
        longest_side: int = 0,
    ):
        if longest_side < 0:
            raise InputError(f"longest_side is {longest_side}, expected 0 (any size) or more")
        self.model, self.scale, self.options = model, check_scale(scale), options
        self.photograph = reduce_to(photograph, longest_side)
        for note in self.photograph.notes:
            print(note)
        height, width = self.photograph.pixels.shape[-2:]
        height, width = upscaled_size(height, width, scale)
        what = f"{photograph.name}: an enlargement to {width}×{height} pixels"
        memory.check(what, PIXEL_BYTES * height * width, "set a smaller longest_side")
        began = time.monotonic()
        with ProgressOutput(f"{photograph.name} ×{scale:g}") as progress:
            self.picture = upscale_picture(self.photograph, model, scale, options, progress)
            progress.finish(f"{width} × {height} pixels in {time.monotonic() - began:.1f} s")
        self.bicubic = BicubicEnlargement(self.photograph, scale).rows(0, height)[0].clamp(0, 1)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.bicubic.shape[-2:]
        return height, width

    def slider(self) -> "IPython.display.HTML":
        """Returns a page with bicubic and SRCNN on either side of a divider, at first at 1:1 where they differ most.

        Of an enlargement of more than 4 megapixels a part is shown.
        """
        from IPython.display import HTML

        height, width = self.size
        box = (0, 0, height, width)
        notes: list[str] = []
        if height * width > SLIDER_PIXELS:
            share = (SLIDER_PIXELS / (height * width)) ** 0.5
            box = self._box(int(height * share), int(width * share))
            notes.append(f"A part of {box[3]} × {box[2]} pixels, where the two differ most; the file has all pixels.")
        bicubic, srcnn = crop(self.bicubic, box), crop(self.picture.pixels, box)
        top, left, tall, wide = largest_error_region(srcnn, bicubic, (160, 160))
        title = f"{self.photograph.name} ×{self.scale:g}: {width} × {height} pixels"
        center = (left + wide // 2, top + tall // 2)
        return HTML(render_comparison(None, bicubic, srcnn, title=title, notes=tuple(notes), center=center))

    def figure(self, theme: str = "light") -> Figure:
        """Returns the photograph beside a zoomed detail of both enlargements, taken where they differ most."""
        side = max(24, min(*self.size, 600) // 5)
        return enlargement_figure(
            self.photograph.pixels, self.bicubic, self.picture.pixels, box=self._box(side, side), theme=theme
        )

    def measure(self, theme: str = "light") -> Figure:
        """Reduces the photograph, enlarges it again, and prints the error of both enlargements in dB.

        Returns:
            The photograph beside both, with a zoomed detail.

        Raises:
            InputError: the photograph is too large for the memory.
        """
        picture = open_picture(self.photograph)
        check_memory(picture.name, picture.pixels)
        sample = Sample(picture.pixels, self.model, self.scale, max_pixels=None)
        with ProgressOutput(f"{picture.name}, reduced and enlarged ×{self.scale:g}") as progress:
            output = sample.reconstruct(self.model, self.options, progress)
        scores = {"bicubic": sample.bicubic_scores, "srcnn": sample.scores(output)}
        print_table(Evaluation(self.scale, 1, scores["bicubic"], scores["srcnn"], {picture.name: scores}))
        return comparison_figure(sample.original, sample.upsampled, sample.to_image(output), scores=scores, theme=theme)

    def save(self, folder: str | Path, extension: str = "png") -> Path:
        """Writes the enlargement as NAME_x2.png or the like; the folder is created. Returns the file's path.

        Raises:
            InputError: an extension that can't be written.
        """
        stem = Path(self.photograph.name.replace("\\", "/")).stem.strip(". ") or "photograph"
        path = Path(folder) / f"{stem}_x{self.scale:g}.{extension.lstrip('.')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        for note in write_image(path, self.picture):
            print(note)
        return path

    def _box(self, height: int, width: int) -> Box:
        """Returns the box of this size in which both enlargements differ most."""
        return largest_error_region(self.picture.pixels, self.bicubic, (height, width))


def crop(image: Tensor, box: Box) -> Tensor:
    """Returns the part of an image (C, H, W) in a box."""
    top, left, height, width = box
    return image[:, top : top + height, left : left + width]


def reduce_to(photograph: Picture, longest_side: int) -> Picture:
    """Reduces a photograph whose longer side has more pixels than `longest_side`; 0 reduces none. A note says so."""
    height, width = photograph.pixels.shape[-2:]
    if not longest_side or max(height, width) <= longest_side:
        return photograph
    share = longest_side / max(height, width)
    size = (max(1, round(height * share)), max(1, round(width * share)))
    note = (
        f"{photograph.name}: reduced from {width} × {height} to {size[1]} × {size[0]} pixels first, so that it takes "
        "seconds; longest_side = 0 takes all pixels"
    )
    return dataclasses.replace(
        photograph,
        pixels=resize(photograph.pixels, size).clamp(0, 1),
        alpha=None if photograph.alpha is None else resize(photograph.alpha, size).clamp(0, 1),
        notes=(*photograph.notes, note),
    )


class ProgressOutput:
    """A progress bar in the output of a cell, called with `(done, total)`. Plain HTML, which a saved notebook keeps.

    Outside a notebook nothing is shown.

    Args:
        label: stands before the bar.
    """

    def __init__(self, label: str):
        self.label = label
        self._throttle = Throttle(share=0.05, shortest=0.1)
        self._last = ""
        self._display: Any = None

    def __enter__(self) -> "ProgressOutput":
        try:
            from IPython import get_ipython
            from IPython.display import HTML, display
        except ImportError:
            return self
        if get_ipython() is not None:
            self._html = HTML
            self._display = display(HTML(self._bar(0)), display_id=True)
        return self

    def __call__(self, done: int, total: int) -> None:
        if self._throttle.is_due():
            began = time.monotonic()
            self._show(self._bar(done / max(total, 1)))
            self._throttle.done(time.monotonic() - began)

    def finish(self, text: str) -> None:
        """Puts a line in place of the bar."""
        self._last = text

    def __exit__(self, *error: object) -> None:
        text = self._last or ("stopped" if error[0] else "done")
        self._show(f"<div>{html.escape(self.label)}: {html.escape(text)}</div>")

    def _bar(self, part: float) -> str:
        bar = f'<progress value="{part:.3f}" max="1" style="width: 24em; vertical-align: middle"></progress>'
        return f"<div>{html.escape(self.label)} {bar} {part:.0%}</div>"

    def _show(self, text: str) -> None:
        if self._display is not None:
            self._display.update(self._html(text))
