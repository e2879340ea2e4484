"""The player page: a run's training in one HTML file, in which one scrubber updates every panel."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ... import metrics
from ...activations import feature_maps
from ...data.color import from_network_channels, luminance, to_network_channels
from ...data.degradation import degrade
from ...data.images import Picture, to_rgb_pixels
from ...data.regions import Box, largest_error_region
from ...errors import InputError
from ...model import LAYERS
from ...run import Run, Snapshot
from ...runtime.console import Progress
from ..curves import SETS, Points, Series, loss_series, psnr_series
from ..frames import evenly_spaced, limit_of
from ..layers import LAYER_NAMES, has_rgb_kernels, layer_kernels
from ..pictures import open_picture
from ..style import COLORS
from .page import encode_picture, render_page
from .sheets import COLUMNS, add_sheets, kernel_sheet, map_sheet, tile_size

SHOWN_LAYERS = LAYERS[:2]  # whose channels have a sheet
KERNEL_LEVELS = {"layer_1": 127, "layer_2": 7}  # stored from zero to the limit; layer 2 has ten times more weights
ROOT_LAYERS = ("layer_2",)  # stored as square roots: in seven equal levels, random initial weights would all be zero
WEAKEST = 0.02  # least limit of a channel, as a share of the strongest one's: weak channels are not enlarged to noise
THUMBNAIL = 480  # pixels of the whole photograph's longer side


@dataclass(frozen=True)
class View:
    """The part of a photograph that the player shows, and the pixels around it that the network needs."""

    name: str
    notes: tuple[str, ...]
    photograph: Tensor  # (C, H, W), the whole
    box: Box  # of the part, in the photograph
    original: Tensor  # (C, h, w)
    bicubic: Tensor  # (C, h, w)
    window: Tensor  # (C, h + up to 2 · halo, w + …), bicubic with the pixels around it
    inside: tuple[slice, slice]  # rows and columns of the part, in the window

    def crop(self, window: Tensor) -> Tensor:
        """Cuts the part out of anything of the window's size: (…, H, W) → (…, h, w)."""
        return window[..., *self.inside]


@dataclass(frozen=True)
class Frame:
    """The output of one snapshot for the view, with its feature maps and kernels."""

    step: int
    epoch: int
    psnr: float | None  # dB on the part's Y; None for equal pictures
    picture: Tensor  # (C, h, w) in [0, 1]
    maps: dict[str, Tensor]  # {layer: (channels, h, w)} float16, after ReLU
    kernels: dict[str, Tensor]  # {layer: (outputs, inputs, k, k)}


def render_player(
    run: Run,
    photograph: Picture | str | Path | None = None,
    *,
    crop: int = 96,
    box: tuple[int, int] | None = None,
    frames: int = 60,
    max_mb: float = 8.0,
    progress: Progress | None = None,
) -> str:
    """Returns a self-contained HTML page that steps through a training.

    It shows the picture, its error, all channels of two layers, the kernels and the learning curves at every snapshot.
    `write_page(text, path)` writes it, IPython's `HTML(text)` displays it.

    Args:
        run: with at least one snapshot.
        photograph: as in `open_picture`; it is degraded by the run's scale. None for the first tile of the run's probe.
        crop: side in pixels of the square that is shown.
        box: top and left of that square in pixels; None for where bicubic's error is largest.
        frames: the largest number of snapshots, evenly spaced; the first and the last are among them.
        max_mb: largest size of the page in megabytes (10⁶ bytes): the feature maps are compressed until it fits, and if
            that is not enough, snapshots are left out.
        progress: called as progress(done, total), in snapshots.

    Raises:
        InputError: for a picture that can't be read, a box outside it, no snapshots, or a `max_mb` that can't be met.
    """
    for name, value, smallest in (("crop", crop, 16), ("frames", frames, 2)):
        if value < smallest:
            raise InputError(f"{name} is {value}, expected {smallest} or more")
    if not (math.isfinite(max_mb) and max_mb > 0):
        raise InputError(f"max_mb is {max_mb:g}, expected a positive number such as 8")
    snapshots = run.snapshots()
    if not snapshots:
        raise InputError(f"{run.path} has no snapshots yet; train it first")

    # 1. The output of each snapshot.
    view = view_of(run, photograph, crop, box)
    shown = []
    chosen = evenly_spaced(snapshots, frames)
    for done, snapshot in enumerate(chosen, start=1):
        shown.append(frame_of(snapshot, view))
        if progress:
            progress(done, len(chosen))

    # 2. One range for all snapshots: with a range for each, equal values would change their color.
    map_limits = {layer: _channel_limits([frame.maps[layer] for frame in shown]) for layer in SHOWN_LAYERS}
    kernel_limits = {
        layer: limit_of(torch.stack([frame.kernels[layer] for frame in shown]), 0.998) for layer in SHOWN_LAYERS
    }

    # 3. The data of the page: what is the same at every step, then as many snapshots as fit.
    psnr = _psnr(luminance(view.bicubic), view)
    data = {
        **_header(run, view),
        **_pictures(view, psnr),
        "layers": [_layer(layer, view, shown[-1], map_limits[layer], kernel_limits[layer]) for layer in SHOWN_LAYERS],
        "curves": _curves(run.history(), shown, psnr),
    }
    rgb = has_rgb_kernels(run.model(), LAYERS[0])
    encoded = [_encode_frame(frame, kernel_limits, rgb) for frame in shown]
    sheets = [[map_sheet(frame.maps[layer], map_limits[layer]) for layer in SHOWN_LAYERS] for frame in shown]
    room = max_mb * 1e6 - 1000 - len(render_page("player", data["title"], data | {"frames": []}).encode())
    data["frames"] = add_sheets(encoded, sheets, int(room))
    if not data["frames"]:
        raise InputError(f"the player would take more than {max_mb:g} MB; ask for fewer frames or a smaller crop")
    if (kept := len(data["frames"])) < len(snapshots):
        data["notes"].append(f"{kept} of the run's {len(snapshots)} snapshots.")
    return render_page("player", data["title"], data)


