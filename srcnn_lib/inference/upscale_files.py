"""Picture files made larger: which file goes where, and one after another, whatever becomes of the others."""

import glob
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..data import images
from ..data.degradation import check_scale
from ..data.download import is_address
from ..errors import InputError
from ..model import SRCNN
from .passage import Done, Job, NoRoom, Passage
from .tiling import Tiles, tile_for

ENDING = "_upscaled"
EXPECTED = (InputError, OSError, MemoryError)  # what may become of a picture without the others' being given up


def plan(sources: Sequence[str], out: str | Path | None = None) -> tuple[list[Job], list[tuple[Job, Exception]]]:
    """Which files are read and written; nothing is done yet.

    Args:
        sources: paths, globs, folders or addresses.
        out: None for `<name>_upscaled.<ext>` beside each (an address: in the current folder), a file for a single
            picture, or a folder.

    Returns:
        The jobs, and the sources that hold nothing to read, with why.

    Raises:
        InputError: two pictures for one file, or a picture that would be overwritten.
    """
    found, failed = [], []
    for source in sources:
        try:
            found += _expand(source)
        except InputError as error:
            failed.append((Job(source, Path()), error))
    found = _without_own(list({str(picture): picture for picture in found}.values()))
    folder = out is not None and (
        len(found) > 1 or Path(out).is_dir() or str(out).endswith(("/", os.sep)) or not Path(out).suffix
    )
    if folder and Path(out).suffix.lower() in images.EXTENSIONS and not Path(out).is_dir():
        raise InputError(f"{out} is one file for {len(found)} pictures; give a folder to --out")
    jobs = [Job(picture, _target(picture, Path(out) if out else None, folder)) for picture in found]
    read = {_identity(job.source): job.source for job in jobs if not is_address(job.source)}
    written: dict[str, Job] = {}
    for job in jobs:
        key = _identity(job.target)
        if key in read:
            raise InputError(f"{job.source} would be written over the picture {read[key]}; choose another --out")
        if key in written:
            raise InputError(
                f"{written[key].source} and {job.source} would both be written to {job.target}; "
                "run them one at a time with --out"
            )
        written[key] = job
    return jobs, failed


def _identity(path: str | Path) -> str:
    """One text for one file, also on systems that take a.png and A.PNG for the same."""
    return os.path.normcase(os.path.realpath(path))


def _expand(source: str) -> list[str | Path]:
    """The pictures that a source names.

    Raises:
        InputError: a folder without pictures, a pattern that nothing matches, a name that can't be one.
    """
    if is_address(source):
        return [source]
    path = Path(source)
    try:
        if path.is_dir():
            return _pictures(path.iterdir(), f"{path} is a folder without pictures")
        if path.exists() or not glob.has_magic(source):
            return [path]  # a missing file is reported when its turn comes, so that the others are done
        return _pictures(map(Path, glob.glob(source, recursive=True)), f"no picture matches {source}")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source} can't be read ({getattr(error, 'strerror', None) or error})") from error


def _pictures(paths, otherwise: str) -> list[Path]:
    """The pictures among the paths, in order, without hidden ones."""
    found = [path for path in paths if path.suffix.lower() in images.EXTENSIONS and not path.name.startswith(".")]
    if not found:
        raise InputError(f"{otherwise}; expected {', '.join(images.EXTENSIONS)}")
    return sorted(found)


def _without_own(found: list[str | Path]) -> list[str | Path]:
    """The pictures without what an earlier call made of others among them: they will be made anew."""
    stems = {(path.parent, path.stem) for path in found if isinstance(path, Path)}

    def own(path: str | Path) -> bool:
        if not isinstance(path, Path) or not path.stem.endswith(ENDING):
            return False
        return (path.parent, path.stem.removesuffix(ENDING)) in stems

    return [path for path in found if not own(path)]


def _target(source: str | Path, out: Path | None, folder: bool) -> Path:
    if out and not folder:
        return out
    address = is_address(source)
    name = _name_in(source) if address else Path(source).name
    stem, extension = Path(name).stem or "picture", Path(name).suffix
    if extension.lower() not in images.WRITABLE:
        extension = ".png"
    if out:
        return out / f"{stem}{ENDING}{extension}"
    return Path("" if address else Path(source).parent) / f"{stem}{ENDING}{extension}"


