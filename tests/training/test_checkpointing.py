import dataclasses
import errno
import shutil
import sys
from pathlib import Path

import pytest
import torch

from srcnn_lib.data.images import read_image, write_image
from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.errors import InputError
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.runtime import state_file
from srcnn_lib.training import fit, tensorboard
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
    assert run.read_checkpoint().state["step"] == 0


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


def test_a_checkpoint_that_can_not_be_read_for_the_moment_stops_the_training_and_changes_nothing(
    small, finished, monkeypatch
):
    before = contents(finished)

    def unreadable(path, most):
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(state_file, "read_plain_file", unreadable)
        with pytest.raises(OSError, match="Input/output error"):
            next(fit(small, finished))
    assert contents(finished) == before


def short_epochs(small):
    """Returns the settings of a training of three epochs of a few steps each."""
    return dataclasses.replace(small, crops="ten", limit=2, batch_size=12, steps=0, epochs=3)


def damage(run, count):
    """Cuts the newest checkpoints of a run in half, and returns their names."""
    for path in run.checkpoints()[:count]:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return [path.name for path in run.checkpoints()[:count]]


def test_a_damaged_checkpoint_is_set_aside_with_what_is_newer_than_the_one_before(small, finished):
    (damaged,) = damage(finished, 1)
    snapshots = {snapshot.step for snapshot in finished.snapshots()}
    before = finished.read_checkpoint().state["step"]
    digest = weights_digest(finished)
    records = list(fit(small, Run(finished.path)))
    assert any(f"{damaged} can't be used" in note for note in records[0].notes)
    aside = finished.path / "set_aside-1"
    assert [path.name for path in (aside / "checkpoints").iterdir()] == [damaged]
    assert len(list((aside / "snapshots").iterdir())) == sum(step > before for step in snapshots)
    assert weights_digest(finished) == digest


def test_going_back_more_than_one_checkpoint_needs_the_users_word(small, tmp_path):
    run = Run.create(tmp_path / "run", short_epochs(small))
    list(fit(run.config, run))
    digest = weights_digest(run)
    damaged = damage(run, 2)
    before = contents(run)
    with pytest.raises(InputError, match="resume with --go-back"):
        next(fit(run.config, run))
    assert contents(run) == before
    list(fit(run.config, Run(run.path), go_back=True))
    assert {path.name for path in (run.path / "set_aside-1" / "checkpoints").iterdir()} == set(damaged)
    assert (run.path / "set_aside-1" / "history.jsonl").read_bytes() == before["history.jsonl"]
    assert weights_digest(run) == digest


def test_going_back_several_epochs_whose_checkpoints_are_gone_needs_the_users_word(small, tmp_path):
    run = Run.create(tmp_path / "run", short_epochs(small))
    list(fit(run.config, run))
    for path in run.checkpoints()[:2]:
        path.unlink()
    with pytest.raises(InputError, match="checkpoints of 2 epochs are gone"):
        next(fit(run.config, run))
    list(fit(run.config, Run(run.path), go_back=True))


def contents(run):
    files = {path.relative_to(run.path).as_posix(): path for path in run.path.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items()}


def test_a_checkpoint_with_a_negative_step_is_not_trained_on_though_its_checksum_fits(small, finished):
    newest = finished.checkpoints()[0]
    state = state_file.read_state(newest)
    state_file.write_state(newest, {**state, "step": -1 - state["step"]})
    digest = weights_digest(finished)
    records = list(fit(small, Run(finished.path)))
    assert any(f"{newest.name} can't be used" in note for note in records[0].notes)
    assert weights_digest(finished) == digest


@pytest.mark.parametrize("changes", [{"seed": 1}, {"learning_rate": 1e-4}])
def test_a_checkpoint_of_another_training_is_not_trained_on(small, tmp_path, finished, changes):
    other = Run.create(tmp_path / "other", dataclasses.replace(small, **changes))
    list(fit(other.config, other))
    shutil.copy(other.checkpoints()[0], finished.checkpoints()[0])
    with pytest.raises(InputError, match=f"differs in {next(iter(changes))}"):
        next(fit(small, finished))


