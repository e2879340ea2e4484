"""Self-ensemble: the mean over eight flips and rotations. The filters are transformed, not the pictures."""

import copy

import torch
from torch import nn

from ..model import SRCNN


@torch.no_grad()
def eight(model: SRCNN) -> list[SRCNN]:
    """Returns eight networks whose mean output is the self-ensemble of `model`.

    The self-ensemble runs a network on the eight flips and rotations of a picture, transforms the outputs back and
    takes their mean. A convolution of a flipped or rotated picture, transformed back, equals the convolution of the
    picture with the filter transformed back. So only the filters are transformed here, and every mode works unchanged.

    Reference: Timofte, Rothe, Van Gool, *Seven ways to improve example-based single image super resolution*,
    arXiv 1511.02228, on enhanced prediction.
    """
    networks = []
    for number in range(8):
        network = copy.deepcopy(model)
        for layer in network.layers():
            weight = layer.weight.rot90(number % 4, (-2, -1))
            layer.weight = nn.Parameter((weight.mT if number >= 4 else weight).contiguous(), requires_grad=False)
        networks.append(network)
    return networks
