"""A run as it lies on Drive, which drops files, stalls, and goes away in the middle of a write.

So nothing there is overwritten or appended. A file of the run is one or several *pieces*, each under a name that no
other piece ever had, read back and compared once it is written. What the pieces make up is said by a list that is
written last, `latest-00000012.….json`; it gets a new name as well, and the few before it stay, with all they name, for
the day on which the newest turns out to be damaged. The folder of a run is flat:

    srcnn_runs/<name>/
      step-00001200.3f2a9c-41.pt                    a checkpoint
      step-00001200-epoch-0004.3f2a9c-42.safetensors
      history.3f2a9c-43.jsonl …                     what was appended since the piece before it
      latest-00000012.3f2a9c-44.json                {"run", "step", "files": {path: [{"name", "size", "sha256"}]}}
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from ..data.download import CHUNK
from ..errors import InputError
from ..runtime.files import shown

# What a mount that died answers with. ENOENT is among them only where the folder itself is gone.
GONE = {errno.ENOTCONN, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNABORTED}
ESSENTIAL = ("config.json",)  # and a checkpoint: without these a training can't go on
LISTING = re.compile(r"latest-\d{8}\.[0-9a-f]+-\d+\.json")
IDENTITY = "mirror.json"  # in the run: what tells it from another of the same name


class DamagedError(Exception):
    """What is read is not what was written."""


class GoneError(Exception):
    """Nothing on Drive can be read: told apart from an OSError, which the local disk may answer with as well."""


@dataclass(frozen=True)
class Piece:
    """A file on Drive, and what it has to hold."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Listing:
    """What a run consisted of at one moment: `files` by their path in the run, each one's pieces in order."""

    name: str  # its own, on Drive
    run: str  # the run's identity
    step: int
    files: dict[str, list[Piece]]

    @property
    def number(self) -> int:
        return int(self.name.removeprefix("latest-").partition(".")[0])

    def names(self) -> set[str]:
        """All that has to stay on Drive for this listing to hold."""
        return {self.name} | {piece.name for pieces in self.files.values() for piece in pieces}

    def content(self) -> bytes:
        """The bytes of its file; `listings` is the inverse."""
        files = {path: [asdict(piece) for piece in pieces] for path, pieces in self.files.items()}
        return json.dumps({"run": self.run, "step": self.step, "files": files}, indent=1).encode()


def write_piece(folder: Path, name: str, content: bytes, beat: Callable[[], object] = lambda: None) -> Piece:
    """Write a new file, and read it back.

    Args:
        folder: on Drive.
        name: one that was never used before.
        content: what it is to hold.
        beat: called whenever Drive has answered.

    Raises:
        OSError: Drive refuses, is full or gone; FileExistsError where the name was used.
        DamagedError: what is read back differs.
    """
    piece = Piece(name, len(content), hashlib.sha256(content).hexdigest())
    with open(folder / name, "xb") as file:
        beat()
        for start in range(0, len(content), CHUNK):
            file.write(content[start : start + CHUNK])
            beat()
        file.flush()
        with _where_supported():
            os.fsync(file.fileno())
    beat()
    read_piece(folder, piece)
    beat()
    return piece


