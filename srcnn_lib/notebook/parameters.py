"""The configuration of a training, from the parameters of the training notebook."""

from pathlib import Path
from typing import Any

import torch

from ..config import TrainingConfig
from ..run import Run

# Settings that the notebook chooses by the data and the device where the user leaves them open.
CHOSEN = ("validation", "validation_patches", "channels", "widths", "crops")


def training_config(
    path: str | Path, recipe: str, data: str, device: torch.device, minutes: float, epochs: int | None, **settings: Any
) -> TrainingConfig:
    """Returns the configuration of a run; None leaves a setting open.

    For a run that exists, what is left open is as it was: a training that began on a GPU goes on without one. For a new
    run it follows from the data and the device: the samples, few photographs that teach luminance but not color, are
    divided into ten to train on and the astronaut to measure on, and are cut at random, for fixed crops of so few are
    learned by heart. STL-10 is cut into ten crops a picture, as in the original.

    Args:
        path: the run's folder, whether or not it is there yet.
        recipe: "best" or "original".
        data: the source of the photographs.
        device: that trains.
        minutes, epochs: the end of the training; `epochs` goes first, if it is set.
        settings: other fields of TrainingConfig.

    Raises:
        InputError: a value that can't be used, or a run whose config.json can't be read.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    open_names = {*CHOSEN, *settings} - {*given}
    if (Path(path) / "config.json").exists():
        before = Run(path).config
        chosen = {name: getattr(before, name) for name in open_names}
    else:
        chosen = {name: value for name, value in _choose(recipe, data, device).items() if name in open_names}
    end: dict[str, Any] = {"epochs": epochs} if epochs else {"minutes": minutes}
    return TrainingConfig.of(recipe, **{"data": (data,), **chosen, **given, **end})


def _choose(recipe: str, data: str, device: torch.device) -> dict[str, Any]:
    samples, small = data.strip().lower() == "samples", device.type == "cpu"
    chosen: dict[str, Any] = {
        "validation": ("samples:astronaut",) if samples else ("0.1",),  # one photograph, or a tenth of them
        "validation_patches": 128 if small else 512,
        "channels": 1 if samples else 3,
        "widths": (64, 32) if small else (128, 64),
    }
    if recipe == "best":
        chosen["crops"] = "ten" if data.strip().lower().startswith("stl10") else "random"
    return chosen
