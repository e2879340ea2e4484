"""A lock on a file, which ends with its process, however that ends."""

import errno
import json
import os
import secrets
import socket
import stat
from pathlib import Path

from ..errors import InputError
from .files import printable

# Errors of file systems without locks, such as some mounts of Google Drive.
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF}


class FileLock:
    """Holds a lock on a file until `release`, or until the process ends.

    The file names the process for the message to others. `release` removes it. A file that a killed process left
    behind is not locked, and is used again.

    Args:
        path: of the file; its folder exists.
        purpose: what the lock is held for, for the message to others: "is being trained".

    Attributes:
        supported: whether the file system has locks. Without them nothing is protected.

    Raises:
        InputError: another process, or this one, holds the lock; or something else than a plain file is there.
        OSError: the file can't be written.
    """

    def __init__(self, path: Path, purpose: str):
        self.path = path
        self.supported = True
        self._token = secrets.token_hex(8)
        for _ in range(10):
            self._handle = self._open()
            try:
                _lock(self._handle)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    holder = self._holder()
                    os.close(self._handle)
                    raise InputError(
                        f"{printable(path.parent)} {purpose} by {holder}; wait for its end, or use another folder"
                    ) from error
                self.supported = False
            if not self.supported or self._is_in_place():
                break
            os.close(self._handle)  # another process released the lock and removed the file in the meantime
        self._write({"process": os.getpid(), "machine": socket.gethostname(), "token": self._token})

    def _open(self) -> int:
        # A link or a FIFO may stand there in a folder that somebody else has made.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        handle = os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o666)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise InputError(f"{printable(self.path)} is no plain file; remove it")
        return handle

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._handle))
        except FileNotFoundError:
            return False

    def _write(self, content: dict) -> None:
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, json.dumps(content).encode())

    def _holder(self) -> str:
        """Returns in words who holds the lock."""
        content = _read_json(self.path)
        process, machine = content.get("process"), content.get("machine")
        if process == os.getpid() and machine == socket.gethostname():
            return "this process"
        return f"process {process} on {printable(machine)}" if isinstance(process, int) else "another process"

    def is_ours(self) -> bool:
        """Returns whether the folder still holds this lock: it may have been moved, and another put in its place."""
        return _read_json(self.path).get("token") == self._token

    def release(self) -> None:
        """Gives the lock back and removes its file; may be called again."""
        if self._handle < 0:
            return
        handle, self._handle = self._handle, -1
        ours = self.is_ours()
        if os.name == "nt":  # an open file can't be removed there
            os.close(handle)
        if ours:
            self.path.unlink(missing_ok=True)
        if os.name != "nt":
            os.close(handle)


def _read_json(path: Path) -> dict:
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(1000))
        return content if isinstance(content, dict) else {}
    except (OSError, ValueError):
        return {}


def _lock(handle: int) -> None:
    """Locks a file for this handle alone.

    Raises:
        OSError: it is locked, or there are no locks here.
    """
    if os.name == "nt":
        import msvcrt

        os.lseek(handle, 1000, os.SEEK_SET)  # a byte beyond the content, which others read
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
