"""One picture on its way from file to file, and what it takes of the memory."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data import images
from ..data.degradation import upscaled_size
from ..data.image_decoding import Announced
from ..errors import InputError
from ..model import SRCNN
from ..runtime import memory
from .bands import BicubicEnlargement
from .tiling import LONGEST, Tiles
from .upscaling import bands

# A value, measured.
OVERLAPPING_BYTES = 32  # where the whole enlargement is in memory: 25 (RGB) to 29 (RGBA)
BAND_BYTES = 40  # of a band, in float32: its enlargement, its colors, its result


@dataclass(frozen=True)
class Job:
    """One picture and where its enlargement goes."""

    source: str | Path
    target: Path


@dataclass(frozen=True)
class Done:
    """What became of a job."""

    job: Job
    size: tuple[int, int, int]  # (height, width, channels) of what was written
    seconds: float  # of work on it
    notes: tuple[str, ...]


class NoRoom(Exception):
    """A picture has no room in memory beside those that are under way."""


class Passage:
    """A job to be done in three steps, `read`, `enlarge` and `write`, each in any thread.

    Raises, in any of them:
        InputError: a picture or a target that can't be used; nothing is written then.
        OSError: a full disk, a folder that may not be written.
    """

    def __init__(self, job: Job, scale: float, mode: str):
        self.job, self.scale, self.mode = job, scale, mode
        self.needed = 0  # bytes, once the picture's size is known
        self.seconds, self.notes = 0.0, []

    def read(self, beside: Sequence["Passage"] = ()) -> None:
        """Read the picture; beside others that are under way only where there is memory for all of them.

        Raises:
            NoRoom: there is not; once they are done there may be.
        """
        with self._clock():
            check_writable(self.job.target)
            picture = images.read_image(self.job.source, admit=lambda announced: self._admit(announced, beside))
            channels, *size = picture.pixels.shape
            alpha = picture.alpha is not None
            self._admit(Announced(*size, channels + alpha, picture.bits), beside)
            self.notes += picture.notes
            self.enlargement = BicubicEnlargement(picture, self.scale)
            self.canvas = images.Canvas(self.job.target, self.enlargement.size, channels, alpha, picture.bits)

    def enlarge(self, model: SRCNN, tiles: Tiles, **how) -> None:
        """Fill the canvas. `how` is as in `inference.bands`."""
        with self._clock():
            try:
                for band in bands(self.enlargement, model, self.mode, tile=tiles, **how):
                    self.canvas.fill(*band)
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and "alloc" not in str(error) and "out of memory" not in str(error):
                    raise
                raise InputError(
                    f"{self.job.source}: there is not enough memory to enlarge it ×{self.scale:g}; cut it first"
                ) from error
            del self.enlargement  # the writing takes memory of its own

    def write(self) -> Done:
        with self._clock():
            size = self.canvas.array.shape
            self.job.target.parent.mkdir(parents=True, exist_ok=True)
            self.notes += self.canvas.write()
        return Done(self.job, size, self.seconds, tuple(self.notes))

    def _admit(self, announced: Announced, beside: Sequence["Passage"]) -> None:
        self.needed = bytes_needed(announced, self.scale, self.mode)
        if beside and not memory.fits(self.needed + sum(other.needed for other in beside)):
            raise NoRoom
        height, width = upscaled_size(announced.height, announced.width, self.scale)
        what = f"{self.job.source}: {width}×{height} pixels"
        memory.check(what, self.needed, "use a smaller scale or cut the picture")

    @contextlib.contextmanager
    def _clock(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began


def bytes_needed(announced: Announced, scale: float, mode: str) -> int:
    """Memory that a picture takes at most, from file to file, in bytes."""
    height, width, channels, bits = announced
    tall, wide = upscaled_size(height, width, scale)
    given, made = (rows * columns * channels for rows, columns in ((height, width), (tall, wide)))  # values
    if mode == "overlapping":
        return OVERLAPPING_BYTES * made
    band = BAND_BYTES * min(tall, LONGEST + 32) * wide * channels
    # While it is read (Pillow's, NumPy's and float32), enlarged and written (its bits, the encoder's copy, the file).
    return max(7 * given, 4 * given + bits // 8 * made + band, 4 * bits // 8 * made)


def check_writable(target: Path) -> None:
    """Find out before the work whether its result could be written.

    Raises:
        InputError: the folder may not be written, or is none.
    """
    if target.suffix.lower() not in images.WRITABLE:
        raise InputError(f"{target}: pictures are written as {', '.join(images.WRITABLE)}")
    if target.is_dir():
        raise InputError(f"{target} is a folder; give the name of a file in it")
    folder = target.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{target} can't be written: {folder} is no folder; choose another --out")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{target} can't be written: {folder} is not yours to write to; choose another --out")
