"""Copies a run to Drive while it is being trained, in a thread that nobody waits for."""

import errno
import json
import os
import re
import secrets
import threading
import time
from pathlib import Path

from ..errors import InputError
from ..runtime.files import shown, write_whole
from .drive import GONE, IDENTITY, DamagedError
from .shelf import DriveStorage

FIRST_WAIT, LONGEST_WAIT = 5.0, 120.0  # seconds between two tries
UNASKED = 30.0  # seconds after which it looks for what is new without a push: an epoch may last an hour
STALL_SECONDS = 20.0  # without an answer, after which Drive counts as gone


class DriveBackup:
    """Keeps a copy of a run on Drive: its snapshots, checkpoints, history, config, probe and event files.

    Training goes on whatever Drive does; what could not be copied is copied once Drive is back. Which checkpoints are
    kept is the run's own choice; those that the few latest listings name stay on Drive as well. Where another run lies
    there under the same name it is left alone, and this one goes to NAME-2.

    Args:
        run_path: the run's folder.
        drive_folder: as `colab.mount_drive` gives it; never made here, since where a mount is gone that would fill the
            local disk in its place. None for a mirror that does nothing.
        interval: seconds between the end of a copy and the next, so that short epochs are copied together.

    Raises:
        InputError: where there is no run.
    """

    def __init__(self, run_path: str | Path, drive_folder: str | Path | None, interval: float = 10.0):
        self.run = Path(run_path)
        self.drive = Path(drive_folder) if drive_folder else None
        self.interval = interval
        self._pushed, self._closing = threading.Event(), threading.Event()
        self._deadline = 0.0
        # What the panel shows; written by the thread, read by anyone.
        self._behind, self._step, self._problem = 0, None, ""
        self._busy, self._beaten = False, time.monotonic()
        self._thread = None
        if self.drive:
            self._shelf = DriveStorage(self.drive, self.run.resolve().name, identity(self.run), self._beat)
            self._signatures: dict[str, tuple] = {}  # of the files whose pieces are on Drive
            self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)
            self._thread.start()

    def push(self) -> None:
        """There is something new in the run. Returns at once: the thread looks for itself what it is."""
        self._pushed.set()

    @property
    def healthy(self) -> bool:
        """Whether Drive takes what it is given; without Drive nothing is wrong either."""
        return not self._trouble()

    @property
    def status(self) -> str:
        """One short line for the panel."""
        if not self.drive:
            return "Drive: off"
        behind = f"{self._behind} file{'' if self._behind == 1 else 's'} behind"
        if trouble := self._trouble():
            return f"Drive: {behind}, {trouble}; " + (
                "the local disk has it all" if self._closing.is_set() else "training goes on"
            )
        if self._behind:
            return f"Drive: copying, {behind}"
        if self._step is None:
            return "Drive: nothing to copy yet"
        elsewhere = f" in {self._shelf.folder.name}" if self._shelf.folder.name != self._shelf.name else ""
        return f"Drive: up to date (step {self._step}){elsewhere}"

    def close(self, timeout: float = 30.0) -> bool:
        """Copy what is left, for at most `timeout` seconds; returns whether all of it is on Drive."""
        if not self._thread:
            return True
        self._deadline = time.monotonic() + timeout
        self._closing.set()
        self._pushed.set()
        self._thread.join(timeout)
        return not self._thread.is_alive() and self.healthy

    # The thread

    def _beat(self) -> None:
        self._beaten = time.monotonic()

    def _trouble(self) -> str:
        silent = time.monotonic() - self._beaten
        if self._busy and silent > STALL_SECONDS:
            return f"it has not answered for {silent:.0f} s"
        return self._problem

    def _work(self) -> None:
        failures = 0
        while True:
            closing = self._closing.is_set()  # asked before copying: what came before close() is then in it
            self._pushed.clear()
            self._beat()
            self._busy = True
            try:
                self._synchronise()
                failures, self._problem = 0, ""
            except Exception as error:  # even a bug in here must not end the thread in silence
                failures += 1
                self._problem = reason(error, self.drive)
                self._behind = max(self._behind, 1)  # the listing, if nothing else
                # Files that were taken to be there may have gone with the mount: look again.
                self._shelf.met = False
            self._shelf.sweep()
            self._busy = False
            if closing:
                if time.monotonic() > self._deadline or not (failures or self._pushed.is_set()):
                    return
                time.sleep(min(1, FIRST_WAIT) if failures else 0)
            elif failures:
                self._closing.wait(min(FIRST_WAIT * 2 ** min(failures - 1, 10), LONGEST_WAIT))
            else:
                self._closing.wait(self.interval)
                self._pushed.wait(UNASKED)

    def _synchronise(self) -> None:
        """Copy what is new, then the listing."""
        paths = contents(self.run)
        changed = [path for path in paths if self._signatures.get(path) != signature(self.run / path)]
        self._behind = len(changed)
        if not paths:
            return
        if not self._shelf.met:
            self._shelf.meet()
        files = {}
        for path in paths:
            if path in self._shelf.stored and path not in changed:
                files[path] = self._shelf.stored[path]
                continue
            try:
                content, found = read(self.run / path)
            except FileNotFoundError:  # training has replaced it by a newer one since
                self._pushed.set()
            else:
                files[path] = self._shelf.store(path, content)
                self._signatures[path] = found
            self._behind -= path in changed
        steps = [step_of(path) for path in files if path.startswith("checkpoints/")]
        if not steps:  # nothing that a training could go on from
            return
        self._shelf.commit(files, max(steps))
        self._step = max(steps)


