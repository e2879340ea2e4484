"""The ledger of the error by frequency: it adds up, and a sinusoid lies in its band."""

import math

import pytest
import torch
from exact_networks import random_network, random_picture, random_sample
from hypothesis import given, settings
from hypothesis import strategies as st

from srcnn_lib import InputError
from srcnn_lib.data.color import from_network_channels, luminance
from srcnn_lib.visualization.spectrum import EDGES, band_power, frequency_film, frequency_ledger


@given(st.integers(1, 17), st.integers(1, 17), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_the_bands_add_up_to_the_mean_square(height, width, seed):
    values = random_picture(1, height, width, seed)[0] - 0.5
    assert band_power(values).sum().item() == pytest.approx(values.square().mean().item(), rel=1e-12)


@pytest.mark.parametrize("cycles", [(0, 0), (3, 0), (0, 13), (10, 10), (20, 5), (32, 32), (0, 32), (-7, 22)])
def test_a_sinusoid_lies_in_the_band_of_its_frequency(cycles):
    rows, columns = torch.meshgrid(torch.arange(64.0).double(), torch.arange(64.0).double(), indexing="ij")
    wave = torch.cos(2 * math.pi * (cycles[0] * rows + cycles[1] * columns) / 64)
    frequency = math.hypot(*cycles) / 64
    (band,) = (i for i in range(len(EDGES) - 1) if EDGES[i] <= frequency < EDGES[i + 1])
    power = band_power(wave)
    assert power[band].item() == pytest.approx(wave.square().mean().item(), rel=1e-12)
    assert power.sum().item() == pytest.approx(power[band].item(), rel=1e-12)


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_ledger_is_that_of_the_errors_on_y(channels, gray):
    model = random_network((channels, (5, 3, 3), (4, 3), "replicate")).float()
    sample = random_sample(model, 1 if gray else 3)
    ledger = frequency_ledger(model, sample)
    output = model(sample.network_input[None].float())[0].double()
    y = output if channels == 1 else luminance(from_network_channels(output, sample.upsampled))
    original = luminance(sample.original)
    assert ledger.network.sum().item() == pytest.approx((y - original).square().mean().item(), rel=1e-5)
    bicubic = (luminance(sample.upsampled) - original).square().mean().item()
    assert ledger.bicubic.sum().item() == pytest.approx(bicubic, rel=1e-9)
    assert ledger.share.sum().item() == pytest.approx(1)
    assert ledger.psnr.item() == pytest.approx(-10 * math.log10(ledger.network.sum().item()))


def test_a_film_has_a_row_for_each_step():
    models = {step: random_network((1, (3, 3, 3), (3, 2), "replicate"), step).float() for step in (0, 4, 9)}
    sample = random_sample(models[0])
    film = frequency_film(models, sample)
    assert film.steps == (0, 4, 9)
    torch.testing.assert_close(film.network[1], frequency_ledger(models[4], sample).network)
    assert film.gain_db.shape == film.network.shape == (3, len(EDGES) - 1)
    with pytest.raises(InputError, match="no network"):
        frequency_film({}, sample)
