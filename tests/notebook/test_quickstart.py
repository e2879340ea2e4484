"""The small network that is trained for those who have no run yet."""

import importlib.util

from small_runs import small_run

from srcnn_lib import Run, TrainingConfig, fit
from srcnn_lib.notebook import open_or_train_run
from srcnn_lib.notebook.quickstart import QUICKSTART_CONFIG

SMALL = {"steps": 4, "widths": (2, 2), "filters": (3, 1, 3), "batch_size": 8, "validation_patches": 8}


def test_without_a_run_a_small_network_is_trained_once(tmp_path, capsys):
    run = open_or_train_run(tmp_path / "first", **SMALL)
    assert run.path == tmp_path / "quickstart"
    assert run.snapshots()[-1].step == 4
    assert "There is no run at" in capsys.readouterr().out
    open_or_train_run(tmp_path / "first", **SMALL)
    assert "epoch" not in capsys.readouterr().out


def test_an_interrupted_training_is_resumed_to_its_end(tmp_path):
    config = TrainingConfig.of(**{**QUICKSTART_CONFIG, **SMALL})
    interrupted = Run.create(tmp_path / "quickstart", config)
    for record in fit(config, interrupted):
        if record.step == 2:
            break
    assert interrupted.snapshots()[-1].step == 2
    assert open_or_train_run(tmp_path / "first").snapshots()[-1].step == 4


def test_a_run_with_snapshots_is_returned_and_one_without_is_not(tmp_path):
    trained = open_or_train_run(tmp_path / "first", **SMALL)
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "config.json").write_bytes((trained.path / "config.json").read_bytes())
    assert open_or_train_run(tmp_path / "first").path == trained.path  # the first one was stopped before it began
    (tmp_path / "first" / "config.json").unlink()
    own = small_run(tmp_path / "first")
    assert open_or_train_run(tmp_path / "first").path == own.path


def test_without_pytorch_optimizer_adam_trains(tmp_path, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pytorch_optimizer" else find_spec(name)
    )
    run = open_or_train_run(tmp_path / "first", **SMALL)
    assert run.config.optimizer == "adam"
    assert run.snapshots()[-1].step == 4
