"""Panels of a clip, frames (T, H, W, 3) uint8: colored, enlarged, captioned, put side by side."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..errors import InputError
from .figures import POSITIVE, SIGNED, THEMES

SIDE = 240  # pixels that a clip is wide at least
GAP = 6  # pixels between two panels
SHADES = 193  # of a map, odd for a zero: with those of the letters they fit into a GIF's 256, and stay exact
INKS = 16  # shades of a caption's letters


@dataclass(frozen=True)
class Look:
    """Colors around the pictures of a clip, (3,) uint8 each."""

    ground: np.ndarray
    ink: np.ndarray
    line: np.ndarray  # between tiles
    mark: np.ndarray  # of a box


def _look(name: str) -> Look:
    colors = (getattr(THEMES[name], part) for part in ("ground", "ink", "grid", "orange"))
    return Look(*(np.round(np.array(to_rgb(color)) * 255).astype(np.uint8) for color in colors))


# Maps have a dark zero on both grounds. Clips are dark unless told otherwise: photographs like a dark surround.
LOOKS = {name: _look(name) for name in THEMES}
DARK = LOOKS["dark"]


def look_of(theme: str) -> Look:
    """The look of a theme's name; an InputError lists them."""
    if theme not in LOOKS:
        raise InputError(f"theme is {theme!r}, expected one of {', '.join(LOOKS)}")
    return LOOKS[theme]


def tint(values: Tensor, limit: float, signed: bool, root: bool = False) -> np.ndarray:
    """Maps (…) → (…, 3) uint8: dark at 0 and orange up to `limit`, and blue down to −limit where `signed`.

    `root` spreads the small values: the colors run over the (signed) square root.
    """
    values = values / limit
    values = values.sign() * values.abs().sqrt() if root else values
    shades = (SIGNED if signed else POSITIVE).resampled(SHADES)(np.arange(SHADES))[:, :3]
    share = (values + 1) / 2 if signed else values
    places = (share.clamp(0, 1) * (SHADES - 1)).round().byte().numpy()
    return np.round(shades * 255).astype(np.uint8)[places]


def enlarge(frames: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Repeat each pixel of (T, H, W, 3) as often as makes the picture at least `side` pixels wide."""
    factor = math.ceil(side / frames.shape[2])
    return frames.repeat(factor, 1).repeat(factor, 2)


def padded(frames: np.ndarray, height: int, width: int, look: Look = DARK) -> np.ndarray:
    """(T, H, W, 3) → (T, height, width, 3) with ground below and to the right."""
    sheet = np.empty((len(frames), height, width, 3), np.uint8)
    sheet[:] = look.ground
    sheet[:, : frames.shape[1], : frames.shape[2]] = frames
    return sheet


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1, look: Look = DARK) -> np.ndarray:
    """(…, n, H, W, 3) → (…, rows · (H + gap) + gap, columns · (W + gap) + gap, 3): n tiles in rows, lines between."""
    *outer, count, height, width, _ = tiles.shape
    rows = math.ceil(count / columns)
    sheet = np.empty((*outer, rows * (height + gap) + gap, columns * (width + gap) + gap, 3), np.uint8)
    sheet[:] = look.line
    for number in range(count):
        top, left = (
            place * (length + gap) + gap for place, length in zip(divmod(number, columns), (height, width), strict=True)
        )
        sheet[..., top : top + height, left : left + width, :] = tiles[..., number, :, :, :]
    return sheet


def join(clips: Sequence[np.ndarray], columns: int | None = None, look: Look = DARK) -> np.ndarray:
    """Clips side by side in step, in rows of `columns` (all in one row without); smaller ones stand at the top left.

    Args:
        clips: (T, H, W, 3) each; a shorter one stays at its last frame.
    """
    columns = columns or len(clips)
    count, tall, wide = (max(clip.shape[axis] for clip in clips) for axis in range(3))
    rows = math.ceil(len(clips) / columns)
    sheet = np.empty((count, rows * (tall + GAP) - GAP, columns * (wide + GAP) - GAP, 3), np.uint8)
    sheet[:] = look.ground
    for number, clip in enumerate(clips):
        top, left = number // columns * (tall + GAP), number % columns * (wide + GAP)
        held = np.minimum(np.arange(count), len(clip) - 1)
        sheet[:, top : top + clip.shape[1], left : left + clip.shape[2]] = clip[held]
    return sheet


def caption(
    frames: np.ndarray, left: str | Sequence[str] = "", right: str | Sequence[str] = "", look: Look = DARK
) -> np.ndarray:
    """Frames with a slim band below that says `left` and `right`: one text for all, or one for each frame."""
    left, right = ([text] * len(frames) if isinstance(text, str) else text for text in (left, right))
    bands = np.stack([_letters(frames.shape[2], *texts) for texts in zip(left, right, strict=True)])
    bands = look.ground + bands[..., None] * (look.ink.astype(float) - look.ground)  # (T, height, W, 3)
    return np.concatenate([frames, np.round(bands).astype(np.uint8)], axis=1)


@functools.lru_cache(maxsize=256)
def _letters(width: int, left: str, right: str) -> np.ndarray:
    """(height, width), 1 for ink: a text at each end, in letters that grow a little with the width."""
    size = min(18, 9 + width // 60)
    height, margin = size * 7 // 4, min(6, width // 40)
    while size > 8 and sum(_font(size).getlength(text) for text in (left, right)) > width - 4 * margin:
        size -= 1
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    draw.text((margin, height // 2), left, 255, _font(size), anchor="lm")
    draw.text((width - margin, height // 2), right, 255, _font(size), anchor="rm")
    return np.round(np.asarray(mask) / 255 * (INKS - 1)) / (INKS - 1)


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along: its figures are equally wide, so that numbers don't jump."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def outline(frame: np.ndarray, top: int, left: int, bottom: int, right: int, look: Look = DARK) -> None:
    """Draw a box around these rows and columns of (H, W, 3), in place: orange with an edge, to show on anything."""
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    for grown, color in ((2, look.ground), (1, look.mark), (0, look.mark), (-1, look.mark), (-2, look.ground)):
        corners = (left - grown, top - grown, right - 1 + grown, bottom - 1 + grown)
        draw.rectangle(corners, outline=tuple(color.tolist()))
    frame[:] = np.asarray(image)
