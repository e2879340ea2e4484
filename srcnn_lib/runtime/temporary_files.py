"""Names temporary files, locks them while they are written, and removes those that killed processes left behind."""

import contextlib
import functools
import hashlib
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

# What `temporary_name` adds to a stem: eight digits for the machine, eight at random.
MARK = r"-[0-9a-f]{16}"


def temporary_name(path: Path) -> str:
    """Returns a new hidden name that begins with the stem of a file and has its extension."""
    return f".{path.stem[:40]}-{_machine()}{secrets.token_hex(4)}{path.suffix}"


@functools.cache
def _machine() -> str:
    """Returns eight digits for this machine: whether a process of another one is alive can't be known here."""
    return hashlib.blake2b(os.fsencode(socket.gethostname()), digest_size=4).hexdigest()


@contextlib.contextmanager
def new_temporary_file(path: Path) -> Iterator[Path]:
    """Makes an empty file beside `path`, and holds a lock on it in the block, which ends with the process.

    It has the permissions that open() gives, unlike tempfile's. In the end it is the caller's.

    Raises:
        OSError: a full disk, or a folder without permission to write.
    """
    handle: int | None = None
    while handle is None:
        temporary = path.with_name(temporary_name(path))
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        locked = _lock(handle)
        if locked is None:
            os.close(handle)  # without a lock there is nothing to hold; Windows renames no open file
            break
        if not locked or not temporary.exists():
            os.close(handle)  # at this moment another process took it for a leftover, and removed it
            handle = None
    try:
        yield temporary
    finally:
        if locked:
            os.close(handle)


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files from a folder whose processes, on this machine, have ended without removing them.

    A process looks into each folder once. Nothing is removed where the file system has no locks.
    """
    _remove_leftovers(os.path.abspath(folder))


@functools.lru_cache(maxsize=1000)
def _remove_leftovers(folder: str) -> None:
    name = re.compile(rf"\..*-{_machine()}[0-9a-f]{{8}}(\.\w+)?", re.DOTALL)
    with contextlib.suppress(OSError):
        for found in filter(name.fullmatch, os.listdir(folder)):
            _remove_leftover(os.path.join(folder, found))


def _remove_leftover(path: str) -> None:
    """Removes a temporary file of this user that no process has locked."""
    with contextlib.suppress(OSError):
        # A link or a FIFO of such a name is not ours.
        handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        try:
            status = os.fstat(handle)
            if stat.S_ISREG(status.st_mode) and _lock(handle) and status.st_uid == os.geteuid():
                os.unlink(path)
        finally:
            os.close(handle)


def _lock(handle: int) -> bool | None:
    """Locks a file for this handle; returns whether that was possible, or None where there are no locks."""
    if os.name == "nt":  # a locked file can't be renamed there
        return None
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some mounts have no locks
        return None
    return True
