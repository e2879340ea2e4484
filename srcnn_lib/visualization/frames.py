"""Maps, kernels and captions as pixels: arrays (…, H, W, 3) uint8, from which clips are composed.

Figures draw maps and kernels on matplotlib's axes instead, with the same colors.
"""

import functools
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .style import POSITIVE, SIGNED, get_theme

MIN_WIDTH = 240  # pixels of a clip; smaller pictures are enlarged
GAP = 6  # pixels between two pictures of a clip
MAP_SHADES = 193  # odd, so that zero has a shade; with TEXT_SHADES they fit into a GIF's 256 colors, and stay exact
TEXT_SHADES = 16  # of a caption's letters

Item = TypeVar("Item")


@dataclass(frozen=True)
class FrameColors:
    """The colors around the pictures of a frame, (3,) uint8 each."""

    ground: np.ndarray
    ink: np.ndarray
    line: np.ndarray  # between the tiles of a mosaic
    mark: np.ndarray  # of an outline


@functools.lru_cache
def frame_colors(theme: str = "dark") -> FrameColors:
    """Returns the colors of a theme as pixels. Maps do not depend on it: zero is dark in every theme.

    Raises:
        InputError: for an unknown theme; the message lists the valid ones.
    """
    colors = get_theme(theme)

    def pixel(color: str) -> np.ndarray:
        return np.round(np.array(to_rgb(color)) * 255).astype(np.uint8)

    return FrameColors(pixel(colors.ground), pixel(colors.ink), pixel(colors.grid), pixel(colors.orange))


