"""Self-ensemble: one network as eight, each of which sees a picture turned or mirrored in its own way."""

import copy

import torch
from torch import nn

from ..model import SRCNN


@torch.no_grad()
def eight(model: SRCNN) -> list[SRCNN]:
    """What the network does to the eight flips and rotations of a picture, as networks for the picture as it is.

    A convolution of a turned picture, turned back, is the convolution of the picture with the filter turned back. So
    nothing but the filters turns: pictures, tiles and patches stay where they are, and the mean of the eight outputs
    is the self-ensemble of the network alone, in every mode.

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
