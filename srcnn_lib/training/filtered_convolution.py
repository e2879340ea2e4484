"""A convolution in float32 on a CPU by minimal filtering, forward and backward: layer 2 while it learns.

With the matrices A, G and B of `inference.minimal_filtering`, a tile of the output is y = A ((G w Gᵀ) ⊙ (B d Bᵀ)) Aᵀ,
where ⊙ includes the sum over input channels. Each step is linear in d and in w, so the gradients are the transpose:

    dM = Aᵀ dy A,   d(G w Gᵀ) = dM ⊙ (B d Bᵀ),   d(B d Bᵀ) = dM ⊙ (G w Gᵀ),   dd = Bᵀ d(B d Bᵀ) B.

All three products take n² multiply-adds for a tile of m × m outputs, 64 in place of 400 for F(4, 5). Overlapping tiles
of the input's gradient are added.

Reference: A. Lavin and S. Gray, arXiv 1509.09308, section 4.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..inference.convolution import RearrangedConvolution
from ..inference.minimal_filtering import MinimalFiltering, minimal_filtering

# The tile m for each filter size f. With n = m + f − 1 = 8 the error of gradients is a tenth of that with n = 10, which
# an enlargement uses and which is an eighth faster.
TILES = {3: 6, 5: 4, 7: 2}
CROPS = 2  # at a time: the tiles of more would leave the caches
FEWEST_PRODUCTS = 1024  # input channels times output channels: with fewer, the transforms take longer than they save


def pays(layer: nn.Conv2d) -> bool:
    """Returns whether a convolution is faster this way: filters of 3×3 to 7×7, many channels."""
    return layer.kernel_size[0] in TILES and layer.in_channels * layer.out_channels >= FEWEST_PRODUCTS


class FilteredConvolution(RearrangedConvolution):
    """A convolution that is computed by minimal filtering in float32, and by torch in 16 bits or on another device."""

    def forward(self, images: Tensor) -> Tensor:
        """Convolves (N, inputs, H, W) → (N, outputs, H + 2·padding − size + 1, W + 2·padding − size + 1)."""
        ours = images.device.type == "cpu" and images.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        if not ours:
            return super().forward(images)
        images = F.pad(images, [int(self.padding[0])] * 4)
        return _Filtered.apply(images, self.weight, self.bias)


class _Filtered(torch.autograd.Function):
    """The convolution and its gradients, for autograd."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        filtering = minimal_filtering(TILES[weight.shape[-1]], weight.shape[-1])
        kernels = filtering.of_weight(weight).flatten(0, 1)  # (n², C₂, C₁)
        tiles = _Tiles(images, filtering.like(images))
        output = images.new_empty(len(images), *tiles.sizes, len(weight))
        parts = []
        for part, target in zip(images.permute(0, 2, 3, 1).split(CROPS), output.split(CROPS), strict=True):
            parts.append(tiles.transformed(part))  # (n², tiles, C₁)
            tiles.write_outputs(torch.bmm(parts[-1], kernels.transpose(1, 2)), bias, target)
        ctx.save_for_backward(kernels, *parts)
        ctx.tiles, ctx.filtering = tiles, filtering
        return output.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        kernels, *parts = ctx.saved_tensors
        tiles, for_images = ctx.tiles, ctx.needs_input_grad[0]
        of_kernels = torch.zeros_like(kernels)  # (n², C₂, C₁)
        of_images = gradient.new_empty(len(gradient), *tiles.lengths, kernels.shape[2])
        pieces = gradient.permute(0, 2, 3, 1).split(CROPS)
        for piece, data, target in zip(pieces, parts, of_images.split(CROPS), strict=True):
            products = tiles.outputs_transposed(piece)  # (n², tiles, C₂)
            of_kernels.baddbmm_(products.transpose(1, 2), data)
            if for_images:
                tiles.write_transposed(torch.bmm(products, kernels), target)
        of_weight = ctx.filtering.weight_gradient(of_kernels.unflatten(0, (tiles.n, tiles.n)))
        return of_images.permute(0, 3, 1, 2) if for_images else None, of_weight, gradient.sum((0, 2, 3))


