"""Feature maps: the output of each layer for a picture, detached, in float32 and on the CPU."""

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from .errors import InputError
from .model import LAYERS, SRCNN


@torch.no_grad()
def feature_maps(
    model: SRCNN, upsampled: Tensor, layers: Sequence[str] = LAYERS, before_relu: bool = False
) -> dict[str, Tensor]:
    """Returns the feature maps of a bicubic picture, in the picture's own size.

    Args:
        model: the network, on any device.
        upsampled: (C, H, W) or (N, C, H, W) in [0, 1], with as many channels as the network has.
        layers: names of layers.
        before_relu: return the signed values of the convolutions. Layer 3 has no ReLU: it is signed in either case.

    Returns:
        {layer: (N, channels, H, W)}.

    Raises:
        InputError: for an unknown layer, or a picture with another number of channels than the network's.
    """
    batch = upsampled if upsampled.ndim == 4 else upsampled[None]
    if batch.shape[1] != model.channels:
        raise InputError(f"the picture has {batch.shape[1]} channels, expected {model.channels} as the network has")
    with capture(model, layers, before_relu) as maps:
        model(batch.to(model.layer_1.weight))
    return maps


@contextlib.contextmanager
def capture(model: SRCNN, layers: Sequence[str] = LAYERS, before_relu: bool = False) -> Iterator[dict[str, Tensor]]:
    """Collects feature maps while the network runs: `with capture(model) as maps: model(image)`.

    The hooks are removed at the end of the block, also after an error.

    Args:
        model: the network.
        layers: names of layers.
        before_relu: keep the signed values of the convolutions. Layer 3 has no ReLU: it is signed in either case.

    Returns:
        {layer: (N, C, H, W)} of the last call, cropped to the network's output: pixel lies on pixel.

    Raises:
        InputError: for an unknown layer.
    """
    for name in layers:
        get_layer(model, name)
    maps: dict[str, Tensor] = {}
    hooks = []
    try:
        for name, layer, surplus in zip(LAYERS, model.layers(), model.surplus, strict=True):
            if name in layers:
                keep_signed = is_signed(name, before_relu)
                hooks.append(layer.register_forward_hook(_collect_into(maps, name, surplus, keep_signed)))
        yield maps
    finally:
        for hook in hooks:
            hook.remove()


def _collect_into(maps: dict[str, Tensor], name: str, crop: int, keep_signed: bool) -> Callable:
    """Returns a forward hook that stores a layer's output, without its outer `crop` pixels, as `maps[name]`."""

    def hook(_layer: nn.Module, _inputs: tuple, output: Tensor) -> None:
        values = output.detach().float()
        height, width = values.shape[-2:]
        values = values[..., crop : height - crop, crop : width - crop]  # (N, C, H, W) of the network's output
        maps[name] = (values if keep_signed else values.relu()).cpu().contiguous()

    return hook


def is_signed(layer: str, before_relu: bool) -> bool:
    """Returns whether a layer's maps have values below zero: all have before ReLU, and layer 3 has none."""
    return before_relu or layer == LAYERS[-1]


def get_layer(model: SRCNN, name: str) -> nn.Conv2d:
    """Returns the convolution of that name.

    Raises:
        InputError: for an unknown layer; the message lists the valid names.
    """
    if name not in LAYERS:
        raise InputError(f"{name!r} is no layer of this network, expected one of {', '.join(LAYERS)}")
    return getattr(model, name)
