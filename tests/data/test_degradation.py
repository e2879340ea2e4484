"""The degradation: bicubic against Pillow, sizes against the documented rounding, dB against the published figures."""

import math
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut

from srcnn_lib.data.degradation import degrade, downscale, resize, shave_width, upscaled_size
from srcnn_lib.errors import InputError
from srcnn_lib.metrics import psnr

PUBLISHED = {  # bicubic's PSNR on Y in dB for x2, x3, x4, as printed in the papers
    "Set5": {2: 33.66, 3: 30.39, 4: 28.42},
    "Set14": {2: 30.23, 3: 27.54, 4: 26.00},
}
tenths = st.integers(11, 80).map(lambda tenth: tenth / 10)


@pytest.fixture(scope="module")
def photograph():
    """Returns a photograph, (3, 45, 62) in [0, 1]."""
    return torch.from_numpy(astronaut()[60:105, 180:242]).permute(2, 0, 1) / 255


@pytest.mark.parametrize("size", [(22, 31), (15, 20), (41, 17), (90, 124), (61, 200), (1, 1), (60, 1), (1, 60)])
def test_resize_equals_pillows_bicubic(photograph, size):
    expected = [
        np.asarray(Image.fromarray(plane.numpy()).resize(size[::-1], Image.Resampling.BICUBIC)) for plane in photograph
    ]
    np.testing.assert_allclose(resize(photograph, size), np.stack(expected), atol=1e-5)


def test_resize_treats_batches_and_single_images_alike(photograph):
    batch = torch.stack([photograph, photograph.flip(-1)])
    assert torch.equal(resize(batch, (20, 30))[0], resize(photograph, (20, 30)))


@given(height=st.integers(1, 40), width=st.integers(1, 40), scale=tenths)
def test_degrade_gives_the_documented_sizes_for_any_scale(height, width, scale):
    exact = Fraction(scale).limit_denominator(10)
    original = torch.rand(1, height, width)
    upsampled, cropped = degrade(original, scale)
    reduced = [max(1, math.floor(length / exact)) for length in (height, width)]
    expected = [
        min(length, math.floor(low * exact + Fraction(1, 2)))
        for low, length in zip(reduced, (height, width), strict=True)
    ]
    assert list(upsampled.shape[-2:]) == list(cropped.shape[-2:]) == expected
    assert list(downscale(original, scale).shape[-2:]) == reduced
    assert torch.equal(cropped, original[:, : expected[0], : expected[1]])


@given(length=st.integers(8, 500), scale=st.integers(2, 8))
def test_a_whole_scale_crops_to_a_multiple(length, scale):
    _, cropped = degrade(torch.zeros(1, length, length), scale)
    assert cropped.shape == (1, length - length % scale, length - length % scale)


@given(height=st.integers(1, 1000), scale=tenths)
def test_the_upscaled_size_is_rounded(height, scale):
    exact = Fraction(scale).limit_denominator(10)
    assert upscaled_size(height, 1, scale) == (
        math.floor(height * exact + Fraction(1, 2)),
        math.floor(exact + Fraction(1, 2)),
    )


def test_the_pair_is_the_photograph_reduced_and_enlarged_again(photograph):
    upsampled, original = degrade(photograph, 3)
    assert torch.equal(original, photograph[:, :45, :60])
    expected = [
        Image.fromarray(plane.numpy())
        .resize((20, 15), Image.Resampling.BICUBIC)
        .resize((60, 45), Image.Resampling.BICUBIC)
        for plane in original
    ]
    np.testing.assert_allclose(upsampled, np.stack([np.asarray(plane) for plane in expected]), atol=1e-5)


def test_the_shave_is_the_scale_rounded_up():
    assert [shave_width(scale) for scale in (1.1, 2, 2.5, 3, 8)] == [2, 2, 3, 3, 8]


@pytest.mark.parametrize("scale", [0, -1, 1, 8.1, 100, math.nan, math.inf])
def test_a_scale_outside_the_range_is_refused(photograph, scale):
    with pytest.raises(InputError, match=r"expected from 1\.1 to 8"):
        degrade(photograph, scale)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["Set5", pytest.param("Set14", marks=pytest.mark.slow)])
def test_bicubic_reaches_the_published_psnr(name, scale):
    folder = Path(os.environ.get("SRCNN_DATA", "nowhere")) / name
    if not folder.is_dir():
        pytest.skip(f"needs the photographs of {name} under SRCNN_DATA")
    figures = []
    for path in sorted(folder.glob("*.png")):
        pixels = np.asarray(Image.open(path), dtype=np.float64) / 255
        # Y before the degradation, as in the papers; the bridge is a gray picture.
        y = pixels if pixels.ndim == 2 else (pixels @ [65.481, 128.553, 24.966] + 16) / 255
        figures.append(psnr(*degrade(torch.from_numpy(y)[None].float(), scale), shave=scale).item())
    assert len(figures) == {"Set5": 5, "Set14": 14}[name]
    assert np.mean(figures) == pytest.approx(PUBLISHED[name][scale], abs=0.04)
