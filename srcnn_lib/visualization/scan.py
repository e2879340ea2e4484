"""The clip of a scan: one network restores a photograph patch by patch.

A frame holds the picture, in which what is not done yet is dimmed; the patch that was done last, enlarged, as bicubic
and as SRCNN show it; and the gain over bicubic, which grows with the patches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..errors import InputError
from ..evaluation.sample import Sample
from ..inference.options import MODES
from ..inference.patches import positions
from ..inference.upscaling import reconstruct
from ..model import SRCNN
from ..runtime.console import Progress
from .frames import GAP, caption, enlarge, evenly_spaced, frame_colors, join, outline, pad, repeat_pixels

PATCH = 33  # side in pixels, as in training
STRIDE = 11  # pixels from one patch to the next in an overlapping scan; most pixels then lie in nine patches
DIMMED = 0.3  # how much of a pixel's brightness remains where nothing is done yet
MIN_CHART = 48  # height in pixels of the chart of the gain

Place = tuple[slice, slice]  # rows and columns of a patch


def scan_clip(
    model: SRCNN,
    photograph: Tensor | Sample,
    mode: str = "non-overlapping",
    *,
    patch: int = PATCH,
    stride: int = STRIDE,
    frames: int = 60,
    theme: str = "dark",
    progress: Progress | None = None,
) -> np.ndarray:
    """Shows one network restoring a photograph patch by patch, row by row.

    The bicubic picture is dimmed where no patch is done. The newest patch is outlined and, at the right, enlarged:
    above as bicubic shows it, below as the network does. The chart below the picture is the gain in PSNR on Y over
    bicubic, of the whole picture.

    Args:
        model: the network.
        photograph: (C, H, W) in [0, 1]; the clip begins with its bicubic picture.
        mode: "non-overlapping": a patch overwrites what it covers; "overlapping": a pixel is the mean of all outputs
            for it so far.
        patch: side of a patch in pixels.
        stride: pixels from one patch to the next, for "overlapping". The cost grows with its inverse square: at 11 most
            pixels lie in nine patches, at 1 in more than a thousand.
        frames: how many, evenly spaced over the patches; the first shows no patch, the last all of them.
        theme: "dark" or "light", the background.
        progress: called as progress(done, total), in patches.

    Returns:
        (T, H, W, 3) uint8; the picture stands at the top left, enlarged by a whole factor. The caption states the
        number of patches, and PSNR as in `reconstruction_clip`.

    Raises:
        InputError: for another mode, a stride below 1 or above the patch, fewer than one frame, or a photograph or
            theme that `reconstruction_clip` refuses.
    """
    stride = check_stride(mode, patch, stride)
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more")
    sample = photograph if isinstance(photograph, Sample) else Sample(photograph, model)
    tops, lefts = (positions(length, patch, stride) for length in sample.network_input.shape[-2:])
    places = [(slice(top, top + patch), slice(left, left + patch)) for top in tops for left in lefts]
    shown = evenly_spaced(range(len(places) + 1), frames)  # numbers of patches that are done
    begin = sample.to_pixels(sample.network_input)
    steps = []
    for done, output in enumerate(_scan(sample.network_input, model, places, mean=mode == "overlapping")):
        if done in shown:
            gain = sample.psnr_y(output) - sample.bicubic_scores.psnr_y
            steps.append(_Step(done, sample.to_pixels(output), gain, sample.psnr_label(output)))
        if progress and done:
            progress(done, len(places))
    clip = _compose(begin, steps, places, theme)
    return caption(clip, [f"patch {step.done} of {len(places)}" for step in steps], [s.label for s in steps], theme)


def check_stride(mode: str, patch: int, stride: int) -> int:
    """Returns the pixels from one patch to the next: `stride`, or `patch` where patches do not overlap.

    Raises:
        InputError: for a mode that runs no patches, or a stride below 1 or above the patch.
    """
    if mode not in MODES[1:]:
        raise InputError(f"mode is {mode!r}, expected {' or '.join(MODES[1:])}")
    stride = stride if mode == "overlapping" else patch
    if not 1 <= stride <= patch:
        raise InputError(f"patch is {patch} and stride {stride}, expected a stride from 1 to the patch")
    return stride


@dataclass(frozen=True)
class _Step:
    """The picture when a number of patches are done."""

    done: int
    pixels: np.ndarray  # (H, W, 3) uint8
    gain: float  # over bicubic, in dB
    label: str


def _scan(upsampled: Tensor, model: SRCNN, places: Sequence[Place], mean: bool) -> Iterator[Tensor]:
    """Yields the picture (C, H, W) before the first patch and after each one: the same tensor, updated in place."""
    result = upsampled.clone()
    total = torch.zeros(upsampled.shape, dtype=torch.float64)
    count = torch.zeros(upsampled.shape)
    yield result
    for rows, columns in places:
        here = (slice(None), rows, columns)
        output = reconstruct(upsampled[here], model)  # (C, patch, patch)
        total[here] += output
        count[here] += 1
        result[here] = (total[here] / count[here]).float() if mean else output
        yield result


def _compose(begin: np.ndarray, steps: Sequence[_Step], places: Sequence[Place], theme: str) -> np.ndarray:
    """Lays out each step: the dimmed picture above the chart, and at the right the two insets. Returns (T, H, W, 3)."""
    pictures = enlarge(np.stack([_dim(step, places, theme) for step in steps]))
    factor = pictures.shape[1] // len(begin)
    newest = _newest_places(begin, steps, places)
    for picture, (rows, columns) in zip(pictures, newest, strict=True):
        top, left, bottom, right = (factor * at for at in (rows.start, columns.start, rows.stop, columns.stop))
        outline(picture, top, left, bottom, right, theme)
    pictures = caption(pictures, "gain over bicubic", theme=theme)
    insets = _insets(begin, steps, newest, factor, pictures.shape[1] + MIN_CHART, theme)
    height = max(insets.shape[1], pictures.shape[1] + MIN_CHART)
    charts = _charts([step.gain for step in steps], height - pictures.shape[1], pictures.shape[2], theme)
    column = pad(np.concatenate([pictures, charts], axis=1), height, pictures.shape[2] + GAP, theme)
    return np.concatenate([column, pad(insets, height, insets.shape[2], theme)], axis=2)


def _dim(step: _Step, places: Sequence[Place], theme: str) -> np.ndarray:
    """Returns the picture (H, W, 3) uint8 with less contrast where no patch is done."""
    done = np.zeros(step.pixels.shape[:2], bool)
    for rows, columns in places[: step.done]:
        done[rows, columns] = True
    ground = frame_colors(theme).ground.astype(float)
    dimmed = ground + DIMMED * (step.pixels - ground)
    return np.where(done[..., None], step.pixels, np.round(dimmed).astype(np.uint8))


def _newest_places(begin: np.ndarray, steps: Sequence[_Step], places: Sequence[Place]) -> list[Place]:
    """Returns the patch that each step shows enlarged: the newest one.

    Before the first patch, and when all are done, it is the patch that changes most.
    """
    changes = [np.abs(steps[-1].pixels[place].astype(int) - begin[place]).sum() for place in places]
    most_changed = places[int(np.argmax(changes))]
    return [places[step.done - 1] if 0 < step.done < len(places) else most_changed for step in steps]


def _insets(
    begin: np.ndarray, steps: Sequence[_Step], newest: Sequence[Place], factor: int, height: int, theme: str
) -> np.ndarray:
    """Returns one patch of each step, enlarged, as bicubic and as the network shows it: (T, H, W, 3).

    Args:
        begin: the bicubic picture, (H, W, 3) uint8.
        steps, newest: the steps, and the patch of each.
        factor: how far the picture beside the insets is enlarged.
        height: of the insets in pixels, which they may exceed if the picture is small.
        theme: of the captions.
    """
    side = newest[0][0].stop - newest[0][0].start
    enlargement = max(factor + 1, (height - 60) // (2 * side))  # 60 for the two captions
    before = np.stack([begin[place] for place in newest])
    after = np.stack([step.pixels[place] for step, place in zip(steps, newest, strict=True)])
    panels = [
        caption(repeat_pixels(patches, enlargement), text, theme=theme)
        for patches, text in ((before, "bicubic"), (after, "SRCNN"))
    ]
    return join(panels, columns=1, theme=theme)


def _charts(gains: Sequence[float], height: int, width: int, theme: str) -> np.ndarray:
    """Returns the gain as an area that grows from the left, a frame for each step: (T, height, width, 3)."""
    colors = frame_colors(theme)
    low, high = min(0.0, *gains), max(0.1, *gains)
    xs = np.linspace(0, width - 1, len(gains)) if len(gains) > 1 else np.array([width - 1.0])
    ys = [GAP + (height - GAP - 1) * (high - gain) / (high - low) for gain in gains]
    base = GAP + (height - GAP - 1) * high / (high - low)  # where the gain is zero
    charts = []
    for shown in range(1, len(gains) + 1):
        image = Image.new("RGB", (width, height), tuple(colors.ground.tolist()))
        draw = ImageDraw.Draw(image)
        line = list(zip(xs[:shown].tolist(), ys[:shown], strict=True))
        if shown > 1:
            area = np.round(colors.ground + 0.45 * (colors.mark.astype(float) - colors.ground)).astype(int)
            draw.polygon([(line[0][0], base), *line, (line[-1][0], base)], fill=tuple(area.tolist()))
            draw.line(line, fill=tuple(colors.mark.tolist()), width=2)
        draw.line([(0, base), (width, base)], fill=tuple(colors.line.tolist()))
        charts.append(np.asarray(image))
    return np.stack(charts)