def contents(run: Path) -> list[str]:
    """The paths in a run that are worth a copy, what a training goes on from first; none before its first checkpoint.

    Snapshots beyond the newest checkpoint are left out: a training that goes on from there writes them again.
    """
    checkpoints = sorted((run / "checkpoints").glob("step-*.pt"), reverse=True)
    if not checkpoints:
        return []
    newest = step_of(checkpoints[0])
    snapshots = sorted((run / "snapshots").glob("step-*.safetensors"))
    singles = [run / name for name in ("config.json", "probe.safetensors", "history.jsonl")]
    files = [
        *checkpoints,
        *(path for path in singles if path.is_file()),
        *(path for path in snapshots if step_of(path) <= newest),
        *sorted(run.glob("events.out.*")),
    ]
    return [path.relative_to(run).as_posix() for path in files]


def step_of(path: str | Path) -> int:
    """Of a snapshot's or a checkpoint's path."""
    return int(re.match(r"step-(\d+)", Path(path).name)[1])


def read(path: Path) -> tuple[bytes, tuple]:
    """A file's bytes and its signature, taken together: the name may belong to a newer file a moment later.

    All of it at once, so that the file is open for a moment only, however long Drive takes.
    """
    with open(path, "rb") as file:
        found = os.fstat(file.fileno())
        return file.read(found.st_size), _signature(found)


def signature(path: Path) -> tuple | None:
    """What changes when a file is replaced or appended to; None where there is none."""
    try:
        return _signature(os.stat(path))
    except FileNotFoundError:
        return None


def _signature(found: os.stat_result) -> tuple:
    return found.st_ino, found.st_size, found.st_mtime_ns


def identity(run: Path) -> str:
    """What tells a run from another of its name; made when first asked for, and restored with the run."""
    if not (run / "config.json").is_file():
        raise InputError(f"{shown(run)} is no run: it has no config.json; `srcnn train` makes one")
    path = run / IDENTITY
    try:
        return str(json.loads(path.read_text("utf-8"))["run"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        made = secrets.token_hex(8)
        with write_whole(path) as temporary:
            temporary.write_text(json.dumps({"run": made}), "utf-8")
        return made


def reason(error: Exception, drive: Path) -> str:
    """Why Drive was not written, in a few words."""
    if isinstance(error, DamagedError):
        return "what was written there does not read back"
    if not isinstance(error, OSError):
        return f"{type(error).__name__} ({shown(error)})"
    if error.errno in GONE or (error.errno == errno.ENOENT and not os.path.isdir(drive)):
        return "the mount is gone"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "it is full"
    return f"it answers {error.strerror!r}"
