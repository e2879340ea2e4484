"""Files that appear whole or not at all, and addresses that are read with care."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError


def shown(source: object) -> str:
    """A path, an address or a reason as it can stand in a message of one line: what can't be printed is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(source))


@contextlib.contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on leaving without an error it takes `path`'s place, in one step.

    The temporary file has the same extension, so that writers that look at it work. On any error, Ctrl-C included,
    it is removed, and what was at `path` is untouched. A link stays a link: the file that it points to is replaced.

    Raises:
        InputError: `path` is a folder or a device, or its folder doesn't exist.
        OSError: where the folder can't be written or the disk is full.
    """
    given, path = shown(path), Path(os.path.realpath(path))
    # A rename would put a plain file in the place of /dev/null.
    if path.exists() and not path.is_file():
        raise InputError(
            f"{shown(path)} is {'a folder' if path.is_dir() else 'no plain file'}; give the name of a file"
        )
    if not path.parent.is_dir():
        raise InputError(f"{given} can't be written: there is no folder {shown(path.parent)}; make it first")
    temporary = path.with_name(f".{path.stem[:40]}-{secrets.token_hex(4)}{path.suffix}")
    try:
        temporary.touch(exist_ok=False)  # with the permissions that open() gives, unlike tempfile's
    except OSError as error:
        raise OSError(error.errno, error.strerror, given) from error
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None and error.strerror:  # writing to an open file fails so
            raise OSError(error.errno, error.strerror, given) from error
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system lets folders be synchronised."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(path: str | Path, kind: str = "sha256") -> str:
    """The file's sum as lower-case hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
