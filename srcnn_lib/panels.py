"""Panels of a clip, frames (T, H, W, 3) uint8: enlarged, coloured, put side by side, captioned."""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .errors import InputError
from .figures import THEMES, Theme

SIDE = 240  # pixels that a clip is wide at least
GAP = 6  # pixels between two panels
SHADES = 193  # of a map: with those of the letters they fit into a GIF's 256 colours, and stay exact
INKS = 16  # shades of a caption's letters



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
    sheet[:] = colour(look_of(theme).ground)
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
    look, size = look_of(theme), min(20, 9 + width // 60)
    height = 2 * size - size // 4
    while size > 8 and sum(_font(size).getlength(text) for text in (left, right)) > width - 20:
        size -= 1
    mask = Image.new("L", (width, height))
    draw, middle = ImageDraw.Draw(mask), height // 2
    margin = 6 if width >= 160 else 2
    draw.text((margin, middle), left, 255, _font(size), anchor="lm")
    draw.text((width - margin, middle), right, 255, _font(size), anchor="rm")
    share = np.round(np.asarray(mask)[..., None] / 255 * (INKS - 1)) / (INKS - 1)
    ground, ink = colour(look.ground), colour(look.ink)
    return (ground + share * (ink.astype(float) - ground)).round().astype(np.uint8)


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along: its figures are equally wide, so that numbers don't jump."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def look_of(theme: str) -> Theme:
    if theme not in THEMES:
        raise InputError(f"theme is {theme!r}, expected one of {', '.join(THEMES)}")
    return THEMES[theme]


def colour(code: str) -> np.ndarray:
    return np.array([int(code[place : place + 2], 16) for place in (1, 3, 5)], np.uint8)


def tint(values: Tensor, limit: float, signed: bool, theme: str = "dark") -> np.ndarray:
    """Maps (…) → (…, 3) uint8: from the ground's colour at 0 to `limit`, or both ways where `signed`; clipped beyond."""
    look = look_of(theme)
    shades = (look.signed if signed else look.positive)(np.linspace(0, 1, SHADES))[:, :3]
    share = (values / limit + 1) / 2 if signed else values / limit
    places = (share.clamp(0, 1) * (SHADES - 1)).round().byte().numpy()
    return (shades * 255).round().astype(np.uint8)[places]


def mosaic(tiles: np.ndarray, columns: int, gap: int, theme: str = "dark") -> np.ndarray:
    """(T, n, H, W, 3) → (T, rows · (H + gap) + gap, columns · (W + gap) + gap, 3): n tiles with lines around them."""
    count, number, tall, wide, _ = tiles.shape
    look = look_of(theme)
    rows = math.ceil(number / columns)
    cells = np.empty((count, rows * columns, tall + gap, wide + gap, 3), np.uint8)
    cells[:] = colour(look.ground)
    cells[:, :number] = colour(look.grid)
    cells[:, :number, :tall, :wide] = tiles
    cells = cells.reshape(count, rows, columns, tall + gap, wide + gap, 3)
    sheet = cells.swapaxes(2, 3).reshape(count, rows * (tall + gap), columns * (wide + gap), 3)
    sheet = np.pad(sheet, [(0, 0), (gap, 0), (gap, 0), (0, 0)], mode="edge")
    sheet[:, :gap] = sheet[:, :, :gap] = colour(look.grid)
    return sheet
