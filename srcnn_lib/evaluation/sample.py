"""A photograph degraded for a network: the network's input, and its output as a picture and as scores."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..config import Artifact
from ..data.color import from_network_channels, luminance, to_network_channels
from ..data.degradation import degrade, shave_width
from ..data.images import to_rgb_pixels
from ..errors import InputError
from ..inference.options import InferenceOptions
from ..inference.upscaling import reconstruct
from ..metrics import WINDOW, Scores, psnr, psnr_text, ssim
from ..model import SRCNN
from ..runtime.console import Progress

MAX_PIXELS = 1920 * 1080  # of a photograph whose feature maps, or frames, are held as a whole


class Sample:
    """A photograph, downscaled and upscaled again by bicubic interpolation, for a network to restore.

    Args:
        photograph: (C, H, W) in [0, 1], RGB or gray.
        model: a network; another network can be used later, if it works on the same channels (a run's snapshots do).
        scale: the factor by which the photograph is downscaled; None for the network's own scale.
        max_pixels: the largest photograph that is accepted; None for any size.
        artifacts: compression and noise that are added to the low-resolution picture, always the same ones.
        pair: makes the bicubic picture and the cropped original in place of the reduction, as
            `LowResolutionPictures.pair` does.

    Attributes:
        original: (C, H, W) the photograph, cropped as `degrade` does.
        upsampled: (C, H, W) the bicubic picture, not clamped.
        network_input: `upsampled` in the network's channels: Y for one, RGB (or three times gray) for three.

    Raises:
        InputError: a photograph of more than `max_pixels`, or a scale outside 1.1 to 8.
    """

    def __init__(
        self,
        photograph: Tensor,
        model: SRCNN,
        scale: float | None = None,
        max_pixels: int | None = MAX_PIXELS,
        *,
        artifacts: Sequence[Artifact] = (),
        pair: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
    ):
        height, width = photograph.shape[-2:]
        if max_pixels is not None and height * width > max_pixels:
            raise InputError(
                f"a picture of {width}x{height} is too large, expected up to {max_pixels:,} pixels; "
                "take a part, such as crop 512"
            )
        self.scale = model.scale if scale is None else scale
        if pair:
            self.upsampled, self.original = pair(photograph)
        else:
            generator = torch.Generator().manual_seed(0)
            self.upsampled, self.original = degrade(photograph, self.scale, artifacts, generator)
        self.network_input = to_network_channels(self.upsampled, model.channels)
        # Pixels left out at each border when measuring; none where nothing would remain.
        shave = shave_width(self.scale)
        self._shave = shave if min(self.original.shape[-2:]) > 2 * shave else 0

    def reconstruct(
        self,
        model: SRCNN,
        options: InferenceOptions = InferenceOptions(),
        progress: Progress | None = None,
    ) -> Tensor:
        """Returns the network's output for `network_input`, (channels, H, W), not clamped."""
        return reconstruct(self.network_input, model, options, progress=progress)

    def to_image(self, output: Tensor) -> Tensor:
        """Converts a network's output to a picture in the photograph's own channels, (C, H, W) in [0, 1]."""
        return from_network_channels(output, self.upsampled).clamp(0, 1)

    def to_pixels(self, output: Tensor) -> np.ndarray:
        """Converts a network's output to (H, W, 3) uint8; a Y network's output gets bicubic's color."""
        return to_rgb_pixels(self.to_image(output)).numpy()

    def scores(self, output: Tensor) -> Scores:
        """Measures a network's output against the photograph.

        Y is the output itself where the network works on luminance: it does not pass through RGB first.
        """
        image = self.to_image(output)
        return self._scores(self._network_y(output, image), image)

    def luminance_error(self, output: Tensor) -> Tensor:
        """Returns the error on Y of a network's output, (H, W) float64: not clamped, and no border is left out.

        The error of the bicubic picture is that of `network_input`.
        """
        output = output.detach().cpu().double()
        y = output if len(output) == 1 else luminance(from_network_channels(output, self.upsampled))
        return (y - luminance(self.original.double()))[0]

    @cached_property
    def bicubic_scores(self) -> Scores:
        """The scores of the bicubic picture."""
        return self._scores(luminance(self.upsampled), self.upsampled)

    def psnr_label(self, output: Tensor) -> str:
        """Returns "33.71 dB (+0.62)": the output's PSNR on Y, and its gain over bicubic."""
        return psnr_text(self.psnr_y(output), self._bicubic_psnr_y)

    def psnr_y(self, output: Tensor) -> float:
        """Returns the PSNR on Y of a network's output, in dB; `scores` measures the rest as well."""
        return self._psnr_y(self.output_y(output))

    @cached_property
    def _bicubic_psnr_y(self) -> float:
        return self._psnr_y(luminance(self.upsampled))

    @cached_property
    def _original_y(self) -> Tensor:
        return luminance(self.original)

    def output_y(self, output: Tensor) -> Tensor:
        """Returns the luminance of a network's output, (1, H, W), on which PSNR is measured."""
        return self._network_y(output, self.to_image(output))

    def _network_y(self, output: Tensor, image: Tensor) -> Tensor:
        return output if output.shape[0] == 1 else luminance(image)

    def _psnr_y(self, y: Tensor) -> float:
        return psnr(y, self._original_y, shave=self._shave).item()

    def _scores(self, y: Tensor, image: Tensor) -> Scores:
        too_small = min(y.shape[-2:]) - 2 * self._shave < WINDOW
        return Scores(
            psnr_y=self._psnr_y(y),
            ssim_y=math.nan if too_small else ssim(y, self._original_y, shave=self._shave).item(),
            psnr_rgb=psnr(image, self.original, shave=self._shave).item(),
        )


def mean_scores(scores: list[Scores]) -> Scores:
    """Returns the mean of each figure; a photograph too small for SSIM (nan) does not count there."""

    def mean(values: list[float]) -> float:
        known = [value for value in values if not math.isnan(value)]
        return sum(known) / len(known) if known else math.nan

    names = [field.name for field in dataclasses.fields(Scores)]
    return Scores(**{name: mean([getattr(one, name) for one in scores]) for name in names})
