"""Decides which picture files are read and where the results are written; it reads and writes none itself."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..data import images
from ..data.download import is_url
from ..errors import InputError, error_reason
from ..runtime.files import find_matches

SUFFIX = "_upscaled"


@dataclass(frozen=True)
class Job:
    """A picture to upscale: the path or URL of the source, and the file for the result."""

    source: str | Path
    target: Path


def plan(sources: Sequence[str], out: str | Path | None = None) -> tuple[list[Job], list[tuple[Job, Exception]]]:
    """Decides which files are read and written.

    Args:
        sources: paths, globs, folders or addresses.
        out: None for `<name>_upscaled.<ext>` beside each picture (of an address: in the current folder), a file for a
            single picture, or a folder.

    Returns:
        The jobs; and the sources without a picture, each as (Job, the error that says why).

    Raises:
        InputError: two pictures for one file, or a picture that would be overwritten.
    """
    if out is not None and not str(out).strip():
        raise InputError("--out is empty; leave it out, or give a file or a folder")
    found: list[str | Path] = []
    failed: list[tuple[Job, Exception]] = []
    for source in sources:
        try:
            found += _expand(source)
        except InputError as error:
            failed.append((Job(source, Path()), error))
    found = _without_own_results(list({str(picture): picture for picture in found}.values()))
    folder = out is not None and (
        len(found) > 1 or Path(out).is_dir() or str(out).endswith(("/", os.sep)) or not Path(out).suffix
    )
    if out is not None and folder and Path(out).suffix.lower() in images.EXTENSIONS and not Path(out).is_dir():
        raise InputError(f"{out} is one file for {len(found)} pictures; give a folder to --out")
    jobs = [Job(picture, _target(picture, Path(out) if out else None, folder)) for picture in found]
    _check_collisions(jobs)
    return jobs, failed


def check_writable(target: Path) -> None:
    """Checks, before any work, that a result can be written to this file.

    Raises:
        InputError: another extension, a folder in place of a file, or a folder without permission to write.
    """
    if target.suffix.lower() not in images.WRITABLE:
        raise InputError(f"{target}: pictures are written as {', '.join(images.WRITABLE)}")
    if target.is_dir():
        raise InputError(f"{target} is a folder; give the name of a file in it")
    folder = target.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(f"{target} can't be written: {folder} is not a folder; choose another --out")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{target} can't be written: no permission to write to {folder}; choose another --out")


def _check_collisions(jobs: Sequence[Job]) -> None:
    read = {_identity(job.source): job.source for job in jobs if isinstance(job.source, Path)}
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


def _identity(path: str | Path) -> str:
    """Returns the same text for the same file, also on systems where a.png and A.PNG are one file."""
    return os.path.normcase(os.path.realpath(path))


def _expand(source: str) -> Sequence[str | Path]:
    """Returns the pictures that a source names.

    Raises:
        InputError: a folder without pictures, a pattern without matches, or a name that no file can have.
    """
    if is_url(source):
        return [source]
    if not source.strip():
        raise InputError("the name of a picture is empty; for the pictures of this folder give .")
    path = Path(source)
    try:
        if path.is_dir():
            return _pictures(path.iterdir(), f"{path} is a folder without pictures")
        if path.exists() or not glob.has_magic(source):
            return [path]  # a missing file is reported when it is read, so that the other pictures are still upscaled
        return _pictures(map(Path, find_matches(source)), f"no picture matches {source}")
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source} can't be read ({error_reason(error)})") from error


def _pictures(paths: Iterable[Path], otherwise: str) -> list[Path]:
    """Returns the pictures among the paths, sorted, without hidden files; `otherwise` is the error for none."""
    found = [path for path in paths if path.suffix.lower() in images.EXTENSIONS and not path.name.startswith(".")]
    if not found:
        raise InputError(f"{otherwise}; expected {', '.join(images.EXTENSIONS)}")
    return sorted(found)


def _without_own_results(found: list[str | Path]) -> list[str | Path]:
    """Leaves out the results of an earlier call whose pictures are in the list: they are written again."""
    stems = {(path.parent, path.stem) for path in found if isinstance(path, Path)}

    def is_own(path: str | Path) -> bool:
        if not isinstance(path, Path) or not path.stem.endswith(SUFFIX):
            return False
        return (path.parent, path.stem.removesuffix(SUFFIX)) in stems

    return [path for path in found if not is_own(path)]


def _target(source: str | Path, out: Path | None, folder: bool) -> Path:
    """Returns the file for a picture's result: `out` itself, or a file in the folder `out` or beside the picture."""
    if out and not folder:
        return out
    picture = source if isinstance(source, Path) else Path(_name_in(source))
    extension = picture.suffix if picture.suffix.lower() in images.WRITABLE else ".png"
    return (out or picture.parent) / f"{picture.stem or 'picture'}{SUFFIX}{extension}"


def _name_in(address: str) -> str:
    """Returns the file name at the end of an address; an invalid address is reported when it is read."""
    try:
        name = Path(unquote(urlsplit(address).path)).name
    except ValueError:
        return "picture"
    return "".join(letter if letter.isprintable() else "_" for letter in name)
