"""MSE, PSNR and SSIM of a picture against a reference, in double precision, one value per image.

The papers measure luminance without the border: channel="y" and `shave`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .data.color import luminance
from .errors import InputError

CHANNELS = ("rgb", "y")
WINDOW, SIGMA = 11, 1.5  # of SSIM's Gaussian, in pixels
K1, K2 = 0.01, 0.03  # keep SSIM finite where a window is dark or flat


@dataclass(frozen=True)
class Scores:
    """The scores of a picture against the original, or their mean over several pictures.

    Args:
        psnr_y: PSNR on Y in dB; inf for equal pictures.
        ssim_y: SSIM on Y; nan for a picture that is smaller than SSIM's window.
        psnr_rgb: PSNR on RGB in dB; of a gray picture, its gray PSNR.
    """

    psnr_y: float
    ssim_y: float
    psnr_rgb: float


def psnr_text(value: float, bicubic: float = math.nan) -> str:
    """Returns "33.71 dB (+0.62)": a PSNR, and its gain over bicubic's where that is given and finite."""
    if math.isinf(value):
        return "∞ dB"
    text = f"{value:.2f} dB"
    if math.isfinite(gain := value - bicubic):
        text += f" ({round(gain, 2) + 0.0:+.2f})"  # + 0.0: never "-0.00"
    return text.replace("-", "−")


def mse(image: Tensor, reference: Tensor, channel: str = "rgb", shave: int = 0, data_range: float = 1.0) -> Tensor:
    """Computes the mean squared error of each image, over its pixels and channels.

    Args:
        image: (N, C, H, W) or (C, H, W), C = 1 or 3, in [0, data_range]; it is clamped to that range.
        reference: an image of the same shape, clamped as well.
        channel: "rgb" measures the pixels as they are, "y" their luminance (BT.601, studio range). For a gray image,
            which is its own luminance, both are the same.
        shave: pixels to leave out at each border.
        data_range: the value of white: 1, or 255 for 8-bit values.

    Returns:
        (N,) in double precision on the CPU, in units of data_range²; N = 1 for (C, H, W).

    Raises:
        InputError: images of different or wrong shapes, a shave that leaves no pixel, or an unknown channel.
    """
    return _squared_error(image, reference, channel, shave, data_range) * data_range**2


def psnr(image: Tensor, reference: Tensor, channel: str = "rgb", shave: int = 0, data_range: float = 1.0) -> Tensor:
    """Computes the peak signal-to-noise ratio of each image: 10 log10(data_range² / MSE). Higher is better.

    The papers report the mean over the images of the PSNR with channel="y" and shave=ceil(scale).

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
    """Computes the structural similarity of each image: the mean over windows, then over channels. 1 for equal images.

    The window is a Gaussian of 11×11 pixels with sigma 1.5; only whole windows count. K1 = 0.01, K2 = 0.03.

    Args:
        image, reference, channel, shave, data_range: as in `mse`; at least 11 pixels on each side after the shave.

    Returns:
        (N,) in [−1, 1], in double precision.

    Raises:
        InputError: as `mse`, or images smaller than the window.

    Reference: Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment, IEEE TIP 13(4), 2004.
    """
    from skimage.metrics import structural_similarity

    image, reference = _prepared(image, reference, channel, shave, data_range)  # (N, C, H, W)
    height, width = image.shape[-2:]
    if min(height, width) < WINDOW:
        needed = WINDOW + 2 * shave
        raise InputError(
            f"SSIM of {width + 2 * shave}x{height + 2 * shave} pixels with shave {shave}: the window needs at least "
            f"{needed}x{needed}"
        )
    means = []
    border = WINDOW // 2  # there the window reaches beyond the image
    for x, y in zip(image.flatten(0, 1).numpy(), reference.flatten(0, 1).numpy(), strict=True):
        _, similarity = structural_similarity(
            x, y, data_range=1, gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False, K1=K1, K2=K2, full=True
        )  # (H, W)
        means.append(similarity[border : height - border, border : width - border].mean())
    return torch.tensor(means, dtype=torch.float64).view(image.shape[:2]).mean(dim=1)  # (N,)


def _squared_error(image: Tensor, reference: Tensor, channel: str, shave: int, data_range: float) -> Tensor:
    """Computes the mean squared error divided by data_range², (N,)."""
    image, reference = _prepared(image, reference, channel, shave, data_range)
    return (image - reference).square().mean(dim=(1, 2, 3))


def _prepared(image: Tensor, reference: Tensor, channel: str, shave: int, data_range: float) -> tuple[Tensor, Tensor]:
    """Checks both images and converts them to (N, C, H, W) doubles in [0, 1]: clamped, one channel for Y, shaved."""
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

    def prepared(pixels: Tensor) -> Tensor:
        # On the CPU: not every accelerator has double precision.
        pixels = (pixels.detach().to("cpu", torch.float64) / data_range).clamp(0, 1)
        if channel == "y":
            pixels = luminance(pixels)  # (…, 1, H, W)
        pixels = pixels[..., shave : height - shave, shave : width - shave]
        return pixels.reshape(-1, *pixels.shape[-3:])  # (N, C, H, W)

    return prepared(image), prepared(reference)
