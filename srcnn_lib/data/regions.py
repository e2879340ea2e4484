"""Regions of a picture that are worth showing."""

from torch import Tensor
from torch.nn import functional as F

Box = tuple[int, int, int, int]  # top, left, height, width in pixels


def largest_error_region(original: Tensor, upsampled: Tensor, size: tuple[int, int]) -> Box:
    """The box of `size` (height, width) in which the squared error of `upsampled` is largest: the richest in detail.

    It looks at the bicubic picture only, so that a figure's zoom does not depend on what the network did.
    """
    size = tall, wide = tuple(min(a, b) for a, b in zip(size, original.shape[-2:], strict=True))
    error = (original - upsampled).square().mean(0).double()  # (H, W)
    # Sums up to each corner: what a pooling would take by the box's area is done by four of them.
    sums = F.pad(error.cumsum(0).cumsum(1), [1, 0, 1, 0])  # (H + 1, W + 1)
    below, above = sums[tall:], sums[:-tall]
    losses = below[:, wide:] - below[:, :-wide] - above[:, wide:] + above[:, :-wide]  # (H − tall + 1, W − wide + 1)
    top, left = divmod(int(losses.argmax()), losses.shape[1])
    return top, left, *size
