"""The number of steps that fit into the minutes of a training."""

import dataclasses
import itertools
import time
from collections.abc import Callable

import pytest
import torch

from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.runtime.devices import cpu_threads
from srcnn_lib.training import budget
from srcnn_lib.training.budget import plan_steps
from srcnn_lib.training.checkpointing import training_identity
from srcnn_lib.training.state import TrainingState
from srcnn_lib.training.time_plan import TimePlan
from srcnn_lib.training.trainer import fit


def simulate(plan: TimePlan, factor: Callable[[float], float]) -> tuple[float, int]:
    """Trains with steps and epochs' ends that take `factor(seconds)` times as long as they were timed.

    Returns:
        The seconds in all, and how often the number of steps was changed.
    """
    seconds, changes = 0.0, 0
    for step in itertools.count(1):
        measured = step % plan.steps_per_epoch == 0 or step >= plan.steps
        seconds += factor(seconds) * (plan.step_seconds + (plan.epoch_seconds if measured else 0))
        if step >= plan.steps:
            return seconds, changes
        if plan.is_due(step, seconds):
            corrected = plan.corrected(step, seconds)
            changes += corrected.steps != plan.steps
            plan = corrected
    raise AssertionError


def test_steps_epochs_and_slower_last_steps_fit_into_the_time():
    plan = TimePlan.of(100, steps_per_epoch=50, step_seconds=0.1, epoch_seconds=1.0, slowdown=1.1)
    assert plan.steps == pytest.approx((100 - 1) / (0.11 + 0.02), abs=1)


@pytest.mark.parametrize("factor", [0.02, 0.2, 0.5, 1, 1.02, 2, 5, 12])
@pytest.mark.parametrize("epoch_seconds", [0.0, 1.0])
def test_minutes_are_kept_however_wrong_the_first_timing_was(factor, epoch_seconds):
    plan = TimePlan.of(180, steps_per_epoch=100, step_seconds=0.02, epoch_seconds=epoch_seconds)
    seconds, _ = simulate(plan, lambda seconds: factor)
    assert seconds == pytest.approx(180, abs=0.02 * 180 + factor * epoch_seconds)  # an epoch ends or not


def test_a_training_as_quick_as_timed_keeps_its_steps():
    plan = TimePlan.of(180, steps_per_epoch=100, step_seconds=0.02, epoch_seconds=0.5)
    noise = itertools.cycle([0.98, 1.03, 0.99])
    assert simulate(plan, lambda seconds: next(noise))[1] <= 1


@pytest.mark.parametrize("times", [(1, 3, 3), (3, 1, 1), (1, 1, 3), (0.5, 2, 0.5)])
def test_minutes_are_kept_where_the_machine_becomes_busy_on_the_way(times):
    plan = TimePlan.of(180, steps_per_epoch=100, step_seconds=0.02, epoch_seconds=0.5)
    seconds, changes = simulate(plan, lambda seconds: times[min(2, int(seconds // 60))])
    assert seconds == pytest.approx(180, rel=0.1)
    assert changes <= 6


def test_a_training_of_minutes_corrects_its_steps_and_resumes_with_what_was_recorded(small, tmp_path, monkeypatch):
    """The steps are timed as four times as long as they are; the number in the checkpoint is the corrected one."""
    config = dataclasses.replace(small, steps=0, minutes=0.05)
    clock = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: 0.01 * next(clock))
    monkeypatch.setattr(
        budget, "_time_series", lambda trial, real=budget._time_series: [4 * each for each in real(trial)]
    )
    data, run = load_training_data(config), Run.create(tmp_path / "run", config)
    records = fit(config, run, data)
    planned = next(records).steps
    stopped = None
    for record in records:
        if record.step > 0.5 * record.steps:
            stopped = record
            break
    records.close()
    assert stopped
    assert stopped.steps > 1.1 * planned
    state = run.read_checkpoint().state
    assert state["steps"] == state["plan"]["steps"] == stopped.steps
    assert run.metadata["resolved"]["steps"] == stopped.steps
    *_, last = fit(config, run, data)
    assert last.step == last.steps == pytest.approx(stopped.steps, rel=0.2)


def test_an_interruption_after_the_correction_changes_nothing(small, tmp_path, monkeypatch):
    """Two runs whose clock is the same: one is stopped half way and resumed."""
    digests = []
    for name in ("whole", "interrupted"):
        clock = itertools.count()
        monkeypatch.setattr(time, "monotonic", lambda clock=clock: 0.01 * next(clock))
        config = dataclasses.replace(small, steps=0, minutes=0.05)
        data, run = load_training_data(config), Run.create(tmp_path / name, config)
        for record in fit(config, run, data):
            if name == "interrupted" and record.step == record.steps // 2:
                break
        for _ in fit(config, run, data):
            pass
        digests.append(weights_digest(run)[1])
    assert digests[0] == digests[1]


def test_what_the_user_adds_to_the_steps_is_kept_by_a_correction(small):
    state = TrainingState(dataclasses.replace(small, steps=0), load_training_data(small))
    state.plan = TimePlan.of(10, state.steps_per_epoch, 0.1, 0.0)
    state.steps = state.plan.steps + 7
    state.step, state.seconds = 10, 2.0  # twice as slow as timed
    assert budget.correct_plan(state) == "0.17 minutes: 57 steps fit, 107 were planned"
    assert state.steps == 10 + 40 + 7
    state.step, state.seconds = 45, 9.0
    budget.correct_plan(state)
    assert state.plan is None
    assert state.steps == 10 + 40 + 7


@pytest.mark.parametrize(("with_all", "with_one", "chosen"), [(0.2, 0.02, 1), (0.02, 0.03, 0), (0.02, 0.0199, 0)])
def test_one_thread_is_taken_where_several_wait_for_each_other(small, monkeypatch, with_all, with_one, chosen):
    """As on a machine that is busy with other work."""
    monkeypatch.setattr(torch, "get_num_threads", lambda threads=[2]: threads[0])
    used = []
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setattr(
        budget, "_time_series", lambda trial: [with_one if used[-1:] == [1] else with_all] * budget.SERIES
    )
    state = TrainingState(small, load_training_data(small))
    assert plan_steps(state, 30)
    assert state.threads == chosen
    assert state.plan.step_seconds == pytest.approx(with_one if chosen else with_all)


def test_the_number_of_threads_is_stored_taken_up_again_and_put_back(small, tmp_path):
    run, data = Run.create(tmp_path / "run", small), load_training_data(small)
    before = torch.get_num_threads()
    records = fit(small, run, data)
    next(records)
    records.close()
    path = run.checkpoints()[0]
    state = TrainingState(small, data)
    state.load_state_dict(run.read_checkpoint().state)
    assert state.threads == 0
    state.threads = before + 1
    run.write_checkpoint({**state.state_dict(), "training": training_identity(state)}, state.step, None, 3)
    assert path == run.checkpoints()[0]
    records = fit(small, run, data)
    next(records)
    assert torch.get_num_threads() == before + 1
    records.close()
    assert torch.get_num_threads() == before
    with cpu_threads(0):
        assert torch.get_num_threads() == before
