"""The files of a run's folder on Drive: pieces, and the listings that name them."""

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

CHUNK = 2**20  # bytes written between two heartbeats
# Errors of a mount that died. ENOENT is one of them only where the folder of all runs is missing too.
MOUNT_ERRORS = {errno.ENOTCONN, errno.ENODEV, errno.ESTALE, errno.ETIMEDOUT, errno.ECONNABORTED}
PIECE_NAME = re.compile(r"[^/\\\0]+\.([0-9a-f]{6})-\d{1,9}(\.[^./\\\0]+)?")  # with the session that wrote it
LISTING_NAME = re.compile(r"latest-\d{8}\.[0-9a-f]{6}-\d{1,9}\.json")
RUN_PATH = re.compile(
    r"config\.json|history\.jsonl|probe\.safetensors|events\.out\.[^/\\\0]+"
    r"|checkpoints/step-\d{1,18}\.pt|snapshots/step-\d{1,18}-epoch-\d{1,18}\.safetensors"
)
LARGEST_LISTING = 64 * 2**20  # bytes; a listing has some 200 a file
IDENTITY_FILE = "drive_backup.json"  # in the run's own folder: tells it from another run of the same name


class DamagedError(Exception):
    """A file on Drive does not hold what was written."""


@dataclass(frozen=True)
class Piece:
    """A file on Drive, and the content that it must have."""

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        texts = isinstance(self.name, str) and isinstance(self.sha256, str)
        if not texts or not PIECE_NAME.fullmatch(self.name) or type(self.size) is not int or self.size < 0:
            raise ValueError(f"no piece: {self.name}")


@dataclass(frozen=True)
class Listing:
    """The files of a run at one moment: `files` has the pieces of each, in order, by the file's path in the run."""

    name: str  # of the listing's own file on Drive
    run: str  # the run's identity
    step: int
    files: dict[str, list[Piece]]

    def __post_init__(self) -> None:
        # A folder on Drive may be shared with other people: no path may lead elsewhere.
        if not isinstance(self.run, str) or type(self.step) is not int or not 0 <= self.step < 10**18:
            raise ValueError(f"no listing: {self.step}")
        for path in self.files:
            if not RUN_PATH.fullmatch(path):
                raise ValueError(f"no file of a run: {path}")

    @property
    def number(self) -> int:
        return listing_number(self.name)

    def names(self) -> set[str]:
        """Returns the names of the listing's file and of all its pieces, which must stay on Drive together."""
        return {self.name} | {piece.name for pieces in self.files.values() for piece in pieces}

    def content(self) -> bytes:
        """Returns the bytes of the listing's file; `read_listing` is the inverse."""
        files = {path: [asdict(piece) for piece in pieces] for path, pieces in self.files.items()}
        return json.dumps({"run": self.run, "step": self.step, "files": files}, indent=1).encode()


def listing_number(name: str) -> int:
    """Returns the number in the name of a listing."""
    return int(name.removeprefix("latest-").partition(".")[0])


def session_of(name: str) -> str | None:
    """Returns the session that wrote a piece or a listing; None for a file of any other name."""
    found = PIECE_NAME.fullmatch(name)
    return found[1] if found else None


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
        status = os.stat(folder / piece.name)
        if status.st_size != piece.size or not stat.S_ISREG(status.st_mode):
            raise DamagedError(f"{piece.name} does not hold what was written")
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
            content = json.loads(file.read(LARGEST_LISTING))
        files = {path: [Piece(**piece) for piece in pieces] for path, pieces in content["files"].items()}
        return Listing(name, content["run"], content["step"], files)
    except OSError as error:
        if error.errno in MOUNT_ERRORS:
            raise
        raise DamagedError(f"{name} can't be read") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{name} is damaged") from error


@contextlib.contextmanager
def _ignore_unsupported() -> Iterator[None]:
    """Ignores the error of file systems that can't synchronize a file."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
