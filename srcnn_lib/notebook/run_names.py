"""The folder of a run, by the name that is typed into a notebook."""

import re
from pathlib import Path

from ..errors import InputError

# What Windows, macOS and Drive can all store; in particular no slash, which would lead out of the folder of the runs.
NAME = re.compile(r"[^\x00-\x1f<>:\"/\\|?*.\s]([^\x00-\x1f<>:\"/\\|?*]{0,98}[^\x00-\x1f<>:\"/\\|?*.\s])?")


def run_path(runs: str | Path, name: str) -> Path:
    """Returns the folder of a run.

    Args:
        runs: the folder of all runs.
        name: the run's name.

    Raises:
        InputError: a name that is no name of a folder in `runs`.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InputError(f"run_name is {name!r}, expected the name of a folder, such as 'first', without / and ?")
    return Path(runs) / name
