"""Writes clips, frames (T, H, W, 3) uint8, as GIF, MP4 or animated WebP."""

import errno
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import InputError
from ..runtime.files import write_atomically
from .frames import evenly_spaced

MAX_GIF_FPS = 50  # browsers show a GIF's frames of less than 2/100 s for 10/100 s
MAX_FPS = 120
MAX_SECONDS = 600  # of a clip; a single frame of a GIF, which may replace many equal ones, can last 655
MIN_FRAMES = 12  # fewer are written only if a picture of MIN_SIDE does not meet `max_mb`
MIN_SIDE = 96  # pixels of the shorter side; no picture is reduced further
MAX_FITTED_COLORS = 2**16  # that a palette is fitted to; if a clip has more, the lowest bits are dropped
FREQUENT_COLORS = 24  # of a palette, kept as they are instead of fitted
KMEANS_ROUNDS = 4
MAX_DITHER_DISTANCE = 32  # levels between two colors that may be mixed: beyond it the pattern would show as dots

Encoder = Callable[[Path, np.ndarray, float, float, int], None]  # (path, frames, fps, hold, loop)


def write_clip(
    path: str | Path,
    frames: np.ndarray,
    fps: float = 5,
    *,
    hold: float = 1.5,
    max_mb: float | None = None,
    loop: int = 0,
) -> list[str]:
    """Writes frames as .gif, .mp4 or .webp; an existing file is replaced only by a complete one.

    Args:
        path: the extension selects the format; the folder is created.
        frames: (T, H, W, 3) uint8, RGB.
        fps: frames a second: 20 frames at 5 play for 4 s.
        hold: seconds that the last frame is shown longer, so that the clip takes T / fps + hold.
        max_mb: megabytes (10⁶ bytes) that the file may have. First a GIF of a photograph is no longer dithered, and one
            of maps gets fewer shades. Then frames are left out, down to 12, then the picture is reduced, then more
            frames are left out; the duration stays.
        loop: how often a GIF or WebP plays; 0 for ever. An MP4 does not store it.

    Returns:
        notes: one line that says what was reduced for `max_mb`, or none.

    Raises:
        InputError: for another extension, no frames, a value out of range, or a `max_mb` that can't be met.
        OSError: where the file can't be written.
    """
    path = Path(path)
    check_clip(path, fps, hold, max_mb, len(frames))
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise InputError(f"frames are {frames.dtype} of shape {frames.shape}, expected uint8 (T, H, W, 3)")
    encode = ENCODERS[path.suffix.lower()]
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary:

        def size_of(encode: Encoder, frames: np.ndarray, fps: float) -> int:
            encode(temporary, frames, fps, hold, loop)
            return temporary.stat().st_size

        full_size = size = size_of(encode, frames, fps)
        if max_mb is None or size <= max_mb * 1e6:
            return []
        measures = []

        # 1. The same frames in fewer bytes.
        for measure, smaller in _smaller_encoders(encode, frames):
            encode, measures = smaller, [measure]
            size = size_of(encode, frames, fps)
            if size <= max_mb * 1e6:
                break

        # 2. Fewer or smaller frames.
        kept, side = len(frames), 1.0
        width, height = frames.shape[2], frames.shape[1]
        while size > max_mb * 1e6:
            smaller_size = _reduce(kept, side, 0.95e6 * max_mb / size, frames)
            if smaller_size is None:
                raise InputError(
                    f"{path} can't be made smaller than {size / 1e6:.2f} MB, max_mb is {max_mb:g}; allow more"
                )
            kept, side = smaller_size
            reduced = _resize(frames[evenly_spaced(range(len(frames)), kept)], side)
            size = size_of(encode, reduced, fps * kept / len(frames))
            width, height = reduced.shape[2], reduced.shape[1]
    if kept < len(frames):
        measures.append(f"{kept} of {len(frames)} frames")
    if side < 1:
        measures.append(f"{width}x{height} pixels instead of {frames.shape[2]}x{frames.shape[1]}")
    sizes = f"{size / 1e6:.2f} MB instead of {full_size / 1e6:.2f}, to stay below {max_mb:g} MB"
    return [f"{path}: {', '.join([*measures, sizes])}"]