def read_piece(folder: Path, piece: Piece) -> bytes:
    """The inverse of `write_piece`. Raises DamagedError where it is missing or differs."""
    try:
        with open(folder / piece.name, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise DamagedError(f"{piece.name} is missing") from error
    if len(content) != piece.size or hashlib.sha256(content).hexdigest() != piece.sha256:
        raise DamagedError(f"{piece.name} does not hold what was written")
    return content


def remove_piece(folder: Path, name: str) -> None:
    """Delete a file for good: Drive moves it to the trash, where it counts against the quota with all it holds."""
    with contextlib.suppress(FileNotFoundError):
        os.truncate(folder / name, 0)
        os.unlink(folder / name)


def listings(folder: Path) -> list[Listing]:
    """All listings in a run's folder that can be read, the newest first."""
    return _readable(folder, _listing_names(folder))


def _readable(folder: Path, names: list[str]) -> list[Listing]:
    found = []
    for name in names:
        with contextlib.suppress(DamagedError):
            found.append(_read_listing(folder, name))
    return found


def _listing_names(folder: Path) -> list[str]:
    """Of all listings, whether they can be read or not, the newest first."""
    return sorted(filter(LISTING.fullmatch, os.listdir(folder)), reverse=True)


def _read_listing(folder: Path, name: str) -> Listing:
    try:
        with open(folder / name, "rb") as file:
            content = json.loads(file.read())
        files = {path: [Piece(**piece) for piece in pieces] for path, pieces in content["files"].items()}
        listing = Listing(name, str(content["run"]), int(content["step"]), files)
        _check_inside(listing)
    except OSError as error:
        if error.errno in GONE:
            raise
        raise DamagedError(f"{name} can't be read") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{name} is damaged") from error
    return listing


def _check_inside(listing: Listing) -> None:
    """A folder on Drive may be shared with others: no listing leads out of it, nor out of the run."""
    for path in map(PurePosixPath, listing.files):
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(path)
    for name in listing.names():
        if Path(name).name != name:
            raise ValueError(name)


def restore(
    drive_folder: str | Path | None, name: str, local_folder: str | Path, say: Callable[[str], object] = print
) -> Path | None:
    """The run of this name on the local disk, fetched from Drive where it is there only; `fit` goes on with it.

    The newest listing all of whose sums hold is taken; where none is whole, the newest from which a training can go
    on, without what is damaged. It arrives whole or not at all.

    Args:
        drive_folder: as `colab.mount_drive` gives it; None looks on the local disk only.
        name: the run's.
        local_folder: where the runs are.
        say: takes a line about what was done.

    Returns:
        local_folder/name, or None where there is no such run. One that is on the local disk is left as it is.

    Raises:
        InputError: Drive can't be read, so that nobody knows whether the run is there.
        OSError: the local disk can't be written.
    """
    local_folder = Path(local_folder)
    target = local_folder / name
    if target.is_dir() and any(target.iterdir()):
        return target
    if drive_folder is None:
        return None
    try:
        found, newest = _found(Path(drive_folder), name)
        for damage_allowed in (False, True):
            for listing in found:
                if _take(Path(drive_folder) / name, listing, target, damage_allowed):
                    say(_account(listing, target, listing.name == newest))
                    return target
    except GoneError as error:
        raise InputError(
            f"Drive can't be read ({shown(drive_folder)}: {error}); mount it again, or go on without it"
        ) from error
    if found:
        say(f"Drive: {name} is there, but too damaged to go on with; nothing was taken from it")
    return None


def _found(drive_folder: Path, name: str) -> tuple[list[Listing], str]:
    """The listings of a run that can be read, the newest first; the name of the newest, whether or not it can be."""
    try:
        os.listdir(drive_folder)  # where even this is missing it is the mount that is, not the run
    except OSError as error:
        raise GoneError(error.strerror) from error
    try:
        names = _listing_names(drive_folder / name)
        return _readable(drive_folder / name, names), names[0] if names else ""
    except (FileNotFoundError, NotADirectoryError):
        return [], ""
    except OSError as error:
        raise GoneError(error.strerror) from error


def _take(folder: Path, listing: Listing, target: Path, damage_allowed: bool) -> bool:
    """Copy what a listing names, whole or not at all; returns whether it would do."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        if not _fetch(folder, listing, temporary, damage_allowed):
            return False
        if target.is_dir():
            target.rmdir()  # empty; a rename onto it is an error on some systems
        os.rename(temporary, target)
        return True
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fetch(folder: Path, listing: Listing, temporary: Path, damage_allowed: bool) -> bool:
    temporary.mkdir()
    (temporary / IDENTITY).write_text(json.dumps({"run": listing.run}), "utf-8")
    fetched = []
    for path, pieces in listing.files.items():
        try:
            content = b"".join(_read(folder, piece) for piece in pieces)
        except DamagedError:
            if not damage_allowed or path in ESSENTIAL:
                return False
            continue
        (temporary / path).parent.mkdir(parents=True, exist_ok=True)
        (temporary / path).write_bytes(content)
        fetched.append(path)
    return all(path in fetched for path in ESSENTIAL) and any(path.startswith("checkpoints/") for path in fetched)


def _read(folder: Path, piece: Piece) -> bytes:
    """A file that can't be read is as good as damaged, unless none can."""
    try:
        return read_piece(folder, piece)
    except OSError as error:
        if error.errno in GONE:
            raise GoneError(error.strerror) from error
        raise DamagedError(f"{piece.name} can't be read") from error


def _account(listing: Listing, target: Path, newest: bool) -> str:
    missing = [shown(path) for path in listing.files if not (target / path).is_file()]
    step = max(int(path.stem.removeprefix("step-")) for path in (target / "checkpoints").glob("step-*.pt"))
    return (
        f"Drive: {shown(target)} was taken from there and stands at step {step}"
        + ("" if newest else "; what was newer there is damaged")
        + (f"; damaged there and left out: {', '.join(missing)}" if missing else "")
    )


@contextlib.contextmanager
def _where_supported() -> Iterator[None]:
    """Not every file system that stands for Drive can synchronise a file."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
