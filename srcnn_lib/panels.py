"""Panels of a clip, frames (T, H, W, 3) uint8: coloured, enlarged, captioned, put side by side."""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .figures import POSITIVE, SIGNED, THEMES

SIDE = 240  # pixels that a clip is wide at least
GAP = 6  # pixels between two panels
SHADES = 193  # of a map, odd for a zero: with those of the letters they fit into a GIF's 256, and stay exact
INKS = 16  # shades of a caption's letters


def _rgb(colour: str) -> np.ndarray:
    return np.round(np.array(to_rgb(colour)) * 255).astype(np.uint8)


# One look, whatever page it stands on: maps have a dark zero, and photographs like a dark surround.
GROUND, INK, LINE, MARK = (_rgb(getattr(THEMES["dark"], name)) for name in ("ground", "ink", "grid", "orange"))


def tint(values: Tensor, limit: float, signed: bool) -> np.ndarray:
    """Maps (…) → (…, 3) uint8: dark at 0 and orange up to `limit`, and blue down to −limit where `signed`."""
    shades = (SIGNED if signed else POSITIVE).resampled(SHADES)(np.arange(SHADES))[:, :3]
    share = (values / limit + 1) / 2 if signed else values / limit
    places = (share.clamp(0, 1) * (SHADES - 1)).round().byte().numpy()
    return np.round(shades * 255).astype(np.uint8)[places]


def enlarge(frames: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Repeat each pixel of (T, H, W, 3) as often as makes the picture at least `side` pixels wide."""
    factor = math.ceil(side / frames.shape[2])
    return frames.repeat(factor, 1).repeat(factor, 2)


def mosaic(tiles: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """(…, n, H, W, 3) → (…, rows · (H + gap) + gap, columns · (W + gap) + gap, 3): n tiles in rows, lines between."""
    *outer, count, height, width, _ = tiles.shape
    rows = math.ceil(count / columns)
    sheet = np.empty((*outer, rows * (height + gap) + gap, columns * (width + gap) + gap, 3), np.uint8)
    sheet[:] = LINE
    for number in range(count):
        top, left = (
            place * (length + gap) + gap for place, length in zip(divmod(number, columns), (height, width), strict=True)
        )
        sheet[..., top : top + height, left : left + width, :] = tiles[..., number, :, :, :]
    return sheet


def join(clips: Sequence[np.ndarray], columns: int | None = None) -> np.ndarray:
    """Clips side by side in step, in rows of `columns` (all in one row without); smaller ones stand at the top left.

    Args:
        clips: (T, H, W, 3) each; a shorter one stays at its last frame.
    """
    columns = columns or len(clips)
    count, tall, wide = (max(clip.shape[axis] for clip in clips) for axis in range(3))
    rows = math.ceil(len(clips) / columns)
    sheet = np.empty((count, rows * (tall + GAP) - GAP, columns * (wide + GAP) - GAP, 3), np.uint8)
    sheet[:] = GROUND
    for number, clip in enumerate(clips):
        top, left = number // columns * (tall + GAP), number % columns * (wide + GAP)
        held = np.minimum(np.arange(count), len(clip) - 1)
        sheet[:, top : top + clip.shape[1], left : left + clip.shape[2]] = clip[held]
    return sheet


def caption(frames: np.ndarray, left: str | Sequence[str] = "", right: str | Sequence[str] = "") -> np.ndarray:
    """Frames with a slim band below that says `left` and `right`: one text for all, or one for each frame."""
    left, right = ([text] * len(frames) if isinstance(text, str) else text for text in (left, right))
    bands = [_band(frames.shape[2], *texts) for texts in zip(left, right, strict=True)]
    return np.concatenate([frames, np.stack(bands)], axis=1)


@functools.lru_cache(maxsize=256)
def _band(width: int, left: str, right: str) -> np.ndarray:
    """(height, width, 3): a text at each end, in letters that grow a little with the width."""
    size = min(18, 9 + width // 60)
    height, margin = size * 7 // 4, min(6, width // 40)
    while size > 8 and sum(_font(size).getlength(text) for text in (left, right)) > width - 4 * margin:
        size -= 1
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    draw.text((margin, height // 2), left, 255, _font(size), anchor="lm")
    draw.text((width - margin, height // 2), right, 255, _font(size), anchor="rm")
    share = np.round(np.asarray(mask)[..., None] / 255 * (INKS - 1)) / (INKS - 1)
    return np.round(GROUND + share * (INK.astype(float) - GROUND)).astype(np.uint8)


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along: its figures are equally wide, so that numbers don't jump."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def outline(frame: np.ndarray, top: int, left: int, bottom: int, right: int) -> None:
    """Draw a box around these rows and columns of (H, W, 3), in place: orange with a dark edge, to show on anything."""
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    for grown, colour in ((2, GROUND), (1, MARK), (0, MARK), (-1, MARK), (-2, GROUND)):
        corners = (left - grown, top - grown, right - 1 + grown, bottom - 1 + grown)
        draw.rectangle(corners, outline=tuple(colour.tolist()))
    frame[:] = np.asarray(image)
