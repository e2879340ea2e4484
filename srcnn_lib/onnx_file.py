"""Writes a network as an ONNX file, for programs without PyTorch."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .errors import InputError
from .model import SRCNN
from .runtime.files import write_atomically

if TYPE_CHECKING:
    import onnx

OPSET = 17  # of ONNX's operators; read by ONNX Runtime since 2022


def export_onnx(model: SRCNN, path: str | Path) -> Path:
    """Writes a network as an ONNX file, whole or not at all.

    The input "bicubic" is (N, C, H, W) in [0, 1], the picture after its bicubic enlargement; the output "restored" has
    its shape and is not clamped. N, H and W are free. The border rule is part of the graph. The metadata says channels
    ("Y" or "RGB"), scale and padding mode.

    Args:
        model: the network.
        path: ends with `.onnx`.

    Returns:
        The path.

    Raises:
        InputError: another extension, or the package onnx is missing.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise InputError(f"{path}: an ONNX file is written as .onnx")
    try:
        import onnx
    except ImportError as error:
        raise InputError("the package onnx is missing: pip install onnx") from error
    content = _onnx_model(model, onnx).SerializeToString(deterministic=True)
    with write_atomically(path) as temporary:
        temporary.write_bytes(content)
    return path


def _onnx_model(model: SRCNN, onnx: Any) -> "onnx.ModelProto":
    """Builds the graph by hand: Pad, and three times Conv, with Relu between. It does not depend on torch's version."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper

    def constant(name: str, values: Tensor) -> "onnx.TensorProto":
        return numpy_helper.from_array(values.detach().cpu().contiguous().numpy(), name)

    nodes = []
    constants = []
    last = "bicubic"
    if margin := model.margin:
        sides = [0, 0, margin, margin] * 2  # before and after N, C, H, W
        constants.append(helper.make_tensor("sides", onnx.TensorProto.INT64, [8], sides))
        nodes.append(helper.make_node("Pad", [last, "sides"], ["padded"], mode="edge"))
        last = "padded"
    for number, (layer, layer_bias) in enumerate(zip(model.layers(), model.biases(), strict=True), start=1):
        weight, bias = f"layer_{number}.weight", f"layer_{number}.bias"
        constants += [constant(weight, layer.weight), constant(bias, layer_bias)]
        is_last = number == len(model.layers())
        output = "restored" if is_last else f"layer_{number}"
        padding = layer.kernel_size[0] // 2 if model.padding_mode == "zeros" else 0
        nodes.append(helper.make_node("Conv", [last, weight, bias], [output], pads=[padding] * 4))
        if not is_last:
            nodes.append(helper.make_node("Relu", [output], [f"{output}.relu"]))
        last = f"{output}.relu"
    shape = ["N", model.channels, "H", "W"]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("bicubic", "restored")]
    graph = helper.make_graph(nodes, "SRCNN", values[:1], values[1:], constants)
    onnx_model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="srcnn_lib"
    )
    facts = {
        "channels": "Y" if model.channels == 1 else "RGB",
        "scale": f"{model.scale:g}",
        "padding_mode": model.padding_mode,
        "filters": json.dumps(model.filters),
        "widths": json.dumps(model.widths),
        "input": "a picture after its bicubic enlargement, in [0, 1]; Y is BT.601 in studio range, divided by 255",
    }
    helper.set_model_props(onnx_model, facts)
    onnx.checker.check_model(onnx_model, full_check=True)
    return onnx_model
