"""Trainings that start from the weights of a file or of a run."""

import dataclasses
import hashlib

import pytest
import torch

from srcnn_lib import weights
from srcnn_lib.errors import InputError
from srcnn_lib.run import Run
from srcnn_lib.training import fit, new_model
from srcnn_lib.training.initial_weights import load_initial_weights


@pytest.fixture
def config(small, tmp_path):
    """A training that starts from a file with random weights."""
    torch.manual_seed(5)
    model = new_model(dataclasses.replace(small, init="torch"))
    weights.save(model, tmp_path / "start.safetensors")
    return dataclasses.replace(small, init=str(tmp_path / "start.safetensors"), steps=4, epochs=0)


def digest(model):
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())).hexdigest()


def train(config, path, steps=None):
    run = Run(path) if (path / "config.json").exists() else Run.create(path, config)
    records = fit(config, run)
    for record in records:
        if record.step == steps:
            break
    records.close()
    return run


def test_the_first_snapshot_holds_the_weights_of_the_file(config, tmp_path):
    run = train(config, tmp_path / "run")
    assert digest(run.model(0)) == digest(weights.load(config.init))
    assert digest(run.model()) != digest(run.model(0))


def test_the_run_records_the_file_and_its_sha256(config, tmp_path):
    run = train(config, tmp_path / "run")
    content = (tmp_path / "start.safetensors").read_bytes()
    assert run.metadata["initial_weights"] == {"file": config.init, "sha256": hashlib.sha256(content).hexdigest()}


def test_a_run_gives_the_weights_of_its_newest_snapshot(config, tmp_path):
    first = train(config, tmp_path / "first")
    second = train(dataclasses.replace(config, init=str(first.path)), tmp_path / "second")
    assert digest(second.model(0)) == digest(first.model())


def test_a_resumed_training_needs_the_file_no_more_and_ends_with_the_same_weights(config, tmp_path):
    whole = train(config, tmp_path / "whole")
    train(config, tmp_path / "cut", steps=2)
    (tmp_path / "start.safetensors").unlink()
    assert digest(train(config, tmp_path / "cut").model()) == digest(whole.model())


def test_another_network_is_refused_with_what_differs(config):
    differing = dataclasses.replace(config, channels=3, widths=(5, 6))
    with pytest.raises(InputError) as error:
        load_initial_weights(differing)
    message = str(error.value)
    has = ",".join(map(str, config.widths))
    assert f"has channels 1, widths {has}, the training channels 3, widths 5,6" in message
    assert message.endswith(f"train with --channels 1 --widths {has}")


def test_a_missing_file_is_refused_in_one_line(config, tmp_path):
    with pytest.raises(InputError, match=r"none\.pth does not exist"):
        load_initial_weights(dataclasses.replace(config, init=str(tmp_path / "none.pth")))
