"""Writes a training into its run, and resumes it from there."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import torch

from ..errors import InputError
from ..run import Run, best_step
from ..runtime.devices import describe_device, package_versions
from .state import TrainingState
from .tensorboard import TensorBoardWriter

CHECKPOINT_SECONDS = 60  # between two checkpoints in a long epoch; a killed process loses no more than that


class Checkpointer:
    """Writes snapshots, history, TensorBoard events and checkpoints into a run, and resumes a training from it.

    Call `restore` first, then `start`, then `save_due` after each step, and `close` at the end.

    Args:
        run: where to write; None writes nothing, as in all processes but the main one.
        state: the training.
    """

    def __init__(self, run: Run | None, state: TrainingState):
        self.run = run
        self.state = state
        self.events: TensorBoardWriter | None = None
        self.notes: list[str] = []
        self._saved_at = time.monotonic()
        self._saved_step = -1
        self._between_steps = False

    # The beginning

    def restore(self) -> None:
        """Sets the state in all processes to the run's newest checkpoint, if there is one.

        Raises:
            InputError: where the run can't be resumed: it was made with other settings or photographs, or its
                checkpoints are damaged or missing.
        """
        stored = self.state.group.run_on_main(self._read_checkpoint)
        if not stored:
            return
        requested_steps = self.state.requested_steps
        try:
            self.state.load_state_dict(stored)
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            raise InputError(
                "the run's checkpoint is of another network than its config.json says; start a new run"
            ) from error
        if requested_steps and requested_steps != self.state.requested_steps:
            self._change_end(requested_steps)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        """Returns the state in the run's newest checkpoint; None for a new run."""
        if not self.run:
            return None
        stored, self.notes = self.run.read_checkpoint()
        if stored:
            self._check_same_training(self.run)
            with contextlib.suppress(OSError):
                (self.run.path / "control").unlink()  # commands to an earlier process
        elif self.notes:
            raise InputError(f"{self.run.path}: no checkpoint can be read; start a new run")
        elif any(snapshot.step for snapshot in self.run.snapshots()):  # a run has a checkpoint before its first step
            raise InputError(f"{self.run.path}: its checkpoints are gone, so it can't go on; start a new run")
        return stored

    def _check_same_training(self, run: Run) -> None:
        if differing := run.config.differences(self.state.config):
            raise InputError(f"{run.path} was made with other settings: {'; '.join(differing)}; start a new run")
        before = (run.metadata.get("data") or {}).get("fingerprint")
        if before and before != self.state.data.description["fingerprint"]:
            raise InputError(f"{run.path} was trained on other photographs than are there now; start a new run")

    def _change_end(self, steps: int) -> None:
        """Changes the number of steps and rescales the cosine schedule, so that the learning rate jumps once."""
        state = self.state
        before = state.learning_rate
        state.requested_steps = steps
        state.steps = max(steps, state.step)
        if steps < state.step:
            self.notes.append(f"the training is beyond step {steps} already: it ends at step {state.step}")
        elif state.config.schedule == "cosine":
            after = state.learning_rate
            self.notes.append(
                f"the cosine now ends at step {steps}: the learning rate goes from {before:.2g} to {after:.2g}"
            )

    def start(self) -> None:
        """Prepares the run for the next step: removes what a killed process wrote after its last checkpoint."""
        self.state.group.run_on_all(self._prepare_run)
        self._between_steps = True

    def _prepare_run(self) -> None:
        if not self.run:
            return
        state = self.state
        self.run.remove_after(state.step)
        self.run.write_history(state.history)
        self.events = TensorBoardWriter(self.run.path, state.config.psnr_channel, state.step)
        before = (self.run.metadata.get("resolved") or {}).get("processes")
        now = state.group.size
        if before and before != now:
            self.notes.append(
                f"trained by {before} processes so far, now by {now}: as good, but not the same to the last bit"
            )
        self.run.update_metadata(resolved=self._resolved(), data=state.data.description)
        try:
            self.run.probe()
        except InputError:  # missing or damaged; the same settings and photographs give the same probe
            self.run.write_probe(*state.data.probe)
        if not self.run.checkpoints():  # a new run
            self._save_snapshot()
        self.save_checkpoint()

    def _resolved(self) -> dict[str, Any]:
        """Returns what was chosen from the settings and this machine, for config.json."""
        state = self.state
        return {
            "steps": state.steps,
            "steps_per_epoch": state.steps_per_epoch,
            "arithmetic": state.arithmetic,
            "device": describe_device(state.device),
            "processes": state.group.size,
            "threads": torch.get_num_threads(),
            "versions": package_versions(),
        }

    # After each step

    @contextlib.contextmanager
    def whole_step(self) -> Iterator[None]:
        """Encloses a step. A partially applied step, after an error, is not checkpointed."""
        self._between_steps = False
        yield
        self._between_steps = True

    def save_due(self, record: dict | None) -> None:
        """Writes what is due after a step.

        Args:
            record: the history's new record, where the step ended an epoch.
        """
        if not self.run:
            return
        state = self.state
        if record and self.events:
            self._save_snapshot()
            self.run.write_history(state.history)
            self.events.write(record, state.averaged, self.run.probe())
            self.save_checkpoint()
        elif state.step < state.steps_per_epoch and state.step.bit_count() == 1:  # 1, 2, 4, 8, …
            self._save_snapshot()
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save_checkpoint()

    def apply(self, command: str) -> None:
        """Applies a command that changes the training, and saves it at once, for the case that the process is killed.

        Args:
            command: "halve" the learning rate, train an "epoch" more, or write a "snapshot".
        """
        if command == "halve":
            self.state.rate_factor /= 2
        elif command == "epoch":
            self.state.steps += self.state.steps_per_epoch
            if self.run:
                self.run.update_metadata(resolved=self._resolved())
        elif command == "snapshot":
            self._save_snapshot()
        self._saved_step = -1
        self.save_checkpoint()

    def take_notes(self) -> tuple[str, ...]:
        """Returns and clears pending notes for the user."""
        notes = tuple(self.notes)
        self.notes = []
        return notes

    def _save_snapshot(self) -> None:
        if self.run:
            self.run.write_snapshot(self.state.averaged, self.state.step, self.state.epoch)

    def save_checkpoint(self) -> None:
        """Writes a checkpoint, unless this step has one already or the weights are not finite numbers any more."""
        state = self.state
        if not self.run or self._saved_step == state.step:
            return
        if not all(bool(parameter.isfinite().all()) for parameter in state.model.parameters()):
            return  # an earlier checkpoint is better
        best = best_step(state.history)
        self.run.write_checkpoint(state.state_dict(), state.step, best, state.config.keep_checkpoints)
        self._saved_at = time.monotonic()
        self._saved_step = state.step

    def close(self) -> None:
        """Writes a last checkpoint, however the training ended."""
        if self._between_steps:
            self.save_checkpoint()
        if self.events:
            self.events.close()
