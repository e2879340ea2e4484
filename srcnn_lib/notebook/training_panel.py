"""The panel of the training notebook: follows a training in the output of its cell, with buttons to control it."""

import shlex
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from ..config import TrainingConfig
from ..errors import InputError
from ..run import Run, check_run_name
from ..training.control import TrainingControl
from ..training.trainer import Record
from .drive.backup import DriveBackup
from .panel_buttons import LABELS, NOTHING, ColabButtons, LabButtons, notebook_kernel, show_busy, show_buttons
from .panel_view import PanelView
from .throttle import Throttle

DRAWING_SHARE = 0.01  # of the training's time; the probe's pictures take as much in addition
POLLING_SHARE = 0.02
SHORTEST = 0.5  # seconds between two drawings or two polls
LONGEST_DRAWING = 1.9  # seconds until the next drawing at most: on a busy machine a drawing takes long by the clock
LONGEST_POLL = 60.0  # seconds until the next poll at most, if the page answered
LONGEST_SILENCE = 120.0  # if it did not


def open_run(path: str | Path, config: TrainingConfig) -> Run:
    """Returns the run at `path`, which `fit` resumes; creates it if there is none.

    Raises:
        InputError: the folder's name is no name for a run, or it was created with another configuration; the message
            lists the differences. Another end of the training (epochs, steps, minutes) is no difference.
    """
    check_run_name(Path(path).name)
    if not (Path(path) / "config.json").exists():
        return Run.create(path, config)
    run = Run(path)
    if differences := run.config.differences(config):
        raise InputError(
            f"{path} was created with another configuration: {'; '.join(differences)}; give the run another name"
        )
    if config.minutes and config.minutes != run.config.minutes and run.checkpoints():
        print("The end of this run stays as it was: set epochs to change it, or use another name for a new run.")
    return run


class TrainingPanel:
    """Follows a training in the output of its cell, and shows buttons that control it.

        with DriveBackup(run.path, folder) as backup, TrainingPanel(run, backup) as panel:
            for record in fit(config, run, data, panel.control):
                panel.show(record)

    It draws in the thread that calls `show`, and takes at most some 4 % of the training's time: 1 % for drawing, 1 %
    for the probe's pictures, 2 % for asking Colab's page which buttons were pressed. The buttons only send commands to
    `control`. Outside a notebook it prints a line per epoch.

    Args:
        run: the run that is trained.
        backup: whose status is shown.

    Attributes:
        control: receives the buttons' commands; pass it to `fit`.
        view: what is drawn.
    """

    def __init__(self, run: Run, backup: DriveBackup | None = None):
        self.backup = backup
        self.control = TrainingControl()
        self.view = PanelView(run)
        self.view.hint = f"from a terminal: echo pause > {shlex.quote(str(run.path / 'control'))}"
        self._display: Any = None  # IPython's handle; None outside a notebook
        self._styles: list[Any] = []  # handles of the probe's pictures
        self._shown_styles: tuple[str, ...] = ()
        self._buttons: LabButtons | ColabButtons | None = None
        self._drawing = Throttle(DRAWING_SHARE, SHORTEST)
        self._polling = Throttle(POLLING_SHARE, SHORTEST)
        self._answer_seconds = 0.0  # of the last poll
        self._paused = False
        self._pressed: list[str] = []  # commands whose effect has not been drawn yet
        self._records_since_press = 0
        self._busy_drawings = (
            0  # with which the kernel's state is sent again; the subshell's "idle" may come in between
        )
        self._lock = threading.RLock()  # a press before the first step is drawn by its own thread

    def __enter__(self) -> "TrainingPanel":
        if notebook_kernel():
            from IPython.display import display

            self._buttons = show_buttons(self._press)
            self.view.buttons = self._buttons.name if self._buttons else ""
            self.view.whole = False
            self._display = display(self.view, display_id=True)
            self._styles = [display(NOTHING, raw=True, display_id=True) for _ in range(2)]
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Draws for the last time: how the training ended, and how to resume it."""
        if self._buttons:
            self._buttons.close()
        self.view.buttons = self.view.feedback = self.view.hint = ""
        self.view.whole = True  # so that a saved notebook shows the pictures without its styles
        self.view.show_end(failed=error is not None)
        self._draw(last=True)
        for style in self._styles:
            style.update(NOTHING, raw=True)

    def show(self, record: Record) -> None:
        """Adds a step, and draws the panel if it is due."""
        self.view.add(record)
        if self._display is None:
            self._print(record)
            return
        self._records_since_press += 1
        if self._answer_seconds > SHORTEST and self._polling.is_due() and not record.paused:
            self._draw()  # as the panel will stand still while the page answers
        self._poll(record.paused)
        pause_changed = record.paused != self._paused
        self._paused = record.paused
        # The record after a press may be that of a step which had begun before it.
        press_took_effect = bool(self._pressed) and self._records_since_press > 1
        if pause_changed or press_took_effect or (self._drawing.is_due() and not record.paused):
            if press_took_effect:
                commands, self._pressed = self._pressed, []
                self.view.acknowledge(commands)
                self._busy_drawings = 2
            self.view.state = "Paused" if record.paused else "Training"
            self._draw()

    def _print(self, record: Record) -> None:
        self.view.state = "Training"
        for note in record.notes:
            print(note)
        if record.epoch_ends:
            print(self.view)

    def _poll(self, paused: bool) -> None:
        """Asks which buttons were pressed. Colab's page needs time to answer: the longer, the more rarely it is asked.

        It is asked more often in a pause, when there is no training to delay, and after a press, as another may follow.
        """
        if not self._buttons or not self._polling.is_due():
            return
        began = time.monotonic()
        answered = self._buttons.poll()
        longest = LONGEST_POLL if answered else LONGEST_SILENCE
        if paused or self._pressed:
            longest = SHORTEST
        self._answer_seconds = time.monotonic() - began
        self._polling.done(self._answer_seconds, longest)

    def _press(self, command: str) -> None:
        """Sends a button's command, from any thread; the panel is drawn when it has taken effect."""
        self.control.send(command)
        self._records_since_press = 0
        self._pressed.append(command)
        if self.view.record is None and self._buttons and self._buttons.at_once:
            self.view.feedback = f"{LABELS[command][0]}: as soon as the training begins"
            self._draw()

    def _draw(self, last: bool = False) -> None:
        if self._display is None:
            return
        with self._lock:
            self.view.losses.update()
            if self.view.record:
                self.view.probe.update(force=last)
            if self.backup:
                self.view.status = self.backup.status
            if self._busy_drawings and not last:
                self._busy_drawings -= 1
                show_busy()
            began = time.monotonic()
            if not last:
                self._send_styles()
            self._display.update(self.view)
            self._drawing.done(time.monotonic() - began, LONGEST_DRAWING)

    def _send_styles(self) -> None:
        """Sends the probe's pictures that have changed."""
        styles = self.view.probe.styles
        for handle, style, shown in zip(self._styles, styles, self._shown_styles or ("", ""), strict=False):
            if style != shown:
                handle.update({"text/html": style, "text/plain": ""}, raw=True)
        self._shown_styles = styles
