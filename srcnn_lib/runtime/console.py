"""Output of the commands in a terminal: errors on one line, and a progress bar."""

import sys
import time
import warnings
from collections.abc import Callable
from typing import NoReturn

from ..errors import InputError, user_message
from . import distributed
from .files import printable

# Seconds by which the other processes exit later, so that the main one can print its error: a launcher ends all
# processes when the first one exits.
ERROR_DELAY = 2

Progress = Callable[[int, int], object]  # progress(done, total); a ProgressBar is one


def run_command(command: Callable[[], object]) -> None:
    """Runs a command, and prints an error that the user can correct as one line.

    An InputError or an OSError ends the process with status 2, Ctrl-C with 130. Every other error is a bug and keeps
    its traceback.
    """
    warnings.filterwarnings("ignore", module="PIL")  # errors and notes report damaged pictures
    try:
        command()
    except (InputError, OSError) as error:
        _exit(user_message(error))
    except KeyboardInterrupt:
        _exit("stopped", 130)


def _exit(message: str, status: int = 2) -> NoReturn:
    if distributed.is_main_process():
        print("srcnn:", printable(message), file=sys.stderr)
    else:
        time.sleep(ERROR_DELAY)
    sys.exit(status)


class ProgressBar:
    """A progress bar, called with `(done, total)`. It is shown on standard error where that is a terminal.

    As a context manager it removes the bar at the end.

    Args:
        label: stands before the bar.
        quiet: no bar at all.
    """

    def __init__(self, label: str, quiet: bool = False):
        from tqdm import tqdm

        self._bar = tqdm(desc=label, disable=quiet or None, leave=False, delay=1)

    def __call__(self, done: int, total: int | None) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def clear(self) -> None:
        """Removes the bar from the screen until its next change, so that a line can be printed."""
        self._bar.clear()

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
