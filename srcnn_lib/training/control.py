"""Commands to a training in progress: from a button, from another thread, from a file in the run, or Ctrl-C."""

import contextlib
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import InputError
from ..run import Run
from ..runtime import distributed
from ..runtime.console import ENDING_SIGNALS, catch_signals
from ..runtime.files import read_plain_file

COMMANDS = ("pause", "resume", "epoch", "halve", "snapshot", "stop")
POLL_SECONDS = 0.25  # between two reads of the run's control file
LARGEST_FILE = 10_000  # bytes
SAME_PRESS_SECONDS = 5  # within which a second Ctrl-C may be the launcher's copy of the first


class TrainingControl:
    """Takes commands from any thread. `fit` collects and applies them between two steps.

    The commands are pause, resume, stop, epoch (train one more than planned), halve (the learning rate) and
    snapshot (write one now). Another process can write them into the run's file `control`, which is removed after it
    is read: `echo pause > runs/NAME/control`.

    Attributes:
        paused: whether the training pauses.
        stopped: whether it is to end.
    """

    def __init__(self) -> None:
        self.paused = False
        self.stopped = False
        self._queue: deque[str] = deque()
        self._polled = 0.0

    def send(self, command: str) -> None:
        """Sends a command, which takes effect at the end of the step.

        Raises:
            InputError: for an unknown command.
        """
        if command not in COMMANDS:
            raise InputError(f"there is no command {command!r}; the commands are {', '.join(COMMANDS)}")
        self._queue.append(command)

    def take_commands(self, run: Run | None = None) -> list[str]:
        """Updates `paused` and `stopped`, and returns the other commands sent since the last call, in order."""
        if run and time.monotonic() - self._polled > POLL_SECONDS:
            self._polled = time.monotonic()
            self._read(run.path / "control")
        changes = []
        while self._queue:
            command = self._queue.popleft()
            if command in ("pause", "resume"):
                self.paused = command == "pause"
            elif command == "stop":
                self.stopped = True
            else:
                changes.append(command)
        return changes

    def _read(self, path: Path) -> None:
        """Queues the commands in the control file and removes it; other words are ignored."""
        try:
            words = read_plain_file(path, LARGEST_FILE).decode("utf-8", errors="replace").split()
            path.unlink()
        except (InputError, OSError):
            return
        self._queue.extend(word for word in words if word in COMMANDS)


@contextlib.contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Catches Ctrl-C, SIGTERM and SIGHUP, and yields a function that returns whether one of them came.

    A second one stops at once, further ones are ignored. SIGTERM and SIGHUP take their usual effect at the end, when
    all is saved. Only the main thread can catch signals; in other threads the function always returns False.
    """
    received: list[tuple[int, float]] = []

    def receive(number: int, _frame: object) -> None:
        now = time.monotonic()
        received.append((number, now))
        # The terminal sends Ctrl-C to all processes, and a launcher sends it to those that it started once more.
        copied = now - received[0][1] <= (SAME_PRESS_SECONDS if distributed.is_launched() else 0)
        if len(received) == 2 and copied:
            del received[1]
        elif len(received) == 2:
            raise KeyboardInterrupt

    with catch_signals(receive, (signal.SIGINT, *ENDING_SIGNALS)):
        yield lambda: bool(received)
    for number, _ in received[:1]:
        if number in ENDING_SIGNALS:
            signal.raise_signal(number)
