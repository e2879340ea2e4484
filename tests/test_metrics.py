"""MSE, PSNR and SSIM against scikit-image, their definitions and closed forms."""

import math

import numpy as np
import pytest
import torch
from skimage import metrics as theirs
from skimage.data import astronaut

from srcnn_lib.errors import InputError
from srcnn_lib.metrics import mse, psnr, ssim


@pytest.fixture(scope="module")
def pair():
    """A photograph and a noisy copy, (3, 60, 71) in [0, 1]; the copy leaves the range."""
    reference = torch.from_numpy(astronaut()[60:120, 180:251]).permute(2, 0, 1) / 255
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(0))
    return reference + 0.1 * noise, reference


def _as_numpy(image, shave=0):
    """Returns a (C, H, W) tensor as clamped (H, W, C) doubles, for scikit-image."""
    height, width = image.shape[-2:]
    inner = image[:, shave : height - shave, shave : width - shave]
    return inner.double().clamp(0, 1).permute(1, 2, 0).numpy()


def _y(image):
    """Returns the luminance (1, H, W) of BT.601, studio range, written out from the clamped colors (3, H, W)."""
    red, green, blue = image.double().clamp(0, 1)
    return ((16 + 65.481 * red + 128.553 * green + 24.966 * blue) / 255)[None]


@pytest.mark.parametrize("shave", [0, 3])
def test_mse_and_psnr_equal_scikit_images(pair, shave):
    image, reference = (_as_numpy(picture, shave) for picture in pair)
    assert mse(*pair, shave=shave).item() == pytest.approx(theirs.mean_squared_error(reference, image), rel=1e-12)
    expected = theirs.peak_signal_noise_ratio(reference, image, data_range=1)
    assert psnr(*pair, shave=shave).item() == pytest.approx(expected, rel=1e-12)


def _ssim_by_definition(x, y):
    """SSIM of two (H, W) arrays, written out: every whole window of 11×11 pixels, weighted by a Gaussian."""
    distance = np.arange(11) - 5
    gaussian = np.exp(-(distance**2) / (2 * 1.5**2))
    weights = np.outer(gaussian, gaussian) / gaussian.sum() ** 2
    x, y = (np.lib.stride_tricks.sliding_window_view(plane, (11, 11)) for plane in (x, y))  # (rows, columns, 11, 11)
    mean_x, mean_y = ((window * weights).sum((-2, -1)) for window in (x, y))
    deviation_x, deviation_y = x - mean_x[..., None, None], y - mean_y[..., None, None]
    variance_x, variance_y = ((deviation**2 * weights).sum((-2, -1)) for deviation in (deviation_x, deviation_y))
    covariance = (deviation_x * deviation_y * weights).sum((-2, -1))
    similarity = (2 * mean_x * mean_y + 0.01**2) * (2 * covariance + 0.03**2)
    similarity /= (mean_x**2 + mean_y**2 + 0.01**2) * (variance_x + variance_y + 0.03**2)
    return similarity.mean()


@pytest.mark.parametrize("shave", [0, 3])
def test_ssim_equals_its_definition_over_whole_windows(pair, shave):
    image, reference = (_as_numpy(picture, shave) for picture in pair)
    expected = np.mean([_ssim_by_definition(image[..., color], reference[..., color]) for color in range(3)])
    assert ssim(*pair, shave=shave).item() == pytest.approx(expected, abs=1e-12)


def test_y_is_bt601_in_studio_range(pair):
    image, reference = (_as_numpy(_y(picture))[..., 0] for picture in pair)
    expected = theirs.peak_signal_noise_ratio(reference, image, data_range=1)
    assert psnr(*pair, channel="y").item() == pytest.approx(expected, abs=1e-5)
    expected = _ssim_by_definition(reference.astype(float), image.astype(float))
    assert ssim(*pair, channel="y").item() == pytest.approx(expected, abs=1e-6)


def test_a_gray_image_is_its_own_y(pair):
    gray = [picture[:1] for picture in pair]
    for metric in (mse, psnr, ssim):
        assert torch.equal(metric(*gray, channel="y"), metric(*gray, channel="rgb"))


def test_psnr_of_equal_images_is_infinite(pair):
    assert psnr(pair[1], pair[1]).item() == math.inf
    assert psnr(pair[1], pair[1], channel="y").item() == math.inf


def test_ssim_of_equal_images_is_one(pair):
    assert ssim(pair[1], pair[1]).item() == pytest.approx(1, abs=1e-12)
    flat = torch.zeros(1, 11, 11)
    assert ssim(flat, flat).item() == 1


def test_psnr_of_a_constant_difference_has_its_closed_form():
    black, gray = torch.zeros(2, 3, 8, 8), torch.full((2, 3, 8, 8), 0.1, dtype=torch.float64)
    assert torch.allclose(psnr(gray, black), torch.full((2,), 20.0, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(mse(gray, black), torch.full((2,), 0.01, dtype=torch.float64), atol=1e-12)


def test_eight_bit_values_give_the_same_psnr_and_ssim(pair):
    image, reference = (picture.clamp(0, 1).mul(255).round().to(torch.uint8) for picture in pair)
    scaled = [picture / 255 for picture in (image, reference)]
    for metric, factor in ((mse, 255**2), (psnr, 1), (ssim, 1)):
        result = metric(image, reference, channel="y", data_range=255)
        assert result.item() == pytest.approx(metric(*scaled, channel="y").item() * factor, rel=1e-5)


def test_pixels_outside_the_range_are_clamped(pair):
    image, reference = pair
    assert image.max() > 1
    assert image.min() < 0
    for metric in (mse, psnr, ssim):
        assert torch.equal(metric(image, reference), metric(image.clamp(0, 1), reference))


def test_only_pixels_inside_the_shave_count():
    reference = torch.full((1, 20, 20), 0.5)
    image = reference.clone()
    image[:, :2] = image[:, -2:] = 0
    image[:, :, :2] = image[:, :, -2:] = 1
    assert psnr(image, reference, shave=2).item() == math.inf
    assert psnr(image, reference, shave=1).item() < 30


@pytest.mark.parametrize("metric", [mse, psnr, ssim])
def test_every_image_of_a_batch_has_a_value_in_double_precision(pair, metric):
    image, reference = pair
    images = torch.stack([image, reference, image.flip(0)])
    references = torch.stack([reference] * 3)
    result = metric(images, references)
    assert result.shape == (3,)
    assert result.dtype == torch.float64
    alone = torch.cat([metric(*each) for each in zip(images, references, strict=True)])
    np.testing.assert_allclose(result, alone, rtol=1e-12)


@pytest.mark.parametrize("metric", [mse, psnr, ssim])
def test_invalid_arguments_are_refused_with_one_line(metric):
    image = torch.rand(3, 16, 16)
    for arguments, words in [
        ((image, torch.rand(3, 16, 17)), r"\(3, 16, 17\)"),
        ((image[:2], image[:2]), "1 or 3 channels"),
        ((image[0], image[0]), "expected"),
        ((image, image, "luma"), "expected one of rgb, y"),
        ((image, image, "rgb", 8), "shave is 8"),
        ((image, image, "rgb", -1), "shave is -1"),
        ((image, image, "rgb", 0, 0), "data_range is 0"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            metric(*arguments)
        assert "\n" not in str(caught.value)


def test_ssim_refuses_images_smaller_than_its_window():
    image = torch.rand(1, 14, 20)
    assert ssim(image, image, shave=1).shape == (1,)
    with pytest.raises(InputError, match="20x14 pixels with shave 2: the window needs at least 15x15"):
        ssim(image, image, shave=2)
