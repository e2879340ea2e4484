"""Upscales picture files one after another: each is read, enlarged and written.

While the network enlarges a picture, the next one is read and the previous ones are written, each in a thread:

    thread   | read 2      | read 3      |             |
    main     | enlarge 1   | enlarge 2   | enlarge 3   |
    thread   |             | write 1     | write 2     | write 3
"""

import contextlib
import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from ..data import images
from ..data.degradation import check_scale, upscaled_size
from ..data.image_decoding import ImageHeader
from ..errors import InputError
from ..model import SRCNN
from ..runtime import memory
from ..runtime.console import Progress
from .jobs import Job, check_writable
from .options import InferenceOptions
from .tiling import LONGEST, BicubicEnlargement, TileSize
from .upscaling import upscale_bands

MOST_WRITTEN = 3  # at a time: compressing a picture on one core takes longer than enlarging the next one on two
EXPECTED = (InputError, OSError, MemoryError)  # errors of one picture, after which the others are still done
# Bytes of memory per value, measured.
OVERLAPPING_BYTES = 32  # with overlapping patches, where the whole enlargement is in memory: 25 (RGB) to 29 (RGBA)
ROW_BYTES = 60  # of a row, besides its pixels: what each takes from which rows of the picture
BAND_BYTES = 40  # of a band in float32: its bicubic rows, their conversion to the network's channels, and the result


@dataclass(frozen=True)
class Upscaled:
    """A job that is done.

    Args:
        job: the picture and its new file.
        size: (height, width, channels) of the new file.
        seconds: how long reading, enlarging and writing took together.
        notes: what was lost in reading or writing, one line each.
    """

    job: Job
    size: tuple[int, int, int]
    seconds: float
    notes: tuple[str, ...]


Outcome = Upscaled | tuple[Job, Exception]


def upscale_files(
    jobs: Sequence[Job],
    model: SRCNN,
    scale: float,
    report: Callable[[Outcome], object],
    options: InferenceOptions = InferenceOptions(),
    progress: Progress | None = None,
) -> list[tuple[Job, Exception]]:
    """Does all jobs, in their order; a picture that fails does not stop the others.

    Args:
        jobs: as `plan` returns them.
        model: the network, on any device.
        scale: from 1.1 to 8.
        report: called for each job, in their order, with an Upscaled, or with (job, error).
        options: how the network is run.
        progress: called as progress(done, total), in rows of a picture.

    Returns:
        The jobs that failed, each with its error.

    Raises:
        InputError: a scale outside 1.1 to 8.
    """
    check_scale(scale)
    outcomes = _Outcomes(report)
    tile_size = TileSize(model, options.tile)  # one for all pictures: a GPU's limit is found only once

    def on_progress(done: int, total: int) -> None:
        outcomes.report_finished()
        if progress:
            progress(done, total)

    pictures = (PictureJob(job, scale, options) for job in jobs)
    unwritten: list[tuple[PictureJob, Future]] = []  # pictures that are being written
    current = next(pictures, None)
    try:
        while current:
            following = next(pictures, None)
            try:
                # 1. Read, unless that is done already; now all the memory is free.
                if not current.was_read_ahead():
                    outcomes.wait()
                    current.read()
                # 2. Begin to read the next picture.
                if following:
                    beside = [current, *(picture for picture, _ in unwritten)]
                    following.reading = _in_thread(functools.partial(following.read, beside), daemon=True)
                # 3. Enlarge.
                tile_size.notify = current.notes.append
                current.enlarge(model, tile_size, on_progress)
                # 4. Begin to write.
                outcomes.wait(MOST_WRITTEN - 1)
                writing = _in_thread(current.write)
                outcomes.add(current.job, writing)
                unwritten.append((current, writing))
            except EXPECTED as error:
                outcomes.add(current.job, _failed(error))
            outcomes.report_finished()
            # One that is written is forgotten, and its pixels with it.
            unwritten = [(picture, writing) for picture, writing in unwritten if not writing.done()]
            current = following
    finally:
        outcomes.wait()  # Ctrl-C waits for the file that is being written
    return outcomes.failed


def upscale_file(
    job: Job,
    model: SRCNN,
    scale: float,
    options: InferenceOptions = InferenceOptions(),
    progress: Progress | None = None,
) -> Upscaled:
    """Reads, enlarges and writes one picture.

    Args:
        job, model, options, progress: as in `upscale_files`.
        scale: from 0.1 to 8.

    Raises:
        InputError: a picture or a target that can't be used; nothing is written then.
        OSError: a full disk, or a folder without permission to write.
    """
    picture = PictureJob(job, scale, options)
    picture.read()
    picture.enlarge(model, TileSize(model, options.tile, picture.notes.append), progress)
    return picture.write()


class _NoRoom(Exception):
    """A picture does not fit into memory together with those that are being enlarged and written."""


