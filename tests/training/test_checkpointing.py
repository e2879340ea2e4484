import dataclasses
import shutil

import pytest
import torch

from srcnn_lib.data.images import read_image, write_image
from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.errors import InputError
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.training import fit
from srcnn_lib.training.hooks import WeightAveraging


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory) -> Run:
    """A run trained to its end, twelve steps; tests change copies of it."""
    run = Run.create(tmp_path_factory.mktemp("trained") / "run", small)
    for _ in fit(small, run):
        pass
    return run


@pytest.fixture
def finished(trained, tmp_path) -> Run:
    """A run trained to its end, twelve steps."""
    return Run(shutil.copytree(trained.path, tmp_path / "run"))


def test_an_interrupted_and_resumed_run_ends_with_the_same_bits(small, tmp_path, finished):
    interrupted = Run.create(tmp_path / "interrupted", small)
    for record in fit(small, interrupted):
        if record.step == 5:
            break
    resumed = Run(interrupted.path)
    steps = [record.step for record in fit(resumed.config, resumed)]
    assert steps[0] == 6
    assert weights_digest(finished)[1] == weights_digest(resumed)[1]
    assert [snapshot.step for snapshot in finished.snapshots()] == [snapshot.step for snapshot in resumed.snapshots()]


def test_an_error_in_the_middle_of_a_step_is_not_saved(small, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", small)
    training = fit(small, run)
    for _ in range(3):
        next(training)
    monkeypatch.setattr(WeightAveraging, "after_update", lambda hook, state: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(training)
    assert run.read_checkpoint()[0]["step"] == 0


def test_other_settings_than_the_runs_are_refused_by_name(small, finished):
    with pytest.raises(InputError, match=f"learning_rate was {small.learning_rate}, now 0.1"):
        next(fit(dataclasses.replace(small, learning_rate=0.1), finished))


def test_other_photographs_than_the_runs_are_refused(small, tmp_path, photograph_folder, finished):
    other = tmp_path / "other"
    other.mkdir()
    for number in range(4):
        write_image(other / f"{number}.png", read_image(photograph_folder / f"{number}.png").pixels.flip(-1))
    data = load_training_data(dataclasses.replace(small, data=(str(other),)))
    with pytest.raises(InputError, match="other photographs"):
        next(fit(small, finished, data))


def test_a_later_end_rescales_the_cosine_with_a_note(small, finished):
    records = list(fit(dataclasses.replace(small, steps=16), Run(finished.path)))
    assert [record.step for record in records] == [13, 14, 15, 16]
    assert "the cosine now ends at step 16" in records[0].notes[0]


def test_an_earlier_end_takes_effect(small, tmp_path):
    run = Run.create(tmp_path / "run", small)
    training = fit(small, run)
    assert [next(training).step for _ in range(3)] == [1, 2, 3]
    training.close()
    records = list(fit(dataclasses.replace(small, steps=5), run))
    assert [record.step for record in records] == [4, 5]
    assert "the cosine now ends at step 5" in records[0].notes[0]
    assert not list(fit(dataclasses.replace(small, steps=2), run))
    assert run.snapshots()[-1].step == 5


def test_a_run_without_its_checkpoints_is_not_trained_from_the_beginning(small, finished):
    for checkpoint in finished.checkpoints():
        checkpoint.unlink()
    with pytest.raises(InputError, match="checkpoints are gone"):
        next(fit(small, finished))
    assert finished.snapshots()[-1].step == 12


def test_a_file_that_is_not_the_state_of_a_training_counts_as_a_damaged_checkpoint(small, finished):
    finished.checkpoints()[0].unlink()
    torch.save({"x": 1}, finished.path / "checkpoints" / "step-00000012.pt")
    records = list(fit(small, finished))
    assert any("damaged" in note for note in records[0].notes)
    assert records[-1].step == 12


def test_a_missing_probe_is_written_again(small, finished):
    before = finished.probe()
    (finished.path / "probe.safetensors").unlink()
    list(fit(dataclasses.replace(small, steps=15), finished))
    assert all(torch.equal(a, b) for a, b in zip(before, finished.probe(), strict=True))


def test_copies_that_drive_makes_are_ignored_and_stay(small, finished):
    """Drive names a second copy "step-… (1)"."""
    copies = [
        finished.path / "snapshots" / "step-00000012-epoch-0000 (1).safetensors",
        finished.path / "checkpoints" / "step-00000012 (1).pt",
        finished.path / "checkpoints" / "step-best.pt",
    ]
    for copy in copies:
        copy.write_bytes(b"")
    records = list(fit(dataclasses.replace(small, steps=14), Run(finished.path)))
    assert [record.step for record in records] == [13, 14]
    assert all(copy.exists() for copy in copies)
