"""The summaries of the machine and of a run that the notebooks print and show."""

import re

import numpy as np
import pytest
import torch
from small_runs import small_run

from srcnn_lib import Run
from srcnn_lib.notebook import print_environment, print_scores, print_weights_digest, probe_strip, summary
from srcnn_lib.runtime.files import digest


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs") / "small", validation=("samples:coffee",))


def test_the_environment_names_torch_and_the_device(capsys):
    device = print_environment()
    printed = capsys.readouterr().out
    assert f"torch {torch.__version__.partition('+')[0]}" in printed
    assert isinstance(device, torch.device)


def test_the_digest_is_that_of_the_newest_snapshot_and_names_its_step(run, capsys):
    print_weights_digest(run)
    newest = run.snapshots()[-1]
    assert f"SHA-256 of the weights at step {newest.step}: {digest(newest.path)}" in capsys.readouterr().out


def test_the_scores_are_those_of_the_validation_photographs(run, capsys):
    print_scores(run)
    names = re.findall(r"^(\S+) +\d", capsys.readouterr().out, re.MULTILINE)
    assert [name.removesuffix(".png") for name in names] == ["coffee", "mean"]


def test_the_strip_shows_details_of_two_tiles_and_their_errors(run):
    strip = np.asarray(probe_strip(run, snapshots=3))
    side = 4 * 48
    assert strip.shape[1] == 5 * side + 4 * 6  # bicubic, three snapshots, the original
    header = strip.shape[0] - 4 * side - 3 * 6
    assert 0 < header < 40
    column = strip[header:, -side:]
    picture, error = column[:side:4, ::4], column[side + 6 : 2 * side + 6]
    tiles = [tile.mul(255).round().byte().permute(1, 2, 0).numpy() for tile in run.probe()[1]]
    places = [(tile[top : top + 48, left : left + 48] == picture).all()
              for tile in tiles for top in range(49) for left in range(49)]  # fmt: skip
    assert sum(places) == 1
    assert error.max() < 20  # the original has none
    assert strip[header + side + 6 : header + 2 * side, :side].std() > 10  # bicubic has


def test_the_steps_of_the_strip_are_chosen_by_quality():
    quality = {0: 30.0, 1: 30.0, 2: 30.1, 32: 32.9, 1000: 33.0, 6000: 33.05, 9000: 33.1, 12000: 31.5}
    assert summary._evenly_improving(dict(list(quality.items())[:7]), 4) == [0, 2, 32, 9000]
    assert summary._evenly_improving({5: 30.0}, 4) == [5]
    assert summary._evenly_improving({5: 30.0, 9: 31.0}, 4) == [5, 9]
    assert summary._evenly_improving(quality, 1) == [12000]


def test_the_tiles_of_the_strip_differ():
    tiles = torch.stack([torch.full((3, 96, 96), value) for value in (0.1, 0.12, 0.9, 0.11)])
    assert summary._most_different(tiles, 2) == [0, 2]
    assert summary._most_different(tiles, 9) == [0, 1, 2, 3]


@pytest.mark.parametrize(("colab", "kind", "said"), [(True, "cpu", True), (True, "cuda", False), (False, "cpu", False)])
def test_on_colab_without_a_gpu_a_line_says_how_to_switch_it_on(monkeypatch, capsys, colab, kind, said):
    monkeypatch.setattr(summary, "is_colab", lambda: colab)
    monkeypatch.setattr(summary, "resolve_device", lambda name: torch.device(kind))
    monkeypatch.setattr(summary, "describe_device", lambda device: kind)
    print_environment()
    assert ("Change runtime type" in capsys.readouterr().out) == said