def test_a_checkpoint_under_another_name_is_not_trained_on(small, finished):
    newest, before = finished.checkpoints()[:2]
    shutil.copy(before, newest)
    assert finished.read_checkpoint().damaged == [newest]


def test_a_changed_config_is_noticed_by_the_checkpoint(small, finished):
    finished.update_metadata(training_config=small.to_dict() | {"learning_rate": 0.1})
    run = Run(finished.path)
    with pytest.raises(InputError, match="differs in learning_rate"):
        next(fit(run.config, run))


def test_a_damaged_last_snapshot_of_a_finished_run_is_written_again(small, finished):
    path, digest = weights_digest(finished)
    path.write_bytes(b"")
    assert list(fit(small, Run(finished.path))) == []
    assert weights_digest(finished) == (path, digest)


def test_another_probe_is_replaced_by_the_runs_own(small, finished):
    before = (finished.path / "probe.safetensors").read_bytes()
    finished.write_probe(torch.rand(4, 3, 96, 96), torch.rand(4, 3, 96, 96))
    list(fit(small, Run(finished.path)))
    assert (finished.path / "probe.safetensors").read_bytes() == before


def test_a_run_is_trained_once_at_a_time(small, tmp_path):
    run = Run.create(tmp_path / "run", small)
    training = fit(small, run)
    next(training)
    with pytest.raises(InputError, match="is being trained by this process"):
        next(fit(small, Run(run.path)))
    training.close()
    assert not (run.path / "lock").exists()
    assert next(fit(small, Run(run.path))).step == 2


@pytest.mark.parametrize("change", ["moved", "deleted", "replaced"])
def test_a_run_that_is_moved_or_deleted_while_it_is_trained_ends_the_training_in_one_line(small, tmp_path, change):
    run = Run.create(tmp_path / "run", short_epochs(small))
    training = fit(run.config, run)
    next(training)
    if change == "deleted":
        shutil.rmtree(run.path)
    else:
        run.path.rename(tmp_path / "moved")
    if change == "replaced":
        other = Run.create(run.path, small)
        other_training = fit(small, other)
        next(other_training)
        before = contents(other)
    with pytest.raises(InputError, match="was moved, deleted or replaced"):
        list(training)
    if change == "replaced":
        assert contents(other) == before
    else:
        assert not run.path.exists()


def test_without_tensorboard_the_training_goes_on_with_a_note(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.summary.writer.record_writer", None)
    run = Run.create(tmp_path / "run", small)
    records = list(fit(small, run))
    assert "the package tensorboard is missing: no event files are written" in records[0].notes
    assert run.snapshots()[-1].step == 12
    assert not list(run.path.glob("events*"))


def test_events_that_can_not_be_written_do_not_end_the_training(small, tmp_path, monkeypatch):
    def full(file, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = Run.create(tmp_path / "run", short_epochs(small))
    training = fit(run.config, run)
    records = [next(training)]
    monkeypatch.setattr(tensorboard, "append", full)
    records += training
    assert sum("No space left on device" in note for record in records for note in record.notes) == 1
    assert run.read_checkpoint().state["step"] == records[-1].step


def test_a_full_disk_ends_the_training_in_one_line_and_the_last_checkpoint_stands(small, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", short_epochs(small))
    training = fit(run.config, run)
    next(training)
    write = Path.write_bytes

    def full(path, content):
        write(path, bytes(content)[: len(content) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left on device"):
            list(training)
    assert not run.read_checkpoint().damaged
    assert not list(run.path.rglob(".*"))
    whole = Run.create(tmp_path / "whole", run.config)
    for each in (Run(run.path), whole):
        list(fit(run.config, each))
    assert weights_digest(run)[1] == weights_digest(whole)[1]


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
