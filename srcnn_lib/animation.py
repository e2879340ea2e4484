"""Clips of a run: what its snapshots make of a picture, step by step, as frames (T, H, W, 3) uint8.

Photographs are (C, H, W) in [0, 1], RGB or grey; they are reduced by the network's scale and brought back, as in training.
A value range is fixed over all frames of a clip, and said in it.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from . import features, figures, images, inference, metrics
from .clips import ENCODERS, evenly, write_clip
from .degradation import degrade, shave_of
from .errors import InputError
from .figures import limit_of
from .images import luminance, rgb_to_ycbcr, ycbcr_to_rgb
from .model import LAYERS, SRCNN
from .runs import Run, Snapshot

WHAT = ("reconstruction", "channel", "kernels", "scan")
SIDE, LARGEST = 240, 1920  # pixels: what a clip is enlarged to at least, and what a sheet of channels is reduced to
PIXELS = 4_000_000  # of a photograph; 60 frames of it are 720 MB
GAP = 6  # pixels between two clips
SHADES = 193  # of a map, so that they and the caption's greys fit into a GIF's 256 colours: exact
INKS = 16  # shades of a caption's letters

Bar = Callable[[int, int], object]


# Over training


def reconstruction(
    snapshots: Sequence[Snapshot],
    originals: Tensor | Sequence[Tensor],
    *,
    frames: int = 20,
    theme: str = "dark",
    bar: Bar | None = None,
) -> np.ndarray:
    """What each snapshot makes of a photograph, with its step and its PSNR on Y against the photograph.

    Args:
        snapshots: of one run, in order.
        originals: (C, H, W), or several, which go side by side.
        frames: how many, evenly spread over the snapshots, the first and the last among them.
        theme: of the caption: "dark" or "light".
        bar: called with how many frames are done, and of how many.

    Returns:
        (T, H, W, 3) uint8 with the caption below; small pictures are enlarged in whole steps.

    Raises:
        InputError: no snapshots, or fewer than one frame.
    """
    chosen = choose(snapshots, frames)
    scenes = _scenes(originals, chosen[0].load())
    strips, labels = [[] for _ in scenes], [[] for _ in scenes]
    for done, snapshot in enumerate(chosen, start=1):
        model = snapshot.load()
        for scene, strip, label in zip(scenes, strips, labels, strict=True):
            made = inference.reconstruct(scene.seen, model)
            strip.append(scene.pixels(made))
            label.append(scene.decibels(made))
        if bar:
            bar(done, len(chosen))
    return _assembled([np.stack(strip) for strip in strips], labels, _steps(chosen), theme=theme)


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


class _Scene:
    """A photograph as the network gets it, and what it makes of it as it is shown and measured.

    seen: (C, H, W), the bicubic picture with the network's channels: Y for one, RGB (or three greys) for three.
    """

    def __init__(self, original: Tensor, model: SRCNN):
        if original.shape[-2] * original.shape[-1] > PIXELS:
            size = f"{original.shape[-1]}x{original.shape[-2]}"
            raise InputError(f"a picture of {size} is too large for a clip, expected up to {PIXELS:,} pixels; crop it")
        self.upsampled, original = degrade(original, model.scale)
        self.channels = model.channels
        y = luminance(self.upsampled)
        self.seen = y if model.channels == 1 else self.upsampled.expand(3, -1, -1)
        self._colour = rgb_to_ycbcr(self.upsampled)[1:] if len(original) > model.channels else None
        self._truth = luminance(original)
        self._shave = shave_of(model.scale) if min(y.shape[-2:]) > 2 * shave_of(model.scale) else 0
        self._bicubic = self._psnr(y)

    def pixels(self, made: Tensor) -> np.ndarray:
        """What a network made of `seen` → (H, W, 3) uint8; of a Y network with the colour of bicubic."""
        if self._colour is not None:
            made = ycbcr_to_rgb(torch.cat([made, self._colour]))
        return (self._plain(made) * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()

    def decibels(self, made: Tensor) -> str:
        """33.71 dB (+0.62): PSNR on Y, and what it gains over bicubic."""
        psnr = self._psnr(luminance(self._plain(made)))
        if math.isinf(psnr):
            return "∞ dB"
        gain = psnr - self._bicubic
        return f"{psnr:.2f} dB ({gain:+.2f})".replace("-", "−") if math.isfinite(gain) else f"{psnr:.2f} dB"

    def _plain(self, made: Tensor) -> Tensor:
        """Clamped; an RGB network's view of a grey picture is grey again."""
        if len(made) > len(self.upsampled):
            made = sum(weight * plane for weight, plane in zip(inference.LUMA, made.split(1), strict=True))
        return made.clamp(0, 1)

    def _psnr(self, y: Tensor) -> float:
        return metrics.psnr(y, self._truth, "y", self._shave).item()


