"""`srcnn train`: options, the folder of the run, and resuming it."""

import dataclasses
import inspect
import json
import os

import pytest
from command_line import assert_refused, srcnn

from srcnn_lib.commands import train as train_module
from srcnn_lib.commands.train import new_run_folder, newest_run, resumed_config, with_config_options
from srcnn_lib.config import TrainingConfig
from srcnn_lib.errors import InputError


def test_every_setting_is_an_option_of_train():
    found = srcnn("train", "--help").stdout
    assert all(f"--{field.name.replace('_', '-')}" in found for field in dataclasses.fields(TrainingConfig))


def test_the_help_has_a_panel_for_each_group_of_settings():
    found = srcnn("train", "--help").stdout
    assert found.index("Training") < found.index("--data") < found.index("Advanced") < found.index("--input-center")


@pytest.mark.parametrize(
    ("option", "text", "example"),
    [
        ("--filters", "9,x,5", "9,5,5"),
        ("--widths", "wide", "128,64"),
        ("--scale-augmentation", "0.8;0.6", "0.8,0.6"),
    ],
)
def test_a_text_that_should_hold_numbers_is_refused_with_an_example(option, text, example):
    assert_refused(srcnn("train", option, text), f"{option} is {text}", f"such as {example}")


def test_options_arrive_in_the_types_of_the_settings_and_only_those_that_are_given():
    received = {}

    @with_config_options
    def command(quiet: bool = False, **settings):
        received.update(settings, quiet=quiet)

    options = inspect.signature(command).parameters
    assert list(options)[1:] == [field.name for field in dataclasses.fields(TrainingConfig)]
    given = {"quiet": True, "widths": "8,4", "data": ["a", "b"], "limit": 0, "scale": 3.0, "validation": []}
    command(**{**dict.fromkeys(options), **given})
    assert received == {"quiet": True, "widths": (8, 4), "data": ("a", "b"), "limit": 0, "scale": 3.0}


def test_trainings_that_begin_in_the_same_second_get_a_folder_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train_module, "new_run_name", lambda config: "same")
    folders = [new_run_folder(TrainingConfig()) for _ in range(3)]
    assert [folder.name for folder in folders] == ["same", "same-2", "same-3"]


def test_a_training_without_photographs_leaves_no_folder(tmp_path):
    assert_refused(srcnn("train", "--data", "nowhere", cwd=tmp_path), "nowhere")
    assert not list(tmp_path.glob("runs/*"))


def test_a_resumed_run_keeps_all_settings_except_its_end_device_and_checkpoints(tmp_path):
    before = TrainingConfig.of(steps=5, widths=(8, 4))
    assert resumed_config(before, {}, tmp_path) == before
    resumed = resumed_config(before, {"epochs": 3, "device": "cpu", "keep_checkpoints": 1}, tmp_path)
    assert resumed == TrainingConfig.of(epochs=3, widths=(8, 4), device="cpu", keep_checkpoints=1)
    with pytest.raises(InputError, match="minutes became a number of steps"):
        resumed_config(before, {"minutes": 3.0}, tmp_path)
    with pytest.raises(InputError, match="learning_rate was 0.003, now 0.1; start a new run"):
        resumed_config(before, {"learning_rate": 0.1}, tmp_path)


def test_the_newest_run_is_the_one_written_to_last(tmp_path):
    with pytest.raises(InputError, match="no run to resume"):
        newest_run(tmp_path)
    for number, name in enumerate(("b", "a")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
        os.utime(tmp_path / name / "config.json", (number, number))
    assert newest_run(tmp_path) == tmp_path / "a"


@pytest.mark.slow
def test_a_run_is_trained_resumed_and_evaluated(photograph_folder, tmp_path):
    flags = [
        "--data", photograph_folder, "--validation", 0.25, "--channels", 1, "--filters", "5,1,3", "--widths", "8,4",
        "--batch-size", 8, "--validation-patches", 8, "--device", "cpu",
    ]  # fmt: skip
    found = srcnn("train", *flags, "--steps", 6, "--out", "runs/a", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "SHA-256" in found.stdout
    assert (tmp_path / "runs/a/config.json").exists()

    assert_refused(srcnn("train", *flags, "--out", "runs/a", cwd=tmp_path), "runs/a", "exists already")
    other_rate = srcnn("train", "--resume", "--out", "runs/a", "--learning-rate", 0.1, cwd=tmp_path)
    assert_refused(other_rate, "learning_rate was 0.003, now 0.1")

    found = srcnn("train", "--resume", "--steps", 9, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    steps = [json.loads(line)["step"] for line in (tmp_path / "runs/a/history.jsonl").read_text().splitlines()]
    assert steps == [6, 9]

    found = srcnn("evaluate", "runs/a", photograph_folder, "--json", cwd=tmp_path)
    table = json.loads(found.stdout)[photograph_folder.name]
    assert (table["scale"], table["images"]) == (2, 4)
    assert set(table) == {"scale", "images", "bicubic", "srcnn", "per_image"}
    assert set(table["bicubic"]) == set(table["srcnn"]) == {"psnr_y", "ssim_y", "psnr_rgb"}
    assert len(table["per_image"]) == 4
    mean = sum(scores["srcnn"]["psnr_y"] for scores in table["per_image"].values()) / 4
    assert table["srcnn"]["psnr_y"] == pytest.approx(mean)
