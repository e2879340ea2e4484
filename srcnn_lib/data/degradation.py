"""Makes the pair of a photograph and its bicubic copy, on which networks are trained, validated and measured."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import Artifact
from ..errors import InputError
from .artifacts import add_artifacts

SMALLEST, LARGEST = 1.1, 8.0  # scales of training and of measuring
SMALLEST_ENLARGEMENT = 0.1  # an enlargement by 1 is a network that sharpens; below 1 the picture becomes smaller


def check_scale(scale: float) -> float:
    """Returns the scale as a float.

    Raises:
        InputError: it is outside 1.1 to 8.
    """
    return _check_range(scale, SMALLEST)


def check_enlargement(scale: float) -> float:
    """Returns the scale of an enlargement as a float.

    Raises:
        InputError: it is outside 0.1 to 8.
    """
    return _check_range(scale, SMALLEST_ENLARGEMENT)


def _check_range(scale: float, smallest: float) -> float:
    if not (math.isfinite(scale) and smallest <= scale <= LARGEST):
        raise InputError(f"scale is {scale:g}, expected from {smallest:g} to {LARGEST:g}")
    return float(scale)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resizes with bicubic interpolation (Keys, a = −0.5) and antialiasing, as MATLAB's imresize and Pillow do.

    The result may overshoot the range of the image. It is not clamped.

    Args:
        image: (…, C, H, W).
        size: (height, width) of the result, in pixels.

    Returns:
        (…, C, height, width).
    """
    height, width = size
    if width == 1 and height > 1:  # torch 2.15 repeats the first row in every row of a single column
        return resize(image.mT, (width, height)).mT
    batch = image.reshape(-1, *image.shape[-3:])  # (N, C, H, W)
    resized = F.interpolate(batch, size=size, mode="bicubic", align_corners=False, antialias=True)
    return resized.reshape(*image.shape[:-2], *size)


def low_resolution_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Returns the size of the reduced picture, in pixels: floor(length / scale), at least one pixel."""
    return _floor(height / scale), _floor(width / scale)


def upscaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Returns the size of the enlarged picture, in pixels: round(length · scale), at least one pixel."""
    return _floor(height * scale + 0.5), _floor(width * scale + 0.5)


def _floor(length: float) -> int:
    # 0.3 / 0.1 is 2.9999… and 335 · 2.3 is 770.4999…: the last bit of the scale must not cost a pixel.
    return max(1, math.floor(length + 1e-9))


def shave_width(scale: float) -> int:
    """Returns the number of pixels at each border that a metric leaves out: ceil(scale)."""
    return math.ceil(scale)


def degrade(
    original: Tensor,
    scale: float,
    artifacts: Sequence[Artifact] = (),
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Reduces a photograph and enlarges it to its size again: the input and the target of a network.

    Args:
        original: (…, C, H, W) in [0, 1]; (C, H, W) with artifacts.
        scale: from 1.1 to 8, also fractional.
        artifacts: compression and noise that are added to the reduced picture.
        generator: of the strengths of the artifacts; None for torch's.

    Returns:
        (upsampled, original), both of one size: the photograph is cropped at its right and bottom to
        round(floor(length / scale) · scale), which is the papers' mod-crop for whole scales. Not clamped.

    Raises:
        InputError: a scale outside the range.

    Reference: arXiv 1501.00092, section 4; the protocol under the results in README.md.
    """
    low_resolution, original = _reduce(original, scale)
    low_resolution = add_artifacts(low_resolution, artifacts, generator)
    height, width = original.shape[-2:]  # of the cropped photograph
    return resize(low_resolution, (height, width)), original


def downscale(original: Tensor, scale: float) -> Tensor:
    """Returns only the reduced picture of `degrade`: (…, C, H, W) → (…, C, floor(H / scale), floor(W / scale)).

    Raises:
        InputError: a scale outside the range.
    """
    return _reduce(original, scale)[0]


def _reduce(original: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Returns the reduced picture, and the photograph cropped to what `scale` enlarges that to."""
    check_scale(scale)
    height, width = original.shape[-2:]
    size = low_resolution_size(height, width, scale)
    height, width = upscaled_size(*size, scale)
    original = original[..., :height, :width]
    return resize(original, size), original
