"""The laboratory: one HTML file in which the network itself runs, so that everything it does can be looked into.

It holds the weights of a run's snapshots and a photograph. The page, in laboratory/*.js, computes the rest.
"""

import base64
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import weights
from ...data.degradation import degrade
from ...data.images import Picture, to_rgb_pixels
from ...data.named_sets import SAMPLES, sample_files
from ...data.regions import Box, region_around, subject_region
from ...errors import InputError
from ...model import SRCNN
from ...run import Run, Snapshot
from ...runtime.console import Progress
from ..curves import SETS, Series, gain_series, loss_series
from ..frames import evenly_spaced
from ..pictures import is_training_photograph, open_picture
from ..style import COLORS
from .page import encode_picture, render_page

LARGEST = 384  # pixels of the longer side of the part of a photograph that the page holds
SAMPLE_SIDE = 112  # pixels of the parts of the sample photographs, in which the page looks for what excites a channel
SMALLEST_CROP = 16
DROPPED_BITS = (0, 2)  # of float16's last bits, tried in turn before snapshots are left out


@dataclass(frozen=True)
class Network:
    """What the page shows under one name: the snapshots of a run, or one weights file."""

    name: str
    model: SRCNN  # the newest
    snapshots: list[Snapshot]  # without a run, one that is step 0
    run: Run | None = None
    trained: bool = False  # on the photograph that the page shows


def render_laboratory(
    sources: Run | str | Path | Sequence[Run | str | Path],
    photograph: Picture | str | Path | None = None,
    *,
    crop: int = 96,
    box: tuple[int, int] | None = None,
    frames: int = 60,
    max_mb: float = 8.0,
    progress: Progress | None = None,
) -> str:
    """Returns a self-contained HTML page in which the networks of a training run on a photograph.

    `write_page(text, path)` writes it, IPython's `HTML(text)` displays it.

    Args:
        sources: a run, a weights file, or several of them with one scale.
        photograph: as in `open_picture`; the page degrades it by the network's scale. None for the first tile of the
            first run's probe; without a run, for the sample "astronaut".
        crop: side in pixels of the square that the page works on.
        box: top and left of that square in pixels; None for the subject of a sample photograph, otherwise for
            `subject_region`.
        frames: the largest number of snapshots of a run, evenly spaced; the first and the last are among them.
        max_mb: largest size of the page in megabytes (10⁶ bytes). Where it allows, the weights are stored in float32,
            otherwise in float16, but for the newest ones; if that is not enough, with two bits less; then snapshots are
            left out.
        progress: called as progress(done, total), in snapshots.

    Raises:
        InputError: for a picture that can't be read, a box outside it, no snapshots, networks of different scales, or a
            `max_mb` that can't be met.
    """
    for name, value, smallest in (("crop", crop, SMALLEST_CROP), ("frames", frames, 2)):
        if value < smallest:
            raise InputError(f"{name} is {value}, expected {smallest} or more")
    if not (math.isfinite(max_mb) and max_mb > 0):
        raise InputError(f"max_mb is {max_mb:g}, expected a positive number such as 8")
    several = sources if isinstance(sources, Sequence) and not isinstance(sources, str) else [sources]
    if not several:
        raise InputError("no run is given, expected at least one run or weights file")
    networks = [_open(source) for source in several]
    scales = {network.model.scale for network in networks}
    if len(scales) > 1:
        listed = ", ".join(f"×{scale:g}" for scale in sorted(scales))
        raise InputError(f"the networks are for {listed}, expected one scale: the page shows them on one picture")

    picture = _open_photograph(photograph, next((network.run for network in networks if network.run), None))
    networks = [replace(one, trained=bool(one.run and is_training_photograph(picture, one.run))) for one in networks]
    scale = networks[0].model.scale
    title = f"A network restores {picture.name}"
    data: dict[str, Any] = {
        "title": title,
        "scale": scale,
        "crop": crop,
        "colors": COLORS,
        "photograph": _photograph(picture, scale, crop, box, _sample_name(photograph, picture)),
        "samples": _samples(scale),
    }
    empty = [_describe(network, []) for network in networks]
    room = max_mb * 1e6 - 1000 - len(render_page("laboratory", title, data | {"runs": empty}).encode())
    runs = _fit(networks, frames, int(room), progress)
    if runs is None:
        raise InputError(f"the laboratory would take more than {max_mb:g} MB; ask for fewer frames or a larger max-mb")
    for network, run in zip(networks, runs, strict=True):
        if (kept := len(run["snapshots"])) < len(network.snapshots):
            data["photograph"]["notes"].append(f"{kept} of the {len(network.snapshots)} snapshots of {network.name}.")
    return render_page("laboratory", title, data | {"runs": runs})


def _as_run(source: Run | str | Path) -> Run | None:
    if isinstance(source, Run):
        return source
    return Run(source) if Path(source).is_dir() or not Path(source).exists() else None


