"""What the commands share in a terminal: errors in one line, and a progress bar."""

import sys
import time
import warnings
from collections.abc import Callable
from typing import NoReturn

from ..errors import InputError
from . import distributed
from .files import printable

# Seconds that the other processes leave the main one to print its error: a launcher ends all processes with the first.
ERROR_DELAY = 2


def run_command(command: Callable[[], object]) -> None:
    """Runs a command, and prints an error that the user can correct as one line.

    An InputError or an OSError ends the process with status 2, Ctrl-C with 130. Every other error is a bug and keeps
    its traceback.
    """
    warnings.filterwarnings("ignore", module="PIL")  # the error or the notes say what matters of a damaged picture
    try:
        command()
    except InputError as error:
        _exit(str(error))
    except OSError as error:
        if error.strerror is None:
            raise
        _exit(f"{error.filename or 'file'}: {error.strerror}")
    except KeyboardInterrupt:
        _exit("stopped", 130)


def _exit(message: str, status: int = 2) -> NoReturn:
    if distributed.is_main_process():
        print("srcnn:", printable(message), file=sys.stderr)
    else:
        time.sleep(ERROR_DELAY)
    sys.exit(status)


def error_text(error: Exception) -> str:
    """Returns the reason of an error in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


class ProgressBar:
    """A progress bar on standard error where that is a terminal, called with `(done, total)`.

    It is a context manager, which removes the bar at the end.

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
