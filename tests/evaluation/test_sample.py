"""A sample: a photograph degraded for a network, as it is shown and measured."""

import pytest
import torch
from skimage.data import astronaut

from srcnn_lib.data.color import luminance
from srcnn_lib.data.degradation import degrade
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.metrics import psnr
from srcnn_lib.model import SRCNN, start_from_identity


@pytest.fixture
def photograph():
    return torch.from_numpy(astronaut()[60:121, 180:250].copy()).permute(2, 0, 1) / 255


def network(channels):
    torch.manual_seed(0)
    return start_from_identity(SRCNN(channels, (5, 1, 3), (8, 4))).eval()


def test_a_network_gets_the_bicubic_picture_in_its_own_channels(photograph):
    upsampled, original = degrade(photograph, 2)
    of_rgb, of_y = Sample(photograph, network(3)), Sample(photograph, network(1))
    assert torch.equal(of_rgb.network_input, upsampled)
    assert torch.equal(of_y.network_input, luminance(upsampled))
    assert torch.equal(of_y.original, original)
    assert Sample(photograph[:1], network(3)).network_input.shape == upsampled.shape


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colors", [1, 3])
def test_an_output_is_shown_in_the_photographs_channels(photograph, channels, colors):
    model = network(channels)
    sample = Sample(photograph[:colors], model)
    image = sample.to_image(sample.network_input)  # as if the network copied it
    assert image.shape == sample.original.shape
    assert (image - sample.upsampled.clamp(0, 1)).abs().max() < 1e-6
    pixels = sample.to_pixels(sample.network_input)
    assert pixels.shape == (*image.shape[1:], 3)
    assert abs(pixels / 255 - image.expand(3, -1, -1).permute(1, 2, 0).numpy()).max() <= 0.5 / 255 + 1e-6


def test_the_label_has_the_psnr_on_y_and_the_gain_over_bicubic(photograph):
    model = network(1)
    sample = Sample(photograph, model)
    output = sample.reconstruct(model)
    value = psnr(output, luminance(sample.original), shave=2).item()
    gain = value - sample.bicubic_scores.psnr_y
    assert sample.scores(output).psnr_y == value
    assert sample.psnr_label(output) == f"{value:.2f} dB ({gain:+.2f})".replace("-", "−")
    assert sample.psnr_label(luminance(sample.original)) == "∞ dB"
    flat = Sample(torch.zeros(1, 20, 20), model)  # bicubic restores it without error
    assert flat.psnr_label(torch.full((1, 20, 20), 0.1)) == "20.00 dB"


def test_a_photograph_that_is_too_large_to_show_is_refused():
    large = torch.zeros(1, 1, 1).expand(1, 1200, 1900)
    with pytest.raises(InputError, match="a picture of 1900x1200 is too large, expected up to 2,073,600 pixels"):
        Sample(large, network(1))