def _open(source: Run | str | Path) -> Network:
    run = _as_run(source)
    if run is None:
        path = Path(str(source))
        return Network(path.stem, weights.load(path), [Snapshot(0, 0, path)])
    snapshots = run.snapshots()
    if not snapshots:
        raise InputError(f"{run.path} has no snapshots yet; train it first")
    return Network(run.name, snapshots[-1].load(), snapshots, run)


def _open_photograph(photograph: Picture | str | Path | None, run: Run | None) -> Picture:
    if photograph is not None:
        return open_picture(photograph, run)
    if run is None:
        return open_picture("samples:astronaut")
    return Picture(run.probe()[1][0], name="a tile of the run's probe")


# The photographs


def _sample_name(photograph: Picture | str | Path | None, picture: Picture) -> str | None:
    """Returns which of SAMPLES was asked for; None for another photograph."""
    name = Path(picture.name).stem if photograph is None else str(photograph).partition("samples:")[2]
    return name if not isinstance(photograph, Picture) and name in SAMPLES else None


def _choose_crop(original: Tensor, upsampled: Tensor, side: int, sample: str | None) -> tuple[Box, str]:
    """Returns the square that the page begins with, and how it was chosen."""
    if sample and (subject := SAMPLES[sample].subject):
        return region_around(subject, original, (side, side)), ", chosen by hand for this sample"
    region = subject_region(original, upsampled, (side, side))
    return region, ", chosen for much lost detail near the middle"


def _photograph(
    picture: Picture, scale: float, crop: int, box: tuple[int, int] | None, sample: str | None = None
) -> dict:
    """Returns the part of a photograph that the page holds, and the place of the crop in it.

    Raises:
        InputError: the box is not inside the photograph.
    """
    upsampled, original = degrade(picture.pixels, scale)
    full_height, full_width = original.shape[-2:]
    if box:
        (top, left), why = box, ", as asked for"
        height, width = min(crop, full_height), min(crop, full_width)
    else:
        (top, left, height, width), why = _choose_crop(original, upsampled, crop, sample)
    if not (0 <= top <= full_height - height and 0 <= left <= full_width - width):
        raise InputError(
            f"box is {top},{left}, expected the top (to {full_height - height}) and left (to {full_width - width}) "
            f"of a crop of {width} × {height} pixels in {picture.name}, {full_width} × {full_height}"
        )
    # The page degrades the part again: it begins at whole pixels of the small picture, so that nothing shifts.
    side = max(LARGEST, crop + 64)
    above, before = (
        _begin(at, length, whole, side, scale)
        for at, length, whole in ((top, height, full_height), (left, width, full_width))
    )
    part = picture.pixels[:, above : above + side, before : before + side]
    notes = [note if note.endswith(".") else f"{note}." for note in picture.notes]
    if part.shape != picture.pixels.shape:
        notes.append(
            f"Of {picture.pixels.shape[2]}×{picture.pixels.shape[1]} pixels the page holds "
            f"{part.shape[2]}×{part.shape[1]}."
        )
    return {
        "name": picture.name,
        "picture": encode_picture(to_rgb_pixels(part)),
        "notes": notes,
        "at": [above, before],
        "box": [top - above, left - before],
        "why": why,
    }