def _scenes(originals: Tensor | Sequence[Tensor], model: SRCNN) -> list[_Scene]:
    originals = [originals] if isinstance(originals, Tensor) else list(originals)
    if not originals:
        raise InputError("there is no picture to animate, expected one or more")
    return [_Scene(original, model) for original in originals]


# Frames


def enlarge(frames: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Repeat each pixel of (T, H, W, 3) as often as makes the picture at least `side` pixels wide."""
    factor = math.ceil(side / frames.shape[2])
    return frames.repeat(factor, 1).repeat(factor, 2)


def join(clips: Sequence[np.ndarray], columns: int | None = None, theme: str = "dark") -> np.ndarray:
    """Clips side by side in step, in rows of `columns` (all in one row without); smaller ones stand at the top left.

    Args:
        clips: (T, H, W, 3) each; a shorter one stays at its last frame.
    """
    columns = columns or len(clips)
    count, tall, wide = (max(clip.shape[axis] for clip in clips) for axis in range(3))
    rows = math.ceil(len(clips) / columns)
    size = (rows * (tall + GAP) - GAP, columns * (wide + GAP) - GAP)
    sheet = np.empty((count, *size, 3), np.uint8)
    sheet[:] = _colour(_look(theme).ground)
    for number, clip in enumerate(clips):
        top, left = number // columns * (tall + GAP), number % columns * (wide + GAP)
        clip = np.concatenate([clip, clip[-1:].repeat(count - len(clip), 0)])
        sheet[:, top : top + clip.shape[1], left : left + clip.shape[2]] = clip
    return sheet


def caption(
    frames: np.ndarray, left: str | Sequence[str] = "", right: str | Sequence[str] = "", theme: str = "dark"
) -> np.ndarray:
    """Frames with a slim band below that says `left` and `right`, one text for all or one for each frame."""
    left, right = ([text] * len(frames) if isinstance(text, str) else text for text in (left, right))
    bands = [_band(frames.shape[2], *texts, theme) for texts in zip(left, right, strict=True)]
    return np.concatenate([frames, np.stack(bands)], axis=1)


@functools.lru_cache(maxsize=256)
def _band(width: int, left: str, right: str, theme: str) -> np.ndarray:
    """(height, width, 3): the texts at both ends, in letters that grow a little with the width."""
    look, size = _look(theme), min(20, 9 + width // 60)
    height = 2 * size - size // 4
    while size > 8 and sum(_font(size).getlength(text) for text in (left, right)) > width - 20:
        size -= 1
    mask = Image.new("L", (width, height))
    draw, middle = ImageDraw.Draw(mask), height // 2
    margin = 6 if width >= 160 else 2
    draw.text((margin, middle), left, 255, _font(size), anchor="lm")
    draw.text((width - margin, middle), right, 255, _font(size), anchor="rm")
    share = np.round(np.asarray(mask)[..., None] / 255 * (INKS - 1)) / (INKS - 1)
    ground, ink = _colour(look.ground), _colour(look.ink)
    return (ground + share * (ink.astype(float) - ground)).round().astype(np.uint8)


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along: its figures are equally wide, so that numbers don't jump."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def _look(theme: str) -> figures.Theme:
    if theme not in figures.THEMES:
        raise InputError(f"theme is {theme!r}, expected one of {', '.join(figures.THEMES)}")
    return figures.THEMES[theme]


def _colour(code: str) -> np.ndarray:
    return np.array([int(code[place : place + 2], 16) for place in (1, 3, 5)], np.uint8)


def _assembled(
    strips: list[np.ndarray],
    labels: list[list[str]],
    steps: list[str],
    note: str = "",
    columns: int | None = None,
    theme: str = "dark",
) -> np.ndarray:
    """One strip with step and label below; or several, each with its label, and the step once for all."""
    if len(strips) == 1:
        return caption(enlarge(strips[0]), steps, labels[0], theme)
    columns = columns or min(len(strips), 4)
    panels = [
        caption(enlarge(strip, min(SIDE, 4 * SIDE // columns)), label, theme=theme)
        for strip, label in zip(strips, labels, strict=True)
    ]
    return caption(join(panels, columns, theme), steps, note, theme)
