"""What it costs to restore a picture in patches: where their borders show, and how many dB are lost.

A patch that is run alone gets its own edge pixels in place of what lies around it, so its outer pixels differ from a
pass over the whole picture; those farther than `halo` pixels from its border do not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..evaluation.sample import Sample
from ..inference.options import InferenceOptions
from ..inference.patches import positions
from ..model import SRCNN
from ..runtime.console import Progress

NO_BORDER = 1_000_000  # pixels: the distance to a border that is not there


@dataclass(frozen=True)
class Seams:
    """A picture restored in patches, compared with a pass over the whole picture; PSNR on Y, nothing clamped or shaved.

    Attributes:
        difference: (C, H, W) float64, in patches minus whole, in the network's channels.
        psnr_whole, psnr_patches: dB.
        depth: (H, W) int, distance in pixels of each pixel to its patch's border, 0 beside it; `beyond` where the
            patch ends with the picture, or farther than the network reaches. None for overlapping patches.
        rms: (beyond + 1,), root mean square of the difference on Y by depth; from the halo on 0, up to the
            rounding of float32. None as above.
        excess: (beyond + 1,), what the pixels of each depth add to the mean squared error. They add up to the
            difference of both mean squared errors. None as above.
    """

    difference: Tensor
    psnr_whole: float
    psnr_patches: float
    depth: Tensor | None
    rms: Tensor | None
    excess: Tensor | None

    @property
    def lost_db(self) -> float:
        """What is lost by restoring in patches."""
        return self.psnr_whole - self.psnr_patches


def find_seams(
    model: SRCNN, sample: Sample, options: InferenceOptions | None = None, progress: Progress | None = None
) -> Seams:
    """Compares a picture restored in patches with a pass over the whole picture; both run as `upscale` runs them.

    Args:
        model: the network.
        sample: the photograph.
        options: mode "non-overlapping" (the default) or "overlapping", and the patch.
        progress: called as progress(done, total), in patches.

    Raises:
        InputError: mode "whole", which has no seams.
    """
    options = options or InferenceOptions("non-overlapping")
    if options.mode == "whole":
        raise InputError("mode is 'whole', which has no seams; expected non-overlapping or overlapping")
    whole = sample.reconstruct(model).double()
    patches = sample.reconstruct(model, options, progress).double()
    errors = [sample.luminance_error(output) for output in (whole, patches)]
    depth = rms = excess = None
    if options.mode == "non-overlapping":
        height, width = whole.shape[-2:]
        depth = patch_depth(height, width, options.patch).clamp_max(model.halo)
        place = depth.flatten()
        count = torch.bincount(place, minlength=model.halo + 1)
        squared, added = (
            torch.zeros(model.halo + 1, dtype=torch.float64).index_add(0, place, values.flatten())
            for values in ((errors[1] - errors[0]).square(), errors[1].square() - errors[0].square())
        )
        rms = (squared / count.clamp_min(1)).sqrt()
        excess = added / place.numel()
    psnr_whole, psnr_patches = (-10 * float(error.square().mean().log10()) for error in errors)
    return Seams(patches - whole, psnr_whole, psnr_patches, depth, rms, excess)


def patch_depth(height: int, width: int, patch: int) -> Tensor:
    """Returns each pixel's distance to the border of its non-overlapping patch, (H, W) int, 0 beside the border.

    A patch's border that is the picture's border does not count: beyond it both get the same repeated pixels.
    """
    down, across = (_depth(length, patch) for length in (height, width))
    return torch.minimum(down[:, None], across[None])


def _depth(length: int, patch: int) -> Tensor:
    """Returns the distance to the patch's border in one dimension, (length,)."""
    place = torch.arange(length)
    starts = torch.tensor(positions(length, patch, patch))
    start = starts[torch.searchsorted(starts, place, right=True) - 1]  # of two patches the later one counts
    before = torch.where(start > 0, place - start, NO_BORDER)
    after = torch.where(start + patch < length, start + patch - 1 - place, NO_BORDER)
    return torch.minimum(before, after)