class _Tiles:
    """The overlapping tiles of images, and their transforms.

    Attributes:
        lengths: height and width of the input.
        sizes: height and width of the output.
    """

    def __init__(self, images: Tensor, filtering: MinimalFiltering):
        self.m, self.n = filtering.result.shape
        self.lengths = images.shape[2:]
        self.sizes = [length - self.n + self.m for length in self.lengths]
        self.down, self.across = (-(-size // self.m) for size in self.sizes)
        self.data, self.result = filtering.data, filtering.result
        self.data_back, self.result_back = self.data.T.contiguous(), self.result.T.contiguous()

    def transformed(self, images: Tensor) -> Tensor:
        """Cuts images into tiles and transforms them, B d Bᵀ: (N, H, W, C) → (n², N · tiles, C)."""
        m, n = self.m, self.n
        count, height, width, channels = images.shape
        right, bottom = (tiles * m + n - m - length for tiles, length in ((self.across, width), (self.down, height)))
        padded = F.pad(images, [0, 0, 0, right, 0, bottom])
        rows = padded.unfold(1, n, m).permute(4, 0, 1, 2, 3).contiguous()
        rows = (self.data @ rows.view(n, -1)).view(n, count * self.down, -1, channels)
        tiles = rows.unfold(2, n, m).permute(0, 4, 1, 2, 3).contiguous()
        return torch.bmm(self.data.expand(n, n, n), tiles.view(n, n, -1)).view(n * n, -1, channels)

    def write_transposed(self, data: Tensor, target: Tensor) -> None:
        """Applies the transpose of `transformed`, and writes into (N, H, W, C)."""
        n, (count, _, width, channels) = self.n, target.shape
        tiles = torch.bmm(self.data_back.expand(n, n, n), data.view(n, n, -1))
        tiles = tiles.view(n, n, count * self.down, self.across, channels)
        rows = data.new_empty(n, count * self.down, width, channels)
        _add_overlapping(rows.movedim(2, 0), tiles.permute(1, 3, 0, 2, 4), self.m)
        rows = (self.data_back @ rows.view(n, -1)).view(n, count, self.down, width, channels)
        _add_overlapping(target.transpose(0, 1), rows.transpose(1, 2), self.m)

    def write_outputs(self, products: Tensor, bias: Tensor, target: Tensor) -> None:
        """Transforms products into the output, A M Aᵀ, and writes it with its bias into (N, H, W, C)."""
        m, n, (count, height, width, _) = self.m, self.n, target.shape
        half = (self.result @ products.view(n, -1)).view(m, n, -1)
        tiles = torch.bmm(self.result.expand(m, m, n), half).view(m, m, count, self.down, self.across, -1)
        whole = tiles.permute(2, 3, 0, 4, 1, 5).reshape(count, self.down * m, self.across * m, -1)
        torch.add(whole[:, :height, :width], bias, out=target)

    def outputs_transposed(self, gradient: Tensor) -> Tensor:
        """Applies the transpose of the output's transform, Aᵀ dy A: (N, H, W, C) → (n², N · tiles, C)."""
        m, n = self.m, self.n
        count, height, width, channels = gradient.shape
        whole = F.pad(gradient, [0, 0, 0, self.across * m - width, 0, self.down * m - height])
        tiles = whole.view(count, self.down, m, self.across, m, channels).permute(2, 4, 0, 1, 3, 5).reshape(m, m, -1)
        half = torch.bmm(self.result_back.expand(m, n, m), tiles).view(m, -1)
        return (self.result_back @ half).view(n * n, -1, channels)


def _add_overlapping(target: Tensor, tiles: Tensor, step: int) -> None:
    """Adds up overlapping tiles: target[t · step + place] becomes the sum of tiles[place, t], as far as it reaches."""
    target[tiles.shape[1] * step :] = 0
    for place, part in enumerate(tiles):
        lines = target[place::step]
        length = min(len(lines), len(part))
        if place < step:
            lines[:length].copy_(part[:length])
        else:
            lines[:length].add_(part[:length])