def _begin(at: int, length: int, whole: int, side: int, scale: float) -> int:
    """Returns where a part of `side` pixels with the crop in its middle begins, on the small picture's grid."""
    if whole <= side:
        return 0
    grid = round(scale) if float(scale).is_integer() else 1
    return min(max(0, at + length // 2 - side // 2), whole - side) // grid * grid


def _samples(scale: float) -> list[str]:
    """Returns parts of the sample photographs, slightly compressed; [] where they are not installed."""
    try:
        names = list(sample_files())
    except InputError:
        return []
    parts = []
    for name in names[:6]:
        pixels = open_picture(f"samples:{name}").pixels
        upsampled, original = degrade(pixels, scale)
        (top, left, height, width), _ = _choose_crop(original, upsampled, SAMPLE_SIDE, name)
        part = original[:, top : top + height, left : left + width]
        parts.append(encode_picture(to_rgb_pixels(part), quality=92))
    return parts


# The weights


def _describe(network: Network, snapshots: list[dict]) -> dict:
    model = network.model
    channels = "luminance (Y)" if model.channels == 1 else "RGB"
    filters = " and ".join(", ".join(f"{side}×{side}" for side in model.filters).rsplit(", ", 1))
    first, second = model.widths
    return {
        "name": network.name,
        "about": f"{network.name}: {_origin(network)}filters of {filters} pixels, {first} and {second} channels, "
        f"on {channels}, ×{model.scale:g}",
        "trained": network.trained,
        "net": {
            "channels": model.channels,
            "filters": model.filters,
            "widths": model.widths,
            "zeros": model.padding_mode == "zeros",
        },
        "snapshots": snapshots,
        "curves": _curves(network.run.history() if network.run else []),
    }


def _origin(network: Network) -> str:
    """Says what a run started from and was trained on, which its name may not tell."""
    if not network.run:
        return ""
    config = network.run.config
    start = {"torch": "random weights", "identity": "a copy of its input"}.get(config.init, "given weights")
    sources = [Path(source).name for source in config.data]
    listed = f"{', '.join(sources[:2])}{' and others' if len(sources) > 2 else ''}"
    return f"trained from {start} on {listed}; "


def _curves(history: list[dict]) -> dict:
    """Returns the charts above the scrubber that the run has measured: gain over bicubic in dB, squared error."""

    def lines(series: list[Series]) -> list[dict]:
        return [{"label": one.label, "color": SETS[one.label], "points": one.points} for one in series if one.points]

    charts: dict[str, dict[str, Any]] = {
        "run": {
            "title": "Gain of the run",
            "unit": "dB",
            "lines": lines(gain_series(history)),
            "rule": 0.0,
            "log": False,
        },
        "loss": {
            "title": "Mean squared error",
            "unit": "levels²",
            "lines": lines(loss_series(history)),
            "rule": None,
            "log": True,
        },
    }
    return {name: chart for name, chart in charts.items() if chart["lines"]}


def _fit(networks: list[Network], frames: int, room: int, progress: Progress | None) -> list[dict] | None:
    """Returns the networks with as many snapshots, as exact, as fit into `room` bytes; None if not even two do."""
    chosen = [evenly_spaced(network.snapshots, frames) for network in networks]
    total, done = sum(map(len, chosen)), 0
    flat = []
    for snapshots in chosen:
        rows = []
        for snapshot in snapshots:
            rows.append(_flat_weights(snapshot.load() if snapshot.path.exists() else networks[0].model))
            done += 1
            if progress:
                progress(done, total)
        flat.append(rows)
    count = max(map(len, chosen))
    while count >= min(2, max(map(len, chosen))):
        for dropped in (None, *DROPPED_BITS):
            runs, size = [], 0
            for network, snapshots, rows in zip(networks, chosen, flat, strict=True):
                kept = evenly_spaced(range(len(rows)), count)
                texts = encode_weights([rows[number] for number in kept], dropped)
                size += sum(len(text["weights"]) + 80 for text in texts)
                steps = [{"step": snapshots[number].step, "epoch": snapshots[number].epoch} for number in kept]
                runs.append(_describe(network, [step | text for step, text in zip(steps, texts, strict=True)]))
            if size <= room:
                return runs
        count = min(count - 1, count * 7 // 8)
    return None


def _flat_weights(model: SRCNN) -> np.ndarray:
    """Returns all weights in the order of the file, (n,) float32."""
    return torch.cat([parameter.detach().float().flatten() for parameter in model.parameters()]).numpy()


def encode_weights(snapshots: list[np.ndarray], dropped: int | None) -> list[dict]:
    """Encodes the weights of snapshots for the page: zlib streams of byte planes, in base64.

    float16 may be stored as the difference to the snapshot before, which is mostly zero where little has changed.
    Half a unit in its last place changes a network's output by up to 0.001; so the newest snapshot is always float32.

    Args:
        snapshots: (n,) float32 each.
        dropped: None to store all in float32; otherwise the last bits of float16 that are rounded away, 0 for none.

    Returns:
        {"format": "float32", "float16" or "difference", "weights"} for each.
    """
    encoded = []
    before = np.zeros_like(snapshots[0], np.int32)
    for number, values in enumerate(snapshots):
        if dropped is None or number == len(snapshots) - 1:
            choices = {"float32": values.astype("<f4").view(np.uint8).reshape(-1, 4)}
        else:
            bits = values.astype(np.float16).view(np.uint16).astype(np.int32)
            size = ((bits & 0x7FFF) + (1 << dropped >> 1)) >> dropped << dropped
            order = np.where(bits >> 15, -size, size)  # ascending with the value
            choices = {"float16": _fold(order), "difference": _fold(order - before)}
            before = order
        contents = {name: zlib.compress(planes.T.tobytes(), 7) for name, planes in choices.items()}
        name = min(contents, key=lambda name: len(contents[name]))
        encoded.append({"format": name, "weights": base64.b64encode(contents[name]).decode("ascii")})
    return encoded


def _fold(change: np.ndarray) -> np.ndarray:
    """Returns the two bytes of each 16-bit number, (n, 2): small ones of either sign have a high byte of zero."""
    change = change.astype(np.int16).astype(np.int32)  # differences wrap around
    return ((change << 1) ^ (change >> 31)).astype("<u2").view(np.uint8).reshape(-1, 2)
