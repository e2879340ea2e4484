"""Parts of a picture, by their size or by their edges; finds the one that is worth showing."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

TYPICAL_SHARE = 0.8  # of the pixels, whose errors count in full in `subject_region`
SUBJECT_HEIGHT = 0.4  # of a photograph, where its subject usually is: a little above the middle
SUBJECT_FOCUS = 6.0  # how fast a place's weight falls with its squared distance from there, in shares of the sides

Box = tuple[int, int, int, int]  # top, left, height, width in pixels


@dataclass(frozen=True)
class Area:
    """The edges of a box in pixels; `bottom` and `right` are not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rows and columns, to index a picture with: `picture[:, *area.slices]`."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def relative_to(self, top: int, left: int) -> Box:
        """Returns the box in a crop that begins at this row and column."""
        return self.top - top, self.left - left, self.height, self.width


def largest_error_region(original: Tensor, upsampled: Tensor, size: tuple[int, int]) -> Box:
    """Returns the box in which the squared error of the bicubic picture is largest, which is rich in detail.

    The network's output plays no part, so that a figure's zoom does not depend on it.

    Args:
        original: (C, H, W), the photograph.
        upsampled: (C, H, W), its bicubic picture.
        size: (height, width) of the box in pixels; a smaller picture gives a smaller box.
    """
    height, width = _size_inside(original, size)
    errors = _box_sums((original - upsampled).square().mean(0).double(), height, width)
    return *divmod(int(errors.argmax()), errors.shape[1]), height, width


def subject_region(original: Tensor, upsampled: Tensor, size: tuple[int, int]) -> Box:
    """Returns the box of a photograph's likely subject: near the middle, where bicubic loses detail in many places.

    The largest error of all is often on lettering, a badge or a rim. So a pixel's squared error counts no more than
    most pixels' do, and places are weighted by a bell around a point a little above the middle. `subjectPlace` of
    picture.js does the same.

    Args:
        original: (C, H, W), the photograph.
        upsampled: (C, H, W), its bicubic picture.
        size: (height, width) of the box in pixels; a smaller picture gives a smaller box.
    """
    height, width = _size_inside(original, size)
    error = (original - upsampled).square().mean(0)  # (H, W)
    some = error.flatten()[:: 1 + error.numel() // 100_000].sort().values
    most = max(float(some[int(TYPICAL_SHARE * len(some))]), float(error.double().mean()))  # the mean: of a flat picture
    errors = _box_sums(error.clamp(max=most).double(), height, width)  # (H − h + 1, W − w + 1)
    down, across = (
        (torch.arange(places) + length / 2) / whole
        for places, length, whole in zip(errors.shape, (height, width), error.shape, strict=True)
    )
    distance = (down[:, None] - SUBJECT_HEIGHT).square() + (across - 0.5).square()
    weighted = errors * (-SUBJECT_FOCUS * distance.double()).exp()
    return *divmod(int(weighted.argmax()), errors.shape[1]), height, width


def region_around(center: tuple[int, int], picture: Tensor, size: tuple[int, int]) -> Box:
    """Returns a box around a point (row, column) of a picture (C, H, W), moved inside where it would not fit."""
    height, width = _size_inside(picture, size)
    top, left = (
        min(max(0, point - length // 2), whole - length)
        for point, length, whole in zip(center, (height, width), picture.shape[-2:], strict=True)
    )
    return top, left, height, width


def _size_inside(picture: Tensor, size: tuple[int, int]) -> tuple[int, int]:
    return min(size[0], picture.shape[-2]), min(size[1], picture.shape[-1])


def _box_sums(values: Tensor, height: int, width: int) -> Tensor:
    """Returns the sum of values (H, W) over the box that begins at each place, (H − height + 1, W − width + 1)."""
    # Each is four entries of the cumulative sums. Pooling would add up the whole box at each place.
    sums = F.pad(values.cumsum(0).cumsum(1), [1, 0, 1, 0])  # (H + 1, W + 1)
    lower, upper = sums[height:], sums[:-height]
    return lower[:, width:] - lower[:, :-width] - upper[:, width:] + upper[:, :-width]
