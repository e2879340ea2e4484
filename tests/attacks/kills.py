"""Trainings that are ended at random moments, by signals and in the middle of a save, and resumed."""

import functools
import os
import random
import shutil
import signal
from pathlib import Path

import killing
from attack import Tally, in_child
from tiny_runs import result, train, undisturbed

from srcnn_lib.run import Run

KINDS = {
    "kill -9": (signal.SIGKILL,), "SIGTERM": (signal.SIGTERM,), "SIGHUP": (signal.SIGHUP,), "Ctrl-C": (signal.SIGINT,),
    "Ctrl-C twice": (signal.SIGINT, signal.SIGINT),
}  # fmt: skip
# The last two: before the command has begun.
STATUSES = {0, -signal.SIGKILL, 129, 130, 143, -signal.SIGTERM, -signal.SIGHUP}


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Ends trainings in turn by each of the signals; every second kill -9 comes at a place in the middle of a save."""
    chance, tally = random.Random(seed), Tally()
    config, seconds, expected = undisturbed(folder)
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        path, errors = folder / f"run-{number}", folder / f"run-{number}.stderr.txt"
        with tally.case(f"{kind}, case {number}"):
            _disturb(path, config, kind, chance, seconds, errors)
            assert in_child(functools.partial(train, path, config), errors) == 0, "the resumed training fails"
            assert result(Run(path)) == expected, "another result than the undisturbed training's"
            left = [found.name for found in path.rglob("*") if found.name.startswith(".") or found.name == "lock"]
            assert not left, f"left behind: {left}"
            assert "Traceback" not in _text(errors), _text(errors)[-300:]
            tally.add(kind)
        shutil.rmtree(path, ignore_errors=True)
    return tally


def _disturb(path: Path, config, kind: str, chance: random.Random, seconds: float, errors: Path) -> None:
    """Ends a training once or several times."""
    for _ in range(chance.choice([1, 1, 2, 3])):
        if kind == "kill -9" and chance.random() < 0.5:
            place = chance.choice(list(killing.PLACES))
            number = chance.randint(1, killing.PLACES[place])

            def die_there(place: str = place, number: int = number) -> None:
                killing.kill_at(place, number)
                train(path, config)

            status = in_child(die_there, errors)
        else:
            moment = chance.random() * seconds
            status = in_child(functools.partial(train, path, config), errors, moment, *KINDS[kind])
        assert status in STATUSES, f"status {status}: {_text(errors)[-300:]}"


def _text(errors: Path) -> str:
    return errors.read_text(errors="replace") if errors.exists() else ""


assert hasattr(os, "fork"), "attacks need os.fork"
