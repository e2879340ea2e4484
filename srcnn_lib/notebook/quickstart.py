"""Opens a run to look at: the user's own, or the example run where there is none."""

from pathlib import Path

from ..pretrained import example_run
from ..run import Run


def open_run_or_example(path: str | Path) -> Run:
    """Returns the run at `path`; where it has no snapshots, the example run that comes with the package.

    Raises:
        InputError: the run's config.json can't be read, or neither run is there.
    """
    path = Path(path)
    if (path / "config.json").exists() and (run := Run(path)).snapshots():
        return run
    run = example_run()
    print(
        f"There is no run at {path} yet. {run.path.name} is shown instead: a small network that learned from random "
        "weights. training.ipynb trains one of your own."
    )
    return run
