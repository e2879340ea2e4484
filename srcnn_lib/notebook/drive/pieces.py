"""The files of a run's folder on Drive: pieces, and the listings that name them."""

import contextlib
import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

CHUNK = 2**20  # bytes written between two heartbeats
# Errors of a mount that died. ENOENT is one of them only where the folder of all runs is missing too.
MOUNT_ERRORS = {errno.ENOTCONN, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNABORTED}
LISTING_NAME = re.compile(r"latest-\d{8}\.[0-9a-f]+-\d+\.json")
IDENTITY_FILE = "drive_backup.json"  # in the run's own folder: tells it from another run of the same name


class DamagedError(Exception):
    """A file on Drive does not hold what was written."""


@dataclass(frozen=True)
class Piece:
    """A file on Drive, and the content that it must have."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Listing:
    """The files of a run at one moment: `files` has the pieces of each, in order, by the file's path in the run."""

    name: str  # of the listing's own file on Drive
    run: str  # the run's identity
    step: int
    files: dict[str, list[Piece]]

    @property
    def number(self) -> int:
        return int(self.name.removeprefix("latest-").partition(".")[0])

    def names(self) -> set[str]:
        """Returns the names of the listing's file and of all its pieces, which must stay on Drive together."""
        return {self.name} | {piece.name for pieces in self.files.values() for piece in pieces}

    def content(self) -> bytes:
        """Returns the bytes of the listing's file; `read_listing` is the inverse."""
        files = {path: [asdict(piece) for piece in pieces] for path, pieces in self.files.items()}
        return json.dumps({"run": self.run, "step": self.step, "files": files}, indent=1).encode()


def write_piece(folder: Path, name: str, content: bytes, heartbeat: Callable[[], object] = lambda: None) -> Piece:
    """Writes a new file and reads it back.

    Args:
        folder: of the run, on Drive.
        name: one that was never used before.
        content: of the file.
        heartbeat: called whenever Drive has answered.

    Raises:
        OSError: Drive refuses, is full or gone; FileExistsError if the name was used before.
        DamagedError: the content that is read back differs.
    """
    piece = Piece(name, len(content), hashlib.sha256(content).hexdigest())
    with open(folder / name, "xb") as file:
        heartbeat()
        for start in range(0, len(content), CHUNK):
            file.write(content[start : start + CHUNK])
            heartbeat()
        file.flush()
        with _ignore_unsupported():
            os.fsync(file.fileno())
    heartbeat()
    read_piece(folder, piece)
    heartbeat()
    return piece


def read_piece(folder: Path, piece: Piece) -> bytes:
    """Returns the content of a piece; the inverse of `write_piece`.

    Raises:
        DamagedError: the file is missing, or its content differs.
        OSError: Drive can't be read.
    """
    try:
        with open(folder / piece.name, "rb") as file:
            content = file.read()
    except FileNotFoundError as error:
        raise DamagedError(f"{piece.name} is missing") from error
    if len(content) != piece.size or hashlib.sha256(content).hexdigest() != piece.sha256:
        raise DamagedError(f"{piece.name} does not hold what was written")
    return content


def remove_file(folder: Path, name: str) -> None:
    """Deletes a file, truncating it first: Drive moves it to the trash, where its size counts against the quota."""
    with contextlib.suppress(FileNotFoundError):
        os.truncate(folder / name, 0)
        os.unlink(folder / name)


def listing_names(folder: Path) -> list[str]:
    """Returns the names of all listings in a run's folder, readable or not, newest first."""
    return sorted(filter(LISTING_NAME.fullmatch, os.listdir(folder)), reverse=True)


def readable_listings(folder: Path, names: list[str]) -> list[Listing]:
    """Returns those of the named listings that can be read, in the order of the names."""
    listings = []
    for name in names:
        with contextlib.suppress(DamagedError):
            listings.append(read_listing(folder, name))
    return listings


def read_listing(folder: Path, name: str) -> Listing:
    """Reads one listing.

    Raises:
        DamagedError: the file can't be read, is no listing, or names a path outside the run or its folder on Drive.
        OSError: the mount is gone.
    """
    try:
        with open(folder / name, "rb") as file:
            content = json.loads(file.read())
        files = {path: [Piece(**piece) for piece in pieces] for path, pieces in content["files"].items()}
        listing = Listing(name, str(content["run"]), int(content["step"]), files)
        _check_paths(listing)
    except OSError as error:
        if error.errno in MOUNT_ERRORS:
            raise
        raise DamagedError(f"{name} can't be read") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedError(f"{name} is damaged") from error
    return listing


def _check_paths(listing: Listing) -> None:
    """Raises a ValueError if a path leads outside: a folder on Drive may be shared with other people."""
    for path in map(PurePosixPath, listing.files):
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(path)
    for name in listing.names():
        if Path(name).name != name:
            raise ValueError(name)


@contextlib.contextmanager
def _ignore_unsupported() -> Iterator[None]:
    """Ignores the error of file systems that can't synchronize a file."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
