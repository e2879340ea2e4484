"""Trainings that are killed and resumed, each in a process of its own: `python killing.py FOLDER PHOTOGRAPHS`.

Each process is forked from this one, which has imported what they need and done nothing else, because importing torch
takes longer than such a training. Each case is a run, FOLDER/<case>; the first, FOLDER/whole, is not killed.
"""

import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytorch_optimizer  # noqa: F401 imported here once, for all processes
import torch.utils.tensorboard  # noqa: F401

from srcnn_lib.config import TrainingConfig
from srcnn_lib.run import Run
from srcnn_lib.training import checkpointing, tensorboard
from srcnn_lib.training.control import TrainingControl
from srcnn_lib.training.trainer import fit

STEPS = 60  # and an epoch more, after a command
HALVED = 25  # the step after which the learning rate is halved
LONGER = 33  # the step after which an epoch is added
TIMES = ["early", "later", "later still", "late", "three times"]
PLACES = {  # places in the code, and how often a training reaches each
    "half a checkpoint": 15, "before a rename": 50, "after a rename": 50, "before a sync": 50, "half an event": 7,
    "before a removal": 15,
}  # fmt: skip


def config_for(photographs: str) -> TrainingConfig:
    """Returns settings with float16, so that the gradient scaler has a state, and epochs of 14 steps, the last of them
    with fewer crops."""
    return TrainingConfig.of(
        data=(photographs,), validation=("0.3",), limit=2, channels=1, filters=(5, 1, 3), widths=(4, 2), crops="ten",
        batch_size=3, steps=STEPS, warmup=4, validation_patches=5, arithmetic="float16", device="cpu",
    )  # fmt: skip


def train(path: Path, config: TrainingConfig) -> None:
    """Trains in a new run, or resumes it; the same two commands are sent, however often it is resumed."""
    if not (path / "config.json").exists():
        Run.create(path, config)
    run, control = Run(path), TrainingControl()
    stored = run.read_checkpoint().state or {"step": 0, "rate_factor": 1.0, "steps": STEPS}
    if stored["step"] == HALVED and stored["rate_factor"] == 1:  # killed before the command took effect: send it again
        control.send("halve")
    if stored["step"] == LONGER and stored["steps"] == STEPS:
        control.send("epoch")
    for record in fit(config, run, control=control):
        if record.step == HALVED:
            control.send("halve")
        if record.step == LONGER:
            control.send("epoch")


def die() -> None:
    """Kills this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()  # in a thread, the signal arrives a moment later


def kill_at(place: str, number: int) -> None:
    """Makes this process kill itself when it reaches a place in the code for the `number`-th time."""
    left = [number]

    def now() -> bool:
        left[0] -= 1
        return left[0] == 0

    def before(function):
        return lambda *args, **kwargs: die() if now() else function(*args, **kwargs)

    def half_saved(path, content):
        if path.suffix != ".pt" or not now():
            return write(path, content)
        write(path, content[: len(content) // 2])
        die()

    def renamed(*paths):
        replace(*paths)
        if now():
            die()

    def half_appended(file, content):
        if not now():
            return append(file, content)
        append(file, content[: len(content) // 2])
        die()

    replace, write, append = os.replace, Path.write_bytes, tensorboard.append
    if place == "half a checkpoint":
        Path.write_bytes = half_saved
    elif place == "before a rename":
        os.replace = before(os.replace)
    elif place == "after a rename":
        os.replace = renamed
    elif place == "before a sync":
        os.fsync = before(os.fsync)
    elif place == "half an event":
        tensorboard.append = half_appended
    elif place == "before a removal":
        Path.unlink = before(Path.unlink)


def process(path: Path, config: TrainingConfig, seconds: float | None = None, at: tuple[str, int] | None = None) -> int:
    """Trains in a new process that is killed after `seconds` or at a place. Returns its status: −9 if killed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if at:
                kill_at(*at)
            train(path, config)
            status = 0
        finally:
            os._exit(status)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder: Path, photographs: str) -> None:
    checkpointing.CHECKPOINT_SECONDS = 0.1  # also in the middle of epochs, at other steps each time
    config, chance = config_for(photographs), random.Random(0)
    began = time.monotonic()
    assert process(folder / "whole", config) == 0
    whole = time.monotonic() - began
    for number, case in enumerate(TIMES):
        moments = [(number + chance.random()) / 4] if number < 4 else [0.3, 0.5, 0.4]
        for moment in moments:
            assert process(folder / case, config, seconds=moment * whole) in (0, -signal.SIGKILL)
        assert process(folder / case, config) == 0
    for place, times in PLACES.items():
        # A fast machine saves less often within the same steps, so that the number may not be reached.
        number = chance.randint(3, times)
        while (status := process(folder / place, config, at=(place, number))) == 0 and number > 1:
            shutil.rmtree(folder / place)
            number //= 2
        assert status == -signal.SIGKILL
        assert process(folder / place, config) == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
