"""JPEG compression and noise of a low-resolution picture: photographs from cameras and from the web have both."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..config import Artifact


def add_artifacts(picture: Tensor, artifacts: Sequence[Artifact], generator: torch.Generator | None = None) -> Tensor:
    """Returns a copy of a picture with noise, then compressed, in the order of `artifacts`.

    Args:
        picture: (C, h, w) in [0, 1], RGB or gray, before it is enlarged.
        artifacts: the strength of each is drawn uniformly from its range.
        generator: of the strengths and of the noise; None for torch's.

    Returns:
        (C, h, w) in [0, 1]; the picture itself where there is nothing to add.
    """
    for artifact in artifacts:
        strength = artifact.low + (artifact.high - artifact.low) * torch.rand((), generator=generator).item()
        if artifact.kind == "noise":
            noise = torch.randn(picture.shape, generator=generator)
            picture = (picture + noise * (strength / 255)).clamp(0, 1)
        else:
            picture = _compress(picture, round(strength))
    return picture


def _compress(picture: Tensor, quality: int) -> Tensor:
    """Compresses a picture with Pillow's JPEG encoder and returns the decompressed picture."""
    levels = (picture.clamp(0, 1) * 255).round().byte().movedim(0, -1).numpy()  # (h, w, C)
    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        compressed = np.asarray(image).reshape(levels.shape).copy()
    return torch.from_numpy(compressed).movedim(-1, 0).float() / 255
