"""Conversions between RGB, YCbCr and luminance, against scikit-image and the published constants."""

import numpy as np
import pytest
import skimage.color
import skimage.data
import torch

from srcnn_lib.data import color

PHOTOGRAPH = np.ascontiguousarray(skimage.data.astronaut()[60:100, 200:250])  # (40, 50, 3)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_ycbcr_agrees_with_scikit_image(kind):
    image = torch.from_numpy(PHOTOGRAPH).permute(2, 0, 1).to(kind) / 255
    expected = torch.from_numpy(skimage.color.rgb2ycbcr(PHOTOGRAPH)).permute(2, 0, 1) / 255
    ours = color.rgb_to_ycbcr(image)
    assert ours.dtype == kind
    assert (ours - expected).abs().max() < 2e-6
    assert torch.equal(color.luminance(image), ours[:1])


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((1, 1, 1), (235, 128, 128)),
        ((1, 0, 0), (16 + 65.481, 128 - 37.797, 240)),
        ((0, 1, 0), (16 + 128.553, 128 - 74.203, 128 - 93.786)),
        ((0, 0, 1), (16 + 24.966, 240, 128 - 18.214)),
    ],
)
def test_ycbcr_of_the_primaries_are_the_published_constants(rgb, ycbcr):
    image = torch.tensor(rgb, dtype=torch.float64).reshape(3, 1, 1)
    assert (color.rgb_to_ycbcr(image).flatten() * 255).tolist() == pytest.approx(ycbcr, abs=1e-9)
    back = color.ycbcr_to_rgb(torch.tensor(ycbcr, dtype=torch.float64).reshape(3, 1, 1) / 255)
    assert back.flatten().tolist() == pytest.approx(rgb, abs=1e-12)


def test_ycbcr_to_rgb_inverts_rgb_to_ycbcr_for_batches_as_well():
    image = torch.rand(2, 5, 3, 7, 9, dtype=torch.float64, generator=torch.manual_seed(0))
    assert (color.ycbcr_to_rgb(color.rgb_to_ycbcr(image)) - image).abs().max() < 1e-14
    assert (color.ycbcr_to_rgb(color.rgb_to_ycbcr(image.float())) - image).abs().max() < 1e-6
    assert color.luminance(image).shape == (2, 5, 1, 7, 9)


def test_a_grey_image_is_its_own_luminance():
    image = torch.rand(4, 1, 5, 5, generator=torch.manual_seed(0))
    assert color.luminance(image) is image


def test_a_picture_with_another_number_of_channels_is_refused():
    for function in (color.rgb_to_ycbcr, color.ycbcr_to_rgb, color.luminance):
        with pytest.raises(ValueError, match="expected"):
            function(torch.zeros(4, 8, 8))
