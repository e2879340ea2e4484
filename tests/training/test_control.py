import signal

import pytest

from srcnn_lib.errors import InputError
from srcnn_lib.run import Run
from srcnn_lib.training import TrainingControl, fit
from srcnn_lib.training.control import interruptible


def test_commands_pause_halve_the_rate_add_an_epoch_and_stop(small, tmp_path, monkeypatch):
    monkeypatch.setattr("srcnn_lib.training.control.POLL_SECONDS", 0)
    control = TrainingControl()
    run = Run.create(tmp_path / "run", small)
    training = fit(small, run, control=control)
    first = next(training)
    control.send("pause")
    assert next(training).paused
    assert next(training).step == first.step
    for command in ("resume", "halve", "epoch", "snapshot"):
        control.send(command)
    record = next(training)
    assert not record.paused
    assert record.steps > first.steps
    assert run.read_checkpoint().state["rate_factor"] == 0.5
    (run.path / "control").write_text("stop")
    assert list(training) == []
    assert not (run.path / "control").exists()


def test_a_new_run_takes_commands_that_were_written_before_its_first_step(small, tmp_path):
    run = Run.create(tmp_path / "run", small)
    (run.path / "control").write_text("pause PAUSE \N{SNOWMAN}")
    assert next(fit(small, run)).paused


def test_an_unknown_command_is_refused_with_the_valid_ones():
    with pytest.raises(InputError, match="no command 'faster'; the commands are pause"):
        TrainingControl().send("faster")


def test_sigterm_and_sighup_save_and_take_effect_at_the_end(small, tmp_path):
    """Under a handler of the user's own; without one, the process ends."""
    arrived = []
    for number in (signal.SIGTERM, signal.SIGHUP):
        run = Run.create(tmp_path / number.name, small)
        before = signal.signal(number, lambda *arguments: arrived.append(arguments[0]))
        try:
            steps = []
            for record in fit(small, run):
                steps.append(record.step)
                if record.step == 3:
                    signal.raise_signal(number)
                    assert not arrived or arrived[-1] != number
        finally:
            signal.signal(number, before)
        assert steps == [1, 2, 3]
        assert arrived[-1] == number
        assert run.read_checkpoint().state["step"] == 3


def test_a_second_ctrl_c_stops_at_once_and_further_ones_are_ignored():
    with interruptible() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
