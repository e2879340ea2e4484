"""A run to look at, for whoever has not trained one yet."""

from pathlib import Path

from ..config import TrainingConfig
from ..run import Run
from ..runtime.console import follow
from ..training.trainer import fit

SHORT = {
    "data": ("samples",),
    "test": ("samples:astronaut",),
    "channels": 1,
    "widths": (64, 32),
    "steps": 300,
    "warmup": 50,
    "test_patches": 128,
}


def run_or_practice(path: str | Path, name: str = "practice", **config) -> Run:
    """The run at `path`; where there is none to look at, a short one beside it, which is trained now if need be.

    Args:
        path: of a run's folder.
        name: of the practice run's folder.
        settings: of the practice run, in place of its own: a small network on luminance, 300 steps on the photographs
            that come with scikit-image (without the astronaut), which take two CPU cores less than a minute.

    Raises:
        InputError: a setting that can't be used.
    """
    path = Path(path)
    if (path / "config.json").exists() and (run := Run(path)).snapshots():
        return run
    quickstart = path.with_name(name)
    if not (quickstart / "config.json").exists():
        Run.create(quickstart, TrainingConfig.of(**{**SHORT, **config}))
    run = Run(quickstart)
    print(
        f"There is no run at {path} yet; {quickstart} is looked at instead, trained for {run.config.steps} steps only."
    )
    if not run.snapshots():
        follow(fit(run.config, run), run)
    return run