def check_clip(path: str | Path, fps: float, hold: float, max_mb: float | None, count: int = 1) -> None:
    """Checks the arguments of `write_clip`, before the frames are computed.

    Args:
        path, fps, hold, max_mb: as in `write_clip`.
        count: how many frames.

    Raises:
        InputError: where `write_clip` would raise one.
    """
    extension = Path(path).suffix.lower()
    if extension not in ENCODERS:
        raise InputError(f"{path}: a clip is written as {', '.join(ENCODERS)}")
    max_fps = MAX_GIF_FPS if extension == ".gif" else MAX_FPS
    if not 0 < fps <= max_fps:
        raise InputError(f"fps is {fps:g}, expected above 0 and up to {max_fps} for {extension}")
    if not 0 <= hold <= 60:
        raise InputError(f"hold is {hold:g}, expected from 0 to 60 seconds")
    if (seconds := count / fps + hold) > MAX_SECONDS:
        raise InputError(f"fps is {fps:g}: the clip would last {seconds:,.0f} s, expected up to {MAX_SECONDS}")
    if max_mb is not None and not (math.isfinite(max_mb) and max_mb > 0):
        raise InputError(f"max_mb is {max_mb:g}, expected a positive number such as 3")


def _reduce(count: int, side: float, ratio: float, frames: np.ndarray) -> tuple[int, float] | None:
    """Returns the number of frames and the scale of their sides for the next try, or None if nothing is left to try.

    Args:
        count, side: of the last try.
        ratio: the size that the file should have as a share of its size now, a little below the exact one.
        frames: all frames, in full size.
    """
    shortest = min(frames.shape[1:3])
    if count > MIN_FRAMES:
        return max(MIN_FRAMES, int(count * ratio)), side
    if shortest * side > MIN_SIDE:
        # Part of a file does not shrink with the picture: the guess halves the side at most.
        return count, max(side * max(math.sqrt(ratio), 0.5), MIN_SIDE / shortest)
    if count > 2:
        return max(2, min(count - 1, int(count * ratio))), side
    return None


def _resize(frames: np.ndarray, side: float) -> np.ndarray:
    if side == 1:
        return frames
    size = (max(1, round(frames.shape[2] * side)), max(1, round(frames.shape[1] * side)))
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)) for frame in frames])


def _milliseconds(count: int, fps: float, hold: float, unit: int) -> list[int]:
    """Returns how long each frame is shown, in multiples of `unit`; rounding errors do not add up."""
    ends = [round((number + 1) * 1000 / fps / unit) for number in range(count)]
    ends[-1] = round((count / fps + hold) * 1000 / unit)
    return [(end - begin) * unit for begin, end in zip([0, *ends], ends, strict=False)]


def _smaller_encoders(encode: Encoder, frames: np.ndarray) -> list[tuple[str, Encoder]]:
    """Returns encoders that write the same frames into fewer bytes, the best-looking first, each with a note."""
    if encode is not _write_gif:
        return []
    if len(np.unique(_packed(frames[-1]))) > 256:  # a photograph
        return [("not dithered", functools.partial(_write_gif, dither=False))]
    return [(f"{count} colors", functools.partial(_write_gif, dither=False, max_colors=count)) for count in (96, 64)]


# GIF. All frames share a palette: with a palette for each, clips flicker, and so they do with error diffusion. Compared
# with ffmpeg's palettegen and paletteuse: maps are exact here and have 52 to 56 dB there; photographs differ by 1 dB,
# and by up to a quarter of the file's size.