def view_of(run: Run, photograph: Picture | str | Path | None, crop: int, box: tuple[int, int] | None) -> View:
    """Opens and degrades the photograph, and returns the part that is shown; the arguments are `render_player`'s."""
    if photograph is None:
        (upsampled, *_), (original, *_) = run.probe()
        picture = Picture(original, name="a tile of the run's probe")
    else:
        picture = open_picture(photograph, run)
        upsampled, original = degrade(picture.pixels, run.config.scale)
    full_height, full_width = original.shape[-2:]
    height = min(crop, full_height)
    width = min(crop, full_width)
    top, left = box or largest_error_region(original, upsampled, (height, width))[:2]
    if not (0 <= top <= full_height - height and 0 <= left <= full_width - width):
        raise InputError(
            f"box is {top},{left}, expected the top (to {full_height - height}) and left (to {full_width - width}) "
            f"of a crop of {width} × {height} pixels in {picture.name}, {full_width} × {full_height}"
        )
    notes = picture.notes
    if (height, width) != (full_height, full_width):
        reason = "as asked for" if box else "where bicubic loses most"
        size = f"Of {full_width} × {full_height} pixels {width} × {height} are shown"
        notes = (*notes, f"{size}, at {left}, {top}: {reason}.")
    # With the pixels around it, the part is restored as in the whole picture.
    halo = run.config.halo
    above = min(halo, top)
    before = min(halo, left)
    window = upsampled[:, top - above : top + height + halo, left - before : left + width + halo]
    inside = (slice(above, above + height), slice(before, before + width))
    return View(
        name=picture.name,
        notes=notes,
        photograph=picture.pixels,
        box=(top, left, height, width),
        original=original[:, top : top + height, left : left + width],
        bicubic=window[:, *inside],
        window=window,
        inside=inside,
    )


def frame_of(snapshot: Snapshot, view: View) -> Frame:
    """Runs the network of a snapshot over the view."""
    model = snapshot.load()
    maps = feature_maps(model, to_network_channels(view.window, model.channels))
    output = maps[LAYERS[-1]][0]
    picture = view.crop(from_network_channels(output, view.window).clamp(0, 1))
    # The output of a Y network is measured as it is, not after a conversion to RGB and back.
    y = view.crop(output) if model.channels == 1 else luminance(picture)
    return Frame(
        step=snapshot.step,
        epoch=snapshot.epoch,
        psnr=_psnr(y, view),
        picture=picture,
        maps={layer: view.crop(maps[layer][0]).half() for layer in SHOWN_LAYERS},
        kernels={layer: layer_kernels(model, layer) for layer in SHOWN_LAYERS},
    )


def _psnr(y: Tensor, view: View) -> float | None:
    value = metrics.psnr(y, luminance(view.original)).item()
    return round(value, 3) if math.isfinite(value) else None


def _channel_limits(maps: list[Tensor]) -> Tensor:
    """Returns the limit of each channel's range, the same for all snapshots: (channels,).

    Args:
        maps: (channels, h, w) of each snapshot.
    """
    beyond = math.prod(maps[0].shape[1:]) // 1000 + 1  # a pixel in a thousand may exceed the limit
    peaks = torch.stack([of_snapshot.flatten(1).topk(beyond).values[:, -1] for of_snapshot in maps]).float().amax(0)
    strongest = float(peaks.max()) or 1.0
    return torch.tensor([float(f"{peak:.3g}") for peak in peaks.clamp_min(WEAKEST * strongest).tolist()])


