"""RGB, YCbCr and luminance (ITU-R BT.601), and how Y and RGB networks see color and gray pictures."""

import numpy as np
import torch
from torch import Tensor

# BT.601, studio range: rows for Y, Cb and Cr, from RGB in [0, 1] to levels of 0…255, divided by 255.
TO_YCBCR = np.array([(65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214)]) / 255
OFFSET = np.array([16.0, 128.0, 128.0]) / 255
LUMA = (0.299, 0.587, 0.114)  # BT.601, full range: equal red, green and blue keep their value


def rgb_to_ycbcr(image: Tensor) -> Tensor:
    """Converts (…, 3, H, W) RGB in [0, 1] to YCbCr, studio range / 255: Y from 16 to 235, Cb and Cr from 16 to 240.

    Reference: ITU-R BT.601; the constants of MATLAB's rgb2ycbcr.
    """
    return _transform(image, TO_YCBCR, OFFSET)


def ycbcr_to_rgb(image: Tensor) -> Tensor:
    """Inverts `rgb_to_ycbcr`: (…, 3, H, W) → RGB, not clamped, since not every YCbCr value is a color."""
    matrix = np.linalg.inv(TO_YCBCR)
    return _transform(image, matrix, -matrix @ OFFSET)


def luminance(image: Tensor) -> Tensor:
    """Returns the Y of `rgb_to_ycbcr`: (…, 3, H, W) → (…, 1, H, W). A gray image (…, 1, H, W) is returned as it is."""
    if image.shape[-3] == 1:
        return image
    return _transform(image, TO_YCBCR[:1], OFFSET[:1])


def to_network_channels(image: Tensor, channels: int) -> Tensor:
    """Converts a picture to the channels that a network works on.

    Args:
        image: (…, 1, H, W) gray or (…, 3, H, W) RGB, in [0, 1].
        channels: 1 for a network on luminance (Y), 3 for one on RGB.

    Returns:
        (…, channels, H, W): the luminance, or RGB, which for a gray picture is three equal channels (a view).
    """
    if channels == 1:
        return luminance(image)
    return image.expand(*image.shape[:-3], 3, -1, -1)


def from_network_channels(output: Tensor, image: Tensor) -> Tensor:
    """Converts a network's output back to the channels of the picture that the network was given.

    A Y network on a color picture restores luminance only: the result takes Cb and Cr from `image`, the bicubic
    picture. An RGB network on a gray picture gives three channels: the result is their luma, which is gray again.

    Args:
        output: (…, 1, H, W) or (…, 3, H, W), what the network returned for `to_network_channels(image, …)`.
        image: (…, 1, H, W) gray or (…, 3, H, W) RGB, in [0, 1].

    Returns:
        Shaped like `image`, on the device of `output`, not clamped.
    """
    if output.shape[-3] == image.shape[-3]:
        return output
    if image.shape[-3] == 3:
        chrominance = rgb_to_ycbcr(image.to(output.device))[..., 1:, :, :]  # (…, 2, H, W)
        return ycbcr_to_rgb(torch.cat([output, chrominance], dim=-3))
    red, green, blue = output.split(1, dim=-3)
    return LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue


def output_luminance(output_channels: int, image_channels: int) -> tuple[Tensor, float]:
    """Returns how the luminance of a network's result follows from its output: Y = Σ weights · output + offset.

    It equals `luminance(from_network_channels(output, image))` for an RGB network, and is the output itself for a Y
    network. It is not clamped.

    Args:
        output_channels: of the network, 1 (Y) or 3 (RGB).
        image_channels: of the picture that it restores, 1 (gray) or 3 (RGB).

    Returns:
        (output_channels,) float64, and the offset.
    """
    if output_channels == 1:
        return torch.ones(1, dtype=torch.float64), 0.0
    if image_channels == 1:
        return torch.tensor(LUMA, dtype=torch.float64), 0.0
    return torch.from_numpy(TO_YCBCR[0].copy()), float(OFFSET[0])


def _transform(image: Tensor, matrix: np.ndarray, offset: np.ndarray) -> Tensor:
    """Applies a color matrix with plain float sums: on a GPU a matrix product may run in TF32, which keeps 10 bits."""
    if image.ndim < 3 or image.shape[-3] != 3:
        raise ValueError(f"image is {tuple(image.shape)}, expected (…, 3, H, W)")
    channels = image.unbind(-3)
    rows = [sum(w * c for w, c in zip(row, channels, strict=True)) for row in matrix.tolist()]
    return torch.stack([row + shift for row, shift in zip(rows, offset.tolist(), strict=True)], dim=-3)
