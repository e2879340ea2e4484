"""From a photograph to the pair that everything is trained and measured on; one implementation for all three."""

import math

from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError

SMALLEST, LARGEST = 1.1, 8.0


def check_scale(scale: float) -> float:
    """The scale as a float.

    Raises:
        InputError: outside 1.1 to 8.
    """
    if not (math.isfinite(scale) and SMALLEST <= scale <= LARGEST):
        raise InputError(f"scale is {scale:g}, expected from {SMALLEST:g} to {LARGEST:g}")
    return float(scale)


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(…, C, H, W) → (…, C, *size): bicubic (Keys, a = −0.5) with antialias, as MATLAB's imresize and Pillow have it.

    It overshoots the range of its input; clamping is left to whoever shows, stores or measures the result.
    """
    if size[1] == 1 < size[0]:  # torch 2.15 repeats the first row in every row of a single column
        return resize(image.mT, size[::-1]).mT
    batch = image.reshape(-1, *image.shape[-3:])  # (N, C, H, W)
    resized = F.interpolate(batch, size=size, mode="bicubic", align_corners=False, antialias=True)
    return resized.reshape(*image.shape[:-2], *size)


def low_resolution_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Size of the reduced picture, in pixels: floor(length / scale), at least one pixel."""
    # 0.3 / 0.1 is 2.9999…: a length that is a whole multiple of the scale must not lose a pixel to rounding.
    return tuple(max(1, math.floor(length / scale + 1e-9)) for length in (height, width))


def upscaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Size of the enlarged picture, in pixels: round(length · scale), at least one pixel."""
    # 335 · 2.3 is 770.4999…: a half is rounded up whatever the scale's last bit.
    return tuple(max(1, math.floor(length * scale + 0.5 + 1e-9)) for length in (height, width))


def shave_width(scale: float) -> int:
    """Pixels left out at each border when a picture is measured: ceil(scale)."""
    return math.ceil(scale)


def degrade(original: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Reduce a photograph and bring it back to its size: what the network is given, and what it should have made.

    Args:
        original: (…, C, H, W) in [0, 1].
        scale: from 1.1 to 8, also fractional.

    Returns:
        (upsampled, original), both of one size: the photograph cropped at its right and bottom to
        round(floor(length / scale) · scale), which is the papers' mod-crop for whole scales. Not clamped.

    Raises:
        InputError: a scale outside the range.

    Reference: arXiv 1501.00092, section 4; the README, how quality is measured.
    """
    check_scale(scale)
    height, width = original.shape[-2:]
    reduced = low_resolution_size(height, width, scale)
    height, width = (min(a, b) for a, b in zip(upscaled_size(*reduced, scale), (height, width), strict=True))
    original = original[..., :height, :width]
    low_resolution = resize(original, reduced)  # (…, C, floor(H / s), floor(W / s))
    return resize(low_resolution, (height, width)), original


def low_resolution(original: Tensor, scale: float) -> Tensor:
    """Only the reduced picture of `degrade`: (…, C, H, W) → (…, C, floor(H / s), floor(W / s))."""
    check_scale(scale)
    reduced = low_resolution_size(*original.shape[-2:], scale)
    height, width = upscaled_size(*reduced, scale)
    return resize(original[..., :height, :width], reduced)
