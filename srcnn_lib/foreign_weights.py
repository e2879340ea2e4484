"""Reads the state dicts of other PyTorch implementations of SRCNN.

They name the same three convolutions differently, wrap them in a checkpoint, and pad each layer with zeros. A file says
neither its padding nor its scale. The padding follows from the names, where these belong to a known implementation; the
scale from a file name such as srcnn_x3.pth. What can't be told is asked for: `srcnn convert`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from .errors import InputError
from .model import LAYERS

# How known implementations name their layers, and how they pad.
CONVENTIONS: dict[tuple[str, ...], str] = {
    ("conv1", "conv2", "conv3"): "zeros",  # github.com/yjn870/SRCNN-pytorch, and many that follow it
    ("features.0", "map.0", "reconstruction"): "zeros",  # github.com/Lornatang/SRCNN-PyTorch
}
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params", "params_ema")  # of a state dict in a checkpoint
NESTED = 10  # dictionaries around a state dict, at most
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")  # that DataParallel, torch.compile and others put before names
SCALE_IN_NAME = re.compile(r"(?<![a-z0-9])x([2348])(?![0-9])", re.IGNORECASE)


class ForeignWeights(NamedTuple):
    """The weights of another implementation under this project's names.

    tensors: {"layer_1.weight": …} as `SRCNN.load_state_dict` takes them.
    names: the layers' own names, in order.
    padding_mode: "zeros"; None where the names are those of no known implementation.
    """

    tensors: dict[str, Tensor]
    names: tuple[str, ...]
    padding_mode: str | None


def unwrap(content: Any) -> Any:
    """Returns the state dict in a checkpoint, without prefixes of its names; anything else as it is."""
    for _ in range(NESTED):  # a dictionary may contain itself
        if not isinstance(content, Mapping) or is_state_dict(content):
            break
        inner = [content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping) and content[name]]
        if not inner:
            return content
        content = inner[0]
    if not is_state_dict(content):
        return content
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in content):
            content = {name.removeprefix(prefix): tensor for name, tensor in content.items()}
    return content


def translate(tensors: Mapping[str, Tensor]) -> ForeignWeights | None:
    """Returns the weights under this project's names, if their shapes are those of an SRCNN; None otherwise.

    Args:
        tensors: a state dict, unwrapped.
    """
    layers = [name.removesuffix(".weight") for name in tensors if name.endswith(".weight")]
    if len(layers) != 3 or set(tensors) != {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}:
        return None
    ordered = _in_order(tensors, layers)
    if ordered is None:
        return None
    renamed = {
        f"{ours}.{part}": tensors[f"{theirs}.{part}"]
        for ours, theirs in zip(LAYERS, ordered, strict=True)
        for part in ("weight", "bias")
    }
    return ForeignWeights(renamed, ordered, CONVENTIONS.get(ordered))


def scale_in_name(name: str) -> float | None:
    """Returns the scale in a file name such as srcnn_x3.pth or best-x2.pth.tar; None without one or with several."""
    found = set(SCALE_IN_NAME.findall(name))
    return float(found.pop()) if len(found) == 1 else None


def ask(path: object, foreign: ForeignWeights, scale: float | None) -> InputError:
    """Returns the error that says what a file of another implementation does not tell."""
    unknown = [
        *(["its scale"] if scale is None else []),
        *([f"how its layers {', '.join(foreign.names)} pad"] if foreign.padding_mode is None else []),
    ]
    given = "N" if scale is None else f"{scale:g}"
    padding = "zeros|replicate" if foreign.padding_mode is None else foreign.padding_mode
    return InputError(
        f"{path} is an SRCNN of another implementation, and does not say {' or '.join(unknown)}: "
        f"srcnn convert {path} --scale {given} --padding {padding}"
    )


def is_state_dict(content: Any) -> bool:
    """Returns whether something maps names to tensors and to nothing else."""
    return (
        isinstance(content, Mapping)
        and bool(content)
        and all(isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())
    )


def _in_order(tensors: Mapping[str, Tensor], layers: list[str]) -> tuple[str, ...] | None:
    """Returns the layers from the picture to the picture, by their shapes: outputs of one are inputs of the next."""
    shapes = {layer: tuple(tensors[f"{layer}.weight"].shape) for layer in layers}
    if any(len(shape) != 4 for shape in shapes.values()):
        return None
    orders = [
        (first, second, third)
        for first in layers
        for second in layers
        for third in layers
        if len({first, second, third}) == 3
        and shapes[first][1] in (1, 3)
        and shapes[first][0] == shapes[second][1]
        and shapes[second][0] == shapes[third][1]
        and shapes[third][0] == shapes[first][1]
    ]
    return orders[0] if len(orders) == 1 or (orders and orders[0] == tuple(layers)) else None
