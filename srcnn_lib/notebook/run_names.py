"""The folder of a run, by the name that is typed into a notebook."""

from pathlib import Path

from ..errors import InputError
from ..run import check_run_name


def run_path(runs: str | Path, name: str) -> Path:
    """Returns the folder of a run.

    Args:
        runs: the folder of all runs.
        name: the run's name.

    Raises:
        InputError: a name that is no name of a folder in `runs`.
    """
    if not isinstance(name, str):
        raise InputError(f"run_name is {name!r}, expected the name of a folder in quotes, such as 'first'")
    check_run_name(name)
    return Path(runs) / name
