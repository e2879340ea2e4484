"""Clips as files: frames (T, H, W, 3) uint8 → GIF, MP4 or animated WebP."""

import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import InputError
from ..runtime.files import write_whole

GIF_FPS = 50  # browsers show a GIF's frames of less than 2/100 s for 10/100 s
LONGEST = 600  # seconds of a clip; of a GIF's frame, which may stand for many equal ones, the format allows 655
FEWEST, SMALLEST = 12, 96  # frames, and pixels of the shorter side, that a budget leaves as long as it can
MATCHED = 2**16  # colors that a palette is fitted to; where a clip has more, their lowest bits are dropped
FREQUENT, ROUNDS = 24, 4  # colors of a palette that are kept as they are, not fitted; rounds of k-means
APART = 32  # levels between two colors that may be mixed: beyond it the pattern would show as dots


def write_clip(
    path: str | Path,
    frames: np.ndarray,
    fps: float = 5,
    *,
    hold: float = 1.5,
    max_mb: float | None = None,
    loop: int = 0,
) -> list[str]:
    """Write frames as .gif, .mp4 or .webp, whole or not at all.

    Args:
        path: the extension says how; its folder is made.
        frames: (T, H, W, 3) uint8, RGB.
        fps: frames a second: 20 frames at 5 play for 4 s.
        hold: seconds that the last frame stays beyond its turn, so that the whole takes T / fps + hold.
        max_mb: megabytes (10⁶ bytes) that the file may take. Of a GIF, first the colors are no longer mixed (see
            `indexed`), or the shades of maps become fewer. Then frames are left out, down to 12, then the picture is
            shrunk, then more frames are left out; the time stays.
        loop: how often a GIF or WebP plays; 0 for ever. An MP4 leaves that to its player.

    Returns:
        Notes: one line that says what was done for `max_mb`, or none.

    Raises:
        InputError: another extension, no frames, a value out of range, or a budget that can't be met.
        OSError: where the file can't be written.
    """
    path = Path(path)
    check(path, fps, hold, max_mb, len(frames))
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise InputError(f"frames are {frames.dtype} of shape {frames.shape}, expected uint8 (T, H, W, 3)")
    encode, fitted, did = ENCODERS[path.suffix.lower()], frames, []
    path.parent.mkdir(parents=True, exist_ok=True)
    count, side = len(frames), 1.0
    with write_whole(path) as temporary:
        encode(temporary, frames, fps, hold, loop)
        full = size = temporary.stat().st_size
        for said, plainer in _plainer(encode, frames) if max_mb and size > max_mb * 1e6 else ():
            encode, did = plainer, [said]
            encode(temporary, frames, fps, hold, loop)
            if (size := temporary.stat().st_size) <= max_mb * 1e6:
                break
        while max_mb and size > max_mb * 1e6:
            count, side = _next_smaller(count, side, 0.95e6 * max_mb / size, frames, path, max_mb, size)
            fitted = _resized(frames[evenly(len(frames), count)], side)
            encode(temporary, fitted, fps * count / len(frames), hold, loop)
            size = temporary.stat().st_size
    if size == full:
        return []
    did += [f"{count} of {len(frames)} frames"] * (count < len(frames))
    did += [f"{fitted.shape[2]}x{fitted.shape[1]} pixels instead of {frames.shape[2]}x{frames.shape[1]}"] * (side < 1)
    return [f"{path}: {', '.join(did)}, {size / 1e6:.2f} MB instead of {full / 1e6:.2f}, to stay below {max_mb:g} MB"]


def evenly(length: int, count: int) -> list[int]:
    """`count` places out of `length`, evenly spread; the first and the last are among them (one: the last)."""
    count = min(count, length)
    return [(length - 1) * place // (count - 1) for place in range(count)] if count > 1 else [length - 1]


def check(path: str | Path, fps: float, hold: float, max_mb: float | None, count: int = 1) -> None:
    """Raise an InputError where `write_clip` would for these: before the work on the frames begins."""
    extension = Path(path).suffix.lower()
    if extension not in ENCODERS:
        raise InputError(f"{path}: a clip is written as {', '.join(ENCODERS)}")
    fastest = GIF_FPS if extension == ".gif" else 120
    if not 0 < fps <= fastest:
        raise InputError(f"fps is {fps:g}, expected above 0 and up to {fastest} for {extension}")
    if not 0 <= hold <= 60:
        raise InputError(f"hold is {hold:g}, expected from 0 to 60 seconds")
    if (seconds := count / fps + hold) > LONGEST:
        raise InputError(f"fps is {fps:g}: the clip would last {seconds:,.0f} s, expected up to {LONGEST}")
    if max_mb is not None and not (math.isfinite(max_mb) and max_mb > 0):
        raise InputError(f"max_mb is {max_mb:g}, expected a positive number such as 3")


def _next_smaller(count, side, ratio, frames, path, max_mb, size) -> tuple[int, float]:
    """Frames and scale of the sides for the next try; `ratio` is how much smaller it is to be, a little exaggerated."""
    shortest = min(frames.shape[1:3])
    if count > FEWEST:
        return max(FEWEST, int(count * ratio)), side
    if shortest * side > SMALLEST:
        # A file has a part that does not shrink: half the side is as far as one guess goes.
        return count, max(side * max(math.sqrt(ratio), 0.5), SMALLEST / shortest)
    if count > 2:
        return max(2, min(count - 1, int(count * ratio))), side
    raise InputError(f"{path} can't be made smaller than {size / 1e6:.2f} MB, max_mb is {max_mb:g}; allow more")


def _resized(frames: np.ndarray, side: float) -> np.ndarray:
    if side == 1:
        return frames
    size = tuple(max(1, round(length * side)) for length in (frames.shape[2], frames.shape[1]))
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)) for frame in frames])