def _write_gif(
    path: Path, frames: np.ndarray, fps: float, hold: float, loop: int, *, dither: bool = True, max_colors: int = 256
) -> None:
    palette, indices = quantize(frames, dither, max_colors)
    # Pillow writes a palette for each frame unless it is given the common one.
    options: dict[str, Any] = {"palette": palette.tobytes(), "optimize": False}
    if len(palette) < 256:
        # A free entry is transparent: pixels that do not change get it, which costs next to nothing.
        unused = next(gray for gray in range(256) if not (palette == gray).all(1).any())
        palette = np.concatenate([palette, np.full((1, 3), unused, np.uint8)])
        options = {"palette": palette.tobytes(), "optimize": True, "transparency": len(palette) - 1, "disposal": 1}
    images = [Image.fromarray(frame) for frame in indices]
    for image in images:
        image.putpalette(palette.tobytes())
    # The format counts repeats after the first showing; to play once, the count is left out.
    if loop != 1:
        options["loop"] = loop and loop - 1
    durations = _milliseconds(len(frames), fps, hold, unit=10)
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, **options)


def quantize(frames: np.ndarray, dither: bool = True, max_colors: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Reduces a clip to one palette for all frames.

    Args:
        frames: (T, H, W, 3) uint8.
        dither: mix neighboring palette colors in a fixed pattern, which does not flicker. It removes steps from smooth
            surfaces, and costs a fifth more bytes, or twice as many bytes where pixels are enlarged.
        max_colors: from 64 to 256.

    Returns:
        palette (n, 3) and indices (T, H, W), both uint8; exact where the clip has at most `max_colors` colors.
    """
    # 1. The colors of the clip and how often each occurs; of very many, the lowest bits are dropped.
    found = [np.unique(_packed(frame), return_counts=True) for frame in frames]
    packed, counts = _merge(*(np.concatenate(part) for part in zip(*found, strict=True)))
    dropped = 0  # bits of each channel
    while len(packed) > MAX_FITTED_COLORS:
        dropped += 1
        packed, counts = _merge(packed & _bit_mask(dropped), counts)
    levels = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1) >> dropped
    colors = (levels * 255 / (255 >> dropped)).round().astype(np.uint8)  # (colors, 3)

    # 2. The palette, and for each color the nearest entry, a second one to mix it with, and the second one's share.
    palette = colors if len(colors) <= max_colors else _fit_palette(colors, counts, max_colors)
    nearest, other, share = _mixtures(colors, palette)

    # 3. The indices, looked up by color.
    table = np.zeros(2**24, np.uint16)  # packed color → its number: there are no more than MAX_FITTED_COLORS
    table[packed] = np.arange(len(packed))
    threshold = _dither_pattern(*frames.shape[1:3])
    # Maps have few colors: dithering would cost more bytes than it improves them.
    dither = dither and len(colors) > 256
    indices = []
    for frame in frames:
        numbers = table[_packed(frame) & _bit_mask(dropped)]
        mixed = dither and share[numbers] > threshold
        indices.append(np.where(mixed, other[numbers], nearest[numbers]))
    return palette, np.stack(indices)


def _fit_palette(colors: np.ndarray, counts: np.ndarray, max_colors: int) -> np.ndarray:
    """Returns a palette of at most `max_colors` − 1 entries, (n, 3): the most frequent colors, such as a caption's, and
    others found by median cut and k-means.

    Colors are weighted by the square root of their counts: by area alone, a bright detail or a thin outline would lose
    its color to the shades of a sky.
    """
    weights = np.sqrt(counts)
    copies = np.ceil(weights * min(1, 2**16 / weights.sum())).astype(int)
    sample = Image.fromarray(np.repeat(colors, copies, axis=0)[None])
    median_cut = sample.quantize(max_colors - 1 - FREQUENT_COLORS, Image.Quantize.MEDIANCUT).getpalette()
    palette = np.asarray(median_cut, np.float32).reshape(-1, 3)
    for _ in range(KMEANS_ROUNDS):
        nearest = _nearest(colors, palette)
        total = np.bincount(nearest, weights, minlength=len(palette))
        for channel in range(3):
            sums = np.bincount(nearest, weights * colors[:, channel], minlength=len(palette))
            palette[:, channel] = np.where(total > 0, sums / np.maximum(total, 1e-9), palette[:, channel])
    frequent = colors[np.argsort(counts)[-FREQUENT_COLORS:]]
    return np.unique(np.concatenate([palette.round().astype(np.uint8), frequent]), axis=0)


def _mixtures(colors: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each color the nearest entry, one on its other side, and the second one's share, [0, 0.5]."""
    nearest = _nearest(colors, palette)
    targets = colors.astype(np.float32)
    entries = palette.astype(np.float32)
    other = _nearest(2 * targets - entries[nearest], palette)
    direction = entries[other] - entries[nearest]
    length = (direction**2).sum(1)
    share = ((targets - entries[nearest]) * direction).sum(1) / np.maximum(length, 1)
    share[length > MAX_DITHER_DISTANCE**2] = 0
    return nearest.astype(np.uint8), other.astype(np.uint8), share.clip(0, 0.5)


def _nearest(colors: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Returns the index of the nearest entry for each color."""
    entries = palette.astype(np.float32)
    # The squared distance without the square of the color, which is the same for all entries.
    distances = (entries**2).sum(1) - 2 * colors.astype(np.float32) @ entries.T
    return distances.argmin(1)


def _dither_pattern(height: int, width: int) -> np.ndarray:
    """Returns (height, width) thresholds in [0, 1), evenly distributed in any small neighborhood, with no visible grid.

    Reference: interleaved gradient noise, J. Jimenez, Next Generation Post Processing in Call of Duty, SIGGRAPH 2014.
    """
    rows, columns = np.mgrid[:height, :width]
    return (52.9829189 * ((0.06711056 * columns + 0.00583715 * rows) % 1) % 1).astype(np.float32)


def _packed(frame: np.ndarray) -> np.ndarray:
    """Packs red, green and blue into one number: (H, W, 3) → (H, W)."""
    red, green, blue = (frame[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _bit_mask(dropped: int) -> int:
    """Returns the bits of a packed color that remain when the lowest ones of each channel are dropped."""
    return (255 >> dropped << dropped) * 0x010101


def _merge(packed: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each color once, with the sum of its counts."""
    distinct, places = np.unique(packed, return_inverse=True)
    return distinct, np.bincount(places, counts)


# WebP and MP4


def _write_webp(path: Path, frames: np.ndarray, fps: float, hold: float, loop: int) -> None:
    images = [Image.fromarray(frame) for frame in frames]
    durations = _milliseconds(len(frames), fps, hold, unit=1)
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=loop, quality=90)


def _write_mp4(path: Path, frames: np.ndarray, fps: float, hold: float, loop: int) -> None:
    """Writes H.264 in yuv420p, which every browser plays; that needs even sizes, so a row or column may be repeated."""
    import imageio.v3 as imageio

    held = np.repeat(frames[-1:], round(hold * fps), axis=0)
    frames = np.concatenate([frames, held])
    frames = np.pad(frames, [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)], mode="edge")
    options = ["-crf", "17", "-movflags", "+faststart"]
    # Without tags, players guess the color space from the picture's size: a large clip would look greener.
    options += ["-vf", "scale=out_color_matrix=bt709:out_range=tv", "-color_range", "tv"]
    for tag in ("-colorspace", "-color_primaries", "-color_trc"):
        options += [tag, "bt709"]
    try:
        imageio.imwrite(
            path,
            frames,
            plugin="FFMPEG",
            fps=fps,
            codec="libx264",
            pixelformat="yuv420p",
            macro_block_size=2,
            quality=None,
            output_params=options,
        )
        # imageio ignores ffmpeg's exit status: a full disk would leave a broken video.
        written = sum(1 for _ in imageio.imiter(path, plugin="FFMPEG"))
    except ImportError as error:
        raise InputError(
            f"{path}: MP4 needs imageio-ffmpeg (pip install imageio-ffmpeg); .gif and .webp don't"
        ) from error
    except (OSError, RuntimeError, IndexError):
        written = 0
    if written < len(frames):
        raise OSError(errno.ENOSPC, "the video could not be written whole; the disk may be full", str(path))


ENCODERS: dict[str, Encoder] = {".gif": _write_gif, ".mp4": _write_mp4, ".webp": _write_webp}
