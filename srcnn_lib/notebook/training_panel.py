"""The training notebook's own: a panel that follows a training, and buttons that steer it while its cell runs."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from IPython import get_ipython
from IPython.display import HTML, display

from ..config import TrainingConfig
from ..errors import InputError
from ..run import Run, Snapshot
from ..training.control import TrainingControl
from ..training.tensorboard import reconstruct_probe
from ..training.trainer import Record
from . import panel_html
from .colab import is_colab

SHARE = 0.01  # of the training's time that drawing may take, and as much again the network's pictures
SECONDS = 0.5  # between two pictures at the least
LONGEST_POLL = 5.0  # seconds until a press is noticed at the latest, however long an answer takes
LOSSES = 400  # points of the loss's curve at most
STEPS = 10  # that a point of it is the mean of at the least
LABELS = {
    "pause": ("Pause", "pause"),
    "resume": ("Resume", "play"),
    "epoch": ("One epoch more", "plus"),
    "halve": ("Halve the rate", "arrow-down"),
    "snapshot": ("Snapshot", "camera"),
    "stop": ("Stop", "stop"),
}


def open_run(path: str | Path, config: TrainingConfig) -> Run:
    """The run at `path`: a new one, or the one that is there, for `fit` to go on with.

    Raises:
        InputError: it was made with other settings, with the list of what differs; another end is no difference.
    """
    if not (Path(path) / "config.json").exists():
        return Run.create(path, config)
    run = Run(path)
    if differing := run.config.differences(config):
        raise InputError(f"{path} was made with other settings: {'; '.join(differing)}; give the run another name")
    if config.minutes and config.minutes != run.config.minutes and run.checkpoints():
        print("The run's end stays where it is: give epochs to move it, or another name for a new run.")
    return run


class Panel:
    """Follows a training in the cell's output; redrawn in place, for at most 2 % of the training's time.

        with Panel(run, steering) as panel:
            for record in fit(run.settings, run, data, steering):
                panel.show(record)

    It draws in the thread that calls `show`; the buttons only put words into `steering`. Outside a notebook it prints
    a line an epoch.

    Args:
        run: whose training it is.
        steering: what the buttons act on; without it there are none.
        drive: gives a line on how Drive is; asked whenever the panel is drawn.
    """

    def __init__(self, run: Run, control: TrainingControl | None = None, drive: Callable[[], str] | None = None):
        self.run, self.control, self.drive = run, control, drive
        self.channel = "y" if run.config.channels == 1 else "rgb"
        self.losses: list[tuple[float, float]] = []  # (step, mean loss since the point before)
        self.spent = 0.0  # seconds in here
        self._since: list[torch.Tensor] = []  # losses since the last point
        self._record: Record | None = None
        self._paused = False
        self._pressed = 0.0  # when a button was
        self._state = "Getting ready"
        self._next = self._next_poll = 0.0
        self._notes: list[str] = []
        self._probe: dict[str, list[str]] = {}
        self._snapshot: Snapshot | None = None  # of which the probe's pictures are
        self._next_probe = self._asking = 0.0  # when the network may be asked again; seconds that it took just now
        self._ended = False
        self._buttons = self._handle = None

    def __enter__(self) -> "Panel":
        if getattr(get_ipython(), "kernel", None):
            if self.control:
                self._buttons = buttons(self._press)
            self._handle = display(self, display_id=True)
        return self

    def __exit__(self, *error) -> None:
        """The last picture: how it ended, and that the training can go on."""
        self._ended = True
        if self._buttons:
            self._buttons.close()
        if not self._record and not error[0]:
            self._record = self._last()
        if self._record:
            done = self._record.step >= self._record.steps
            self._state = "Finished" if done and not error[0] else "Stopped; run the cell again to go on"
        else:
            self._state = "Stopped before the first step; run the cell again to begin"
        self._draw()

    def _last(self) -> Record | None:
        """Where a run stands in whose training no step was left to take."""
        history, steps = self.run.history(), (self.run.metadata.get("resolved") or {}).get("steps")
        if not history or not steps:
            return None
        line = history[-1]
        loss = torch.tensor(line["train_loss"])
        return Record(line["step"], steps, int(line["epoch"]), loss, line["learning_rate"], 0.0, 0.0)

    def show(self, record: Record) -> None:
        """Take note of a step, and draw when it is time."""
        began = time.monotonic()
        self._record = record
        self._notes += record.notes
        if not record.paused:
            self._since.append(record.loss)
        if self._handle is None:
            for note in record.notes:
                print(note)
            if record.epoch_ends:
                print(self)
            return
        self._poll(record.paused)
        turned = record.paused != self._paused
        answered = self._pressed and began > self._pressed + SECONDS
        if began < self._next and not turned and not answered:
            return
        if turned or not record.paused:
            self._state = "Paused" if record.paused else "Training"
            self._pressed, self._paused = 0.0, record.paused
            self._draw()
        took = time.monotonic() - began
        self.spent += took
        self._next = began + max(SECONDS, (took - self._asking) / SHARE)

    def _poll(self, paused: bool) -> None:
        """Ask for what was pressed. On Colab a question takes a while: one in so many seconds that it hardly costs any,
        and more often while nothing is trained that it could hold up, or just after a press, as another may follow."""
        began = time.monotonic()
        if not self._buttons or began < self._next_poll:
            return
        self._buttons.poll()
        took = time.monotonic() - began
        self.spent += took
        often = paused or self._pressed
        self._next_poll = began + (SECONDS if often else min(max(SECONDS, took / SHARE), LONGEST_POLL))

    def _press(self, command: str) -> None:
        """What a button does, in whichever thread it is told; what came of it is shown soon."""
        self.control.send(command)
        self._pressed = time.monotonic()

    def _draw(self) -> None:
        if len(self._since) >= STEPS:
            self.losses.append((self._record.step, torch.stack(self._since).mean().item()))
            self._since.clear()
        if len(self.losses) > LOSSES:
            pairs = zip(self.losses[::2], self.losses[1::2], strict=False)
            self.losses = [(after[0], (before[1] + after[1]) / 2) for before, after in pairs]
        if self._handle is not None:
            self._handle.update(self)

    def _repr_html_(self) -> str:
        record, history = self._record, self.run.history() if self._record else []
        curves = {
            name: [(line["step"], line[key]) for line in history if line.get(key) is not None]
            for name, key in {
                "train": f"train_psnr_{self.channel}",
                "test": f"validation_psnr_{self.channel}",
                "bicubic": f"validation_bicubic_psnr_{self.channel}",
            }.items()
        }
        bicubic = curves.pop("bicubic")
        bicubic = bicubic[-1][1] if bicubic else None
        # What was learned before this cell ran again is known by the epoch only.
        first = self.losses[0][0] if self.losses else float("inf")
        earlier = [(line["step"], line["train_loss"]) for line in history if line["step"] < first]
        return panel_html.panel(
            state=self._state,
            place=self._place(),
            left=f"{panel_html.duration(record.seconds_left)} left" if record and record.step < record.steps else "",
            share=record.step / record.steps if record else 0,
            figures=self._figures(curves["test"], bicubic),
            chart=panel_html.chart(**curves, bicubic=bicubic, loss=earlier + self.losses) if record else "",
            probe=self._columns(),
            notes=[
                str(self.run.path),
                *self._notes,
                self.drive() if self.drive else "",
                "its file “control” steers it as well: echo pause > control" if self.control else "",
            ],
        )

    def __repr__(self) -> str:
        history = self.run.history()
        measured = f", test {history[-1][f'validation_psnr_{self.channel}']:.2f} dB" if history else ""
        return f"{self._state}: {self._place()}{measured} ({self.run.path})"

    def _place(self) -> str:
        record = self._record
        if not record:
            return "" if self._ended else "reading the photographs, timing the first steps"
        epoch = f"epoch {min(record.epoch + 1, self._epochs)} of {self._epochs}"
        return f"{epoch} · step {record.step:,} of {record.steps:,}".replace(",", "\u2009")

    @property
    def _epochs(self) -> int:
        per_epoch = self.run.metadata.get("resolved", {}).get("steps_per_epoch") or self._record.steps
        return -(-self._record.steps // per_epoch)

    def _figures(self, test: list, bicubic: float | None) -> list[tuple[str, str]]:
        record, figures = self._record, []
        if test and bicubic is not None:
            gain = f"{test[-1][1] - bicubic:+.2f} dB".replace("-", "−")
            figures.append((gain, f"over bicubic, test patches ({self.channel.upper()})"))
        if record:
            if record.crops_per_second:
                figures.append((f"{record.crops_per_second:,.0f}", "crops a second"))
            figures.append((panel_html.scientific(record.rate, 1), "learning rate"))
        return figures

    def _columns(self) -> list[tuple[str, list[str]]]:
        """The probe as bicubic | SRCNN now | original; a newer network is asked when there was time enough for it."""
        snapshots = self.run.snapshots() if self._record else []
        if not snapshots:
            return []
        newest = snapshots[-1]
        upsampled, original = self.run.probe()
        if not self._probe:
            self._probe = {"bicubic": [*map(panel_html.png, upsampled)], "original": [*map(panel_html.png, original)]}
        began = time.monotonic()
        self._asking = 0.0
        if newest != self._snapshot and (began >= self._next_probe or self._ended):
            self._snapshot = newest
            self._probe["srcnn"] = [*map(panel_html.png, reconstruct_probe(newest.load(), upsampled))]
            self._asking = time.monotonic() - began
            self._next_probe = began + self._asking / SHARE
        titles = {"bicubic": "Bicubic", "srcnn": f"SRCNN, step {self._snapshot.step}", "original": "Original"}
        return [(title, self._probe[name]) for name, title in titles.items()]


def buttons(press: Callable[[str], None]) -> "LabButtons | ColabButtons | None":
    """Show buttons that call `press` with a command while the cell runs; None where a front end can't do that."""
    if is_colab():
        return ColabButtons(press)
    features = get_ipython().kernel.kernel_info.get("supported_features", ())
    return LabButtons(press) if "kernel subshells" in features else None


