"""The training loop: a generator that takes one step each time it is asked for the next record."""

import contextlib
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import TrainingConfig
from ..data import sources, training_data
from ..data.training_data import TrainingData
from ..errors import InputError
from ..run import Run
from ..runtime import distributed
from ..runtime.console import Progress
from ..runtime.devices import cpu_threads, deterministic_algorithms
from ..runtime.distributed import ProcessGroup
from .budget import plan_steps
from .checkpointing import Checkpointer
from .control import TrainingControl, interruptible
from .state import TrainingState

DEFAULT_MINUTES = 10  # of a training whose settings set no end
PAUSE_SECONDS = 0.05  # between two records while the training pauses
NEWEST_STEP_WEIGHT = 0.05  # in the moving average of a step's duration


@dataclass(frozen=True)
class Record:
    """One step, as `fit` yields it. Creating it does not synchronize the device.

    Attributes:
        step: steps taken.
        steps: steps in all.
        epoch: whole epochs taken.
        loss: mean squared error of the step's crops, () on the device; float(record.loss) waits for it. NaN while
            the training pauses.
        learning_rate: of this step.
        crops_per_second: averaged over the latest steps.
        seconds_left: at this speed.
        epoch_ends: whether the step ended an epoch.
        metrics: where it did, the epoch's line of history.jsonl.
        paused: whether the training pauses; no step was taken then.
        notes: remarks for the user, with the first record.
    """

    step: int
    steps: int
    epoch: int
    loss: Tensor
    learning_rate: float
    crops_per_second: float
    seconds_left: float
    epoch_ends: bool = False
    metrics: dict | None = None
    paused: bool = False
    notes: tuple[str, ...] = ()


def fit(
    config: TrainingConfig,
    run: Run | None = None,
    data: TrainingData | None = None,
    control: TrainingControl | None = None,
    go_back: bool = False,
) -> Generator[Record, None, None]:
    """Trains a network, one step each time the next record is asked for: `for record in fit(config, run): …`.

    A run that was trained before is resumed. Ctrl-C (or the notebook's interrupt button) ends the training after the
    step; so does leaving the loop. In either case everything is saved.

    Where a launcher started several processes, each calls this and gets the same records. They divide each batch;
    the main process alone writes and takes commands. The training ends for all when it ends for any of them.

    Args:
        config: what to train; `run.config` for a run that exists.
        run: where snapshots, history and checkpoints are written; None writes nothing. All processes but the main
            one ignore it.
        data: the photographs; loaded as `config` says if None.
        control: commands from another thread or a file, applied between two steps.
        go_back: resume from an older checkpoint where more than the newest one is damaged or gone.

    Yields:
        A Record per step. `record.epoch_ends` marks the end of an epoch, whose measurements are `record.metrics`.

    Raises:
        InputError: for photographs that can't be used, or a run that is being trained already or was made with other
            settings.
        OSError: the run can't be read or written, as on a full disk. Its last checkpoint is kept.
    """
    group = distributed.process_group()
    run = run if group.is_main else None
    data = data or load_data(config, group)
    state = TrainingState(config, data, group)
    checkpointer = Checkpointer(run, state, go_back)
    control = control or TrainingControl()
    with (
        interruptible() as interrupted,
        deterministic_algorithms(config.deterministic),
        contextlib.closing(checkpointer),
        _stop_all_processes_on_exit(group),
        contextlib.ExitStack() as stack,
    ):
        checkpointer.restore()
        seconds = 60 * (config.minutes or DEFAULT_MINUTES)
        # A new training whose end is a number of minutes; interrupted, the run stays as it was.
        if not state.steps and not plan_steps(state, seconds, interrupted):
            return
        stack.enter_context(cpu_threads(state.threads))
        began = time.monotonic()
        checkpointer.start()
        if state.plan and not state.step:
            state.plan = state.plan.without(time.monotonic() - began)
        clock = Clock(state)

        while True:
            changes = control.take_commands(run)
            if state.plan and state.plan.is_due(state.step, state.seconds):
                changes.append("plan")
            stop = control.stopped or interrupted()
            commands, stop, paused = group.synchronize(changes, stop, control.paused)
            for command in commands:
                checkpointer.apply(command)
            if stop or state.step >= state.steps:
                break
            if paused:
                time.sleep(PAUSE_SECONDS)
                yield clock.record(paused=True)
                continue
            with checkpointer.whole_step():
                loss = state.take_step(*state.next_batch())
                metrics = state.end_epoch() if state.epoch_ended else None
                checkpointer.save_due(loss, metrics)
            yield clock.record(loss, metrics, checkpointer.take_notes())


def load_data(config: TrainingConfig, group: ProcessGroup, progress: Progress | None = None) -> TrainingData:
    """Loads the photographs in every process.

    Args:
        config: what to train.
        group: the processes.
        progress: called as progress(done, total), in photographs.

    Raises:
        InputError: as `load_training_data` in any of the processes, or where they found different photographs.
    """

    def download_once_per_machine() -> None:
        if group.local_rank == 0:
            sources.split_photographs(config.data, config.validation, config.seed, config.limit)

    if group.size > 1:
        group.run_on_all(download_once_per_machine)
    data = group.run_on_all(lambda: training_data.load_training_data(config, progress))
    if len(set(group.gather(data.description["fingerprint"]))) > 1:
        raise InputError(f"{', '.join(config.data)}: the machines hold different photographs; make them the same")
    return data


@contextlib.contextmanager
def _stop_all_processes_on_exit(group: ProcessGroup) -> Iterator[None]:
    """Stops all processes when one of them leaves the loop; they would wait for its next step forever."""
    try:
        yield
    except GeneratorExit:
        with contextlib.suppress(InputError):  # they may have ended already
            group.synchronize([], stop=True, paused=False)
        raise


class Clock:
    """Makes the records, and measures the training's speed as a moving average over the latest steps."""

    def __init__(self, state: TrainingState):
        self.state = state
        self.last = time.monotonic()
        self.seconds_per_step = math.inf  # before the first step

    def record(
        self,
        loss: Tensor | None = None,
        metrics: dict | None = None,
        notes: tuple[str, ...] = (),
        paused: bool = False,
    ) -> Record:
        """Returns the record of the step that has just been taken, or of a pause."""
        state = self.state
        now = time.monotonic()
        elapsed = now - self.last
        self.last = now
        if not paused:
            state.seconds += elapsed
            if math.isinf(self.seconds_per_step):
                self.seconds_per_step = elapsed
            self.seconds_per_step += NEWEST_STEP_WEIGHT * (elapsed - self.seconds_per_step)
        return Record(
            step=state.step,
            steps=state.steps,
            epoch=state.epoch,
            loss=torch.tensor(math.nan) if loss is None else loss,
            learning_rate=state.optimizer.param_groups[0]["lr"],
            crops_per_second=state.config.batch_size / self.seconds_per_step,
            seconds_left=(state.steps - state.step) * self.seconds_per_step,
            epoch_ends=metrics is not None,
            metrics=metrics,
            paused=paused,
            notes=notes,
        )
