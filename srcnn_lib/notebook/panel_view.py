"""What the training panel shows, as HTML for a notebook and as a line of text elsewhere."""

import secrets
import time
from collections.abc import Sequence

import torch

from ..run import Run, Snapshot
from ..training.tensorboard import reconstruct_probe
from ..training.trainer import Record
from ..visualization.curves import scientific, svg_chart
from . import panel_html
from .panel_buttons import button_style
from .throttle import Throttle

GETTING_READY = "Getting ready"
THIN_SPACE = "\u2009"  # between thousands


class PanelView:
    """The state of a training: progress, the most important figures, learning curves and the probe's pictures.

    `TrainingPanel` feeds it and decides when it is drawn.

    Args:
        run: the run that is trained.

    Attributes:
        state: one word or a sentence, such as "Training".
        record: the last one; None before the first step.
        feedback: what the last press of a button did.
        hint: how the training is controlled, a line below the curves.
        notes: further lines, which stay.
        status: a last line, which changes, such as the status of the backup on Drive.
        losses: the curve of the training loss.
        probe: the probe's pictures.
        buttons: the class of the panel's buttons, of which one of Pause and Resume is hidden; "" without buttons.
        whole: whether the pictures are part of the HTML; otherwise `probe.styles` has them, which are sent apart.
    """

    def __init__(self, run: Run):
        self.run = run
        self.state = GETTING_READY
        self.record: Record | None = None
        self.feedback = ""
        self.hint = ""
        self.notes: list[str] = []
        self.status = ""
        self.buttons = ""
        self.whole = True
        self.losses = LossCurve()
        self.probe = ProbePictures(run)

    def add(self, record: Record) -> None:
        """Adds a step."""
        self.record = record
        self.notes += record.notes
        if not record.paused:
            self.losses.add(record)

    def acknowledge(self, commands: Sequence[str]) -> None:
        """Sets `feedback` to what these commands have done, which the last record shows."""
        if record := self.record:
            step = f"{record.step:,}".replace(",", THIN_SPACE)
            saved = self.run.snapshots()[-1:]
            effects = {
                "epoch": f"one epoch more: {self._epochs(record)} epochs in all",
                "halve": f"learning rate halved to {scientific(record.learning_rate, 1)}",
                "snapshot": f"snapshot of step {saved[0].step:,} saved".replace(",", THIN_SPACE) if saved else "",
                "pause": f"paused at step {step}",
                "resume": f"resumed at step {step}",
            }
            self.feedback = "; ".join(dict.fromkeys(effects.get(command, "") for command in commands)).capitalize()

    def show_end(self, failed: bool) -> None:
        """Sets the state in which the training ended."""
        if self.record is None and not failed:
            self.record = self._last_record()
        if self.record is None:
            self.state = "Stopped before the first step; run the cell again to begin"
        elif self.record.step >= self.record.steps and not failed:
            self.state = "Finished"
            self.notes.append("for a longer training, set epochs to a larger number and run the cells again")
        else:
            self.state = "Stopped; run the cell again to resume"

    def _last_record(self) -> Record | None:
        """Returns the last record of a run that had finished before; None if it has no history."""
        history = self.run.history()
        steps = (self.run.metadata.get("resolved") or {}).get("steps")
        if not history or not steps:
            return None
        last = history[-1]
        return Record(
            last["step"], steps, int(last["epoch"]), torch.tensor(last["train_loss"]), last["learning_rate"], 0.0, 0.0
        )

    def _repr_html_(self) -> str:
        record = self.record
        channel = self.run.config.psnr_channel
        history = self.run.history() if record else []
        time_left = ""
        if record and record.step < record.steps:
            time_left = f"{panel_html.duration(record.seconds_left)} left"
        style = button_style(self.buttons, bool(record and record.paused)) if self.buttons else ""
        first = (self.run.metadata.get("resolved") or {}).get("steps_per_epoch")
        losses = self.losses.points
        return style + panel_html.render_panel(
            state=self.state,
            position=self._position(),
            time_left=time_left,
            share=record.step / record.steps if record else 0,
            figures=self._figures(history),
            chart=svg_chart(history, losses, channel=channel, first_measurement=first) if record else "",
            probe=self.probe.columns(self.whole) if record else [],
            notes=[str(self.run.path), self.hint, *self.notes, self.status],
            feedback=self.feedback,
        )

    def __repr__(self) -> str:
        psnr = _newest(self.run.history(), f"validation_psnr_{self.run.config.psnr_channel}")
        measured = f", validation {psnr:.2f} dB" if psnr is not None else ""
        return f"{self.state}: {self._position()}{measured} ({self.run.path})"

    def _position(self) -> str:
        record = self.record
        if record is None:
            return "reading the photographs, timing the first steps" if self.state == GETTING_READY else ""
        epochs = self._epochs(record)
        epoch = f"epoch {min(record.epoch + 1, epochs)} of {epochs}"
        return f"{epoch} · step {record.step:,} of {record.steps:,}".replace(",", THIN_SPACE)

    def _epochs(self, record: Record) -> int:
        """Returns how many epochs the training has, of which the last may be a part."""
        per_epoch = self.run.metadata.get("resolved", {}).get("steps_per_epoch") or record.steps
        return -(-record.steps // per_epoch)

    def _figures(self, history: Sequence[dict]) -> list[tuple[str, str]]:
        """Returns (value, label) of the gain over bicubic, the speed and the learning rate, as far as known."""
        figures = []
        channel = self.run.config.psnr_channel
        psnr = _newest(history, f"validation_psnr_{channel}")
        bicubic = _newest(history, f"validation_bicubic_psnr_{channel}")
        if psnr is not None and bicubic is not None:
            gain = f"{psnr - bicubic:+.2f} dB".replace("-", "−")
            figures.append((gain, f"over bicubic, validation patches ({channel.upper()})"))
        if self.record:
            if self.record.crops_per_second:
                figures.append((f"{self.record.crops_per_second:,.0f}", "crops per second"))
            figures.append((scientific(self.record.learning_rate, 1), "learning rate"))
        return figures


def _newest(history: Sequence[dict], key: str) -> float | None:
    """Returns the newest measurement in a history, or None."""
    return next((line[key] for line in reversed(history) if line.get(key) is not None), None)


class LossCurve:
    """The training loss over the steps, in `points` of (step, mean loss since the point before)."""

    MOST_POINTS = 400
    FEWEST_STEPS = 10  # whose losses are averaged into one point

    def __init__(self) -> None:
        self.points: list[tuple[int, float]] = []
        self._since: list[torch.Tensor] = []  # losses since the last point, on the device
        self._step = 0

    def add(self, record: Record) -> None:
        """Adds a step's loss; does not wait for the device."""
        self._since.append(record.loss)
        self._step = record.step

    def update(self) -> None:
        """Adds a point, the mean of the losses since the last one; halves the number of points if it is too large."""
        if len(self._since) >= self.FEWEST_STEPS:
            self.points.append((self._step, torch.stack(self._since).mean().item()))
            self._since.clear()
        if len(self.points) > self.MOST_POINTS:
            pairs = zip(self.points[::2], self.points[1::2], strict=False)
            last = self.points[-1:] if len(self.points) % 2 else []
            self.points = [(second[0], (first[1] + second[1]) / 2) for first, second in pairs] + last


class ProbePictures:
    """The probe's tiles in three columns: bicubic, the reconstruction by the newest snapshot, original.

    Attributes:
        styles: what fills the places of the pictures, where the panel does not hold them: one for bicubic and original,
            which never change, and one for the reconstruction. Empty before the first snapshot.
    """

    SHARE = 0.01  # of the training's time that reconstructing may take

    def __init__(self, run: Run):
        self.run = run
        self.styles: tuple[str, ...] = ()
        self._name = f"srcnn-{secrets.token_hex(4)}"  # before the names of the places, so that panels have their own
        self._addresses: dict[str, list[str]] = {}  # of each column, by its title
        self._throttle = Throttle(self.SHARE)
        self._snapshot: Snapshot | None = None

    def columns(self, whole: bool = True) -> list[tuple[str, list[str]]]:
        """Returns (title, markup of the pictures) of each column: the pictures themselves, or only their places."""
        return [
            (
                title,
                [panel_html.tile_image(address) if whole else panel_html.tile_place(name) for name, address in tiles],
            )
            for title, tiles in zip(self._addresses, self._named_tiles(), strict=True)
        ]

    def _named_tiles(self) -> list[list[tuple[str, str]]]:
        """Returns (name of its place, address) of each tile, by column."""
        return [
            [(f"{self._name}-{column}-{row}", address) for row, address in enumerate(addresses)]
            for column, addresses in enumerate(self._addresses.values())
        ]

    def update(self, force: bool = False) -> bool:
        """Reconstructs the probe if there is a newer snapshot and enough time has passed, or if `force`.

        Returns:
            Whether the pictures have changed.
        """
        if not force and not self._throttle.is_due():
            return False
        snapshots = self.run.snapshots()
        if not snapshots or snapshots[-1] == self._snapshot:
            return False
        began = time.monotonic()
        self._snapshot = snapshots[-1]
        upsampled, original = self.run.probe()
        reconstruction = reconstruct_probe(self._snapshot.load(), upsampled)
        srcnn = f"SRCNN\nstep {self._snapshot.step:,}".replace(",", THIN_SPACE)
        columns = {"Bicubic": upsampled, srcnn: reconstruction, "Original": original}
        self._addresses = {title: [panel_html.png_address(tile) for tile in tiles] for title, tiles in columns.items()}
        left, middle, right = self._named_tiles()
        self.styles = panel_html.tile_style(dict(left + right)), panel_html.tile_style(dict(middle))
        self._throttle.done(time.monotonic() - began)
        return True