def _milliseconds(count: int, fps: float, hold: float, unit: int) -> list[int]:
    """How long each frame stays, in whole `unit`s: the ends are rounded, so that errors don't add up."""
    ends = [round((number + 1) * 1000 / fps / unit) for number in range(count)]
    ends[-1] = round((count / fps + hold) * 1000 / unit)
    return [(end - begin) * unit for begin, end in zip([0, *ends], ends, strict=False)]


def _plainer(encode: Callable, frames: np.ndarray) -> list[tuple[str, Callable]]:
    """Ways to write the same frames into fewer bytes, the best-looking first, and what to say of them."""
    if encode is not _write_gif:
        return []
    if len(np.unique(_packed(frames[-1]))) > 256:  # a photograph
        return [("colors not mixed", functools.partial(_write_gif, dither=False))]
    return [(f"{most} colors", functools.partial(_write_gif, dither=False, most=most)) for most in (96, 64)]


def _write_gif(
    path: Path, frames: np.ndarray, fps: float, hold: float, loop: int, *, dither: bool = True, most: int = 256
) -> None:
    palette, indices = indexed(frames, dither, most)
    # Pillow writes a palette for each frame unless it is handed the one of all.
    options = {"palette": palette.tobytes(), "optimize": False}
    if len(palette) < 256:
        # A free entry says "as before": what stands still then costs next to nothing.
        unused = next(grey for grey in range(256) if not (palette == grey).all(1).any())
        palette = np.concatenate([palette, np.full((1, 3), unused, np.uint8)])
        options = {"palette": palette.tobytes(), "optimize": True, "transparency": len(palette) - 1, "disposal": 1}
    images = [Image.fromarray(frame) for frame in indices]
    for image in images:
        image.putpalette(palette.tobytes())
    # The format counts repeats after the first showing, and has no word for "once" but leaving it out.
    if loop != 1:
        options["loop"] = loop and loop - 1
    durations = _milliseconds(len(frames), fps, hold, unit=10)
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, **options)


