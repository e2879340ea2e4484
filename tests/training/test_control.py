import pytest

from srcnn_lib.errors import InputError
from srcnn_lib.run import Run
from srcnn_lib.training import TrainingControl, fit


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
