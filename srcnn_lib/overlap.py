"""Overlapping patches at stride 1, exact, without running each patch.

Every patch × patch window of the image is run alone, over its own edge-replicated surround, and each pixel is the mean
of all values it got. One dimension at a time, for filter sizes f₁, f₂, f₃ with halves h₁, h₂, h₃ and a patch that
begins at pixel s (its last rows are its first ones in the mirrored image, so only one border need be thought of):

Layer 1. Row s + d of a patch, d ≥ −(h₂ + h₃), is Σₖ w₁[k] · x[s + max(0, d + k − h₁)]. For d ≥ h₁ it is the image's own
row: no border is felt. Below that, the taps beyond the border fold onto pixel s: halo = h₁ + h₂ + h₃ more classes of row,
each with a kernel of its own. With the far border that is 17 classes for 9-5-5, and 289 maps in two dimensions.
Layer 2. Row s + e, e ≥ −h₃, takes rows d = e − h₂ … e + h₂. From e = a = max(h₁ + h₂, h₃) on (a = 6) these are all the
image's own; rows −h₃ … a − 1 are a + h₃ = 8 classes. For a fixed s they are a valid convolution along d, so the minimal
filtering algorithm F(m, f₂) of Toom and Cook applies: m rows cost m + f₂ − 1 products in place of m · f₂.
Layer 3 is linear, so the sum over patches moves in front of it. Tap k takes row s + e to pixel p = s + e + h₃ − k, of the
patch only where p ≥ s. With j = e + h₃: tap k is given the sum of the rows j ≥ k, each at u = s + j, and p = u − k. The
rows inside (a away from both borders) enter with the number of patches that have them inside.

A dimension thus has three *parts*: border, inside, mirrored border; a product of two parts is one piece of the work. For
9-5-5 layer 2 needs 65 products a dimension where taps of equal rows are shared, and 2 · 16 + 2 = 34 with F(4, 5): 1 156 of
its 128 × 64 matrices a pixel, where a 33×33 patch run alone needs 37² · 25 = 34 225. See `multiplications`.

References: Dong et al., arXiv 1501.00092, section 3.1, for the network; Winograd, Arithmetic Complexity of Computations,
1980, and Lavin and Gray, arXiv 1509.09308, for the minimal filtering algorithm.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .errors import InputError
from .model import SRCNN

BLOCK = 16  # positions a side that are worked on at once: 256 columns for the matrix products, some 50 MB
GROUP = 2  # border classes side by side that share a product: fewer products, against some taps that are zero


@dataclass(frozen=True)
class _Part:
    """One dimension of a piece: `positions` places, `step` pixels apart, the first one at pixel 0."""

    positions: int
    step: int  # 1: a position is where a patch begins; m: the first pixel that a tile of m rows inside looks at
    fold: Tensor | None  # (halo, f₁, pixels): which pixel each tap of a border class reads; None inside
    rows: int  # of layer 1 that a position takes: the border classes, then the image's own
    outputs: int  # of layer 2 that it gives
    begin: int  # u of the first position's first output
    patches: Tensor | None  # (outputs of all positions,): how many patches have each one inside; None at a border

    @property
    def classes(self) -> int:
        return 0 if self.fold is None else len(self.fold)


def applies(model: SRCNN, height: int, width: int, patch: int) -> bool:
    """Whether `overlapping` can do it: a replicated surround, and patches with a pixel that feels no border."""
    return model.padding_mode == "replicate" and min(height, width, patch) > 2 * model.halo


@torch.inference_mode()
def overlapping(
    model: SRCNN, image: Tensor, patch: int = 33, bar: Callable[[int, int], object] | None = None
) -> Tensor:
    """The mean over all patches at stride 1, each run alone through `model.forward`.

    Args:
        model: a network with padding_mode "replicate", in float32 or float64, on any device.
        image: (C, H, W) bicubic picture in [0, 1] with the network's channels, longer than 2 · halo each way.
        patch: side of a patch in pixels, more than 2 · halo; an image smaller than it is one patch in that dimension.
        bar: called with how many blocks are done, and of how many.

    Returns:
        (C, H, W) in the network's precision, on its device, not clamped: what running every patch gives, but for
        rounding (1e-6 in float32). Memory: some 100 MB, and a few copies of the image.

    Raises:
        InputError: where `applies` is false, or the image is not of the network's channels.
    """
    if image.ndim != 3 or image.shape[0] != model.channels or not image.is_floating_point():
        raise InputError(f"image of shape {tuple(image.shape)}, expected (C, H, W) with {model.channels} channels")
    if not applies(model, *image.shape[1:], patch):
        raise InputError(
            f"patch {patch} on an image of {image.shape[1]}×{image.shape[2]}, padding_mode={model.padding_mode!r}: all "
            f"three lengths must be larger than twice the halo ({2 * model.halo}), the padding 'replicate'"
        )
    image = image.to(model.layer_1.weight)
    sizes = [(length, min(patch, length)) for length in image.shape[1:]]
    # Under autocast the products would lose the digits that an exact method is for.
    with torch.autocast(image.device.type, enabled=False):
        total = _sum_over_patches(model, image, sizes, bar)  # (C, H, W)
    down, across = (_patches_at(*size, 0).to(total) for size in sizes)
    return total / (down[:, None] * across) + model.layer_3.bias[:, None, None]


def _sum_over_patches(model: SRCNN, image: Tensor, sizes: list[tuple[int, int]], bar) -> Tensor:
    """(C, H, W) the sum of all that each pixel got, but for the last layer's bias."""
    tile, transforms = _minimal_filtering(model.filters[1], image)
    border = [_border(model.filters, *size, tile, image) for size in sizes]
    inside = [_inside(model.filters, *size, tile, image) for size in sizes]
    # The far border is the near border of the mirrored image; rows inside are no other ones there.
    pieces = [
        (mirrored, rows, columns)
        for mirrored in ((), (1,), (2,), (1, 2))
        for rows in ([border[0]] if 1 in mirrored else [border[0], inside[0]])
        for columns in ([border[1]] if 2 in mirrored else [border[1], inside[1]])
    ]
    blocks = [math.ceil(rows.positions / BLOCK) * math.ceil(columns.positions / BLOCK) for _, rows, columns in pieces]
    total, done = torch.zeros_like(image), 0
    for mirrored, rows, columns in pieces:
        # A last tile that is not full looks at pixels beyond the image: any finite value will do.
        padded = F.pad(image.flip(mirrored)[None], [0, tile, 0, tile], mode="replicate")[0]
        for _ in _piece(model, mirrored, padded, rows, columns, transforms):
            done += 1
            if bar:
                bar(done, sum(blocks))
        total += 0
    return total


def _patches_at(length: int, patch: int, margin: int) -> Tensor:
    """(length,) in how many patches a pixel is at least `margin` away from both borders."""
    pixel = torch.arange(length)
    first = (pixel - patch + 1 + margin).clamp(min=0)
    last = (pixel - margin).clamp(max=length - patch)
    return (last - first + 1).clamp(min=0)
