"""Copies a run to Drive in the background while it is trained."""

import errno
import json
import os
import secrets
import threading
import time
from pathlib import Path
from types import TracebackType

from ...run import Run, step_of_checkpoint
from ...runtime.files import printable, write_atomically
from .pieces import IDENTITY_FILE, MOUNT_ERRORS, DamagedError
from .storage import DriveStorage

FIRST_RETRY, LONGEST_RETRY = 5.0, 120.0  # seconds until a failed copy is tried again
CHECK_SECONDS = 30.0  # after which the run is checked for new files without a push: an epoch may last an hour
STALL_SECONDS = 20.0  # without an answer, after which Drive is reported as not answering

Signature = tuple[int, int, int]  # of a file: inode, size and time of the last change


class DriveBackup:
    """Keeps a copy of a run on Drive: its snapshots, checkpoints, history, config, probe and event files.

        with DriveBackup("runs/first", mount_drive(True)) as backup:
            ...  # train; call backup.push() after each epoch

    A thread does the copying, so training never waits for Drive. If a copy fails, it is repeated. The run decides
    which checkpoints it keeps; those that the last few listings name stay on Drive as well. If another run of the same
    name is on Drive, it is left alone, and this run is copied to NAME-2.

    Args:
        run_path: the run's folder.
        drive_folder: as `mount_drive` returns it; None copies nothing. The folder is never created here: without a
            mount it would lie on the local disk and fill it.
        interval: seconds between the end of a copy and the next, so that short epochs are copied together.

    Raises:
        InputError: there is no run at `run_path`, or its config.json can't be read.
    """

    def __init__(self, run_path: str | Path, drive_folder: str | Path | None, interval: float = 10.0):
        self.run = Run(run_path)
        self.drive = Path(drive_folder) if drive_folder else None
        self.interval = interval
        self._pushed = threading.Event()
        self._closing = threading.Event()
        self._deadline = 0.0
        # Written by the thread, read by `status`.
        self._files_behind = 0
        self._step: int | None = None
        self._problem = ""
        self._busy = False
        self._last_answer = time.monotonic()
        self._thread: threading.Thread | None = None
        if self.drive:
            self._storage = DriveStorage(self.drive, self.run.name, run_identity(self.run), self._heartbeat)
            self._signatures: dict[str, Signature] = {}  # of the files that are on Drive
            self._thread = threading.Thread(target=self._work, name="drive-backup", daemon=True)
            self._thread.start()

    def __enter__(self) -> "DriveBackup":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Copies what is left, for at most 30 seconds, and prints where the copy stands."""
        self.close()
        if self.drive:
            print(self.status)

    def push(self) -> None:
        """Schedules a copy; does not block."""
        self._pushed.set()

    @property
    def healthy(self) -> bool:
        """Whether copying works; True without Drive."""
        return not self._trouble()

    @property
    def status(self) -> str:
        """A short line for the panel."""
        if not self.drive:
            return "Drive: off"
        behind = f"{self._files_behind} file{'' if self._files_behind == 1 else 's'} behind"
        if trouble := self._trouble():
            consequence = "the local disk has all files" if self._closing.is_set() else "training goes on"
            return f"Drive: {behind}, {trouble}; {consequence}"
        if self._files_behind:
            return f"Drive: copying, {behind}"
        if self._step is None:
            return "Drive: nothing to copy yet"
        renamed = self._storage.folder.name != self._storage.name
        return (
            f"Drive: up to date (step {self._step})"
            + (f" in {self._storage.folder.name}" if renamed else "")
            + ("; another runtime stores this run as well" if self._storage.rival else "")
        )

    def close(self, timeout: float = 30.0) -> bool:
        """Copies what is left, for at most `timeout` seconds; returns whether all of it is on Drive."""
        if not self._thread:
            return True
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._pushed.set()
        self._thread.join(timeout)
        return not self._thread.is_alive() and self.healthy

    # The thread

    def _heartbeat(self) -> None:
        self._last_answer = time.monotonic()

    def _trouble(self) -> str:
        silent = time.monotonic() - self._last_answer
        if self._busy and silent > STALL_SECONDS:
            return f"it has not answered for {silent:.0f} s"
        return self._problem

    def _work(self) -> None:
        failures = 0
        while True:
            closing = self._closing.is_set()  # read before copying, so that the last copy includes everything
            self._pushed.clear()
            self._heartbeat()
            self._busy = True
            try:
                self._copy()
                failures = 0
                self._problem = ""
            except Exception as error:  # not even a bug in here may end the thread silently
                failures += 1
                self._problem = describe_problem(error, self._storage.drive)
                self._files_behind = max(self._files_behind, 1)  # the listing, if nothing else
                self._storage.connected = False  # files may have been lost with the mount: look again
            self._storage.remove_unlisted()
            self._busy = False
            if closing:
                if time.monotonic() > self._deadline or not (failures or self._pushed.is_set()):
                    return
                time.sleep(min(1, FIRST_RETRY) if failures else 0)
            elif failures:
                self._closing.wait(min(FIRST_RETRY * 2 ** min(failures - 1, 10), LONGEST_RETRY))
            else:
                self._closing.wait(self.interval)
                self._pushed.wait(CHECK_SECONDS)

    def _copy(self) -> None:
        """Copies new and changed files, then the listing."""
        paths = backup_paths(self.run)
        changed = [path for path in paths if self._signatures.get(path) != signature(self.run.path / path)]
        self._files_behind = len(changed)
        if not paths:
            return
        if not self._storage.connected:
            self._storage.connect()
        files = {}
        for path in paths:
            if path in self._storage.stored and path not in changed:
                files[path] = self._storage.stored[path]
                continue
            before = self._signatures.get(path)
            try:
                offset = 0
                if before and path.startswith("events.out."):  # training only appends to these
                    offset = self._storage.unchanged_bytes(path, os.stat(self.run.path / path).st_size)
                content, file_signature = read_with_signature(self.run.path / path, offset)
                if before and (file_signature[0] != before[0] or file_signature[1] < before[1]):
                    offset = 0  # not the same file
                    content, file_signature = read_with_signature(self.run.path / path)
            except FileNotFoundError:  # training has removed it in the meantime
                self._pushed.set()
            else:
                files[path] = self._storage.store(path, content, offset)
                self._signatures[path] = file_signature
            self._files_behind -= path in changed
        steps = [step_of_checkpoint(path) for path in files if path.startswith("checkpoints/")]
        if not steps:  # nothing that a training could resume from
            return
        self._storage.commit(files, max(steps))
        self._step = max(steps)


def backup_paths(run: Run) -> list[str]:
    """Returns the paths in a run that are backed up, in the order of importance; none before its first checkpoint.

    Snapshots after the newest checkpoint are left out: a training that resumes from it writes them again.
    """
    checkpoints = run.checkpoints()
    if not checkpoints:
        return []
    newest = step_of_checkpoint(checkpoints[0])
    single_files = [run.path / name for name in ("config.json", "probe.safetensors", "history.jsonl")]
    files = [
        *checkpoints,
        *(path for path in single_files if path.is_file()),
        *(snapshot.path for snapshot in run.snapshots() if snapshot.step <= newest),
        *sorted(run.path.glob("events.out.*")),
    ]
    return [path.relative_to(run.path).as_posix() for path in files]


def read_with_signature(path: Path, offset: int = 0) -> tuple[bytes, Signature]:
    """Reads a file from `offset` on and its signature together: the path may name a newer file a moment later.

    It is read at once, so that it is open for a moment only, however slow Drive is.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        file.seek(offset)
        return file.read(max(0, status.st_size - offset)), _signature(status)