class LabButtons:
    """Buttons for JupyterLab 4.4 and later with ipykernel 7: a press is answered in a subshell, a thread of its own."""

    def __init__(self, press: Callable[[str], None]):
        import ipywidgets

        def button(command: str) -> ipywidgets.Button:
            label, icon = LABELS[command]
            made = ipywidgets.Button(description=label, icon=icon, layout={"width": "auto"})
            made.on_click(lambda _: press(command))
            return made

        with _of_no_cell(get_ipython().kernel):
            self.box = ipywidgets.HBox([button(command) for command in LABELS], layout={"flex_flow": "row wrap"})
        display(self.box)

    def poll(self) -> None:
        """Nothing: presses come by themselves."""

    def close(self) -> None:
        self.box.layout.display = "none"


@contextlib.contextmanager
def _of_no_cell(kernel) -> Iterator[None]:
    """Make widgets that belong to no cell.

    From ipykernel 7.4 on, a press is answered where its button last spoke from. One made by a running cell speaks from
    the main thread, which would answer once the cell has ended; one of no cell leaves the choice to the front end, and
    that is a subshell. For the same reason a button must not be changed while the cell runs.
    """
    ident, parent = kernel._parent_ident["shell"], kernel.get_parent()
    kernel.set_parent(ident, {})
    try:
        yield
    finally:
        kernel.set_parent(ident, parent)


class ColabButtons:
    """Buttons for Colab, whose widgets wait for the cell's end: the page keeps the presses until it is asked."""

    def __init__(self, press: Callable[[str], None]):
        self.press = press
        shown = "".join(
            f"<button onclick=\"(window.srcnnPressed ??= []).push('{command}')\">{label}</button> "
            for command, (label, _) in LABELS.items()
        )
        self.handle = display(HTML(f'<div class="srcnn-buttons">{shown}</div>'), display_id=True)

    def poll(self) -> None:
        from google.colab import output

        # Without a limit a closed browser would hold up the training for ever.
        with contextlib.suppress(Exception):
            for command in output.eval_js("(window.srcnnPressed ?? []).splice(0)", timeout_sec=1) or ():
                self.press(command)

    def close(self) -> None:
        self.handle.update(HTML(""))
