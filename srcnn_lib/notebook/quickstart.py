"""Trains a small network for a notebook that has no run yet."""

import importlib.util
from pathlib import Path

from ..config import TrainingConfig
from ..run import Run
from ..training.progress import train_with_progress
from ..training.trainer import fit

# A small network on luminance; training it takes less than a minute on two CPU cores.
QUICKSTART_CONFIG = {
    "data": ("samples",),
    "validation": ("samples:astronaut",),
    "channels": 1,
    "widths": (64, 32),
    "steps": 300,
    "warmup": 50,
    "validation_patches": 128,
}

# Without the package pytorch_optimizer there is no SOAP; after 300 steps Adam is 0.1 dB above bicubic, SOAP 0.9.
WITHOUT_SOAP = {"optimizer": "adam", "learning_rate": 1e-3}


def open_or_train_run(path: str | Path, name: str = "quickstart", **config) -> Run:
    """Returns the run at `path`; if it has no snapshots, trains a small network in a folder beside it instead.

    A training that was interrupted is resumed and trained to its end.

    Args:
        path: the folder of a run.
        name: of the folder in which the small network is trained.
        config: fields of `TrainingConfig` that replace those of the small network: 300 steps on the photographs that
            come with scikit-image, with the astronaut kept for validation.

    Raises:
        InputError: a value in `config` that can't be used.
    """
    path = Path(path)
    if (path / "config.json").exists() and (run := Run(path)).snapshots():
        return run
    quickstart = path.with_name(name)
    if not (quickstart / "config.json").exists():
        defaults = (
            QUICKSTART_CONFIG if importlib.util.find_spec("pytorch_optimizer") else QUICKSTART_CONFIG | WITHOUT_SOAP
        )
        Run.create(quickstart, TrainingConfig.of(**{**defaults, **config}))
    run = Run(quickstart)
    steps = run.config.steps
    print(
        f"There is no run at {path} yet. {quickstart} is used instead, a small network trained for {steps} steps only."
    )
    snapshots = run.snapshots()
    if not snapshots or snapshots[-1].step < steps:
        train_with_progress(fit(run.config, run), run)
    return run