# The data of the page


def _header(run: Run, view: View) -> dict:
    """Returns the texts of the page about the run and the photograph."""
    model = run.model()
    channels = "luminance (Y)" if model.channels == 1 else "RGB"
    filters = "-".join(map(str, model.filters))
    widths = "-".join(map(str, model.widths))
    return {
        "title": f"SRCNN learns to restore {view.name}",
        "about": f"{filters}, {widths} channels on {channels}, ×{run.config.scale:g}, the run {run.name}",
        "notes": [note if note.endswith(".") else f"{note}." for note in view.notes],
        "name": view.name,
    }


def _pictures(view: View, psnr: float | None) -> dict:
    """Returns the pictures that stay the same at every step; `psnr` is bicubic's."""
    factor = min(1.0, THUMBNAIL / max(view.photograph.shape[-2:]))
    thumbnail = view.photograph
    if factor < 1:
        thumbnail = F.interpolate(view.photograph[None], scale_factor=factor, mode="area")[0]
    error = (luminance(view.bicubic) - luminance(view.original)).clamp(-1, 1)
    return {
        "side": tuple(view.original.shape[-2:]),
        "box": [length * factor for length in view.box],
        "whole": encode_picture(to_rgb_pixels(thumbnail), quality=70),
        "bicubic": encode_picture(to_rgb_pixels(view.bicubic)),
        "original": encode_picture(to_rgb_pixels(view.original)),
        "psnr": psnr,
        "error": limit_of(error, 0.995),
        "colors": COLORS,
    }


def _layer(layer: str, view: View, frame: Frame, map_limits: Tensor, kernel_limit: float) -> dict:
    """Returns the title of a layer, and how its sheets are laid out and decoded."""
    return {
        "title": f"Layer {LAYERS.index(layer) + 1}, {LAYER_NAMES[layer].lower()}",
        "columns": COLUMNS,
        "tile": tile_size(*view.original.shape[-2:]),
        "limits": map_limits.tolist(),
        "kernel": [*frame.kernels[layer].shape[:3], kernel_limit],
        "root": layer in ROOT_LAYERS,
    }


def _curves(history: list[dict], frames: list[Frame], bicubic: float | None) -> dict:
    """Returns the charts above the scrubber, by name; the last line of each carries the cursor's dot.

    Args:
        history: the run's records.
        frames: of the snapshots that are shown.
        bicubic: PSNR of the bicubic picture.
    """

    def line(label: str, color: str, points: Points) -> dict:
        return {"label": label, "color": color, "points": points}

    def chart(title: str, lines: list[dict], rule: float | None = None, log: bool = False) -> dict:
        return {"title": title, "lines": [line for line in lines if line["points"]], "rule": rule, "log": log}

    def lines_of(series: list[Series]) -> list[dict]:
        return [line(each.label, SETS[each.label], each.points) for each in series]

    crop: Points = [(frame.step, frame.psnr) for frame in frames if frame.psnr is not None]
    psnr = psnr_series(history)
    charts = {
        "crop": chart("PSNR of this crop", [line("SRCNN on this crop", "ink", crop)], bicubic),
        "run": chart("PSNR of the run", lines_of(psnr), psnr[-1].bicubic),
        "loss": chart("Loss", lines_of(loss_series(history)), log=True),
    }
    return {name: chart for name, chart in charts.items() if chart["lines"]}


def _encode_frame(frame: Frame, kernel_limits: dict[str, float], rgb: bool) -> dict:
    """Returns the data of a snapshot except for the feature maps: numbers, the picture, the kernels.

    Args:
        frame: of the snapshot.
        kernel_limits: {layer: the weight at the end of the color range}.
        rgb: whether the kernels of layer 1 are RGB.
    """
    kernels = []
    for layer in SHOWN_LAYERS:
        is_rgb = rgb and layer == LAYERS[0]
        is_root = layer in ROOT_LAYERS
        levels = KERNEL_LEVELS[layer]
        sheet = kernel_sheet(frame.kernels[layer], kernel_limits[layer], levels, rgb=is_rgb, root=is_root)
        kernels.append(encode_picture(sheet))
    return {
        "step": frame.step,
        "epoch": frame.epoch,
        "psnr": frame.psnr,
        "picture": encode_picture(to_rgb_pixels(frame.picture)),
        "kernels": kernels,
    }
