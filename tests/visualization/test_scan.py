"""The clip of a scan, checked against what its network computes."""

import numpy as np
import pytest
import torch
from skimage import data

from srcnn_lib.data.degradation import degrade
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.visualization.frames import frame_colors
from srcnn_lib.visualization.scan import DIMMED, scan_clip

DARK = frame_colors("dark")


def photograph(side=96):
    """Returns the astronaut's face, (3, side, side)."""
    return torch.from_numpy(data.astronaut()[40 : 40 + side, 180 : 180 + side].copy()).permute(2, 0, 1) / 255


def network(channels=1):
    torch.manual_seed(0)
    return start_from_identity(SRCNN(channels, widths=(8, 6)))


def marked(frame):
    """Returns the rows and columns of a frame's picture that the outline of a patch covers."""
    return (frame == DARK.mark).all(-1).nonzero()


@pytest.mark.parametrize("mode", ["non-overlapping", "overlapping"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_scan_begins_with_bicubic_dimmed_and_ends_with_the_result_of_its_mode(mode, channels):
    model = network(channels)
    clip = scan_clip(model, photograph(), mode, stride=30, frames=7)
    sample = Sample(photograph(), model)
    options = InferenceOptions(mode=mode, stride=30 if mode == "overlapping" else 33)
    expected = sample.to_pixels(sample.reconstruct(model, options)).astype(float)
    begin = DARK.ground + DIMMED * (sample.to_pixels(sample.network_input) - DARK.ground.astype(float))
    assert len(clip) == 7
    for frame, picture in ((clip[-1], expected), (clip[0], begin)):
        error = np.abs(frame[1:288:3, 1:288:3] - picture).max(-1)
        assert (error > 1).mean() < 0.05  # the outline of a patch


def test_a_scan_goes_row_by_row_and_outlines_the_newest_patch():
    clip = scan_clip(network(), photograph(100), frames=17)[:, :300, :300]  # patches at 0, 33, 66 and 67
    assert len(clip) == 17
    for number in range(1, 16):
        for found, place in zip(marked(clip[number]), divmod(number - 1, 4), strict=True):
            assert abs((found.min() + found.max()) / 2 - 3 * ((0, 33, 66, 67)[place] + 16)) < 4


def test_the_insets_show_the_newest_patch_before_and_after():
    model = network()
    clip = scan_clip(model, photograph(66), frames=5)  # four patches; the picture is enlarged by 4, the insets by 5
    sample = Sample(photograph(66), model)
    upsampled, _ = degrade(photograph(66), 2)
    before = sample.to_pixels(sample.network_input)
    options = InferenceOptions(mode="non-overlapping")
    after = sample.to_pixels(sample.reconstruct(model, options))
    left = 4 * upsampled.shape[-1] + 6
    first = clip[2, :165, left:][::5, ::5]
    assert (first == before[:33, 33:]).all()
    places = [top for top in range(166, 240) if (clip[2, top : top + 165, left:][::5, ::5] == after[:33, 33:]).all()]
    assert places


def test_the_chart_ends_at_the_last_gain(tmp_path):
    heights = []
    for frame in scan_clip(network(), photograph(66), frames=5)[:, 264 + 24 :, :264]:
        heights.append((frame == DARK.mark).all(-1).any(0).nonzero()[0])
    assert len(heights[0]) == 0  # one point is no line
    assert heights[-1].max() > 255
    assert [len(columns) for columns in heights] == sorted(len(columns) for columns in heights)


def test_a_scan_of_few_patches_has_a_frame_for_each():
    assert len(scan_clip(network(), photograph(66), frames=60)) == 5