def _name_in(address: str) -> str:
    """The file's name at the end of an address; what is wrong with the address is for `images.read` to say."""
    try:
        name = Path(unquote(urlsplit(address).path)).name
    except ValueError:
        return "picture"
    return "".join(letter if letter.isprintable() else "_" for letter in name)


def upscale_file(job: Job, model: SRCNN, scale: float, mode: str = "whole", **how) -> Done:
    """Read, enlarge and write one picture. `how` is as in `inference.bands`, but for `tile`.

    Raises:
        InputError: a picture or a target that can't be used; nothing is written then.
        OSError: a full disk, a folder that may not be written.
    """
    passage = Passage(job, scale, mode)
    passage.read()
    passage.enlarge(model, Tiles(tile_for(model), passage.notes.append), **how)
    return passage.write()


def upscale_files(
    jobs: Sequence[Job],
    model: SRCNN,
    scale: float,
    tell: Callable[[Done | tuple[Job, Exception]], None],
    mode: str = "whole",
    progress: Callable[[int, int], object] | None = None,
    **how,
) -> list[tuple[Job, Exception]]:
    """Every job in turn; a bad one does not stop the rest. Returns those that failed, with why.

    While the network works on a picture, the next one is read and the last one is written, where memory allows.

    Args:
        tell: called for each job, in their order, with what became of it.
        progress: called with how many rows of a picture are done, and of how many.
        how: as in `inference.bands`, but for `tile`.
    """
    check_scale(scale)
    outcomes, tiles = _Outcomes(tell), Tiles(tile_for(model))
    coming = deque(Passage(job, scale, mode) for job in jobs)
    passage, reading = None, None  # the picture at work, and the reading of the next one

    def moved(done: int, total: int) -> None:
        outcomes.settle()
        if progress:
            progress(done, total)

    try:
        while coming:
            behind, passage, read, reading = passage, coming.popleft(), reading, None
            try:
                if not _was_read(read):
                    outcomes.settle(wait=True)  # so that it has all the memory there is
                    passage.read()
                if coming:
                    beside = [passage, behind] if outcomes.open else [passage]
                    reading = _in_thread(lambda following=coming[0], beside=beside: following.read(beside), daemon=True)
                tiles.say = passage.notes.append
                passage.enlarge(model, tiles, progress=moved, **how)
                outcomes.settle(wait=True)  # one at a time is written
                outcomes.add(passage.job, _in_thread(passage.write))
            except EXPECTED as error:
                outcomes.add(passage.job, _failed(error))
            outcomes.settle()
    finally:
        outcomes.settle(wait=True)  # Ctrl-C waits for the file that is being written
    return outcomes.failed


class _Outcomes:
    """What becomes of jobs, told in their order. Only the first that is not told yet may be waited for."""

    def __init__(self, tell: Callable):
        self.tell = tell
        self.open: deque[tuple[Job, Future]] = deque()
        self.failed: list[tuple[Job, Exception]] = []

    def add(self, job: Job, outcome: Future) -> None:
        self.open.append((job, outcome))

    def settle(self, wait: bool = False) -> None:
        """Tell all that is known, or wait until everything is."""
        while self.open and (wait or self.open[0][1].done()):
            job, outcome = self.open[0]
            if error := outcome.exception():
                if not isinstance(error, EXPECTED):
                    raise error
                # The frames that an error has come through hold its picture.
                error.__traceback__ = error.__cause__ = error.__context__ = None
                self.failed.append((job, error))
            self.open.popleft()
            self.tell((job, error) if error else outcome.result())


def _was_read(reading: Future | None) -> bool:
    """Whether a picture was read ahead; what made it fail is raised."""
    if reading is None or isinstance(reading.exception(), NoRoom):
        return False
    reading.result()
    return True


def _in_thread(function: Callable[[], object], daemon: bool = False) -> Future:
    """What a function will have given; the program's end waits for it unless it is a daemon."""
    future = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=daemon).start()
    return future


def _failed(error: Exception) -> Future:
    future = Future()
    future.set_exception(error)
    return future
