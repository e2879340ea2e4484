import contextlib
import json
import os
from pathlib import Path

import pytest
import torch

from srcnn_lib.config import TrainingConfig
from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN
from srcnn_lib.run import Run, StoredState
from srcnn_lib.runtime.temporary_files import temporary_name
from srcnn_lib.training.control import TrainingControl


def make_model(value=0.0):
    model = SRCNN(1, (3, 1, 3), (4, 2))
    torch.nn.init.constant_(model.layer_1.bias, value)
    return model


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", TrainingConfig.of(channels=1, filters=(3, 1, 3), widths=(4, 2)))


def test_a_run_is_read_as_it_was_written(run):
    assert Run(run.path).config == run.config


def test_an_existing_run_is_never_overwritten(run):
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(InputError, match="exists already"):
        Run.create(run.path, TrainingConfig())
    assert (run.path / "config.json").read_bytes() == before


def test_a_file_in_place_of_the_runs_folder_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        Run.create(tmp_path / "run", TrainingConfig())


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no run"):
        Run(tmp_path)


@pytest.mark.parametrize(
    "config",
    [
        "",
        "{",
        "[]",
        "{}",
        "[" * 100_000,
        "1" * 5000,
        "null",
        '{"training_config": {"bogus": 1}}',
        '{"training_config": null}',
        '{"training_config": {"scale": "x"}}',
        '{"training_config": {"widths": "ab"}}',
        '{"training_config": {"widths": [64.5, 2]}}',
        '{"training_config": {"widths": [1000000, 1000000]}}',
        '{"training_config": {"steps": true}}',
        '{"training_config": {"steps": 1e999}}',
        '{"training_config": {"data": [1]}}',
        '{"training_config": {"recipe": []}}',
        '{"training_config": {"scale": "%s"}}' % (5000 * "a"),
        '{"training_config": {}, "data": []}',
        '{"training_config": {"batch_size": 1000000000}}',
        '{"training_config": {}, "resolved": {"steps": "many"}}',
    ],  # fmt: skip
)
def test_a_damaged_config_is_named_in_one_line(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError) as error:
        Run(tmp_path)
    assert "config.json" in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300 + len(str(tmp_path))


def test_snapshots_come_in_the_order_of_their_steps(run):
    for step, epoch in ((200, 2), (0, 0), (1, 0), (100, 1)):
        run.write_snapshot(make_model(step), step, epoch)
    assert [(snapshot.step, snapshot.epoch) for snapshot in run.snapshots()] == [(0, 0), (1, 0), (100, 1), (200, 2)]
    assert run.model(100).layer_1.bias[0] == 100


