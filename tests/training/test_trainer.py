import dataclasses
import itertools
import json
import math
import signal

import pytest
import torch

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.errors import InputError
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.training import fit


def train_run(path, config) -> Run:
    """A run trained to its end."""
    run = Run.create(path, config)
    for _ in fit(config, run):
        pass
    return run


def test_the_seed_alone_decides_the_weights_whatever_the_run_is_called(small, tmp_path):
    config = dataclasses.replace(small, steps=3)
    first, second = (train_run(tmp_path / name, config) for name in ("a", "b"))
    other = train_run(tmp_path / "c", dataclasses.replace(config, seed=1))
    assert weights_digest(first)[1] == weights_digest(second)[1]
    assert weights_digest(first)[1] != weights_digest(other)[1]


def test_deterministic_algorithms_are_used_only_during_the_training(small):
    training = fit(dataclasses.replace(small, deterministic=True))
    next(training)
    assert torch.are_deterministic_algorithms_enabled()
    training.close()
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["best", "original"])
@pytest.mark.parametrize("crops", ["random", "ten"])
@pytest.mark.parametrize("channels", [1, 3])
def test_both_recipes_learn_from_both_kinds_of_crops(photograph_folder, recipe, crops, channels):
    config = TrainingConfig.of(
        recipe, data=(str(photograph_folder),), validation=("0.25",), channels=channels, filters=(5, 1, 3),
        widths=(8, 4), crops=crops, batch_size=16, learning_rate=2e-3, steps=25, warmup=0, validation_patches=8,
        device="cpu", arithmetic="float32",
    )  # fmt: skip
    losses = [float(record.loss) for record in fit(config)]
    assert len(losses) == 25
    assert all(math.isfinite(loss) for loss in losses)
    if recipe == "original":
        assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_a_run_holds_snapshots_history_config_probe_events_and_checkpoints(small, tmp_path):
    config = dataclasses.replace(small, steps=0, epochs=2, batch_size=64)
    run = Run.create(tmp_path / "run", config)
    records = list(fit(config, run))
    per_epoch = records[-1].step // 2
    early = [0] + [step for step in (1, 2, 4, 8, 16, 32, 64, 128) if step < per_epoch]
    assert [snapshot.step for snapshot in run.snapshots()] == [*early, per_epoch, 2 * per_epoch]
    history = run.history()
    assert [line["epoch"] for line in history] == [1, 2]
    assert history[1]["patches"] == 2 * load_training_data(config).train.per_epoch
    assert [record.metrics["step"] for record in records if record.epoch_ends] == [per_epoch, 2 * per_epoch]
    content = json.loads((run.path / "config.json").read_text())
    assert content["data"]["validation_names"]
    assert content["resolved"]["steps"] == 2 * per_epoch
    assert [tuple(image.shape) for image in run.probe()] == [(4, 3, 96, 96)] * 2
    assert list(run.path.glob("events.out.*"))
    assert run.checkpoints()


def test_ctrl_c_ends_the_training_after_the_step_with_everything_saved(small, tmp_path):
    run = Run.create(tmp_path / "run", small)
    before = signal.getsignal(signal.SIGINT)
    steps = []
    for record in fit(small, run):
        steps.append(record.step)
        if record.step == 3:
            signal.raise_signal(signal.SIGINT)
    assert steps == [1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is before
    assert run.read_checkpoint().state["step"] == 3


@pytest.mark.slow
def test_minutes_become_a_number_of_steps(small):
    records = list(fit(dataclasses.replace(small, steps=0, minutes=0.02)))
    assert records[-1].step == records[-1].steps >= 1


def test_a_time_shorter_than_its_planning_becomes_few_steps(small):
    steps = [record.step for record in itertools.islice(fit(dataclasses.replace(small, steps=0, minutes=1e-6)), 50)]
    assert len(steps) <= 10


def test_an_interruption_while_steps_are_timed_leaves_the_run_as_it_was(small, tmp_path):
    run = Run.create(tmp_path / "run", dataclasses.replace(small, steps=0, minutes=1.0))
    data = load_training_data(run.config)
    batch = data.train.batch
    data.train.batch = lambda *samples: signal.raise_signal(signal.SIGINT) or batch(*samples)
    assert list(fit(run.config, run, data)) == []
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


def test_weights_that_are_not_finite_end_the_training_and_are_not_checkpointed(small, tmp_path):
    run = Run.create(tmp_path / "run", dataclasses.replace(small, optimizer="adam", learning_rate=1e30))
    with pytest.raises(InputError, match="not a finite number any more; start a new run with a smaller learning_rate"):
        list(fit(run.config, run))
    assert all(part.isfinite().all() for part in run.read_checkpoint().state["model"].values())
