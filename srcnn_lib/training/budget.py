"""Estimates how many steps fit into a training of so many minutes."""

import statistics
import time
from collections.abc import Callable

from .state import TrainingState
from .validation import validate

WARMUP_STEPS = 2  # at the start of each series, not timed
FEWEST_TIMED = 3  # steps
MOST_TIMED = 400
TIMING_SHARE = 0.03  # of the whole time that the timing may take
TIMING_SECONDS = 15  # that it may take at most


def steps_in(state: TrainingState, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> int:
    """Returns the number of steps that fit into the time: times some steps before the training begins.

    The timed steps change a copy of the network, not the training itself. The checkpoint stores the number, so that a
    training of so many minutes also resumes with bit-identical weights. Several processes take the steps together;
    the main process's clock decides.

    Args:
        state: a training that has not begun.
        seconds: time for all of it, the timing included.
        interrupted: returns whether the user has asked to stop.

    Returns:
        At least 1; 0 where any process was interrupted.
    """
    began = time.monotonic()
    group = state.group
    trial = TrainingState(state.config, state.data, group)
    trial.steps = 10**9  # so large that none of the timed steps is among the last ones

    # 1. Time steps.
    times: list[float] = []
    while True:
        late = time.monotonic() - began >= min(TIMING_SECONDS, seconds * TIMING_SHARE)
        measured = len(times) - WARMUP_STEPS
        enough = group.is_main and measured >= FEWEST_TIMED and (late or measured >= MOST_TIMED)
        if group.synchronize([], stop=enough or interrupted(), paused=False)[1]:
            break
        times.append(_seconds_of_step(trial))
    if group.synchronize([], stop=interrupted(), paused=False)[1]:
        return 0
    seconds_per_step = statistics.fmean(times[WARMUP_STEPS:])

    # 2. Time the last steps, which are taken in float32.
    fraction = state.config.float32_fraction
    if fraction and state.arithmetic != "float32":
        trial.steps = trial.step
        times = [_seconds_of_step(trial) for _ in range(WARMUP_STEPS + FEWEST_TIMED)]
        seconds_per_step += fraction * (statistics.fmean(times[WARMUP_STEPS:]) - seconds_per_step)

    # 3. Time the end of an epoch, and spread it over the epoch's steps.
    start = time.monotonic()
    validate(trial.averaged, state.data.validation_patches, group)
    validate(trial.averaged, state.data.train_patches, group)
    seconds_per_step += (time.monotonic() - start) / state.steps_per_epoch

    return group.run_on_main(lambda: max(1, round((seconds - (time.monotonic() - began)) / seconds_per_step)))


def _seconds_of_step(trial: TrainingState) -> float:
    start = time.monotonic()
    trial.take_step(*trial.next_batch()).item()  # .item() waits for the device
    return time.monotonic() - start
