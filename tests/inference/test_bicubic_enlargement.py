"""Bands of rows of a bicubic enlargement, against torchvision's resize of the whole picture."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.inference import tiling
from srcnn_lib.inference.tiling import BicubicEnlargement


def _image(channels, height, width):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(1))


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 90), width=st.integers(2, 30), scale=st.floats(0.1, 8), data=st.data())
def test_any_band_equals_the_same_rows_of_the_whole_enlargement(height, width, scale, data):
    image = _image(3, height, width)
    enlarged = BicubicEnlargement(Picture(image), scale)
    assume(enlarged.size[1] > 1)  # torch 2.15 repeats the first row in every row of a single column
    expected = resize(image, list(enlarged.size), InterpolationMode.BICUBIC, antialias=True)
    top = data.draw(st.integers(0, enlarged.size[0] - 1))
    bottom = data.draw(st.integers(top + 1, enlarged.size[0]))
    rows, alpha = enlarged.rows(top, bottom)
    assert alpha is None
    assert rows.shape == (3, bottom - top, enlarged.size[1])
    assert (rows - expected[:, top:bottom]).abs().max() < 1e-6


def test_a_band_far_down_a_tall_picture_is_as_exact_as_the_first():
    image = _image(1, 3000, 3)
    enlarged = BicubicEnlargement(Picture(image), 3.7)
    expected = resize(image, list(enlarged.size), InterpolationMode.BICUBIC, antialias=True)
    for top in (0, 5000, enlarged.size[0] - 100):
        assert (enlarged.rows(top, top + 100)[0] - expected[:, top : top + 100]).abs().max() < 1e-6


def test_the_time_of_a_tall_picture_grows_with_its_height_and_not_with_its_square():
    """The values that `resize` computes for all bands are a few times those of the enlargement."""
    resized = 0

    def count(images, size):
        nonlocal resized
        resized += images.shape[0] * size[0] * size[1]
        return downscale_or_enlarge(images, size)

    downscale_or_enlarge = tiling.resize
    enlarged = BicubicEnlargement(Picture(_image(1, 20_000, 8)), 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "resize", count)
        for top in range(0, 40_000, 500):
            enlarged.rows(top, top + 500)
    assert resized < 4 * 40_000 * 16


@pytest.mark.parametrize("scale", [1.3, 2])
def test_a_band_of_a_picture_with_alpha_equals_the_same_rows_of_the_whole(scale):
    picture = Picture(_image(3, 40, 12), _image(1, 40, 12).round())
    enlarged = BicubicEnlargement(picture, scale)
    color, alpha = enlarged.rows(0, enlarged.size[0])
    part, its_alpha = enlarged.rows(17, 31)
    assert (its_alpha - alpha[:, 17:31]).abs().max() < 1e-6
    # Where hardly anything is visible, color is a quotient of rounding errors.
    assert ((part - color[:, 17:31]).abs() * (its_alpha > 0.02)).max() < 1e-4


def test_a_scale_out_of_range_is_refused():
    with pytest.raises(InputError, match=r"0\.1 to 8"):
        BicubicEnlargement(Picture(_image(1, 4, 4)), 9)
