"""What patches cost: nothing beyond the halo, and the depths add up to the whole difference."""

import pytest
import torch
from exact_networks import random_network, random_sample

from srcnn_lib import InputError
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.inference.patches import positions
from srcnn_lib.visualization.seams import find_seams, patch_depth

KINDS = [(1, (5, 3, 3), (4, 3), "replicate"), (3, (3, 3, 5), (4, 3), "zeros"), (3, (3, 3, 3), (3, 4), "replicate")]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_patches_differ_from_the_whole_only_within_the_halo_of_their_borders(kind):
    model = random_network(kind).float()
    sample = random_sample(model, height=40, width=54)
    seams = find_seams(model, sample, InferenceOptions("non-overlapping", patch=17))
    beyond = seams.depth == model.halo
    assert 0.05 < beyond.float().mean() < 0.9
    assert seams.difference[:, beyond].abs().max() < 2e-6
    assert seams.difference[:, seams.depth == 0].abs().mean() > 1e-3
    assert seams.rms[-1] < 1e-6 < seams.rms[0]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_the_depths_add_is_the_difference_of_the_errors(kind):
    model = random_network(kind).float()
    sample = random_sample(model, height=40, width=54)
    options = InferenceOptions("non-overlapping", patch=17)
    seams = find_seams(model, sample, options)
    errors = [sample.luminance_error(sample.reconstruct(model, o)) for o in (InferenceOptions(), options)]
    whole, patches = (error.square().mean().item() for error in errors)
    assert seams.excess.sum().item() == pytest.approx(patches - whole, abs=1e-12)
    assert seams.lost_db == pytest.approx(10 * torch.tensor(patches / whole).log10().item(), abs=1e-5)


@pytest.mark.parametrize(("height", "width", "patch"), [(40, 54, 17), (33, 34, 33), (10, 80, 33), (5, 5, 33)])
def test_the_depth_of_a_pixel_is_its_distance_to_the_border_of_the_patch_that_covers_it_last(height, width, patch):
    expected = torch.full((height, width), -1)
    for top in positions(height, patch, patch):
        for left in positions(width, patch, patch):
            bottom, right = min(top + patch, height), min(left + patch, width)
            for row in range(top, bottom):
                for column in range(left, right):
                    sides = [(row - top, top > 0), (bottom - 1 - row, bottom < height)]
                    sides += [(column - left, left > 0), (right - 1 - column, right < width)]
                    inner = [distance for distance, is_seam in sides if is_seam]
                    expected[row, column] = min(inner) if inner else 999
    depth = patch_depth(height, width, patch)
    assert torch.equal(depth.clamp_max(30), expected.clamp_max(30))


def test_overlapping_patches_have_no_depth_but_a_loss():
    model = random_network(KINDS[0]).float()
    sample = random_sample(model, height=40, width=54)
    seams = find_seams(model, sample, InferenceOptions("overlapping", patch=17, stride=4))
    assert seams.depth is seams.rms is seams.excess is None
    assert seams.difference.abs().max() > 1e-3
    with pytest.raises(InputError, match="no seams"):
        find_seams(model, sample, InferenceOptions())
