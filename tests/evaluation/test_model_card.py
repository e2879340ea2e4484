"""Released networks: the file and its model card, against the run and an independent measurement."""

import hashlib
import itertools
import json
import os
import shlex
import sys

import pytest
import torch
from PIL import Image
from skimage.data import chelsea
from small_runs import small_run
from typer.testing import CliRunner

from srcnn_lib import load
from srcnn_lib.commands.main import app, main
from srcnn_lib.config import Artifact, TrainingConfig
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation import model_card


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("cards") / "run")


@pytest.fixture(scope="module")
def cat(tmp_path_factory):
    path = tmp_path_factory.mktemp("cat") / "cat.png"
    Image.fromarray(chelsea()[100:148, 100:160]).save(path)
    return str(path)


@pytest.mark.parametrize("name", ["mine.safetensors", "mine.pth"])
def test_a_released_file_and_its_card_agree(run, cat, tmp_path, name):
    card = model_card.release(run, tmp_path / name, [cat])
    assert card == json.loads((tmp_path / "mine.json").read_text("utf-8"))
    assert card["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    facts = load(tmp_path / name).metadata
    for fact in ("network", "command", "training_config", "steps", "results", "protocol"):
        assert facts[fact] == card[fact], fact
    assert card["steps"] == run.snapshot().step
    newest = run.model()
    for parameter, kept in zip(newest.parameters(), load(tmp_path / name).parameters(), strict=True):
        assert torch.equal(parameter, kept)


def test_the_scores_of_a_card_are_those_of_the_evaluate_command(run, cat, tmp_path):
    card = model_card.release(run, tmp_path / "mine.safetensors", [cat])
    printed = CliRunner().invoke(app, ["evaluate", str(tmp_path / "mine.safetensors"), cat, "--json"])
    measured = json.loads(printed.stdout)["cat.png"]
    assert card["results"][cat]["srcnn"]["psnr_y"] == pytest.approx(measured["srcnn"]["psnr_y"], abs=1e-4)


def test_a_card_says_how_the_network_does_on_compressed_pictures_beside_clean_ones(run, cat, tmp_path):
    artifacts = (Artifact.parse("jpeg:30"), Artifact.parse("noise:2-4"))
    card = model_card.release(run, tmp_path / "mine.safetensors", [cat], artifacts=artifacts)
    assert list(card["results"]) == [cat, f"{cat} jpeg:30 noise:2-4"]
    degraded = ["--degrade", "jpeg:30", "--degrade", "noise:2-4"]
    printed = CliRunner().invoke(app, ["evaluate", str(tmp_path / "mine.safetensors"), cat, "--json", *degraded])
    measured = json.loads(printed.stdout)["cat.png"]["bicubic"]["psnr_y"]
    clean, compressed = (result["bicubic"]["psnr_y"] for result in card["results"].values())
    assert compressed == pytest.approx(measured, abs=1e-4)
    assert compressed < clean - 1
    assert "were given jpeg:30 and noise:2-4 before" in card["protocol"]


def test_a_pth_has_the_scale_of_its_card_unless_the_card_belongs_to_another_file(run, cat, tmp_path):
    model_card.release(run, tmp_path / "mine.pth", [cat])
    card = json.loads((tmp_path / "mine.json").read_text("utf-8"))
    card["network"]["scale"] = 3.0
    (tmp_path / "mine.json").write_text(json.dumps(card), "utf-8")
    assert load(tmp_path / "mine.pth").scale == 3
    for other in ({**card, "sha256": "0" * 64}, [], {"sha256": card["sha256"]}):
        (tmp_path / "mine.json").write_text(json.dumps(other), "utf-8")
        assert load(tmp_path / "mine.pth").scale == 2


@pytest.mark.parametrize(
    "config",
    [
        TrainingConfig(),
        TrainingConfig.of(
            data=("t91", "bsds500"),
            validation=("bsds500:validation",),
            channels=1,
            widths=(64, 32),
            steps=24000,
            scale_augmentation=(0.8, 0.6),
        ),
        TrainingConfig.of("original", data=("a folder",), learning_rate=2e-4, deterministic=True, minutes=2.5),
    ],
)
def test_the_command_of_a_card_reproduces_the_configuration(config, monkeypatch, tmp_path):
    words = shlex.split(model_card.training_command(config, "runs/mine"))
    assert words[:2] == ["srcnn", "train"]
    assert words[-2:] == ["--out", "runs/mine"]
    seen = {}

    def load(given, progress=None):
        seen["training_config"] = given
        raise InputError("the configuration is known")

    monkeypatch.setattr("srcnn_lib.data.training_data.load_training_data", load)
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(app, words[1:])
    assert seen["training_config"] == config


def test_a_release_that_fails_prints_one_line_and_writes_nothing(run, tmp_path, monkeypatch, capsys):
    for arguments, said in (
        (["--out", str(tmp_path / "mine.bin")], "written as"),
        (["--out", str(tmp_path / "mine.pth"), "--on", "nothing-there"], "nothing-there"),
    ):
        monkeypatch.setattr(sys, "argv", ["srcnn", "release", str(run.path), *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failing", [1, 2])
def test_a_disk_that_fills_during_a_release_leaves_neither_weights_nor_card(run, cat, tmp_path, monkeypatch, failing):
    calls = itertools.count(1)

    def full(handle):
        if next(calls) == failing:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        model_card.release(run, tmp_path / "mine.safetensors", [str(cat)])
    assert not list(tmp_path.glob("*mine*")) + list(tmp_path.glob(".*"))
