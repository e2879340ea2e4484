"""The bicubic enlargement of a picture, a band of rows at a time: as a whole it need never be there."""

import torch
from torch import Tensor

from ..data.degradation import check_scale, resize, upscaled_size
from ..data.images import Picture

OVERSHOOT = 0.28  # how far a bicubic enlargement can leave the range of its input, in both dimensions together


class BicubicEnlargement:
    """A picture's bicubic enlargement, of which any rows can be had. On the CPU, not clamped.

    size: (H, W) of it, in pixels.

    Raises:
        InputError: a scale outside 1.1 to 8.
    """

    def __init__(self, picture: Picture, scale: float):
        self.pixels, self.alpha = (
            None if image is None else image.detach().cpu().float() for image in (picture.pixels, picture.alpha)
        )
        self.size = upscaled_size(*self.pixels.shape[-2:], check_scale(scale))

    def rows(self, top: int, bottom: int) -> tuple[Tensor, Tensor | None]:
        """(C, bottom − top, W) color and (1, bottom − top, W) alpha, if there is any.

        Color under alpha is enlarged premultiplied: what an invisible pixel is painted with must not leak over the
        edge.
        """
        plain = self._enlarged(top, bottom, lambda first, last: self.pixels[:, first:last])
        if self.alpha is None:
            return plain, None
        alpha = self._enlarged(top, bottom, lambda first, last: self.alpha[:, first:last])
        premultiplied = self._enlarged(
            top, bottom, lambda first, last: self.pixels[:, first:last] * self.alpha[:, first:last]
        )
        # Near zero the quotient is noise, which the network would spread over its halo.
        color = (premultiplied / alpha).clamp(-OVERSHOOT, 1 + OVERSHOOT)
        return torch.where(alpha > 1 / 255, color, plain), alpha

    def _enlarged(self, top: int, bottom: int, given) -> Tensor:
        """Rows of what `degradation.resize` makes of the picture whose rows `given(first, last)` gives: the same bits.

        Across, `resize` does it. Down, its weights in a band depend on where the band lies, so they are read off it:
        they are what it makes of pictures with a single row of light.
        """
        height, (large, width) = self.pixels.shape[-2], self.size
        if (top, bottom) == (0, large):
            return resize(given(0, height), self.size)
        # The kernel reaches two rows; one more for rounding.
        first, last = max(0, top * height // large - 3), min(height, bottom * height // large + 4)
        light = torch.zeros(1, height, last - first)
        light[0, first:last] = torch.eye(last - first)
        weights = resize(light, (large, last - first))[0, top:bottom]  # (rows, rows of the picture)
        return weights @ resize(given(first, last), (last - first, width))
