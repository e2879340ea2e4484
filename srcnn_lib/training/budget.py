"""Plans a training of so many minutes: times some steps before it begins, with all threads of a CPU and with one."""

import statistics
import time
from collections.abc import Callable

import torch

from ..runtime.devices import cpu_threads
from .state import TrainingState
from .time_plan import TimePlan
from .validation import validate

SERIES = 2  # steps that are timed in a row, after one that is not
MOST_TIMED = 400  # steps in all
TIMING_SHARE = 0.03  # of the whole time that the timing may take
TIMING_SECONDS = 15  # that it may take at most
# How much quicker one thread must be. On a machine that is busy with other work, threads wait for each other: with
# two of them 200 steps took 43 s, with one 6 to 9 s.
WORTH_ONE_THREAD = 0.9
WORTH_SAYING = 0.1  # of the steps, by which their number must change to be noted


def plan_steps(state: TrainingState, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> bool:
    """Sets the number of steps that fit into the time, and the number of threads if one alone is quicker.

    The timed steps change a copy of the network, not the training itself. The checkpoint stores what was planned, so
    that a training of so many minutes also resumes with bit-identical weights. Several processes take the steps
    together; the main process's clock decides.

    Args:
        state: a training that has not begun; its `steps`, `plan` and `threads` are set.
        seconds: time for all of it, the timing included.
        interrupted: returns whether the user has asked to stop.

    Returns:
        Whether it was planned; False where any process was interrupted.
    """
    began = time.monotonic()
    group = state.group
    trial = TrainingState(state.config, state.data, group)
    trial.steps = 10**9  # so large that none of the timed steps is among the last ones

    # 1. Time steps: in turns with all threads and with one, as other work on the machine comes and goes.
    choices = [0]
    if state.device.type == "cpu" and group.size == 1 and torch.get_num_threads() > 1:
        choices.append(1)
    times: dict[int, list[float]] = {count: [] for count in choices}
    _seconds_of_step(trial)  # allocates what the others use again
    while True:
        late = time.monotonic() - began >= min(TIMING_SECONDS, seconds * TIMING_SHARE)
        fewest, timed = min(map(len, times.values())), sum(map(len, times.values()))
        enough = group.is_main and fewest > 0 and (late or timed >= MOST_TIMED)
        if group.synchronize([], stop=enough or interrupted(), paused=False)[1]:
            break
        count = min(choices, key=lambda count: len(times[count]))
        with cpu_threads(count):
            times[count] += _time_series(trial)
    if group.synchronize([], stop=interrupted(), paused=False)[1]:
        return False
    means = {count: statistics.fmean(series) for count, series in times.items()}
    state.threads = 1 if means.get(1, float("inf")) < WORTH_ONE_THREAD * means[0] else 0
    step_seconds = means[state.threads]

    with cpu_threads(state.threads):
        # 2. Time the last steps, which are taken in float32.
        slowdown = 1.0
        fraction = state.config.float32_fraction
        if fraction and state.arithmetic != "float32":
            trial.steps = trial.step
            slowdown += fraction * (statistics.fmean(_time_series(trial)) / step_seconds - 1)

        # 3. Time the end of an epoch.
        start = time.monotonic()
        validate(trial.averaged, state.data.validation_patches, group)
        validate(trial.averaged, state.data.train_patches, group)
        epoch_seconds = time.monotonic() - start

    # Something is left of the shortest time, also where the timing took longer: a plan of no time would never end.
    left = max(seconds - (time.monotonic() - began), TIMING_SHARE * seconds)
    state.plan = group.run_on_main(
        lambda: TimePlan.of(left, state.steps_per_epoch, step_seconds, epoch_seconds, slowdown)
    )
    state.steps = state.plan.steps
    return True


def correct_plan(state: TrainingState) -> str:
    """Corrects the number of steps by the time that the steps so far took; what the user added to it is kept.

    Returns:
        A line that says how the number has changed; "" where it is nearly the same.
    """
    plan = state.plan
    assert plan
    before = state.steps
    corrected = state.group.run_on_main(lambda: plan.corrected(state.step, state.seconds))
    state.steps = max(state.step + 1, before + corrected.steps - plan.steps)
    state.plan = corrected if corrected.next_check else None
    if abs(state.steps - before) < WORTH_SAYING * before:
        return ""
    return f"{plan.seconds / 60:.2g} minutes: {state.steps} steps fit, {before} were planned"


def _time_series(trial: TrainingState) -> list[float]:
    return [_seconds_of_step(trial) for _ in range(1 + SERIES)][1:]


def _seconds_of_step(trial: TrainingState) -> float:
    start = time.monotonic()
    trial.take_step(*trial.next_batch()).item()  # .item() waits for the device
    return time.monotonic() - start
