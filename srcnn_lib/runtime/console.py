"""Output of the commands in a terminal: errors on one line, and a progress bar. Signals that end a command."""

import atexit
import contextlib
import errno
import functools
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from ..errors import InputError, user_message
from . import distributed
from .files import printable

# Seconds by which the other processes exit later, so that the main one can print its error: a launcher ends all
# processes when the first one exits.
ERROR_DELAY = 2

Progress = Callable[[int, int], object]  # progress(done, total); a ProgressBar is one


def run_command(command: Callable[[], object]) -> None:
    """Runs a command, and prints an error that the user can correct as one line.

    An InputError or an OSError ends the process with status 2, Ctrl-C with 130, SIGTERM with 143 and SIGHUP with 129.
    Every other error is a bug and keeps its traceback. Where standard output can't be written, the command's work is
    done nevertheless; a line says so at the end, except of a pipe that nobody reads any more.
    """
    warnings.filterwarnings("ignore", module="PIL")  # errors and notes report damaged pictures
    _ignore_late_interrupts()
    with _stop_on_signals() as last_signal, contextlib.closing(_Output()) as output:
        try:
            command()
        except (InputError, OSError) as error:
            _exit(user_message(error))
        except KeyboardInterrupt:
            _exit("stopped", 128 + last_signal())
        finally:
            output.flush()
            if output.error and output.error.errno not in (errno.EPIPE, errno.ESHUTDOWN):
                _exit(f"standard output: {output.error.strerror}")


@functools.cache
def _ignore_late_interrupts() -> None:
    """Ignores Ctrl-C while the interpreter ends: it would print a traceback from whatever is being cleaned up."""
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[Callable[[], int]]:
    """Makes SIGTERM and SIGHUP raise a KeyboardInterrupt, so that they clean up; yields which signal was the last."""
    received = [int(signal.SIGINT)]

    def stop(number: int, _frame: object) -> None:
        received.append(number)
        raise KeyboardInterrupt

    with catch_signals(stop, ENDING_SIGNALS):
        yield lambda: received[-1]


# Signals that end a process, besides Ctrl-C. Windows has no SIGHUP.
ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextlib.contextmanager
def catch_signals(handler: Callable[[int, Any], object], numbers: tuple[int, ...]) -> Iterator[None]:
    """Handles these signals in the block, except those that this process ignores, as under nohup.

    Only the main thread can do that; in other threads nothing changes.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


class _Output:
    """Stands for standard output until it is closed; after an error it drops what is written to it.

    Characters that the terminal's encoding lacks are escaped.

    Attributes:
        error: of the first write that failed.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None
        self._stream = sys.stdout
        if hasattr(self._stream, "reconfigure"):
            self._stream.reconfigure(errors="backslashreplace")
        sys.stdout = self

    def write(self, text: str) -> int:
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(lambda: self._stream.flush())

    def _try(self, action: Callable[[], object]) -> None:
        if self._stream is None or self.error:
            return
        try:
            action()
        except OSError as error:
            self.error = error
            # What is left in the buffer would fail once more when the interpreter ends.
            with contextlib.suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def close(self) -> None:
        if sys.stdout is self:
            sys.stdout = self._stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _exit(message: str, status: int = 2) -> NoReturn:
    if distributed.is_main_process():
        with contextlib.suppress(OSError):  # the terminal is gone after SIGHUP
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

        self._bar = tqdm(desc=printable(label), disable=quiet or None, leave=False, delay=1)

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
