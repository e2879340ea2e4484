"""The summaries of the machine and of a run that the notebooks print and show."""

import re

import numpy as np
import pytest
import torch
from small_runs import small_run

from srcnn_lib import Run
from srcnn_lib.notebook import print_environment, print_scores, print_weights_digest, probe_strip
from srcnn_lib.runtime.files import digest


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return small_run(tmp_path_factory.mktemp("runs") / "small", validation=("samples:coffee",))


def test_the_environment_names_torch_and_the_device(capsys):
    device = print_environment()
    printed = capsys.readouterr().out
    assert f"torch {torch.__version__.partition('+')[0]}" in printed
    assert isinstance(device, torch.device)


def test_the_digest_is_that_of_the_newest_snapshot(run, capsys):
    print_weights_digest(run)
    assert digest(run.snapshots()[-1].path) in capsys.readouterr().out


def test_the_scores_are_those_of_the_validation_photographs(run, capsys):
    print_scores(run)
    names = re.findall(r"^(\S+) +\d", capsys.readouterr().out, re.MULTILINE)
    assert [name.removesuffix(".png") for name in names] == ["coffee", "mean"]


def test_the_strip_shows_the_tiles_at_each_snapshot_and_the_originals_on_the_right(run):
    strip = np.asarray(probe_strip(run, snapshots=3))
    originals = run.probe()[1].mul(255).round().byte().permute(0, 2, 3, 1).flatten(0, 1).numpy()  # (4 · 96, 96, 3)
    assert strip.shape[1] == 4 * 96 + 3 * 6  # three snapshots and the originals
    np.testing.assert_array_equal(strip[: 4 * 96, -96:], originals)
    assert (strip[: 4 * 96, :96] != originals).any()
