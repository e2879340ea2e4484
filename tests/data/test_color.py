"""Color conversions, against scikit-image and the published constants; and the channels that networks work on."""

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


def test_a_gray_image_is_its_own_luminance():
    image = torch.rand(4, 1, 5, 5, generator=torch.manual_seed(0))
    assert color.luminance(image) is image


def test_a_picture_with_another_number_of_channels_is_refused():
    for function in (color.rgb_to_ycbcr, color.ycbcr_to_rgb, color.luminance):
        with pytest.raises(ValueError, match="expected"):
            function(torch.zeros(4, 8, 8))


def random_picture(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colors", [1, 3])
@pytest.mark.parametrize("batch", [(), (2,), (2, 4)])
def test_a_picture_comes_back_from_a_network_that_copies_it(channels, colors, batch):
    image = random_picture(*batch, colors, 6, 7)
    network_input = color.to_network_channels(image, channels)
    assert network_input.shape == (*batch, channels, 6, 7)
    assert (color.from_network_channels(network_input, image) - image).abs().max() < 1e-6


def test_a_network_on_y_changes_the_luminance_and_leaves_the_color():
    image, y = random_picture(3, 6, 7), random_picture(1, 6, 7)
    result = color.rgb_to_ycbcr(color.from_network_channels(y, image))
    assert (result[:1] - y).abs().max() < 1e-6
    assert (result[1:] - color.rgb_to_ycbcr(image)[1:]).abs().max() < 1e-6
    assert torch.equal(color.to_network_channels(image, 1), color.luminance(image))


def test_a_network_on_rgb_gets_gray_three_times_and_returns_its_luma():
    gray, output = random_picture(1, 6, 7), random_picture(3, 6, 7)
    assert torch.equal(color.to_network_channels(gray, 3), gray.repeat(3, 1, 1))
    expected = 0.299 * output[0] + 0.587 * output[1] + 0.114 * output[2]
    assert (color.from_network_channels(output, gray)[0] - expected).abs().max() < 1e-6


@pytest.mark.parametrize("channels", [1, 3])
def test_equal_channels_are_not_converted(channels):
    image, output = random_picture(channels, 6, 7), random_picture(channels, 6, 7)
    assert torch.equal(color.to_network_channels(image, channels), image)
    assert color.from_network_channels(output, image) is output


@pytest.mark.parametrize(("output_channels", "image_channels"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_the_luminance_of_a_result_is_linear_in_the_networks_output(output_channels, image_channels):
    output, image = random_picture(output_channels, 5, 6).double(), random_picture(image_channels, 5, 6).double()
    weights, offset = color.output_luminance(output_channels, image_channels)
    expected = color.luminance(color.from_network_channels(output, image))
    assert torch.allclose((weights[:, None, None] * output).sum(0) + offset, expected[0], atol=1e-14)
