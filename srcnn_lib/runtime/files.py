"""Writes files whole or not at all, and prepares names for messages and values for JSON."""

import contextlib
import errno
import glob
import hashlib
import json
import math
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from .temporary_files import new_temporary_file, remove_leftovers

PASSWORD = re.compile(r"(?i)\b([a-z][a-z0-9+.-]+://[^/\s:@]*:)[^/\s@]*@")


def printable(text: object) -> str:
    """Returns a path, an address or an error's text on one line.

    Characters that can't be printed are escaped, and the password in an address is left out.
    """
    text = PASSWORD.sub(r"\1…@", str(text))
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(error: object) -> str:
    """Returns the text of an error on one line, cut after 200 characters: a file or a server may contain any text."""
    text = printable(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "…"


def find_matches(pattern: str) -> list[str]:
    """Returns the paths that match a glob, "**" included, sorted and each once.

    Python's own glob never ends where folders contain links to the folders above them; here "**" enters each folder
    once.
    """
    path = Path(pattern)
    start = [Path(path.anchor)] if path.anchor else [Path()]
    for part in path.parts[1 if path.anchor else 0 :]:
        if part == "**":
            start = [below for folder in start for below in _folders_below(folder)]
        else:
            start = [folder / name for folder in start for name in glob.glob(part, root_dir=folder)]
    return sorted({str(found) for found in start})


def _folders_below(folder: Path) -> Iterator[Path]:
    """Yields a folder and all folders in it that are not hidden, each once."""
    visited = set()
    for parent, folders, _ in os.walk(folder, followlinks=True):
        real_path = os.path.realpath(parent)
        if real_path in visited:
            folders.clear()
            continue
        visited.add(real_path)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(parent)


@contextlib.contextmanager
def write_atomically(path: str | Path, new: bool = False, follow_links: bool = True) -> Iterator[Path]:
    """Yields a temporary file in the same folder, which replaces `path` when the block ends without an error.

    It has the same extension, from which some writers choose the format. On any error, Ctrl-C included, it is removed,
    and the file at `path` is unchanged. A process that is killed leaves it behind; the next one that writes into the
    folder removes it.

    Args:
        path: of the file.
        new: replace nothing: of several processes that write the same new file, one alone succeeds.
        follow_links: whether a link stays a link and the file that it points to is replaced; otherwise the link is.

    Raises:
        InputError: `path` is a folder or a device, or its folder doesn't exist.
        FileExistsError: there is a file already, and `new` is set.
        OSError: a full disk, or a folder without permission to write.
    """
    name = printable(path)
    path = Path(os.path.realpath(path) if follow_links else os.path.abspath(path))
    # Renaming would replace /dev/null by a plain file.
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "no plain file"
        raise InputError(f"{printable(path)} is {kind}; give the name of a file")
    if not path.parent.is_dir():
        raise InputError(f"{name} can't be written: there is no folder {printable(path.parent)}; make it first")
    remove_leftovers(path.parent)
    with contextlib.ExitStack() as stack:
        try:
            temporary = stack.enter_context(new_temporary_file(path))
        except OSError as error:
            raise OSError(error.errno, error.strerror, name) from error
        try:
            yield temporary
            sync(temporary)
            _rename_new(temporary, path) if new else os.replace(temporary, path)
        except BaseException as error:
            temporary.unlink(missing_ok=True)
            # An error in writing to an open file has no file name.
            if isinstance(error, OSError) and error.filename is None and error.strerror:
                raise OSError(error.errno, error.strerror, name) from error
            raise
    _sync_folder(path.parent)


def sync(path: Path) -> None:
    """Waits until the content of a file is on the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _rename_new(temporary: Path, path: Path) -> None:
    """Renames a file; fails where there is one already."""
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise FileExistsError(error.errno, error.strerror, str(path)) from None
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        os.replace(temporary, path)
    else:
        temporary.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes a rename survive a power cut, where the system can synchronize folders."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read_plain_file(path: str | Path, most: int = 2**28) -> bytes:
    """Returns the bytes of a file in a folder that may come from somebody else.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        InputError: a folder, a FIFO, which would be waited for, a device, or a file of more bytes.
        OSError: it can't be read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise InputError("it is no plain file")
        if status.st_size > most:
            raise InputError(f"it has more than {most:,} bytes")
        return file.read(min(most, status.st_size))


def digest(path: str | Path, kind: str = "sha256") -> str:
    """Returns a file's digest as lower-case hexadecimal digits; `kind` is a name of hashlib."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def distinct_names(names: Sequence[str], paths: Sequence[str]) -> list[str]:
    """Returns the names, printable, and the whole path in place of a name that another path has as well."""
    return [printable(path if names.count(name) > 1 else name) for name, path in zip(names, paths, strict=True)]


def json_text(value: Any) -> str:
    """Returns plain values as indented JSON that can be printed: control characters are escaped, as in "\\u001b"."""
    text = json.dumps(json_values(value), indent=2, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def json_values(value: Any) -> Any:
    """Returns plain values with None in place of infinity and NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: json_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
