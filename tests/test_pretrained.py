"""The example run that comes with the package, and how it is made."""

import math

import pytest
import torch
from small_runs import small_run

from srcnn_lib import SRCNN, InputError, pretrained, weights
from srcnn_lib.data.sources import load_photographs
from srcnn_lib.notebook.explorer import find_networks
from srcnn_lib.pretrained import EXAMPLE_BYTES, example_run, write_example_run
from srcnn_lib.visualization.inspector import Inspector


def test_the_example_run_is_small_and_shows_a_training_from_random_weights():
    run = example_run()
    snapshots = run.snapshots()
    assert sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file()) < EXAMPLE_BYTES
    assert 20 <= len(snapshots) <= 30
    assert snapshots[0].step == 0
    assert run.config.init == "torch"
    last = run.history()[-1]
    assert snapshots[-1].step == last["step"]
    assert last["validation_psnr_y"] - last["validation_bicubic_psnr_y"] > 1
    assert Inspector(run, "probe:2").feature_maps("layer_1").shape[0] == run.config.widths[0]
    assert not any("example_run" in path.parts for path in find_networks("no runs"))


def test_the_probe_of_the_example_run_shows_samples_alone():
    run = example_run()
    assert all(name.startswith("samples:") for name in run.config.validation)
    photographs = [load_photographs(name)[0].pixels for name in run.config.validation]
    for tile in run.probe()[1]:
        assert any(_contains(photograph, tile) for photograph in photographs)


def _contains(photograph: torch.Tensor, tile: torch.Tensor) -> bool:
    """Returns whether a tile (3, 96, 96), with 16 bits, is part of a photograph."""
    windows = photograph[:, : photograph.shape[1] - 95, : photograph.shape[2] - 95]
    places = ((windows - tile[:, :1, :1]).abs().amax(0) < 1e-3).nonzero().tolist()
    return any(torch.allclose(photograph[:, top : top + 96, left : left + 96], tile, atol=1e-3) for top, left in places)


def test_an_example_run_keeps_the_first_and_the_last_snapshots_and_closes_ranks_in_the_logarithm(tmp_path):
    steps = [0, 1, 2, 4, 8, 16, 32, *range(64, 64 * 41, 64)]
    kept = [steps[number] for number in pretrained._log_spaced(steps, 24)]
    assert kept[:4] == [0, 1, 2, 4]
    assert kept[-1] == steps[-1]
    assert len(kept) == 24
    gaps = [math.log((after + 1) / (before + 1)) for before, after in zip(kept[6:-1], kept[7:], strict=True)]
    assert max(gaps) < 0.75


def test_writing_an_example_run_replaces_the_one_before_and_leaves_out_what_only_a_training_needs(tmp_path):
    run = small_run(tmp_path / "run")
    target = tmp_path / "example"
    (target / "snapshots").mkdir(parents=True)
    (target / "old").touch()
    assert write_example_run(run.path, target) == target
    assert {file.name for file in target.iterdir()} == {
        "config.json",
        "history.jsonl",
        "probe.safetensors",
        "snapshots",
    }
    copy = type(run)(target)
    assert [snapshot.step for snapshot in copy.snapshots()] == [snapshot.step for snapshot in run.snapshots()]
    assert torch.allclose(copy.probe()[0], run.probe()[0], atol=1e-3)


def test_a_run_that_is_too_large_for_an_example_is_refused_and_nothing_changes(tmp_path, monkeypatch):
    run = small_run(tmp_path / "run")
    target = write_example_run(run.path, tmp_path / "example")
    monkeypatch.setattr(pretrained, "EXAMPLE_BYTES", 1000)
    with pytest.raises(InputError, match="expected up to 2; train a smaller network"):
        write_example_run(run.path, target)
    assert example_is_whole(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["example", "run"]


def example_is_whole(path) -> bool:
    return (path / "config.json").is_file() and any((path / "snapshots").iterdir())


def test_a_network_that_is_named_by_a_word_is_found_unless_a_file_has_that_name(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "saved_folder", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="jpeg is not installed.*make saved/srcnn_y_x2_jpeg.safetensors"):
        pretrained.open_weights("jpeg")
    path = weights.save(SRCNN(1, widths=(4, 3)), tmp_path / "srcnn_y_x2_jpeg.safetensors")
    assert pretrained.open_weights("jpeg")[1] == path
    weights.save(SRCNN(1, widths=(4, 3)), tmp_path / "srcnn_y_x2.safetensors")
    assert pretrained.released_for(2)[0].name == "srcnn_y_x2.safetensors"
    (tmp_path / "jpeg").mkdir()
    with pytest.raises(InputError, match="jpeg is a folder without weights"):
        pretrained.open_weights("jpeg")


def test_without_the_example_run_one_line_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "saved_folder", lambda: tmp_path)
    with pytest.raises(InputError, match="the example run is not installed; train a run instead"):
        example_run()
