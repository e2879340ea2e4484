"""Layers and channels of a network: their names, addresses, kernels and receptive fields."""

from typing import NamedTuple

from torch import Tensor

from ..activations import get_layer
from ..errors import InputError
from ..model import LAYERS, SRCNN

# What the paper calls the three layers.
LAYER_NAMES = {"layer_1": "Patch extraction", "layer_2": "Non-linear mapping", "layer_3": "Reconstruction"}


class ChannelAddress(NamedTuple):
    """A channel of a layer; channels count from 0. `str()` gives "layer_2:5"."""

    layer: str
    channel: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.channel}"

    @classmethod
    def parse(cls, address: "str | ChannelAddress", model: SRCNN) -> "ChannelAddress":
        """Parses a text such as "layer_2:5", and checks that the network has this channel.

        Args:
            address: a text, or an address, which is only checked.
            model: the network.

        Raises:
            InputError: for a layer or channel that the network does not have; the message lists the valid ones.
        """
        layer, _, channel = str(address).partition(":")
        widths = {name: convolution.out_channels for name, convolution in zip(LAYERS, model.layers(), strict=True)}
        if layer not in widths or not channel.isdecimal() or int(channel) >= widths[layer]:
            valid = ", ".join(f"{name}:0 to {name}:{width - 1}" for name, width in widths.items())
            raise InputError(f"{str(address)!r} is no channel of this network, expected {valid}")
        return cls(layer, int(channel))


def layer_kernels(model: SRCNN, layer: str) -> Tensor:
    """Returns a copy of a layer's kernels, (outputs, inputs, size, size), float32 on the CPU."""
    return get_layer(model, layer).weight.detach().float().cpu().clone()


def has_rgb_kernels(model: SRCNN, layer: str) -> bool:
    """Returns whether a layer's kernels are small RGB pictures.

    These are the first layer of an RGB network, which reads colors, and the last one, which writes them. Having three
    inputs is not enough: the layer before may be three channels wide.
    """
    return model.channels == 3 and layer != LAYERS[1]


def receptive_field(model: SRCNN, layer: str = LAYERS[-1]) -> int:
    """Returns the side, in pixels, of the square of the picture that one value of a layer depends on.

    It is 9, 13 and 17 for the layers of a 9-5-5 network.
    """
    get_layer(model, layer)
    return 1 + sum(size - 1 for size in model.filters[: LAYERS.index(layer) + 1])
