"""A Google Drive that stalls, lies, fills, drops and comes back, for one runtime or for two that share a run."""

import contextlib
import os
import random
import re
import shutil
import time
from pathlib import Path

import pytest
from attack import Tally
from failing_drive import FailingDrive, advance

from srcnn_lib.config import TrainingConfig
from srcnn_lib.notebook.drive import backup as backup_module
from srcnn_lib.notebook.drive.backup import DriveBackup
from srcnn_lib.notebook.drive.restore import restore_run
from srcnn_lib.run import Run

FAULTS = [None, None, None, "error", "short", "full", "gone", "stall", "dies", "loses"]
LONGEST_PUSH = 0.5  # seconds, on a busy machine; it sets a flag
STEPS = 10  # changes of the run in each case


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Trains beside a failing Drive; a checkpoint that was said to be on Drive must be restored, or a later one."""
    tally = Tally()
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        with pytest.MonkeyPatch.context() as patch, tally.case(f"case {number}"):
            patch.setattr(backup_module, "FIRST_RETRY", 0.01)
            patch.setattr(backup_module, "LONGEST_RETRY", 0.02)
            place = folder / f"case-{number}"
            drive = FailingDrive(place / "Drive", patch)
            try:
                _case(place, drive, chance, tally)
            finally:
                drive.fails = None
                drive.go_on.set()
        shutil.rmtree(folder / f"case-{number}", ignore_errors=True)
    return tally


def _case(place: Path, drive: FailingDrive, chance: random.Random, tally: Tally) -> None:
    runs = [_new_run(place / "first" / "run")]
    written = {0: {_checkpoint(runs[0], 0)}}  # by step, the checkpoints that the runtimes wrote
    safe = 0
    with contextlib.ExitStack() as stack:
        backups = [_backup(stack, runs[0], drive)]
        for _ in range(STEPS):
            if len(runs) == 1 and chance.random() < 0.2 and drive.fails is None and _until_safe(backups[0]):
                found = restore_run(drive.path, "run", place / "second", lambda line: None)
                runs.append(Run(found))
                backups.append(_backup(stack, runs[1], drive))
                tally.add("shared by two runtimes")
            which = chance.randrange(len(runs))
            safe = _fault(drive, chance, safe, tally)
            step = 10 + max(step for step in map(_newest, runs))
            advance(runs[which], step)
            written.setdefault(step, set()).add(_checkpoint(runs[which], step))
            began = time.monotonic()
            backups[which].push()
            assert time.monotonic() - began < LONGEST_PUSH, "a step waited for Drive"
            time.sleep(chance.random() * 0.03)
            for backup in backups:
                if said := re.match(r"Drive: up to date \(step (\d+)\)", backup.status):
                    safe = max(safe, int(said[1]))
        drive.fails = None
        drive.go_on.set()
        for run, backup in zip(runs, backups, strict=True):
            advance(run, _newest(run) + 1)
            written.setdefault(_newest(run), set()).add(_checkpoint(run, _newest(run)))
            backup.push()
        assert all(map(_until_safe, backups)), [backup.status for backup in backups]
    lines: list[str] = []
    restored = Run(restore_run(drive.path, "run", place / "restored", lines.append))
    newest = _newest(restored)
    assert newest >= safe, f"step {safe} was said to be on Drive, step {newest} was restored: {lines}"
    assert newest == max(map(_newest, runs)), f"not the newest: {lines}"
    assert _checkpoint(restored, newest) in written[newest], "another content than what was written"
    assert drive.violations == [], drive.violations
    tally.add("restored to the last step")


def _new_run(path: Path) -> Run:
    run = Run.create(path, TrainingConfig.of())
    (run.path / "probe.safetensors").write_bytes(os.urandom(500))
    (run.path / "events.out.tfevents.1.host.2.0").write_bytes(b"")
    advance(run, 0)
    return run


def _backup(stack: contextlib.ExitStack, run: Run, drive: FailingDrive) -> DriveBackup:
    backup = DriveBackup(run.path, drive.path, interval=0.0)
    stack.callback(backup.close, 5.0)
    return backup


def _fault(drive: FailingDrive, chance: random.Random, safe: int, tally: Tally) -> int:
    """Changes how Drive fails; returns the step that is still safe: none, where Drive itself loses files."""
    fault = chance.choice(FAULTS)
    tally.add(f"Drive: {fault or 'works'}")
    drive.go_on.set()
    if fault == "loses":
        drive.fails = None
        with contextlib.suppress(FileNotFoundError):  # it may have been removed at this moment
            drive.lose("run", *(chance.choice(["step-", "history", "events", "latest-", "config"]) for _ in range(2)))
        return 0
    if fault == "stall":
        drive.go_on.clear()
    drive.fails = fault
    return safe


def _until_safe(backup: DriveBackup) -> bool:
    end = time.monotonic() + 20
    wanted = f"Drive: up to date (step {_newest(backup.run)})"
    while not backup.status.startswith(wanted):
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _newest(run: Run) -> int:
    return int(run.checkpoints()[0].stem.removeprefix("step-"))


def _checkpoint(run: Run, step: int) -> bytes:
    return (run.path / "checkpoints" / f"step-{step:08}.pt").read_bytes()
