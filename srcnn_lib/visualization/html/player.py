"""The player: a run's learning as one HTML file, in which one scrubber drives every panel at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ... import metrics
from ...data.color import luminance
from ...data.degradation import degrade
from ...data.images import Picture
from ...data.regions import Box, largest_error_region
from ...errors import InputError
from ...inference.upscaling import apply
from ...run import Run, Snapshot
from ..activations import capture, kernels
from ..figures import COLORS, STEPS, limit_of
from ..inspector import open_picture
from ..video import evenly
from . import page, sheets

SHOWN = ("layer_1", "layer_2")  # whose channels have a sheet
DARKEST = 0.02  # of the strongest channel's range: what a channel must reach not to be drawn as noise
LEVELS = {"layer_1": 127, "layer_2": 7}  # steps of a weight from zero to the limit; layer 2 has ten times more of them
ROOT = ("layer_2",)  # by their square root: in few even steps the weights that a training starts from are all zero


@dataclass(frozen=True)
class View:
    """What the player looks at: a crop of a photograph, and as much around it as the network sees."""

    name: str
    whole: Tensor  # (C, H, W) the photograph
    box: Box  # of the crop, in the photograph
    original: Tensor  # (C, h, w)
    bicubic: Tensor  # (C, h, w)
    window: Tensor  # (C, h + up to 2·halo, w + …), bicubic with its surround
    inner: tuple[slice, slice]  # of the crop, in the window
    notes: tuple[str, ...]

    def crop(self, window: Tensor) -> Tensor:
        """(…, of the window's size) → (…, h, w)."""
        return window[..., *self.inner]


@dataclass(frozen=True)
class Frame:
    """What one snapshot makes of the view."""

    step: int
    epoch: int
    psnr: float | None  # dB on the crop's Y; None for equal pictures
    picture: Tensor  # (h, w, 3) uint8
    maps: dict[str, Tensor]  # (channels, h, w) float16, after ReLU
    kernels: dict[str, Tensor]  # (outputs, inputs, k, k)


def player(
    run: Run,
    image: Picture | str | Path | None = None,
    *,
    crop: int = 96,
    box: tuple[int, int] | None = None,
    frames: int = 60,
    max_mb: float = 8.0,
    progress: Callable[[int, int], object] | None = None,
) -> str:
    """A run's learning as a self-contained HTML page; `pages.write(text, path)` writes it, `HTML(text)` shows it.

    Args:
        run: with a snapshot or more.
        image: a photograph, as in `lens.open_picture`, which is degraded by the run's scale; None for the first tile
            of the run's probe.
        crop: side in pixels of what is shown of it.
        box: the crop's top and left in pixels; None for where bicubic loses most.
        frames: at most so many snapshots, evenly taken; the first and the last are among them.
        max_mb: what the page may take; the feature maps' sheets are compressed until they fit, and should that not
            do, snapshots are left out.
        progress: called with how many snapshots are done, and of how many.

    Raises:
        InputError: a picture that can't be read, a box outside it, no snapshots, or a size that can't be kept.
    """
    for name, value, least in (("crop", crop, 16), ("frames", frames, 2)):
        if value < least:
            raise InputError(f"{name} is {value}, expected {least} or more")
    if not (math.isfinite(max_mb) and max_mb > 0):
        raise InputError(f"max_mb is {max_mb:g}, expected a positive number such as 8")
    snapshots = run.snapshots()
    if not snapshots:
        raise InputError(f"{run.path} has no snapshots yet; train it first")
    snapshots = [snapshots[place] for place in evenly(len(snapshots), frames)]
    view = _view(run, image, crop, box)
    shown = []
    for done, snapshot in enumerate(snapshots, start=1):
        shown.append(_frame(snapshot, view))
        if progress:
            progress(done, len(snapshots))
    limits = _limits(shown)
    ends = {layer: limit_of(torch.stack([frame.kernels[layer] for frame in shown]), 0.998) for layer in SHOWN}
    data = _facts(run, view, shown, limits, ends)
    room = max_mb * 1e6 - 1000 - len(page.render_page("player", data["title"], data | {"frames": []}).encode())
    maps = [[sheets.sheet(frame.maps[layer], limits[layer]) for layer in SHOWN] for frame in shown]
    data["frames"] = sheets.fitted([_exact(frame, ends) for frame in shown], maps, int(room))
    if not data["frames"]:
        raise InputError(f"the player would take more than {max_mb:g} MB; ask for fewer frames or a smaller crop")
    if (kept := len(data["frames"])) < (total := len(run.snapshots())):
        data["notes"].append(f"{kept} of the run's {total} snapshots.")
    return page.render_page("player", data["title"], data)


def _view(run: Run, image: Picture | str | Path | None, crop: int, box: tuple[int, int] | None) -> View:
    """The photograph, degraded as the run's were, and where to look at it."""
    if image is None:
        (bicubic, *_), (original, *_) = run.probe()
        picture = Picture(original, name="a tile of the run's probe")
    else:
        picture = open_picture(image, run)
        bicubic, original = degrade(picture.pixels, run.config.scale)
    height, width = original.shape[-2:]
    tall, wide = min(crop, height), min(crop, width)
    top, left = box or largest_error_region(original, bicubic, (tall, wide))[:2]
    if not (0 <= top <= height - tall and 0 <= left <= width - wide):
        raise InputError(
            f"box is {top},{left}, expected the top (to {height - tall}) and left (to {width - wide}) "
            f"of a crop of {wide} × {tall} pixels in {picture.name}, {width} × {height}"
        )
    notes = list(picture.notes)
    if (tall, wide) != (height, width):
        why = "as asked for" if box else "where bicubic loses most"
        notes.append(f"Of {width} × {height} pixels {wide} × {tall} are shown, at {left}, {top}: {why}.")
    # With its surround the crop comes out as it does in the whole picture.
    halo = run.config.halo
    above, before = min(halo, top), min(halo, left)
    window = bicubic[:, top - above : top + tall + halo, left - before : left + wide + halo]
    inner = (slice(above, above + tall), slice(before, before + wide))
    original = original[:, top : top + tall, left : left + wide]
    return View(
        picture.name, picture.pixels, (top, left, tall, wide), original, window[:, *inner], window, inner, tuple(notes)
    )


def _frame(snapshot: Snapshot, view: View) -> Frame:
    model = snapshot.load()
    with capture(model) as maps:
        rgb = view.crop(apply(view.window, model))
    # Of a Y network its own output is measured, not what is left of it after a way through 8-bit RGB.
    y = view.crop(maps["layer_3"][0]) if model.channels == 1 else luminance(rgb)
    return Frame(
        snapshot.step,
        snapshot.epoch,
        _psnr(y, view.original),
        _rgb(rgb),
        {layer: view.crop(maps[layer][0]).half() for layer in SHOWN},
        {layer: kernels(model, layer) for layer in SHOWN},
    )


def _psnr(y: Tensor, original: Tensor) -> float | None:
    value = metrics.psnr(y, luminance(original)).item()
    return round(value, 3) if math.isfinite(value) else None


def _rgb(pixels: Tensor) -> Tensor:
    """(C, h, w) in [0, 1] → (h, w, 3) uint8."""
    return page.bytes_of(pixels.expand(3, -1, -1)).permute(1, 2, 0)


def _facts(run: Run, view: View, shown: list[Frame], limits: dict[str, Tensor], ends: dict[str, float]) -> dict:
    """All that does not change from snapshot to snapshot."""
    model = run.model("newest")
    side = tuple(view.original.shape[-2:])
    what = "luminance (Y)" if model.channels == 1 else "RGB"
    filters, widths = "-".join(map(str, model.filters)), "-".join(map(str, model.widths))
    off = (luminance(view.bicubic) - luminance(view.original)).clamp(-1, 1)
    small = min(1.0, 480 / max(view.whole.shape[-2:]))
    whole = F.interpolate(view.whole[None], scale_factor=small, mode="area")[0] if small < 1 else view.whole
    psnr = _psnr(luminance(view.bicubic), view.original)
    return {
        "title": f"SRCNN learns to restore {view.name}",
        "about": f"{filters}, {widths} channels on {what}, ×{run.config.scale:g}, the run {run.name}",
        "notes": [note if note.endswith(".") else f"{note}." for note in view.notes],
        "name": view.name,
        "side": side,
        "box": [length * small for length in view.box],
        "whole": page.encoded(_rgb(whole), quality=70),
        "bicubic": page.encoded(_rgb(view.bicubic)),
        "original": page.encoded(_rgb(view.original)),
        "psnr": psnr,
        "error": limit_of(off, 0.995),
        "colors": COLORS,
        "layers": [
            {
                "title": f"Layer {number}, {STEPS[layer].lower()}",
                "columns": sheets.COLUMNS,
                "tile": sheets.tile(*side),
                "limits": limits[layer].tolist(),
                "kernel": [*shown[-1].kernels[layer].shape[:3], ends[layer]],
                "root": layer in ROOT,
            }
            for number, layer in enumerate(SHOWN, start=1)
        ],
        "curves": _curves(run.history(), shown, psnr),
    }


def _curves(history: list[dict], shown: list[Frame], psnr: float | None) -> dict:
    """What the chart above the scrubber can show; the last line of each carries the cursor's dot."""

    def line(label: str, color: str, points) -> dict:
        points = [[step, value] for step, value in points if value is not None and math.isfinite(value)]
        return {"label": label, "color": color, "points": points}

    def recorded(name: str):
        return [(record["step"], record.get(name)) for record in history]

    def curve(title: str, lines: list[dict], rule: float | None = None, log: bool = False) -> dict:
        lines = [line for line in lines if line["points"]]
        return {"title": title, "lines": lines, "rule": rule, "bicubic": rule, "log": log}

    bicubic = [value for _, value in recorded("validation_bicubic_psnr_y") if value is not None]
    curves = {
        "crop": curve("PSNR here", [line("SRCNN on this crop", "ink", [(f.step, f.psnr) for f in shown])], psnr),
        "test": curve(
            "PSNR in the run",
            [
                line("train", "orange", recorded("train_psnr_y")),
                line("test", "blue", recorded("validation_psnr_y")),
            ],
            bicubic[-1] if bicubic else None,
        ),
        "loss": curve(
            "Loss",
            [line("train", "orange", recorded("train_loss")), line("test", "blue", recorded("validation_loss"))],
            log=True,
        ),
    }
    return {name: curve for name, curve in curves.items() if curve["lines"]}


def _limits(shown: list[Frame]) -> dict[str, Tensor]:
    """The largest value of each channel that is told apart, one for all snapshots: a range of each frame's own fakes
    motion. (channels,) for each layer."""
    limits = {}
    for layer in SHOWN:
        above = math.prod(shown[0].maps[layer].shape[1:]) // 1000 + 1  # a pixel in a thousand may lie beyond
        peaks = [frame.maps[layer].flatten(1).topk(above).values[:, -1] for frame in shown]
        peaks = torch.stack(peaks).float().amax(0)
        strongest = float(peaks.max()) or 1.0
        limits[layer] = torch.tensor([float(f"{peak:.3g}") for peak in peaks.clamp_min(DARKEST * strongest).tolist()])
    return limits


def _in_color(layer: str, weight: Tensor) -> bool:
    return layer == SHOWN[0] and weight.shape[1] == 3


def _exact(frame: Frame, ends: dict[str, float]) -> dict:
    """What is kept as it is: figures, the reconstruction, the kernels."""
    return {
        "step": frame.step,
        "epoch": frame.epoch,
        "psnr": frame.psnr,
        "picture": page.encoded(frame.picture),
        "kernels": [
            page.encoded(
                sheets.kernel_image(weight, ends[layer], LEVELS[layer], _in_color(layer, weight), layer in ROOT)
            )
            for layer, weight in frame.kernels.items()
        ],
    }
