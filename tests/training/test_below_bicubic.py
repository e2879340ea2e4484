"""What is said of a training that ends below bicubic."""

import pytest

from srcnn_lib.config import TrainingConfig
from srcnn_lib.run import Run
from srcnn_lib.training.launch import below_bicubic


def run_with(path, psnr, **settings):
    run = Run.create(path, TrainingConfig.of(channels=1, **settings))
    record = {"step": 1200, "epoch": 1.0, "validation_psnr_y": psnr, "validation_bicubic_psnr_y": 33.0}
    run.write_history([record])
    return run


@pytest.mark.parametrize(
    ("psnr", "settings", "words"),
    [
        (11.0, {"learning_rate": 100.0}, ["after 1,200 steps", "22.0 dB below bicubic", "diverged", "smaller", "100"]),
        (20.0, {"init": "torch"}, ["13.0 dB below bicubic", "train longer"]),
    ],
)
def test_a_training_below_bicubic_says_why_and_what_helps(tmp_path, psnr, settings, words):
    text = below_bicubic(run_with(tmp_path / "run", psnr, **settings))
    assert all(word in text for word in words)
    assert "\n" not in text


def test_nothing_is_said_of_any_other(tmp_path):
    assert below_bicubic(run_with(tmp_path / "good", 34.0)) is None
    assert below_bicubic(Run.create(tmp_path / "new", TrainingConfig.of())) is None
