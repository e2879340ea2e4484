"""RGB, YCbCr and luminance (ITU-R BT.601, studio range)."""

import numpy as np
import torch
from torch import Tensor

# BT.601, studio range: rows for Y, Cb and Cr, from RGB in [0, 1] to levels of 0…255.
TO_YCBCR = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))


OFFSET = (16.0, 128.0, 128.0)


def rgb_to_ycbcr(image: Tensor) -> Tensor:
    """(…, 3, H, W) RGB in [0, 1] → YCbCr of BT.601, studio range / 255: Y from 16 to 235, Cb and Cr from 16 to 240.

    Reference: ITU-R BT.601; the constants of MATLAB's rgb2ycbcr.
    """
    matrix = np.array(TO_YCBCR) / 255
    return _mixed(image, matrix, np.array(OFFSET) / 255)


def ycbcr_to_rgb(image: Tensor) -> Tensor:
    """(…, 3, H, W) YCbCr as `rgb_to_ycbcr` gives it → RGB; not clamped: not every YCbCr is a color."""
    matrix = np.linalg.inv(np.array(TO_YCBCR) / 255)
    return _mixed(image, matrix, -matrix @ np.array(OFFSET) / 255)


def with_luminance(image: Tensor, y: Tensor) -> Tensor:
    """(…, 3, H, W) with `y` (…, 1, H, W) for its luminance: what a Y network makes, in bicubic's colors."""
    return ycbcr_to_rgb(torch.cat([y, rgb_to_ycbcr(image)[..., 1:, :, :]], dim=-3))


def luminance(image: Tensor) -> Tensor:
    """(…, 3, H, W) RGB → (…, 1, H, W), the Y of `rgb_to_ycbcr`; a grey image (…, 1, H, W) is its own."""
    if image.shape[-3] == 1:
        return image
    return _mixed(image, np.array(TO_YCBCR[:1]) / 255, np.array(OFFSET[:1]) / 255)


def _mixed(image: Tensor, matrix: np.ndarray, offset: np.ndarray) -> Tensor:
    """Sums in plain float arithmetic: a matrix product may run in TF32 on a GPU, which keeps 10 bits."""
    if image.ndim < 3 or image.shape[-3] != 3:
        raise ValueError(f"image is {tuple(image.shape)}, expected (…, 3, H, W)")
    channels = image.unbind(-3)
    rows = [sum(w * c for w, c in zip(row, channels, strict=True)) for row in matrix.tolist()]
    return torch.stack([row + shift for row, shift in zip(rows, offset.tolist(), strict=True)], dim=-3)
