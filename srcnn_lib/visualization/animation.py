"""Clips of a run: what its snapshots make of a picture, step by step, as frames (T, H, W, 3) uint8.

Photographs are (C, H, W) in [0, 1], RGB or grey; they are reduced by the network's scale and brought back, as in
training. The range of values that the colors stand for is fixed over all frames of a clip, and said in it.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.degradation import degrade
from ..data.regions import largest_error_region
from ..errors import InputError
from ..evaluation.sample import Sample
from ..inference import patches, upscaling
from ..model import LAYERS, SRCNN
from ..run import Run, Snapshot
from . import activations, video
from .figures import limit_of
from .frames import GAP, SIDE, Look, caption, enlarge, join, look_of, mosaic, outline, padded, tint
from .inspector import open_picture
from .video import evenly, write_clip

WHAT = ("reconstruction", "channel", "kernels", "scan")
WIDEST = 1920  # pixels of a sheet of channels: where the maps are wider they are reduced
SHEET = 480  # pixels that the kernels of a layer are wide at least

ProgressBar = Callable[[int, int], object]


def reconstruction(
    snapshots: Sequence[Snapshot],
    originals: Tensor | Sequence[Tensor],
    *,
    frames: int = 20,
    theme: str = "dark",
    progress: ProgressBar | None = None,
) -> np.ndarray:
    """What each snapshot makes of a photograph, with its step, its PSNR on Y, and what that gains over bicubic.

    Args:
        snapshots: of one run, in order.
        originals: (C, H, W), or several, which go side by side in step.
        frames: how many, evenly spread over the snapshots, the first and the last among them.
        theme: "dark" or "light", the ground of the captions; zero is dark in both.
        progress: called with how many frames are done, and of how many.

    Returns:
        (T, H, W, 3) uint8 with the caption below; small pictures are enlarged in whole steps. A Y network's pictures
        have the color of bicubic.

    Raises:
        InputError: no snapshots, fewer than one frame, no picture, one of more than 1920·1080 pixels, or no such theme.
    """
    look, chosen = look_of(theme), choose(snapshots, frames)
    scenes = _scenes(originals, chosen[0].load())
    strips, labels = [[] for _ in scenes], [[] for _ in scenes]
    for model in _networks(chosen, progress):
        for scene, strip, label in zip(scenes, strips, labels, strict=True):
            made = upscaling.reconstruct(scene.seen, model)
            strip.append(scene.pixels(made))
            label.append(scene.decibels(made))
    strips = [np.stack(strip) for strip in strips]
    return _assembled(strips, labels, _steps(chosen), look, columns=min(len(scenes), 4))


def channels(
    snapshots: Sequence[Snapshot],
    originals: Tensor | Sequence[Tensor],
    addresses: Sequence[str],
    *,
    before_relu: bool = False,
    limits: dict[str, float] | None = None,
    frames: int = 20,
    theme: str = "dark",
    progress: ProgressBar | None = None,
) -> np.ndarray:
    """What channels see in a photograph, snapshot by snapshot: several side by side in step, a row for each picture.

    After its ReLU a channel is drawn from a dark zero to orange; before it, and after layer 3, which has none, from
    blue over a dark zero to orange. Several share one range for each layer, and their colors run over its square
    root, so that weak ones are seen beside strong ones; the caption says so.

    Args:
        snapshots, originals, frames, theme, bar: as in `reconstruction`.
        addresses: such as ["layer_2:16", "layer_2:0"]; channels count from 0.
        limits: {layer: the largest value that is told apart}; without, one that 99.9 % of the layer's drawn values in
            all frames do not exceed.

    Returns:
        (T, H, W, 3) uint8 with step and limits in the caption.

    Raises:
        InputError: as `reconstruction`, or no such channel: the valid ones are listed.
    """
    look, chosen = look_of(theme), choose(snapshots, frames)
    first = chosen[0].load()
    scenes, wanted = _scenes(originals, first), [activations.parse_address(address, first) for address in addresses]
    if not wanted:
        raise InputError("there is no channel to animate, expected one or more such as layer_2:16")
    layers = [layer for layer in LAYERS if layer in dict(wanted)]
    columns = len(wanted) if len(wanted) <= 4 else 4 if len(wanted) <= 16 else 8 if len(wanted) <= 64 else 16
    # 1. The maps of all frames: only then their range is known.
    strips = [[] for _ in range(len(scenes) * len(wanted))]
    for model in _networks(chosen, progress):
        seen = [activations.feature_maps(model, scene.seen, layers, before_relu) for scene in scenes]
        drawn = [maps[layer][0, channel] for maps in seen for layer, channel in wanted]
        for strip, values in zip(strips, drawn, strict=True):
            strip.append(_reduced(values, WIDEST // columns))
    strips = [torch.stack(strip) for strip in strips]  # (T, H, W) each
    # 2. The range of each layer, the colors.
    of_strip = [layer for layer, _ in wanted] * len(scenes)
    limits = {layer: _limit(strips, of_strip, layer) for layer in layers} | (limits or {})
    signed = {layer: before_relu or layer == LAYERS[-1] for layer in layers}
    root = len(strips) > 1
    panels = [tint(strip, limits[layer], signed[layer], root) for strip, layer in zip(strips, of_strip, strict=True)]
    ranges = {layer: f"±{limits[layer]:.2g}" if signed[layer] else f"0 to {limits[layer]:.2g}" for layer in layers}
    if len(panels) == 1:
        return caption(enlarge(panels[0]), _steps(chosen), f"{addresses[0]}, {ranges[layers[0]]}", look)
    labels = [str(channel) if len(layers) == 1 else f"{layer}:{channel}" for layer, channel in wanted] * len(scenes)
    note = "; ".join(f"{layer}: {said}" for layer, said in ranges.items()) + ", square root"
    return _assembled(panels, labels, _steps(chosen), look, note, columns)


def _limit(strips: list[Tensor], of_strip: list[str], layer: str) -> float:
    return limit_of(torch.cat([strip.flatten() for strip, of in zip(strips, of_strip, strict=True) if of == layer]))


def kernels(
    snapshots: Sequence[Snapshot],
    layer: str = LAYERS[0],
    *,
    only: Sequence[int] | None = None,
    frames: int = 20,
    theme: str = "dark",
    progress: ProgressBar | None = None,
) -> np.ndarray:
    """The kernels of a layer, snapshot by snapshot, in the order of their channels, row by row.

    A kernel of an RGB network's first layer is drawn in the colors it answers to, with zero as grey; one of a later
    layer is a mosaic of its inputs. Layer 3 is drawn the other way round: what each channel of layer 2 paints.

    Args:
        snapshots, frames, theme, bar: as in `reconstruction`.
        only: the channels whose kernels are drawn; all without.

    Returns:
        (T, H, W, 3) uint8; the caption says the largest weight told apart, which 99.5 % in all frames do not exceed.

    Raises:
        InputError: as `reconstruction`, or an unknown layer.
    """
    look, chosen = look_of(theme), choose(snapshots, frames)
    colors = activations.in_color(chosen[0].load(), layer)
    weights = torch.stack([activations.kernels(model, layer) for model in _networks(chosen, progress)])
    if layer == LAYERS[-1]:
        weights = weights.transpose(1, 2)
    whole = weights.shape[1]
    weights = weights if only is None else weights[:, list(only)]
    outputs, inputs = weights.shape[1:3]  # weights: (T, outputs, inputs, size, size)
    limit = limit_of(weights, 0.995)
    if colors:
        levels = (0.5 + weights / (2 * limit)).clamp(0, 1) * 255
        tiles = levels.round().byte().movedim(2, -1).numpy()  # (T, outputs, size, size, 3)
    else:
        tiles = tint(weights, limit, signed=True)  # (T, outputs, inputs, size, size, 3)
        tiles = tiles[:, :, 0] if inputs == 1 else mosaic(tiles, math.ceil(math.sqrt(inputs)), look=look)
    columns = min(outputs, 8 if outputs <= 64 else 16)
    # The lines between kernels are as thin at any enlargement.
    factor = math.ceil(SHEET / (columns * tiles.shape[3]))
    sheet = mosaic(tiles.repeat(factor, 2).repeat(factor, 3), columns, GAP, look)
    part = "" if outputs == whole else f", {outputs} of {whole}"
    return caption(sheet, _steps(chosen), f"{layer}{part}, ±{limit:.2g}", look)


def scan(
    model: SRCNN,
    original: Tensor,
    mode: str = "non-overlapping",
    *,
    patch: int = 33,
    stride: int = 11,
    frames: int = 60,
    theme: str = "dark",
    progress: ProgressBar | None = None,
) -> np.ndarray:
    """One network at work over a photograph, patch by patch from top to bottom; the patch that is next is outlined.

    Args:
        model: the network.
        original: (C, H, W); it starts as its bicubic picture.
        mode: "non-overlapping", where a patch overwrites what it covers, or "overlapping", where a pixel is the mean of
            the values it has got so far.
        patch, stride: in pixels; the stride is for "overlapping", and costs by its square: 11 looks nine times at a
            pixel of the inside, 1 over a thousand times.
        frames: how many, evenly spread over the patches; the first has none, the last all of them.
        theme: as in `reconstruction`.
        progress: called with how many patches are done, and of how many.

    Returns:
        (T, H, W, 3) uint8 with the number of patches and PSNR as in `reconstruction`.

    Raises:
        InputError: another mode, a size below 1, a stride beyond the patch, a picture or a theme as in
            `reconstruction`.
    """
    look = look_of(theme)
    _check_mode(mode)
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more")
    stride = stride if mode == "overlapping" else patch
    if not 1 <= stride <= patch:
        raise InputError(f"patch is {patch} and stride {stride}, expected a stride from 1 to the patch")
    scene = Sample(original, model)
    tops, lefts = (patches.positions(length, patch, stride) for length in scene.seen.shape[-2:])
    places = [(slice(top, top + patch), slice(left, left + patch)) for top in tops for left in lefts]
    marks, strip, labels = evenly(len(places) + 1, frames), [], []
    for done, result in enumerate(_patchwork(scene.seen, model, places, mode == "overlapping")):
        if done in marks:
            strip.append(scene.pixels(result))
            labels.append(scene.decibels(result))
        if progress and done:
            progress(done, len(places))
    film = enlarge(np.stack(strip))
    factor = film.shape[1] // len(strip[0])
    for frame, mark in zip(film, marks, strict=True):
        if mark < len(places):
            rows, columns = places[mark]
            outline(frame, *(factor * edge for edge in (rows.start, columns.start, rows.stop, columns.stop)), look)
    return caption(film, [f"patch {mark} of {len(places)}" for mark in marks], labels, look)


def _check_mode(mode: str) -> None:
    if mode not in (modes := upscaling.MODES[1:]):
        raise InputError(f"mode is {mode!r}, expected {' or '.join(modes)}")


def _patchwork(seen: Tensor, model: SRCNN, places: list[tuple[slice, slice]], mean: bool) -> Iterator[Tensor]:
    """The picture (C, H, W) before any patch is done, and after each; always the same tensor."""
    result, total, count = seen.clone(), torch.zeros(seen.shape, dtype=torch.float64), torch.zeros(seen.shape)
    yield result
    for rows, columns in places:
        here = (slice(None), rows, columns)
        made = upscaling.reconstruct(seen[here], model)  # (C, patch, patch)
        total[here] += made
        count[here] += 1
        result[here] = (total[here] / count[here]).float() if mean else made
        yield result


def animate(
    run: Run | str | Path,
    what: str = "reconstruction",
    pictures: Sequence[str | Path | Tensor] = (),
    *,
    layer: str = LAYERS[1],
    channel: str | int | None = None,
    before_relu: bool = False,
    mode: str = "non-overlapping",
    patch: int = 33,
    stride: int = 11,
    crop: int | None = None,
    frames: int | None = None,
    fps: float | None = None,
    hold: float = 1.5,
    max_mb: float | None = None,
    theme: str = "dark",
    out: str | Path | None = None,
    progress: ProgressBar | None = None,
) -> tuple[Path, list[str]]:
    """Make a clip of a run and write it: `srcnn animate`.

    Args:
        run: a run, or its folder.
        what: "reconstruction" or "channel" or "kernels" over training, or "scan": the newest network at work.
        pictures: photographs, (C, H, W), or what `lens.open_picture` knows: files, addresses, "samples:chelsea".
            Without: the tiles of the run's probe, all four for a reconstruction, the first for the rest.
        layer, channel: "layer_2" or "2"; a channel's number, several as "0,5,8", also of different layers as
            "layer_1:3,layer_2:16", "all", or "telling": up to eight that vary much and are unlike each other. Without
            it channel 0, and of kernels all.
        before_relu: channels with their sign.
        mode, patch, stride: as in `scan`.
        crop: side in pixels of the square of each photograph that is taken: where bicubic loses most.
        frames, fps: 20 and 5 without, which is 4 s; for a scan 60, or as many as there are patches, in 4 s.
        hold: seconds that the last frame stays beyond these.
        theme: as in `reconstruction`.
        max_mb, out: as in `write_clip`; without `out` it is reconstruction.gif and so on, in the current folder.
        progress: called with how much is done, and of how much.

    Returns:
        where it was written, and notes: what a picture lost in reading, what was done for `max_mb`, a line each.

    Raises:
        InputError: no run, no snapshots, or a picture, layer, channel, mode, number or extension that can't be used;
            the valid ones are named.
    """
    if what not in WHAT:
        raise InputError(f"what is {what!r}, expected one of {', '.join(WHAT)}")
    _check_mode(mode)
    look = look_of(theme)
    run = run if isinstance(run, Run) else Run(run)
    path = Path(out or f"{what}.gif")
    if crop is not None and crop < 1:
        raise InputError(f"crop is {crop}, expected a number of pixels such as 240")
    video.check(path, 5 if fps is None else fps, hold, max_mb)
    if frames is None:
        frames = 60 if what == "scan" else 20
    newest, snapshots = run.model(), run.snapshots()
    notes = []
    if what != "scan" and (count := len(snapshots)) < frames:
        notes.append(f"{run.path} has {count} snapshot{'s' * (count > 1)}: that many frames")
    layer, how = _layer(layer), {"frames": frames, "theme": theme, "progress": progress}
    if what == "kernels":
        film = kernels(snapshots, layer, only=_only(newest, layer, channel), **how)
    else:
        originals = _photographs(run, what, pictures, crop, notes)
        if what == "reconstruction":
            film = reconstruction(snapshots, originals, **how)
        elif what == "channel":
            addresses = _addresses(newest, layer, 0 if channel is None else channel, originals)
            film = channels(snapshots, originals, addresses, before_relu=before_relu, **how)
        else:
            how |= {"patch": patch, "stride": stride}
            film = join([scan(newest, original, mode, **how) for original in originals], look=look)
    if fps is None:
        fps = len(film) / 4 if what == "scan" else 5
    return path, notes + write_clip(path, film, fps, hold=hold, max_mb=max_mb)


def _photographs(run: Run, what: str, pictures: Sequence, crop: int | None, notes: list[str]) -> list[Tensor]:
    """(C, H, W) each; `notes` gets what was lost in reading them."""
    if not pictures:
        originals = list(run.probe()[1])
        return originals if what == "reconstruction" else originals[:1]
    originals = []
    for picture in pictures:
        if not isinstance(picture, Tensor):
            picture = open_picture(picture, run)
            notes += picture.notes
            picture = picture.pixels
        if crop is not None:
            upsampled, original = degrade(picture, run.config.scale)
            top, left, height, width = largest_error_region(original, upsampled, (crop, crop))
            picture = original[:, top : top + height, left : left + width]
        originals.append(picture)
    return originals


def _layer(name: str) -> str:
    layer = f"layer_{name}" if name.isdecimal() else name
    if layer not in LAYERS:
        raise InputError(f"{name!r} is no layer of this network, expected one of {', '.join(LAYERS)}")
    return layer


def _only(model: SRCNN, layer: str, channel: str | int | None) -> list[int] | None:
    """The channels whose kernels are meant; None for all, as in layer 3, which is shown by the channels it reads."""
    if channel in (None, "all", "telling") or layer == LAYERS[-1]:
        return None
    return [activations.parse_address(address, model)[1] for address in _addresses(model, layer, channel, [])]


def _addresses(model: SRCNN, layer: str, channel: str | int, originals: list[Tensor]) -> list[str]:
    """ "0,5" of a layer → ["layer_2:0", "layer_2:5"]; "all" → all of them; "telling" → those to look at first."""
    if channel in ("all", "telling"):
        seen = [scene.seen for scene in _scenes(originals, model)]
        every = range(len(activations.kernels(model, layer)))
        return [f"{layer}:{n}" for n in (every if channel == "all" else activations.telling(model, seen, layer))]
    parts = [part.strip() for part in str(channel).split(",")]
    return [part if ":" in part else f"{layer}:{part}" for part in parts]


# What the clips are made of


def choose(snapshots: Sequence[Snapshot], frames: int) -> list[Snapshot]:
    """`frames` snapshots, evenly spread by their place in the row: early steps are as close there as they are in time.

    Raises:
        InputError: no snapshots, or fewer than one frame.
    """
    if not snapshots:
        raise InputError("there are no snapshots to animate; train the run first")
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more")
    return [snapshots[place] for place in evenly(len(snapshots), frames)]


def _steps(chosen: Sequence[Snapshot]) -> list[str]:
    return [f"step {snapshot.step:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") for snapshot in chosen]


def _scenes(originals: Tensor | Sequence[Tensor], model: SRCNN) -> list[Sample]:
    originals = [originals] if isinstance(originals, Tensor) else list(originals)
    if not originals:
        raise InputError("there is no picture to animate, expected one or more")
    return [Sample(original, model) for original in originals]


def _networks(chosen: Sequence[Snapshot], progress: ProgressBar | None) -> Iterator[SRCNN]:
    """One after the other; `progress` is told when each is done with."""
    for done, snapshot in enumerate(chosen, start=1):
        yield snapshot.load()
        if progress:
            progress(done, len(chosen))


def _reduced(values: Tensor, widest: int) -> Tensor:
    """(H, W) → (h, w): the mean of the pixels that fall together, where it is wider than `widest`."""
    height, width = values.shape
    if width <= widest:
        return values
    return F.interpolate(values[None, None], (max(1, round(height * widest / width)), widest), mode="area")[0, 0]


def _assembled(
    strips: list[np.ndarray],
    labels: Sequence[str | list[str]],
    steps: list[str],
    look: Look,
    note: str = "",
    columns: int = 1,
) -> np.ndarray:
    """One strip with step and label below; or several, each with its label, and step and note once for all."""
    if len(strips) == 1:
        return caption(enlarge(strips[0]), steps, labels[0], look)
    # Pictures of several sizes keep their proportions to each other, and their captions stand on one line.
    factor = math.ceil(min(SIDE, 3 * SIDE // columns) / max(strip.shape[2] for strip in strips))
    strips = [enlarge(strip, factor * strip.shape[2]) for strip in strips]
    tall, wide = (max(strip.shape[axis] for strip in strips) for axis in (1, 2))
    strips = [padded(strip, tall, wide, look) for strip in strips]
    panels = [caption(strip, label, look=look) for strip, label in zip(strips, labels, strict=True)]
    return caption(join(panels, columns, look), steps, note, look)
