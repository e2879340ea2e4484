"""Picture files made larger: which file goes where, and one after another, whatever becomes of the others."""

import glob
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from . import images
from .decoding import header
from .degradation import check_scale, upscaled_size
from .errors import InputError
from .files import is_address
from .inference import upscale_picture
from .model import SRCNN

ENDING = "_upscaled"
BYTES_A_VALUE = 32  # measured: bicubic, the result, and their way to 8 bits take 25 (RGB) to 29 (RGBA)


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
    seconds: float
    notes: tuple[str, ...]


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


def upscale_file(job: Job, model: SRCNN, scale: float, mode: str = "whole", bar=None, **how) -> Done:
    """Read, enlarge and write one picture.

    Raises:
        InputError: a picture or a target that can't be used; nothing is written then.
        OSError: a full disk, a folder that may not be written.
    """
    began = time.perf_counter()
    check_writable(job.target)
    if not is_address(job.source) and (announced := header(job.source)):
        check_memory(job.source, announced, scale)
    picture = images.read(job.source)
    check_memory(job.source, (*picture.pixels.shape[-2:], len(picture.pixels)), scale)
    try:
        large = upscale_picture(picture, model, scale, mode, bar=bar, **how)
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "alloc" not in str(error) and "out of memory" not in str(error):
            raise
        raise InputError(f"{job.source}: there is not enough memory to enlarge it ×{scale:g}; cut it first") from error
    job.target.parent.mkdir(parents=True, exist_ok=True)
    notes = (*picture.notes, *images.write(job.target, large))
    height, width = large.pixels.shape[-2:]
    channels = len(large.pixels) + (large.alpha is not None)
    return Done(job, (height, width, channels), time.perf_counter() - began, notes)


def upscale_files(
    jobs: Sequence[Job], model: SRCNN, scale: float, tell: Callable[[Done | tuple[Job, Exception]], None], **how
) -> list[tuple[Job, Exception]]:
    """Every job in turn; a bad one does not stop the rest. Returns those that failed, with why.

    Args:
        tell: called after each job, with what became of it.
    """
    check_scale(scale)
    failed = []
    for job in jobs:
        try:
            tell(upscale_file(job, model, scale, **how))
        except (InputError, OSError, MemoryError) as error:
            failed.append((job, error))
            tell((job, error))
    return failed


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


def check_memory(source: str | Path, announced: tuple[int, int, int], scale: float) -> None:
    """Refuse what would not fit, before it makes the machine unusable.

    Args:
        announced: height, width and channels of the picture.

    Raises:
        InputError: with what it would take and what there is.
    """
    *size, channels = announced
    height, width = upscaled_size(*size, scale)
    needed = BYTES_A_VALUE * height * width * channels
    there = memory_available()
    if there and needed > 0.9 * there:
        raise InputError(
            f"{source}: {width}×{height} pixels would take some {needed / 2**30:.1f} GB of memory, "
            f"{there / 2**30:.1f} GB are free; use a smaller scale or cut the picture"
        )


def memory_available() -> int | None:
    """Bytes that can be had without swapping, where the system tells."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
