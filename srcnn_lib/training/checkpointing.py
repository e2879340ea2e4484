"""Writes a training into its run, and resumes it from there."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..config import FREE
from ..errors import InputError
from ..run import Run, StoredState, best_step
from ..runtime.devices import describe_device, package_versions
from ..runtime.lock import FileLock
from .budget import correct_plan
from .state import TrainingState
from .tensorboard import TensorBoardWriter

CHECKPOINT_SECONDS = 60  # between two checkpoints in a long epoch; a killed process loses no more than that


class Checkpointer:
    """Writes snapshots, history, TensorBoard events and checkpoints into a run, and resumes a training from it.

    Call `restore` first, then `start`, then `save_due` after each step, and `close` at the end.

    Args:
        run: where to write; None writes nothing, as in all processes but the main one.
        state: the training.
        go_back: whether to resume from an older checkpoint where more than the newest one is damaged or gone.
    """

    def __init__(self, run: Run | None, state: TrainingState, go_back: bool = False):
        self.run = run
        self.state = state
        self.go_back = go_back
        self.events: TensorBoardWriter | None = None
        self.notes: list[str] = []
        self._saved_at = time.monotonic()
        self._saved_step = -1
        self._between_steps = False
        self._lock: FileLock | None = None
        self._damaged: list[Path] = []  # checkpoints newer than the one that the training goes on from
        self._goes_back = False

    # The beginning

    def restore(self) -> None:
        """Locks the run, and sets the state in all processes to its newest checkpoint, if there is one.

        Raises:
            InputError: where the run can't be resumed: it is being trained, was made with other settings or
                photographs, or its checkpoints are damaged or missing.
            OSError: a checkpoint can't be read at the moment.
        """
        stored = self.state.group.run_on_main(self._read_checkpoint)
        if not stored:
            self.state.load_initial_weights()
            return
        requested_steps = self.state.requested_steps
        try:
            self.state.load_state_dict(stored)
        except (RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
            raise InputError(
                "the run's checkpoint is of another network than its config.json says; start a new run"
            ) from error
        if requested_steps and requested_steps != self.state.requested_steps:
            self._change_end(requested_steps)

    def _read_checkpoint(self) -> dict[str, Any] | None:
        """Returns the state in the run's newest checkpoint; None for a new run."""
        if not self.run:
            return None
        self._lock = self.run.lock()
        if not self._lock.supported:
            self.notes.append(f"{self.run.path}: no locks here, so take care that no other training writes to it")
        stored = self.run.read_checkpoint()
        if not stored.state:
            self._check_new(stored)
            return None
        self._check_same_training(self.run, stored.state)
        self._check_loss(stored)
        with contextlib.suppress(OSError):
            (self.run.path / "control").unlink()  # commands to an earlier process
        return stored.state

    def _check_new(self, stored: StoredState) -> None:
        """Raises an InputError for a run that has been trained, but has no checkpoint to go on from."""
        assert self.run
        if stored.damaged:
            raise InputError(f"{self.run.path}: no checkpoint can be read; start a new run")
        if any(snapshot.step for snapshot in self.run.snapshots()):  # a run has a checkpoint before its first step
            raise InputError(f"{self.run.path}: its checkpoints are gone, so it can't go on; start a new run")

    def _check_same_training(self, run: Run, stored: dict[str, Any]) -> None:
        """Compares the settings and the photographs of this training with the run's and with its checkpoint's."""
        if differing := run.config.differences(self.state.config):
            raise InputError(f"{run.path} was made with other settings: {'; '.join(differing)}; start a new run")
        fingerprint = self.state.data.description["fingerprint"]
        before = (run.metadata.get("data") or {}).get("fingerprint")
        if before and before != fingerprint:
            raise InputError(f"{run.path} was trained on other photographs than are there now; start a new run")
        now = training_identity(self.state)
        before = stored.get("training")
        if not isinstance(before, dict) or before != now:
            differing = [name for name in now if not isinstance(before, dict) or before.get(name) != now[name]]
            raise InputError(
                f"{run.path}: its newest checkpoint is of another training than its config.json says (it differs in "
                f"{', '.join(differing)}); put the right file back, or start a new run"
            )

    def _check_loss(self, stored: StoredState) -> None:
        """Notes what is lost, or raises an InputError where that is more than one checkpoint and was not agreed to."""
        assert self.run
        assert stored.state
        step = stored.state["step"]
        self._damaged = stored.damaged
        self._goes_back = len(stored.damaged) > 1 or stored.missing > 1 + len(stored.damaged)
        damaged = ", ".join(path.name for path in stored.damaged)
        found = f"{damaged} can't be used, damaged" if damaged else f"checkpoints of {stored.missing} epochs are gone"
        if self._goes_back and not self.go_back:
            raise InputError(
                f"{self.run.path}: {found}; the newest whole checkpoint is of step {step}; to go on from there, "
                "resume with --go-back (in Python: go_back=True); nothing newer is deleted"
            )
        if damaged or stored.missing:
            found = found if damaged else "its history goes beyond its newest checkpoint"
            self.notes.append(f"{self.run.path}: {found}; the training goes on from step {step}")

    def _change_end(self, steps: int) -> None:
        """Changes the number of steps and rescales the cosine schedule, so that the learning rate jumps once."""
        state = self.state
        before = state.learning_rate
        state.requested_steps = steps
        state.plan = None
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
        if self._damaged or self._goes_back:
            folder = self.run.set_aside(state.step, self._damaged)
            self.notes.append(f"newer and damaged files are in {folder}")
        self.run.remove_after(state.step)
        self.run.write_history(state.history)
        self._open_events()
        before = (self.run.metadata.get("resolved") or {}).get("processes")
        now = state.group.size
        if before and before != now:
            self.notes.append(
                f"trained by {before} processes so far, now by {now}: as good, but not the same to the last bit"
            )
        self.run.update_metadata(resolved=self._resolved(), data=state.data.description)
        if state.initial_weights:
            self.run.update_metadata(initial_weights=state.initial_weights)
        self._write_again_what_differs()
        self.save_checkpoint()

    def _write_again_what_differs(self) -> None:
        """Writes the probe and this step's snapshot where they are missing, damaged or another training's."""
        run, state = self.run, self.state
        assert run
        probe = state.data.probe
        try:
            same = all(torch.equal(*tiles) for tiles in zip(run.probe(), probe, strict=True))
        except InputError:
            same = False
        if not same:
            run.write_probe(*probe)
        if state.epoch_ended or self._is_early_snapshot():
            run.write_snapshot(state.averaged, state.step, state.epoch)

    def _is_early_snapshot(self) -> bool:
        """Returns whether a snapshot is due after steps 1, 2, 4, 8, … of the first epoch."""
        return self.state.step < self.state.steps_per_epoch and self.state.step.bit_count() == 1

    def _open_events(self) -> None:
        assert self.run
        try:
            self.events = TensorBoardWriter(self.run.path, self.state.config.psnr_channel, self.state.step)
        except ImportError:
            self.notes.append("the package tensorboard is missing: no event files are written")
        except OSError as error:
            self._give_up_events(error)

    def _give_up_events(self, error: OSError) -> None:
        self.events = None
        self.notes.append(f"TensorBoard's events can't be written ({error.strerror}); the training goes on without")

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

    def save_due(self, loss: Tensor, record: dict | None) -> None:
        """Writes what is due after a step.

        Args:
            loss: (), of the step.
            record: the history's new record, where the step ended an epoch.
        """
        if not self.run:
            return
        state = self.state
        if record:
            self._save_snapshot()
            self.run.write_history(state.history)
        self._write_events(loss, record)
        if record:
            self.save_checkpoint()
        elif self._is_early_snapshot():
            self._save_snapshot()
        if time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self.save_checkpoint()

    def _write_events(self, loss: Tensor, record: dict | None) -> None:
        if self.events:
            state = self.state
            try:
                if record:
                    self.events.write(record, state.averaged, state.data.probe)
                else:
                    self.events.write_step(state.step, loss, state.optimizer.param_groups[0]["lr"])
            except OSError as error:
                self._give_up_events(error)

    def apply(self, command: str) -> None:
        """Applies a command that changes the training, and saves it at once, for the case that the process is killed.

        Args:
            command: "halve" the learning rate, train an "epoch" more, write a "snapshot", or correct the time "plan".
        """
        if command == "halve":
            self.state.rate_factor /= 2
        elif command == "epoch":
            self.state.steps += self.state.steps_per_epoch
        elif command == "plan":
            self.notes += filter(None, [correct_plan(self.state)])
        elif command == "snapshot":
            self._save_snapshot()
        if self.run and command in ("epoch", "plan"):
            self.run.update_metadata(resolved=self._resolved())
        self._saved_step = -1
        self.save_checkpoint()

    def take_notes(self) -> tuple[str, ...]:
        """Returns and clears pending notes for the user."""
        notes = tuple(self.notes)
        self.notes = []
        return notes

    def _check_place(self) -> None:
        """Raises an InputError where the run's folder was moved or deleted, or another run was put in its place."""
        if self.run and self._lock and self._lock.supported and not self._lock.is_ours():
            raise InputError(
                f"{self.run.path} was moved, deleted or replaced during the training; what it holds is kept, and "
                f"steps after its last checkpoint are lost"
            )

    def _save_snapshot(self) -> None:
        if self.run:
            self._check_place()
            self.run.write_snapshot(self.state.averaged, self.state.step, self.state.epoch)

    def save_checkpoint(self) -> None:
        """Writes a checkpoint, unless this step has one already or the weights are not finite numbers any more."""
        state = self.state
        if not self.run or self._saved_step == state.step:
            return
        if not all(bool(parameter.isfinite().all()) for parameter in state.model.parameters()):
            return  # an earlier checkpoint is better
        self._check_place()
        best = best_step(state.history)
        content = {**state.state_dict(), "training": training_identity(state)}
        self.run.write_checkpoint(content, state.step, best, state.config.keep_checkpoints)
        self._saved_at = time.monotonic()
        self._saved_step = state.step

    def close(self) -> None:
        """Writes a last checkpoint, however the training ended, and unlocks the run."""
        try:
            if self._between_steps:
                self.save_checkpoint()
        finally:
            if self._lock:
                self._lock.release()


def training_identity(state: TrainingState) -> dict[str, Any]:
    """Returns what a checkpoint has in common with its training: settings that can't change, and the photographs."""
    settings = {name: value for name, value in state.config.to_dict().items() if name not in FREE}
    return {**settings, "photographs": state.data.description["fingerprint"]}
