"""How close a picture is to another: MSE, PSNR and SSIM, in double precision, one figure an image."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .data.color import luminance
from .errors import InputError

CHANNELS = ("rgb", "y")
WINDOW, SIGMA = 11, 1.5  # pixels, of SSIM's Gaussian
K1, K2 = 0.01, 0.03  # keep SSIM finite where a window is dark or flat


@dataclass(frozen=True)
class Scores:
    """How close a picture is to the original, or the mean over several pictures.

    Args:
        psnr_y: PSNR on Y in dB; inf for equal pictures.
        ssim_y: SSIM on Y; nan for a picture that is smaller than SSIM's window.
        psnr_rgb: PSNR on RGB in dB; of a grey picture, its grey PSNR.
    """

    psnr_y: float
    ssim_y: float
    psnr_rgb: float


def mse(image: Tensor, reference: Tensor, channel: str = "rgb", shave: int = 0, data_range: float = 1.0) -> Tensor:
    """Mean squared error of each image, over its pixels and channels.

    Args:
        image: (N, C, H, W) or (C, H, W), C = 1 or 3; clamped to [0, data_range] here.
        reference: the same shape; clamped likewise.
        channel: "rgb" measures the pixels as they are; "y" the luminance of BT.601, studio range. A grey image is its
            own Y, and both are the same.
        shave: pixels left out at each border.
        data_range: what white is in the images: 1, or 255 for 8-bit values.

    Returns:
        (N,) in double precision on the CPU, in units of data_range²; N = 1 for (C, H, W).

    Raises:
        InputError: images of different or wrong shapes, no pixel left after the shave, an unknown channel.
    """
    return _squared_error(image, reference, channel, shave, data_range) * data_range**2


def psnr(image: Tensor, reference: Tensor, channel: str = "rgb", shave: int = 0, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of each image: 10 log10(data_range² / MSE). Higher is better.

    The papers' figure is channel="y" and shave=ceil(scale), then the mean of the dB over the images.

    Args:
        image, reference, channel, shave, data_range: as in `mse`.

    Returns:
        (N,) dB in double precision; inf for equal images.

    Raises:
        InputError: as `mse`.

    Reference: arXiv 1501.00092, section 4.
    """
    return -10 * torch.log10(_squared_error(image, reference, channel, shave, data_range))


def ssim(image: Tensor, reference: Tensor, channel: str = "rgb", shave: int = 0, data_range: float = 1.0) -> Tensor:
    """Structural similarity of each image: mean over windows, then over channels. 1 for equal images.

    Gaussian window of 11×11 pixels with sigma 1.5, whole windows only, K1 = 0.01, K2 = 0.03.

    Args:
        image, reference, channel, shave, data_range: as in `mse`; at least 11 pixels to each side after the shave.

    Returns:
        (N,) in [−1, 1], in double precision.

    Raises:
        InputError: as `mse`, or images smaller than the window.

    Reference: Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment, IEEE TIP 13(4), 2004.
    """
    x, y = _prepared(image, reference, channel, shave, data_range)  # (N, C, H, W)
    height, width = x.shape[-2:]
    if min(height, width) < WINDOW:
        needed = WINDOW + 2 * shave
        raise InputError(
            f"SSIM of {width + 2 * shave}x{height + 2 * shave} pixels with shave {shave}: the window needs at least "
            f"{needed}x{needed}"
        )
    mean_x, mean_y = _windowed(x), _windowed(y)  # (N, C, H − 10, W − 10)
    product, sum_of_squares = mean_x * mean_y, mean_x**2 + mean_y**2
    covariance = _windowed(x * y) - product
    variances = _windowed(x**2 + y**2) - sum_of_squares
    c1, c2 = K1**2, K2**2
    similarity = (2 * product + c1) * (2 * covariance + c2) / ((sum_of_squares + c1) * (variances + c2))
    return similarity.mean(dim=(1, 2, 3))  # (N,)


def _squared_error(image: Tensor, reference: Tensor, channel: str, shave: int, data_range: float) -> Tensor:
    """(N,) mean squared error as a share of data_range²."""
    image, reference = _prepared(image, reference, channel, shave, data_range)
    return (image - reference).square().mean(dim=(1, 2, 3))


def _prepared(image: Tensor, reference: Tensor, channel: str, shave: int, data_range: float) -> tuple[Tensor, Tensor]:
    """Both as (N, C, H, W) doubles in [0, 1]: checked, clamped, in the channel asked for, shaved."""
    if image.shape != reference.shape:
        raise InputError(f"images of shapes {tuple(image.shape)} and {tuple(reference.shape)}, expected equal ones")
    if image.ndim not in (3, 4) or image.shape[-3] not in (1, 3):
        raise InputError(
            f"image of shape {tuple(image.shape)}, expected (N, C, H, W) or (C, H, W) with 1 or 3 channels"
        )
    if channel not in CHANNELS:
        raise InputError(f"channel is {channel!r}, expected one of {', '.join(CHANNELS)}")
    if not (math.isfinite(data_range) and data_range > 0):
        raise InputError(f"data_range is {data_range:g}, expected a positive number such as 1 or 255")
    height, width = image.shape[-2:]
    if shave < 0 or 2 * shave >= min(height, width):
        raise InputError(f"shave is {shave}, expected from 0 to below half of {width}x{height} pixels")
    return tuple(_pixels(pixels, channel, shave, data_range) for pixels in (image, reference))


def _pixels(image: Tensor, channel: str, shave: int, data_range: float) -> Tensor:
    # On the CPU: not every accelerator has double precision.
    image = (image.detach().to("cpu", torch.float64) / data_range).clamp(0, 1)
    if channel == "y":
        image = luminance(image)  # (…, 1, H, W)
    height, width = image.shape[-2:]
    image = image[..., shave : height - shave, shave : width - shave]
    return image.reshape(-1, *image.shape[-3:])  # (N, C, H, W)


def _windowed(image: Tensor) -> Tensor:
    """(N, C, H, W) → (N, C, H − 10, W − 10): the Gaussian mean of every whole window."""
    offsets = torch.arange(WINDOW, dtype=image.dtype) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    weights = (weights / weights.sum()).tolist()
    # Shifted sums: torch's convolution in double precision would first copy the picture once for every tap.
    for dimension in (-2, -1):
        length = image.shape[dimension] - WINDOW + 1
        image = sum(weight * image.narrow(dimension, tap, length) for tap, weight in enumerate(weights))
    return image