def evenly_spaced(items: Sequence[Item], count: int) -> list[Item]:
    """Returns at most `count` items, evenly spaced by position and with both ends; of one, the last."""
    count = min(count, len(items))
    if count == 1:
        return [items[-1]]
    return [items[(len(items) - 1) * number // (count - 1)] for number in range(count)]


# Maps and kernels


def limit_of(values: Tensor, share: float = 0.999) -> float:
    """Returns the limit of the range in which values are drawn: most absolute values do not exceed it.

    Compute it once over all frames of a clip: with a limit for each frame, equal values would change their color.

    Args:
        values: (…), of any shape.
        share: of the absolute values that do not exceed the limit; it is computed on about a million of them.

    Returns:
        the limit, rounded up to two digits; 1 where all values are 0.
    """
    flat = values.abs().flatten()
    flat = flat[:: max(1, len(flat) // 1_000_000)].sort().values
    value = float(flat[min(len(flat) - 1, int(share * len(flat)))])
    if value < 1e-12:
        return 1.0
    unit = 10 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")


def range_text(limit: float, *, signed: bool) -> str:
    """Returns the range of the colors of `map_pixels` for a caption: "±0.25", or "0 to 0.25" without a sign."""
    return f"±{limit:.2g}" if signed else f"0 to {limit:.2g}"


def map_pixels(values: Tensor, limit: float, *, signed: bool, root: bool = False) -> np.ndarray:
    """Colors maps: dark at 0, orange up to `limit`, and where `signed` blue down to −`limit`.

    Args:
        values: (…), of any shape.
        limit: the value at the end of the color range (see `limit_of`).
        signed: whether negative values have colors of their own; otherwise they are drawn as 0.
        root: whether the colors run over the (signed) square root, which spreads small values.

    Returns:
        (…, 3) uint8, in at most MAP_SHADES colors.
    """
    values = values / limit
    if root:
        values = values.sign() * values.abs().sqrt()
    position = (values + 1) / 2 if signed else values
    shade = (position.clamp(0, 1) * (MAP_SHADES - 1)).round().byte().numpy()
    shades = (SIGNED if signed else POSITIVE).resampled(MAP_SHADES)(np.arange(MAP_SHADES))[:, :3]
    return np.round(shades * 255).astype(np.uint8)[shade]


def kernel_pixels(weights: Tensor, limit: float, *, rgb: bool, theme: str = "dark") -> np.ndarray:
    """Draws kernels, a pixel for each weight.

    Args:
        weights: (…, inputs, size, size).
        limit: the weight at the end of the color range, for all kernels and frames alike.
        rgb: whether three inputs are the colors of one picture (see `layers.has_rgb_kernels`): they are drawn as such,
            with zero as gray. Otherwise each input is a signed map, and several are a square mosaic.
        theme: of the lines of the mosaic.

    Returns:
        (…, H, W, 3) uint8: H = W = size for RGB and for one input.
    """
    if rgb:
        levels = (0.5 + weights / (2 * limit)).clamp(0, 1) * 255
        return levels.round().byte().movedim(-3, -1).numpy()
    tiles = map_pixels(weights, limit, signed=True)  # (…, inputs, size, size, 3)
    inputs = tiles.shape[-4]
    return tiles[..., 0, :, :, :] if inputs == 1 else mosaic(tiles, math.ceil(math.sqrt(inputs)), theme=theme)


# Layout


def mosaic(tiles: np.ndarray, columns: int, *, gap: int = 1, theme: str = "dark") -> np.ndarray:
    """Lays tiles out in rows of `columns`, with lines around each.

    Args:
        tiles: (…, n, H, W, 3).
        columns: tiles in a row.
        gap: width of the lines in pixels.
        theme: of the lines.

    Returns:
        (…, rows · (H + gap) + gap, columns · (W + gap) + gap, 3).
    """
    *outer, count, height, width, _ = tiles.shape
    rows = math.ceil(count / columns)
    sheet = np.empty((*outer, rows * (height + gap) + gap, columns * (width + gap) + gap, 3), np.uint8)
    sheet[:] = frame_colors(theme).line
    for number in range(count):
        row, column = divmod(number, columns)
        top = row * (height + gap) + gap
        left = column * (width + gap) + gap
        sheet[..., top : top + height, left : left + width, :] = tiles[..., number, :, :, :]
    return sheet


def join(clips: Sequence[np.ndarray], columns: int | None = None, theme: str = "dark") -> np.ndarray:
    """Lays clips out in rows, so that they play at the same time.

    Args:
        clips: (T, H, W, 3) each, of any lengths and sizes: a shorter clip keeps showing its last frame, a smaller one
            stands at the top left of its place.
        columns: clips in a row; None for all in one row.
        theme: of the background.

    Returns:
        (T, rows · (H + GAP) − GAP, columns · (W + GAP) − GAP, 3), with T, H and W of the largest clip.
    """
    columns = columns or len(clips)
    rows = math.ceil(len(clips) / columns)
    count, height, width = (max(clip.shape[axis] for clip in clips) for axis in range(3))
    sheet = np.empty((count, rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), np.uint8)
    sheet[:] = frame_colors(theme).ground
    for number, clip in enumerate(clips):
        row, column = divmod(number, columns)
        top = row * (height + GAP)
        left = column * (width + GAP)
        frames = np.minimum(np.arange(count), len(clip) - 1)
        sheet[:, top : top + clip.shape[1], left : left + clip.shape[2]] = clip[frames]
    return sheet


def pad(frames: np.ndarray, height: int, width: int, theme: str = "dark") -> np.ndarray:
    """Adds background below and to the right: (…, H, W, 3) → (…, height, width, 3)."""
    padded = np.empty((*frames.shape[:-3], height, width, 3), np.uint8)
    padded[:] = frame_colors(theme).ground
    padded[..., : frames.shape[-3], : frames.shape[-2], :] = frames
    return padded


def repeat_pixels(frames: np.ndarray, factor: int) -> np.ndarray:
    """Enlarges by a whole factor, each pixel to a square: (…, H, W, 3) → (…, factor · H, factor · W, 3)."""
    return frames.repeat(factor, -3).repeat(factor, -2)


def enlarge(frames: np.ndarray, min_width: int = MIN_WIDTH) -> np.ndarray:
    """Enlarges (…, H, W, 3) by the smallest whole factor that makes it at least `min_width` pixels wide."""
    return repeat_pixels(frames, math.ceil(min_width / frames.shape[-2]))


# Captions and outlines


def grouped(number: int) -> str:
    """Returns a number with a thin space between thousands: "1 000"."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def step_text(step: int) -> str:
    """Returns "step 1 000"."""
    return f"step {grouped(step)}"


def caption(
    frames: np.ndarray, left: str | Sequence[str] = "", right: str | Sequence[str] = "", theme: str = "dark"
) -> np.ndarray:
    """Adds a narrow band with text below the frames; it covers none of their pixels.

    Args:
        frames: (T, H, W, 3).
        left, right: the text at each end; one for all frames, or one for each.
        theme: of the band.

    Returns:
        (T, H + the band's height, W, 3).
    """
    left_texts = [left] * len(frames) if isinstance(left, str) else left
    right_texts = [right] * len(frames) if isinstance(right, str) else right
    bands = [_band(frames.shape[2], *texts, theme) for texts in zip(left_texts, right_texts, strict=True)]
    return np.concatenate([frames, np.stack(bands)], axis=1)


def heading(frames: np.ndarray, text: str, theme: str = "dark") -> np.ndarray:
    """Adds a narrow band with text above the frames: (T, H, W, 3) → (T, the band's height + H, W, 3)."""
    band = _band(frames.shape[2], text, "", theme)
    return np.concatenate([np.broadcast_to(band, (len(frames), *band.shape)), frames], axis=1)


def _band(width: int, left: str, right: str, theme: str) -> np.ndarray:
    """Returns text on the theme's background: (height, width, 3) uint8."""
    colors = frame_colors(theme)
    mask = _text_mask(width, left, right)[..., None]
    return np.round(colors.ground + mask * (colors.ink.astype(float) - colors.ground)).astype(np.uint8)


@functools.lru_cache(maxsize=256)
def _text_mask(width: int, left: str, right: str) -> np.ndarray:
    """Returns (height, width) in [0, 1], 1 where there is ink; the font size grows slowly with the width."""
    size = min(18, 9 + width // 60)
    height, margin = size * 7 // 4, min(6, width // 40)
    while size > 8 and sum(_font(size).getlength(text) for text in (left, right)) > width - 4 * margin:
        size -= 1
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    draw.text((margin, height // 2), left, 255, _font(size), anchor="lm")
    draw.text((width - margin, height // 2), right, 255, _font(size), anchor="rm")
    return np.round(np.asarray(mask) / 255 * (TEXT_SHADES - 1)) / (TEXT_SHADES - 1)


@functools.lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Returns a font that comes with matplotlib; its digits have equal widths, so that numbers do not jump."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def outline(frame: np.ndarray, top: int, left: int, bottom: int, right: int, theme: str = "dark") -> None:
    """Draws a box around these rows and columns of (H, W, 3), in place: orange with an edge that shows on any color."""
    colors = frame_colors(theme)
    image = Image.fromarray(frame)
    draw = ImageDraw.Draw(image)
    rings = (colors.ground, colors.mark, colors.mark, colors.mark, colors.ground)
    for offset, color in zip((2, 1, 0, -1, -2), rings, strict=True):
        corners = (left - offset, top - offset, right - 1 + offset, bottom - 1 + offset)
        draw.rectangle(corners, outline=tuple(color.tolist()))
    frame[:] = np.asarray(image)


# Files


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes (H, W, 3) uint8 as a PNG file, fast rather than small."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