class PictureJob:
    """One job, done in three steps that may run in different threads: `read`, `enlarge`, `write`.

    Raises, in any of them:
        InputError: a picture or a target that can't be used; nothing is written then.
        OSError: a full disk, or a folder without permission to write.
    """

    def __init__(self, job: Job, scale: float, options: InferenceOptions):
        self.job = job
        self.scale = scale
        self.options = options
        self.reading: Future | None = None  # `read` in a thread, while the network enlarges another picture
        self.bytes_needed = 0  # set when the picture's size is known
        self.seconds = 0.0
        self.notes: list[str] = []

    def read(self, beside: Sequence["PictureJob"] = ()) -> None:
        """Reads the picture.

        Args:
            beside: jobs that are not finished; the picture is read only if it fits into memory together with them.

        Raises:
            _NoRoom: there is not enough memory before the other jobs are done.
        """
        with self._clock():
            check_writable(self.job.target)
            picture = images.read_image(self.job.source, check_header=lambda header: self._check_memory(header, beside))
            channels, height, width = picture.pixels.shape
            alpha = picture.alpha is not None
            self._check_memory(ImageHeader(height, width, channels + alpha, picture.bits), beside)
            self.notes += picture.notes
            self.enlargement = BicubicEnlargement(picture, self.scale)
            self.writer = images.PictureWriter(self.job.target, self.enlargement.size, channels, alpha, picture.bits)

    def was_read_ahead(self) -> bool:
        """Waits for `reading` and returns whether the picture is read; raises the error of the reading, if any."""
        reading = self.reading
        self.reading = None  # an error that it holds would keep the picture in memory
        if reading is None or isinstance(reading.exception(), _NoRoom):
            return False
        reading.result()
        return True

    def enlarge(self, model: SRCNN, tile_size: TileSize, progress: Progress | None = None) -> None:
        """Runs the network band by band and hands each band to the writer."""
        with self._clock():
            try:
                for top, pixels, alpha in upscale_bands(
                    self.enlargement, model, self.options, tile_size=tile_size, progress=progress
                ):
                    self.writer.write_rows(top, pixels, alpha)
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, RuntimeError) and "alloc" not in str(error) and "out of memory" not in str(error):
                    raise
                raise InputError(
                    f"{self.job.source}: there is not enough memory to enlarge it ×{self.scale:g}; cut it first"
                ) from error
            del self.enlargement  # writing needs memory of its own

    def write(self) -> Upscaled:
        """Writes the file, whole or not at all."""
        with self._clock():
            self.job.target.parent.mkdir(parents=True, exist_ok=True)
            if self.job.target.exists():  # as ×3 after ×2
                self.notes.append("an earlier file of this name was overwritten")
            self.notes += self.writer.save()
        return Upscaled(self.job, self.writer.shape, self.seconds, tuple(self.notes))

    def _check_memory(self, header: ImageHeader, beside: Sequence["PictureJob"]) -> None:
        self.bytes_needed = bytes_needed(header, self.scale, self.options.mode)
        if beside and not memory.fits(self.bytes_needed + sum(other.bytes_needed for other in beside)):
            raise _NoRoom
        height, width = upscaled_size(header.height, header.width, self.scale)
        what = f"{self.job.source}: {width}×{height} pixels"
        memory.check(what, self.bytes_needed, "use a smaller scale or cut the picture")

    @contextlib.contextmanager
    def _clock(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began


def bytes_needed(header: ImageHeader, scale: float, mode: str) -> int:
    """Returns the memory that a picture takes at most, from file to file, in bytes."""
    enlarged_height, enlarged_width = upscaled_size(header.height, header.width, scale)
    values = header.height * header.width * header.channels
    enlarged_values = enlarged_height * enlarged_width * header.channels
    if mode == "overlapping":
        return OVERLAPPING_BYTES * enlarged_values
    sample_bytes = header.bits // 8
    band = BAND_BYTES * min(enlarged_height, LONGEST + 32) * enlarged_width * header.channels
    reading = 7 * values  # Pillow's, NumPy's and float32
    enlarging = 4 * values + sample_bytes * enlarged_values + band + ROW_BYTES * enlarged_height
    writing = 4 * sample_bytes * enlarged_values  # the pixels, the encoder's copy, the file
    return max(reading, enlarging, writing)


class _Outcomes:
    """Reports the outcomes of jobs in their order, as soon as they are known."""

    def __init__(self, report: Callable[[Outcome], object]):
        self.report = report
        self.pending: deque[tuple[Job, Future]] = deque()
        self.failed: list[tuple[Job, Exception]] = []

    def add(self, job: Job, outcome: Future) -> None:
        self.pending.append((job, outcome))

    def report_finished(self) -> None:
        """Reports the outcomes that are known, up to the first one that is not."""
        while self.pending and self.pending[0][1].done():
            self._report_first()

    def wait(self, most: int = 0) -> None:
        """Waits until at most `most` outcomes are unknown, and reports the others."""
        while len(self.pending) > most:
            self._report_first()

    def _report_first(self) -> None:
        job, outcome = self.pending[0]
        error = outcome.exception()  # waits until the job is done
        if error is not None and not isinstance(error, EXPECTED):
            raise error  # the job stays pending: the last `wait` raises the error again
        self.pending.popleft()
        if error is None:
            self.report(outcome.result())
            return
        # An error's traceback would keep the picture in memory.
        error.__traceback__ = error.__cause__ = error.__context__ = None
        self.failed.append((job, error))
        self.report((job, error))


def _in_thread(function: Callable[[], object], daemon: bool = False) -> Future:
    """Runs a function in a thread; the end of the program waits for it, unless it is a daemon."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=daemon).start()
    return future


def _failed(error: Exception) -> Future:
    future: Future = Future()
    future.set_exception(error)
    return future
