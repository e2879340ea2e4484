"""A photograph as a network gets it, and what the network makes of it as it is shown and measured."""

import math

import numpy as np
import torch
from torch import Tensor

from .. import metrics
from ..data.color import luminance, rgb_to_ycbcr, ycbcr_to_rgb
from ..data.degradation import degrade, shave_of
from ..errors import InputError
from ..inference.upscaling import LUMA
from ..model import SRCNN

PIXELS = 1920 * 1080  # of a photograph, whose feature maps are held whole


class Sample:
    """A photograph (C, H, W) in [0, 1], RGB or grey, for any network of a run.

    seen: (C, H, W), the bicubic picture with the network's channels: Y for one, RGB (or three greys) for three.

    Raises:
        InputError: a photograph of more than 1920 · 1080 pixels.
    """

    def __init__(self, original: Tensor, model: SRCNN):
        if original.shape[-2] * original.shape[-1] > PIXELS:
            size = f"{original.shape[-1]}x{original.shape[-2]}"
            raise InputError(
                f"a picture of {size} is too large, expected up to {PIXELS:,} pixels; take a part, such as crop 512"
            )
        self.upsampled, original = degrade(original, model.scale)
        y = luminance(self.upsampled)
        self.seen = y if model.channels == 1 else self.upsampled.expand(3, -1, -1)
        self._color = rgb_to_ycbcr(self.upsampled)[1:] if len(original) > model.channels else None
        self._truth = luminance(original)
        self._shave = shave_of(model.scale) if min(y.shape[-2:]) > 2 * shave_of(model.scale) else 0
        self._bicubic = self._psnr(y)

    def pixels(self, made: Tensor) -> np.ndarray:
        """What a network made of `seen` → (H, W, 3) uint8; of a Y network with the color of bicubic."""
        if self._color is not None:
            made = ycbcr_to_rgb(torch.cat([made, self._color]))
        return (self._plain(made) * 255).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()

    def decibels(self, made: Tensor) -> str:
        """33.71 dB (+0.62): PSNR on Y, and what it gains over bicubic."""
        psnr = self._psnr(luminance(self._plain(made)))
        if math.isinf(psnr):
            return "∞ dB"
        if not math.isfinite(gain := psnr - self._bicubic):
            return f"{psnr:.2f} dB"
        return f"{psnr:.2f} dB ({round(gain, 2) + 0.0:+.2f})".replace("-", "−")

    def _plain(self, made: Tensor) -> Tensor:
        """Clamped; an RGB network's view of a grey picture is grey again."""
        if len(made) > len(self.upsampled):
            made = sum(weight * plane for weight, plane in zip(LUMA, made.split(1), strict=True))
        return made.clamp(0, 1)

    def _psnr(self, y: Tensor) -> float:
        return metrics.psnr(y, self._truth, "y", self._shave).item()
