"""A training of a second, and what an undisturbed one ends with: weights, history, snapshots."""

import functools
import time
from pathlib import Path
from typing import Any

import skimage.data
from attack import in_child
from PIL import Image

from srcnn_lib.config import TrainingConfig
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.runtime.files import digest
from srcnn_lib.training import checkpointing
from srcnn_lib.training.trainer import fit

STEPS = 30


def photographs(folder: Path) -> Path:
    """Writes two small photographs, and returns their folder."""
    folder.mkdir(exist_ok=True)
    astronaut = skimage.data.astronaut()
    for number, (top, left) in enumerate(((0, 150), (180, 300))):
        Image.fromarray(astronaut[top : top + 120, left : left + 130]).save(folder / f"{number}.png")
    return folder


def tiny_config(photographs: Path, **changes: Any) -> TrainingConfig:
    """Returns settings with float16, so that the gradient scaler has a state, and short epochs."""
    return TrainingConfig.of(**{
        "data": (str(photographs),), "validation": ("0.5",), "channels": 1, "filters": (5, 1, 3), "widths": (4, 2),
        "crops": "ten", "patch": 17, "batch_size": 2, "steps": STEPS, "warmup": 4, "validation_patches": 4,
        "arithmetic": "float16", "device": "cpu", **changes,
    })  # fmt: skip


def train(path: Path, config: TrainingConfig, go_back: bool = False) -> list[str]:
    """Trains in a new run, or resumes it; returns the notes."""
    checkpointing.CHECKPOINT_SECONDS = 0.1  # also in the middle of epochs
    run = Run(path) if (path / "config.json").exists() else Run.create(path, config)
    return [note for record in fit(config, run, go_back=go_back) for note in record.notes]


def undisturbed(folder: Path) -> tuple[TrainingConfig, float, dict[str, Any]]:
    """Trains to the end in a process of its own; returns the settings, the seconds that it took, and its result."""
    config = tiny_config(photographs(folder / "photographs"))
    began = time.monotonic()
    assert in_child(functools.partial(train, folder / "whole", config), folder / "stderr.txt") == 0
    return config, time.monotonic() - began, result(Run(folder / "whole"))


def result(run: Run) -> dict[str, Any]:
    """Returns what two trainings are compared by."""
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in run.history()]
    snapshots = {snapshot.path.name: digest(snapshot.path) for snapshot in run.snapshots()}
    return {"weights": weights_digest(run)[1], "history": history, "snapshots": snapshots}
