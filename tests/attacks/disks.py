"""Trainings whose disk fills, becomes read-only or has a quota, or whose folder is deleted or moved."""

import contextlib
import functools
import os
import random
import resource
import shutil
import subprocess
import time
from pathlib import Path

from attack import Tally, in_child, start_child, wait_for_child
from tiny_runs import result, train, undisturbed

from srcnn_lib.run import Run

KINDS = ("full disk", "read-only", "quota", "deleted", "moved")


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Trains on a small disk or under a quota, or takes the folder away, and resumes when there is room again."""
    tally = Tally()
    config, seconds, expected = undisturbed(folder)
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        kind = KINDS[number % len(KINDS)]
        place, errors = folder / f"case-{number}", folder / f"case-{number}.stderr.txt"
        place.mkdir()
        with tally.case(f"{kind}, case {number}"), contextlib.ExitStack() as stack:
            path = CASES[kind](place, config, chance, seconds, errors, stack, tally)
            if path is None:
                continue
            lines = errors.read_text(errors="replace").splitlines() if errors.exists() else []
            assert len(lines) <= 1, f"more than a line: {lines}"
            status = in_child(functools.partial(train, path, config), errors)
            assert status == 0, f"the resumed training fails: {errors.read_text(errors='replace')[-300:]}"
            assert result(Run(path)) == expected, "another result than the undisturbed training's"
            tally.add(f"{kind}: {'one line, then resumed' if lines else 'finished'}")
        shutil.rmtree(place, ignore_errors=True)
    return tally


def _full_disk(place, config, chance, seconds, errors, stack, tally) -> Path | None:
    if not _mount(place, f"size={chance.randint(30, 700)}k", stack):
        tally.add("full disk: no small disk can be mounted here")
        return None
    _ended(in_child(functools.partial(train, place / "run", config), errors))
    assert subprocess.run(["mount", "-o", "remount,size=50m", str(place)]).returncode == 0
    return place / "run"


def _read_only(place, config, chance, seconds, errors, stack, tally) -> Path | None:
    if not _mount(place, "size=50m", stack):
        tally.add("read-only: no small disk can be mounted here")
        return None
    child = start_child(functools.partial(train, place / "run", config), errors)
    time.sleep(chance.random() * seconds)
    # A second mount of the same folder over the first: that one can't change while the training has a file open.
    subprocess.run(["mount", "--bind", str(place), str(place)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
    _ended(wait_for_child(child))
    subprocess.run(["umount", str(place)], check=True)
    return place / "run"


def _quota(place, config, chance, seconds, errors, stack, tally) -> Path:
    most = chance.choice([500, 2000, 10_000, 20_000, 30_000, 60_000])

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        train(place / "run", config)

    _ended(in_child(limited, errors))
    return place / "run"


def _deleted(place, config, chance, seconds, errors, stack, tally) -> Path:
    child = start_child(functools.partial(train, place / "run", config), errors)
    time.sleep(chance.random() * seconds)
    shutil.rmtree(place / "run", ignore_errors=True)
    _ended(wait_for_child(child))
    shutil.rmtree(place / "run", ignore_errors=True)  # a part may have been written while the rest was deleted
    return place / "run"


def _moved(place, config, chance, seconds, errors, stack, tally) -> Path:
    child = start_child(functools.partial(train, place / "run", config), errors)
    time.sleep(chance.random() * seconds)
    moved = False
    with contextlib.suppress(FileNotFoundError):
        os.rename(place / "run", place / "moved")
        moved = True
    _ended(wait_for_child(child))
    return place / ("moved" if moved else "run")


CASES = {
    "full disk": _full_disk, "read-only": _read_only, "quota": _quota, "deleted": _deleted, "moved": _moved,
}  # fmt: skip


def _mount(place: Path, options: str, stack: contextlib.ExitStack) -> bool:
    """Mounts a small disk in memory, where that is allowed."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True).returncode:
        return False
    stack.callback(subprocess.run, ["umount", "-l", str(place)], check=False)
    return True


def _ended(status: int) -> None:
    assert status in (0, 2), f"status {status}"