def indexed(frames: np.ndarray, dither: bool = True, most: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """One palette for all frames: a palette for each flickers, and so does error diffusion.

    Args:
        frames: (T, H, W, 3) uint8.
        dither: mix neighbours in the palette by a pattern that stands still: what does not change in the clip does not
            flicker. It takes the steps out of smooth surfaces, and costs a fifth more bytes, twice as many where
            pixels are enlarged.
        most: colors of the palette, from 64 to 256.

    Returns:
        palette (n, 3) and indices (T, H, W), both uint8; exact where the clip has no more than `most` colors.
    """
    found = [np.unique(_packed(frame), return_counts=True) for frame in frames]
    known, counts = (np.concatenate(part) for part in zip(*found, strict=True))
    dropped = 0  # bits of each channel
    known, counts = _together(known, counts)
    while len(known) > MATCHED:
        dropped += 1
        known, counts = _together(known & _kept(dropped), counts)
    levels = np.stack([known >> 16, known >> 8 & 255, known & 255], axis=1) >> dropped
    colors = (levels * 255 / (255 >> dropped)).round().astype(np.uint8)  # (colors, 3)
    few = len(colors) <= 256  # maps: their fewer shades are not mixed, which would cost more than it saves
    palette = colors if len(colors) <= most else _palette(colors, counts, most)
    nearest, other, share = _neighbours(colors, palette)
    table = np.zeros(2**24, np.uint16)  # place among the known colors: there are no more than MATCHED
    table[known] = np.arange(len(known))
    threshold = _pattern(*frames.shape[1:3])
    indices = []
    for frame in frames:
        places = table[_packed(frame) & _kept(dropped)]
        mixed = dither and not few and share[places] > threshold
        indices.append(np.where(mixed, other[places], nearest[places]))
    return palette, np.stack(indices)


def _neighbours(colors: np.ndarray, palette: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each color the nearest entry, one on its other side, and the share of that one in a mixture, [0, 0.5]."""
    nearest = _nearest(colors, palette)
    wanted, entries = colors.astype(np.float32), palette.astype(np.float32)
    other = _nearest(2 * wanted - entries[nearest], palette)
    across = entries[other] - entries[nearest]
    length = (across**2).sum(1)
    share = ((wanted - entries[nearest]) * across).sum(1) / np.maximum(length, 1)
    share[length > APART**2] = 0
    return nearest.astype(np.uint8), other.astype(np.uint8), share.clip(0, 0.5)


def _pattern(height: int, width: int) -> np.ndarray:
    """(height, width) thresholds in [0, 1), evenly spread in any small neighbourhood, and without a grid to be seen.

    Reference: interleaved gradient noise, J. Jimenez, Next Generation Post Processing in Call of Duty, SIGGRAPH 2014.
    """
    rows, columns = np.mgrid[:height, :width]
    return (52.9829189 * ((0.06711056 * columns + 0.00583715 * rows) % 1) % 1).astype(np.float32)


def _packed(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) → (H, W): red, green and blue in one number."""
    red, green, blue = (frame[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _kept(dropped: int) -> int:
    """The bits of a packed color that are left."""
    return (255 >> dropped << dropped) * 0x010101


def _together(colors: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each color once, with the sum of its counts."""
    distinct, places = np.unique(colors, return_inverse=True)
    return distinct, np.bincount(places, counts)


def _palette(colors: np.ndarray, counts: np.ndarray, most: int) -> np.ndarray:
    """(n, 3) → up to (most − 1, 3): the most frequent ones, such as a caption's, the others by median cut and k-means.

    The root of the counts: by area alone a bright detail, or a thin outline, would lose its color to the sky's shades.
    """
    weights = np.sqrt(counts)
    copies = np.ceil(weights * min(1, 2**16 / weights.sum())).astype(int)
    sample = Image.fromarray(np.repeat(colors, copies, axis=0)[None])
    first = sample.quantize(most - 1 - FREQUENT, Image.Quantize.MEDIANCUT).getpalette()
    palette = np.asarray(first, np.float32).reshape(-1, 3)
    for _ in range(ROUNDS):
        nearest = _nearest(colors, palette)
        share = np.bincount(nearest, weights, minlength=len(palette))
        for channel in range(3):
            mean = np.bincount(nearest, weights * colors[:, channel], minlength=len(palette)) / np.maximum(share, 1e-9)
            palette[:, channel] = np.where(share > 0, mean, palette[:, channel])
    frequent = colors[np.argsort(counts)[-FREQUENT:]]
    return np.unique(np.concatenate([palette.round().astype(np.uint8), frequent]), axis=0)


def _nearest(colors: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """The index of the nearest entry for each color."""
    entries = palette.astype(np.float32)
    distances = (entries**2).sum(1) - 2 * colors.astype(np.float32) @ entries.T  # but for a term of the color's own
    return distances.argmin(1)


def _write_webp(path: Path, frames: np.ndarray, fps: float, hold: float, loop: int) -> None:
    images = [Image.fromarray(frame) for frame in frames]
    durations = _milliseconds(len(frames), fps, hold, unit=1)
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=loop, quality=90)


def _write_mp4(path: Path, frames: np.ndarray, fps: float, hold: float, loop: int) -> None:
    """H.264 in yuv420p, which every browser plays; it takes even sizes only, so a row or column may be repeated."""
    import imageio.v3 as imageio

    height, width = frames.shape[1:3]
    held = np.repeat(frames[-1:], round(hold * fps), axis=0)
    frames = np.concatenate([frames, held])
    frames = np.pad(frames, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], mode="edge")
    # Untagged colors are guessed by size, so a large clip would come out greener than a small one.
    colors = [f"-{name}" for name in ("colorspace", "color_primaries", "color_trc")]
    options = ["-crf", "17", "-movflags", "+faststart", "-vf", "scale=out_color_matrix=bt709:out_range=tv"]
    options += [part for name in colors for part in (name, "bt709")] + ["-color_range", "tv"]
    try:
        imageio.imwrite(
            path, frames, plugin="FFMPEG", fps=fps, codec="libx264", pixelformat="yuv420p", macro_block_size=2,
            quality=None, output_params=options,
        )  # fmt: skip
    except ImportError as error:
        raise InputError(
            f"{path}: MP4 needs imageio-ffmpeg (pip install imageio-ffmpeg); .gif and .webp don't"
        ) from error


ENCODERS = {".gif": _write_gif, ".mp4": _write_mp4, ".webp": _write_webp}