def signature(path: Path) -> Signature | None:
    """Returns values that change when a file is replaced or appended to; None if there is no file."""
    try:
        return _signature(os.stat(path))
    except FileNotFoundError:
        return None


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mtime_ns


def run_identity(run: Run) -> str:
    """Returns the identifier that tells a run from others of its name; creates it if there is none yet."""
    if identity := read_identity(run):
        return identity
    identity = secrets.token_hex(8)
    write_identity(run.path, identity)
    return identity


def read_identity(run: Run) -> str | None:
    """Returns the identifier of a run; None if it has none."""
    try:
        identity = json.loads((run.path / IDENTITY_FILE).read_text("utf-8"))["run"]
    except (FileNotFoundError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return identity if isinstance(identity, str) else None


def write_identity(folder: Path, identity: str) -> None:
    """Writes the identifier of a run into its folder, so that it is restored with the run."""
    with write_atomically(folder / IDENTITY_FILE) as temporary:
        temporary.write_text(json.dumps({"run": identity}), "utf-8")


def describe_problem(error: Exception, drive: Path) -> str:
    """Returns in a few words why Drive could not be written."""
    if isinstance(error, DamagedError):
        return "what was written there does not read back"
    if not isinstance(error, OSError):
        return f"{type(error).__name__} ({printable(error)})"
    if error.errno in MOUNT_ERRORS or (error.errno == errno.ENOENT and not os.path.isdir(drive)):
        return "the mount is gone"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "it is full"
    return f"it answers {error.strerror!r}"
