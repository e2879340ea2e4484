"""Clips of the exact views, against the views themselves."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.run import Run
from srcnn_lib.visualization.animation import ClipOptions, animate
from srcnn_lib.visualization.explanation_clips import frequency_clip, worth_clip
from srcnn_lib.visualization.frames import frame_colors

DARK = frame_colors("dark")


@pytest.fixture
def run(tmp_path):
    """Returns a run of three snapshots: a copy of bicubic, twice, and one that is too bright."""
    run = Run.create(tmp_path / "run", TrainingConfig.of(channels=1, widths=(6, 5)))
    torch.manual_seed(0)
    model = start_from_identity(SRCNN(1, widths=(6, 5)))
    with torch.no_grad():
        model.layer_3.weight[:, 1:] = 0  # exactly bicubic
    for step in (0, 1, 2):
        with torch.no_grad():
            model.layer_3.bias.fill_(0.05 if step == 2 else 0.0)
        run.write_snapshot(model, step, 0)
    return run


@pytest.fixture
def sample(run):
    pixels = torch.from_numpy(data.astronaut()[40:104, 180:244].copy()).permute(2, 0, 1) / 255
    return Sample(pixels, run.model())


def test_a_copy_of_bicubic_gains_nothing_and_a_brighter_one_loses_the_lowest_band(run, sample):
    clip = frequency_clip(run.snapshots(), sample)
    assert len(clip) == 3
    blue = (np.abs(clip.astype(int) - [0x6C, 0xB2, 0xFF]).sum(-1) < 12).sum((1, 2))
    assert (clip[0][:300] == clip[1][:300]).all()
    assert blue[0] == 0
    assert blue[2] > 500


def test_lines_of_the_rank_plot_grow_with_the_snapshots(run, sample):
    clip = worth_clip(run.snapshots(), sample)[:, 40:-60, 40:560]
    drawn = (np.abs(clip.astype(int) - DARK.ground).sum(-1) > 200).sum((1, 2))
    assert len(clip) == 3
    assert drawn[0] < drawn[1] < drawn[2]


@pytest.mark.parametrize("what", ["frequency", "worth"])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_animate_writes_both(run, sample, tmp_path, what, theme):
    picture = Picture(sample.original, name="face")
    path, _ = animate(run, what, [picture], ClipOptions(frames=2, theme=theme), out=tmp_path / "clip.gif")
    with Image.open(path) as image:
        assert image.n_frames == 2


def test_one_photograph_is_shown_and_snapshots_are_needed(run, sample, tmp_path):
    with pytest.raises(InputError, match="a clip of worth shows one photograph, not 2"):
        animate(run, "worth", [Picture(sample.original)] * 2, out=tmp_path / "clip.gif")
    with pytest.raises(InputError, match="no snapshots"):
        frequency_clip([], sample)
