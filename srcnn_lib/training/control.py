"""Commands to a training that is under way: from a button, another thread, or a file in the run."""

import time
from collections import deque

from ..errors import InputError

COMMANDS = ("pause", "resume", "epoch", "halve", "snapshot", "stop")
POLL_SECONDS = 0.25


class TrainingControl:
    """Takes commands from any thread; `fit` asks for them between two steps.

    pause and resume; epoch: one more than was asked for; halve: the learning rate; snapshot: now; stop. From outside
    the process the same words are taken from the run's `control` file, which is removed once it is read:
    `echo pause > runs/NAME/control`.
    """

    def __init__(self):
        self.paused = self.stopped = False
        self._waiting: deque[str] = deque()
        self._asked = 0.0

    def send(self, command: str) -> None:
        """Ask for something; takes effect at the end of the step.

        Raises:
            InputError: an unknown command.
        """
        if command not in COMMANDS:
            raise InputError(f"there is no command {command!r}; the commands are {', '.join(COMMANDS)}")
        self._waiting.append(command)

    def commands(self, run=None) -> list[str]:
        """What changes the training's state, in the order it came; pausing and stopping are taken care of here."""
        if run and time.monotonic() - self._asked > POLL_SECONDS:
            self._asked = time.monotonic()
            self._read(run.path / "control")
        changes = []
        while self._waiting:
            command = self._waiting.popleft()
            if command in ("pause", "resume"):
                self.paused = command == "pause"
            elif command == "stop":
                self.stopped = True
            else:
                changes.append(command)
        return changes

    def _read(self, path) -> None:
        try:
            words = path.read_text("utf-8", errors="replace").split()
            path.unlink()
        except OSError:
            return
        for word in words:
            if word in COMMANDS:
                self._waiting.append(word)