def test_the_best_snapshot_has_the_highest_validation_psnr(run):
    for step in (10, 20, 30):
        run.write_snapshot(make_model(step), step, step // 10)
    run.write_history(
        [{"step": step, "validation_psnr_y": psnr} for step, psnr in ((10, 30.0), (20, 32.0), (30, 31.0))]
    )
    assert run.snapshot("best").step == 20
    assert run.snapshot("newest").step == 30


def test_a_missing_snapshot_is_refused_with_a_list_of_the_existing_ones(run):
    run.write_snapshot(make_model(), 10, 1)
    with pytest.raises(InputError, match="newest, best and the steps 10"):
        run.snapshot(11)


@pytest.mark.parametrize(
    "line",
    [
        "[]",
        "{",
        "{}",
        '{"step": -1}',
        '{"step": "1"}',
        '{"step": 1.5}',
        '{"step": true}',
        '{"step": 7}',
        '{"step": 9, "epoch": []}',
        '{"step": 9, "validation_psnr_y": "a"}',
        '{"step": 9, "epoch": NaN}',
        '{"step": 1' + "0" * 400 + "}",
        "[" * 100_000,
    ],  # fmt: skip
)
def test_a_damaged_line_of_the_history_is_named(run, line):
    (run.path / "history.jsonl").write_text('{"step": 7, "epoch": 1}\n' + line + "\n")
    with pytest.raises(InputError, match="line 2, can't be read"):
        run.history()


@pytest.mark.parametrize(
    "tiles",
    [
        (torch.rand(4, 1, 9, 9), torch.rand(4, 1, 9, 9)),
        (torch.rand(4, 3, 9, 9), torch.rand(4, 3, 8, 9)),
        (torch.rand(3, 9, 9), torch.rand(3, 9, 9)),
        (torch.rand(0, 3, 9, 9), torch.rand(0, 3, 9, 9)),
        (torch.rand(1, 3, 9, 9).double(), torch.rand(1, 3, 9, 9).double()),
        (torch.full((1, 3, 9, 9), float("nan")), torch.rand(1, 3, 9, 9)),
    ],  # fmt: skip
)
def test_a_probe_of_another_shape_or_type_is_refused(run, tiles):
    run.write_probe(*tiles)
    with pytest.raises(InputError, match=r"probe\.safetensors can't be read"):
        run.probe()


@pytest.mark.parametrize("name", ["config.json", "history.jsonl", "probe.safetensors", "control"])
def test_a_fifo_in_place_of_a_file_is_not_waited_for(run, name):
    (run.path / name).unlink(missing_ok=True)
    os.mkfifo(run.path / name)
    read = {
        "config.json": lambda: Run(run.path), "history.jsonl": run.history, "probe.safetensors": run.probe,
        "control": lambda: TrainingControl().take_commands(run),
    }[name]  # fmt: skip
    with contextlib.nullcontext() if name == "control" else pytest.raises(InputError, match="no plain file"):
        read()


def test_a_snapshot_of_another_network_than_the_runs_is_refused(run):
    run.write_snapshot(SRCNN(1, (3, 1, 3), (6, 2)), 10, 1)
    with pytest.raises(InputError, match="another network than its run"):
        run.model()


def test_a_file_name_that_is_no_text_is_read_as_it_was_written(tmp_path):
    config = TrainingConfig.of(data=("photos/caf\udce9",))
    assert Run.create(tmp_path / "run", config).config == config


def test_links_in_a_run_are_replaced_and_what_they_point_to_is_not(run, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    for name in ("history.jsonl", "probe.safetensors", "snapshots", "checkpoints"):
        (run.path / name).symlink_to(mine) if "." in name else (run.path / name).mkdir()
    for name in ("snapshots/step-00000001-epoch-0000.safetensors", "checkpoints/step-00000001.pt"):
        (run.path / name).symlink_to(mine)
    run.write_history([{"step": 1}])
    run.write_probe(torch.rand(1, 3, 9, 9), torch.rand(1, 3, 9, 9))
    run.write_snapshot(make_model(), 1, 0)
    run.write_checkpoint({"step": 1}, 1, None, 3)
    assert mine.read_text() == "mine"


def test_infinity_becomes_null_in_the_history(run):
    run.write_history([{"step": 1, "validation_psnr_y": float("inf")}])
    assert json.loads((run.path / "history.jsonl").read_text()) == {"step": 1, "validation_psnr_y": None}


def test_the_last_checkpoints_and_the_best_are_kept(run):
    for step in (10, 20, 30, 40, 50):
        run.write_checkpoint({"step": step}, step, best_step=20, keep=2)
    assert [path.stem for path in run.checkpoints()] == ["step-00000050", "step-00000040", "step-00000020"]


def test_in_place_of_a_damaged_checkpoint_the_one_before_is_read(run):
    run.write_checkpoint({"step": 10}, 10, None, 3)
    newest = run.write_checkpoint({"step": 20}, 20, None, 3)
    newest.write_bytes(newest.read_bytes()[:100])
    stored = run.read_checkpoint()
    assert stored.state["step"] == 10
    assert stored.damaged == [newest]


def test_code_in_a_checkpoint_is_never_run(run):
    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(run.path / "touched"),)

    path = run.write_checkpoint({"step": 10}, 10, None, 3)
    torch.save({"step": Touch()}, path)
    stored = run.read_checkpoint()
    assert stored.state is None
    assert stored.damaged == [path]
    assert not (run.path / "touched").exists()


def test_a_failed_write_leaves_the_file_as_it_was(run, monkeypatch):
    run.write_history([{"step": 1}])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run.write_history([{"step": 1}, {"step": 2}])
    monkeypatch.undo()
    assert run.history() == [{"step": 1}]
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "history.jsonl"]


def test_snapshots_and_checkpoints_beyond_a_step_are_removed(run):
    for step in (0, 10, 20):
        run.write_snapshot(make_model(), step, 0)
        run.write_checkpoint({"step": step}, step, None, 9)
    run.remove_after(10)
    assert [snapshot.step for snapshot in run.snapshots()] == [0, 10]
    assert [path.stem for path in run.checkpoints()] == ["step-00000010", "step-00000000"]


def test_a_checkpoint_with_a_changed_byte_counts_as_damaged(run):
    run.write_checkpoint({"step": 10, "weights": torch.zeros(64)}, 10, None, 3)
    newest = run.write_checkpoint({"step": 20, "weights": torch.ones(4096)}, 20, None, 3)
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    stored = run.read_checkpoint()
    assert len(stored.state["weights"]) == 64
    assert stored.damaged == [newest]


@pytest.mark.parametrize("name", ["step-x", "step-best", "step-00000010 (1)", "step-00000010-epoch-0001 (1)", "final"])
def test_files_with_other_names_are_neither_read_nor_removed(run, name):
    """Drive names a second copy "… (1)"."""
    run.write_snapshot(make_model(), 10, 1)
    run.write_checkpoint({"step": 10}, 10, None, 3)
    others = [run.path / "snapshots" / f"{name}.safetensors", run.path / "checkpoints" / f"{name}.pt"]
    for other in others:
        other.write_bytes(b"")
    assert [snapshot.step for snapshot in run.snapshots()] == [10]
    assert [path.name for path in run.checkpoints()] == ["step-00000010.pt"]
    assert run.read_checkpoint() == StoredState({"step": 10})
    run.write_checkpoint({"step": 20}, 20, None, 1)
    run.remove_after(0)
    assert run.snapshots() == run.checkpoints() == []
    assert all(other.exists() for other in others)


def test_a_run_can_be_created_where_a_killed_process_left_half_a_config(tmp_path):
    (tmp_path / temporary_name(Path("config.json"))).write_text("{")
    assert Run.create(tmp_path, TrainingConfig()).config == TrainingConfig()
