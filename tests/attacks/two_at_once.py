"""Two processes that want the same thing at the same moment: a run, a new folder, Drive's copy, a target file."""

import functools
import random
import shutil
import time
from pathlib import Path

import torch
from attack import Tally, start_child, wait_for_child
from failing_drive import advance
from tiny_runs import result, train, undisturbed

from srcnn_lib.commands.train import new_run_folder
from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.images import read_image, write_image
from srcnn_lib.inference.jobs import Job
from srcnn_lib.inference.upscale_files import upscale_file
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.notebook.drive.backup import DriveBackup
from srcnn_lib.notebook.drive.restore import restore_run
from srcnn_lib.run import Run

KINDS = ("one run", "one new folder", "no folder named", "restored from Drive", "one target")


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Starts two processes a moment apart; one is refused in a line, or both end with whole results."""
    tally = Tally()
    config, seconds, expected = undisturbed(folder)
    for number in range(count):
        chance = random.Random(f"{seed}-{number}")
        kind = KINDS[number % len(KINDS)]
        place = folder / f"case-{number}"
        place.mkdir()
        with tally.case(f"{kind}, case {number}"):
            CASES[kind](place, config, chance, seconds, expected, tally)
        shutil.rmtree(place, ignore_errors=True)
    return tally


def _both(place: Path, actions, chance: random.Random, latest: float) -> list[int]:
    """Runs two actions in processes a random moment apart, and returns their statuses."""
    children = []
    for number, action in enumerate(actions):
        children.append(start_child(action, place / f"stderr-{number}.txt"))
        time.sleep(chance.choice([0, chance.random() * latest]) if number == 0 else 0)
    statuses = [wait_for_child(child) for child in children]
    for number, status in enumerate(statuses):
        text = (place / f"stderr-{number}.txt").read_text(errors="replace")
        assert status in (0, 2), f"status {status}: {text[-300:]}"
        assert len(text.splitlines()) == (1 if status else 0), text[-300:]
    return statuses


def _one_run(place, config, chance, seconds, expected, tally) -> None:
    Run.create(place / "run", config)
    statuses = _both(place, 2 * [functools.partial(train, place / "run", config)], chance, seconds)
    assert 0 in statuses
    assert result(Run(place / "run")) == expected
    tally.add("one run: " + ("the second refused" if 2 in statuses else "one after the other"))


def _one_new_folder(place, config, chance, seconds, expected, tally) -> None:
    def train_new() -> None:
        from srcnn_lib.training import fit

        run = Run.create(place / "run", config)
        for _ in fit(config, run):
            pass

    statuses = _both(place, 2 * [train_new], chance, 0.02)
    assert sorted(statuses) == [0, 2]
    assert result(Run(place / "run")) == expected
    tally.add("one new folder: the second refused")


def _no_folder_named(place, config, chance, seconds, expected, tally) -> None:
    from srcnn_lib.commands import train as train_module

    def train_unnamed() -> None:
        train_module.RUNS = place / "runs"
        train_module.new_run_name = lambda _: "same-second"
        train(new_run_folder(config), config)

    assert _both(place, 2 * [train_unnamed], chance, 0.02) == [0, 0]
    found = sorted((place / "runs").iterdir())
    assert len(found) == 2
    assert all(result(Run(path)) == expected for path in found)
    tally.add("no folder named: a folder each")


def _restored_from_drive(place, config, chance, seconds, expected, tally) -> None:
    run = Run.create(place / "source" / "run", TrainingConfig.of())
    (run.path / "probe.safetensors").write_bytes(b"probe")
    (run.path / "events.out.tfevents.1.host.2.0").write_bytes(b"")
    for step in range(0, 60, 10):
        advance(run, step)
    (place / "Drive").mkdir()
    backup = DriveBackup(run.path, place / "Drive", interval=0)
    assert backup.close()
    target = place / "runs" / "run"
    restore = functools.partial(restore_run, place / "Drive", "run", place / "runs", lambda _: None)
    statuses = _both(place, [restore, functools.partial(train, target, config)], chance, 0.03)
    names = {path.name for path in target.parent.iterdir()}
    assert names == {"run"}, names
    if Run(target).config == config:
        assert result(Run(target)) == expected
    else:  # restored: other settings, so that the training is refused
        assert statuses[1] == 2 or target.is_dir()
    tally.add("restored from Drive while a training begins: one of the two whole")


def _one_target(place, config, chance, seconds, expected, tally) -> None:
    write_image(place / "bird.png", torch.rand(3, 60, 70))
    model = start_from_identity(SRCNN(1, (5, 1, 3), (4, 2)))
    job = Job(place / "bird.png", place / "large.png")
    _both(place, 2 * [lambda: upscale_file(job, model, 2.0)], chance, 0.05)
    upscale_file(Job(place / "bird.png", place / "alone.png"), model, 2.0)
    assert torch.equal(read_image(place / "large.png").pixels, read_image(place / "alone.png").pixels)
    assert not [path for path in place.iterdir() if path.name.startswith(".")]
    tally.add("one target: whole")


CASES = {
    "one run": _one_run, "one new folder": _one_new_folder, "no folder named": _no_folder_named,
    "restored from Drive": _restored_from_drive, "one target": _one_target,
}  # fmt: skip
