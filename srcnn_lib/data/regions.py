"""Parts of a picture, by their size or by their edges; finds the one that is worth showing."""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

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
    height, width = (min(side, length) for side, length in zip(size, original.shape[-2:], strict=True))
    error = (original - upsampled).square().mean(0).double()  # (H, W)
    # The sum over a box is four entries of the cumulative sums. Pooling would add up the whole box at each place.
    sums = F.pad(error.cumsum(0).cumsum(1), [1, 0, 1, 0])  # (H + 1, W + 1)
    lower, upper = sums[height:], sums[:-height]
    errors = lower[:, width:] - lower[:, :-width] - upper[:, width:] + upper[:, :-width]  # (H − h + 1, W − w + 1)
    top, left = divmod(int(errors.argmax()), errors.shape[1])
    return top, left, height, width
