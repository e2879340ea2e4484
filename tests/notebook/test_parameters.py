"""The configuration that the training notebook makes of its parameters."""

import dataclasses

import pytest
import torch

from srcnn_lib import InputError, Run
from srcnn_lib.data.sources import split_photographs
from srcnn_lib.notebook import open_run, training_config

CPU, GPU = torch.device("cpu"), torch.device("cuda")
OPEN = {"widths": None, "filters": None, "init": None, "crops": None, "batch_size": None, "learning_rate": None}


def config(path, data="samples", device=CPU, recipe="best", minutes=3.0, epochs=None, **changes):
    return training_config(path, recipe, data, device, minutes, epochs, **{**OPEN, "scale": 2.0, "seed": 0, **changes})


def test_samples_are_cut_at_random_and_measured_on_a_photograph_that_is_held_out(tmp_path):
    made = config(tmp_path / "new")
    assert (made.crops, made.channels, made.widths, made.minutes) == ("random", 1, (64, 32), 3.0)
    training, validation = split_photographs(made.data, made.validation, made.seed)
    assert validation.names == ("astronaut",)
    assert len(training) == 10
    assert "astronaut" not in training.names


def test_stl10_is_cut_into_ten_crops_and_others_at_random(tmp_path):
    assert config(tmp_path / "new", "stl10").crops == "ten"
    assert config(tmp_path / "new", "STL10:train").crops == "ten"
    assert config(tmp_path / "new", "t91").crops == "random"
    assert config(tmp_path / "new", "t91", crops="ten").crops == "ten"
    assert config(tmp_path / "new", "t91", recipe="original").crops == "ten"
    assert config(tmp_path / "new", "t91").validation == ("0.1",)


def test_a_run_that_began_on_a_gpu_goes_on_without_one(tmp_path):
    begun = config(tmp_path / "first", "t91", GPU)
    assert begun.widths == (128, 64)
    open_run(tmp_path / "first", begun)
    resumed = config(tmp_path / "first", "t91", CPU)
    assert resumed == begun
    assert open_run(tmp_path / "first", resumed).config == begun
    with pytest.raises(InputError, match=r"widths was \[128, 64\], now \[64, 32\]"):
        open_run(tmp_path / "first", config(tmp_path / "first", "t91", CPU, widths=(64, 32)))


def test_what_was_given_once_stays_when_it_is_left_open_later(tmp_path):
    open_run(tmp_path / "first", config(tmp_path / "first", learning_rate=1e-3, filters=(9, 1, 5), epochs=4))
    resumed = config(tmp_path / "first", epochs=9)
    assert (resumed.learning_rate, resumed.filters, resumed.epochs, resumed.minutes) == (1e-3, (9, 1, 5), 9, 0)
    assert not Run(tmp_path / "first").config.differences(resumed)


def test_every_open_setting_is_a_field_and_a_wrong_value_is_refused(tmp_path):
    assert OPEN.keys() <= {field.name for field in dataclasses.fields(config(tmp_path))}
    with pytest.raises(InputError, match="scale is 99"):
        config(tmp_path / "new", scale=99.0)
