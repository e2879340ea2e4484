"""Removes from the first layer's kernels what pictures cannot excite: a ridge projection.

A bicubic enlargement holds almost nothing at high spatial frequencies. Along the directions in which its patches hardly
vary, a kernel may have any values: the layer's responses stay the same, so no gradient corrects them, and the kernel
looks like noise. With Σ the covariance of the patches and μ their mean, the ridge regression of a kernel's responses,

    w′ = (Σ + λI)⁻¹ Σ w,    b′ = b + (w − w′) · μ,

keeps the responses and drops the rest: a direction with variance v is multiplied by v / (v + λ).

Reference: Hoerl and Kennard, Ridge Regression, Technometrics 12 (1970).
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .model import SRCNN

RIDGE = 1e-5  # of the projection: removes the noise of a network trained at ×2, for less than 0.01 dB
LOW_VARIANCE = 1e-5  # of pixels in [0, 1]; what a kernel does along such a direction changes no response noticeably


@dataclass(frozen=True)
class PatchStatistics:
    """The mean and the covariance of the patches in network inputs, of the first layer's size.

    Attributes:
        mean: (C·k·k,), float64, in the order of a flattened kernel (C, k, k).
        covariance: (C·k·k, C·k·k), float64.
    """

    mean: Tensor
    covariance: Tensor

    def shrinkage(self, ridge: float) -> Tensor:
        """Returns the matrix M with w′ = M w for a flattened kernel w: (Σ + λI)⁻¹ Σ, (C·k·k, C·k·k), float64."""
        identity = torch.eye(len(self.mean), dtype=torch.float64)
        return torch.linalg.solve(self.covariance + ridge * identity, self.covariance)

    def low_variance_energy(self, weight: Tensor, below: float = LOW_VARIANCE) -> float:
        """Returns the fraction of the kernels' energy in principal directions whose variance is below a limit.

        Args:
            weight: (C₁, C, k, k), kernels of the first layer.
            below: the limit, in squared pixel values.
        """
        variance, directions = torch.linalg.eigh(self.covariance)
        energy = (weight.detach().cpu().double().flatten(1) @ directions).square().sum(0)  # (C·k·k,)
        return (energy[variance < below].sum() / energy.sum()).item()


def patch_statistics(inputs: Iterable[Tensor], size: int, stride: int = 1) -> PatchStatistics:
    """Measures the patches of network inputs.

    Args:
        inputs: pictures or batches, (C, H, W) or (N, C, H, W) in [0, 1], of one number of channels.
        size: the first layer's filter size, in pixels.
        stride: distance of the patches, in pixels.

    Returns:
        Their mean and covariance. The sums run in float64, one picture at a time.
    """
    count = 0
    total = products = torch.zeros((), dtype=torch.float64)
    for batch in inputs:
        for picture in batch if batch.ndim == 4 else batch[None]:
            patches = F.unfold(picture.cpu().double()[None], size, stride=stride)[0]  # (C·k·k, places)
            count += patches.shape[1]
            total = total + patches.sum(1)
            products = products + patches @ patches.T
    mean = total / count
    return PatchStatistics(mean, products / count - mean[:, None] * mean)


@torch.no_grad()
def project_kernels(model: SRCNN, statistics: PatchStatistics, ridge: float = RIDGE) -> SRCNN:
    """Returns a copy of a network whose first layer has the ridge projection of its kernels.

    Args:
        model: the network.
        statistics: of bicubic pictures at the network's scale, in the network's channels.
        ridge: λ, in squared pixel values.
    """
    projected = copy.deepcopy(model)
    shrink_kernels(projected, statistics.shrinkage(ridge), statistics.mean)
    return projected


@torch.no_grad()
def shrink_kernels(model: SRCNN, shrinkage: Tensor, mean: Tensor, fraction: float = 1.0) -> None:
    """Multiplies the first layer's kernels by a shrinkage matrix in place, and keeps each one's mean response.

    Args:
        model: the network.
        shrinkage: (C·k·k, C·k·k), from `PatchStatistics.shrinkage`.
        mean: (C·k·k,), the mean patch.
        fraction: how far the kernels move towards the shrunk ones, from 0 to 1.
    """
    weight, bias = model.layer_1.parameters()
    kernels = weight.flatten(1)  # (C₁, C·k·k)
    shrunk = torch.lerp(kernels, kernels @ shrinkage.to(weight).T, fraction)
    bias.add_((kernels - shrunk) @ mean.to(weight))
    weight.copy_(shrunk.view_as(weight))
