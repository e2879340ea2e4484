"""Saves and loads weights files: `.safetensors` with metadata, `.pth` as torch.save writes it."""

import hashlib
import io
import json
import warnings
from pathlib import Path

import torch
from torch import Tensor

from . import foreign_weights
from .data.degradation import check_scale
from .data.images import EXTENSIONS
from .errors import InputError, error_reason, searched_folder
from .foreign_weights import ForeignWeights
from .model import LAYERS, SRCNN
from .runtime.files import one_line, printable, read_plain_file, write_atomically
from .runtime.state_file import check_archive, check_sizes

FILE_BYTES = 2**31  # of a weights file at most; a network of 9-5-5, 128-64 has one megabyte
LARGEST_VALUE = 1e30  # that may appear in a network; float32 ends at 3e38
CARD_BYTES = 2**24  # of a model card at most

NAMES = tuple(f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias"))


def save(model: SRCNN, path: str | Path, metadata: dict | None = None) -> Path:
    """Writes a network's weights, whole or not at all.

    Args:
        model: the network, on any device.
        path: ends with `.safetensors`, which also holds the network's settings and `metadata`, or with `.pth`, the
            original project's format, which holds the tensors only.
        metadata: plain values (JSON) to keep in the file, such as a model card; safetensors only.

    Returns:
        The path.

    Raises:
        InputError: another extension.
    """
    path = Path(path)
    check_extension(path)
    with write_atomically(path) as temporary:
        temporary.write_bytes(file_content(model, path, metadata))
    return path


def file_content(model: SRCNN, path: Path, metadata: dict | None = None) -> bytes:
    """Returns what `save` writes into a file of this name."""
    if path.suffix != ".pth":
        return to_bytes(model, metadata)
    content = io.BytesIO()  # in memory: on a full disk, torch.save ends with a RuntimeError
    torch.save(_tensors_of(model), content)
    return content.getvalue()


def check_extension(path: Path) -> None:
    """Checks that weights can be written to a file of this name.

    Raises:
        InputError: another extension than `.safetensors` and `.pth`.
    """
    _refuse_picture(path, "srcnn_lib.write_image writes pictures")
    if path.suffix not in (".safetensors", ".pth"):
        raise InputError(f"{printable(path)}: weights are written as .safetensors or .pth")


def to_bytes(model: SRCNN, metadata: dict | None = None) -> bytes:
    """Returns the bytes of a network's safetensors file, always the same for the same network and metadata."""
    import safetensors.torch

    # The network's own values come last: metadata from another file must not replace them.
    values = {**(metadata or {}), "padding_mode": model.padding_mode, "scale": model.scale}
    content = safetensors.torch.save(_tensors_of(model), {name: json.dumps(value) for name, value in values.items()})
    # safetensors writes metadata in random order; sorted, the same network always gives the same SHA-256.
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # keeps the tensors aligned
    return len(header).to_bytes(8, "little") + header + content[start:]


def _tensors_of(model: SRCNN) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}


def load(path: str | Path, scale: float | None = None, padding_mode: str | None = None) -> SRCNN:
    """Loads the network of a weights file, onto the CPU.

    Channels, filters and widths are read from the tensors' shapes; scale and padding mode from the metadata of a
    safetensors file, or from the model card beside a `.pth` file (`<name>.json` with the file's SHA-256). Without
    either the scale is 2 and the padding mode "replicate".

    Args:
        path: a safetensors file, or a state dict as torch.save writes it (`layer_1.weight` and so on), saved on any
            device. A `.pth` file may come from anyone, so it is read with `weights_only=True`. The state dict of
            another PyTorch implementation of SRCNN is recognized by its shapes (see foreign_weights.py).
        scale, padding_mode: of a file of another implementation, which does not say them.

    Returns:
        An SRCNN in evaluation mode; `model.metadata` holds the file's metadata ({} if there is none).

    Raises:
        InputError: a missing or damaged file, a picture, another network (the message names the first tensor that
            differs, and what was expected), one of another implementation whose scale or padding can't be told, or
            a pickle that contains code, which is never run.
    """
    path = Path(path)
    _refuse_picture(path, "srcnn_lib.read_image reads pictures")
    tensors, metadata = _read(path)
    if foreign := _translate(tensors):
        scale = scale or metadata.get("scale") or foreign_weights.scale_in_name(path.name)
        padding_mode = padding_mode or foreign.padding_mode
        if scale is None or padding_mode is None:
            raise foreign_weights.ask(path, foreign, scale)
        tensors = foreign.tensors
        metadata = {**metadata, "scale": scale, "padding_mode": padding_mode, "layer_names": foreign.names}
    _check_tensors(path, tensors)
    weights = [tensors[f"{layer}.weight"] for layer in LAYERS]
    try:
        model = SRCNN(
            channels=weights[0].shape[1],
            filters=tuple(weight.shape[-1] for weight in weights),
            widths=(weights[0].shape[0], weights[1].shape[0]),
            padding_mode=metadata.get("padding_mode", "replicate"),
            scale=check_scale(metadata.get("scale", 2.0)),
        )
    except (TypeError, ValueError, OverflowError) as error:  # InputError, or metadata of another type
        raise InputError(f"{printable(path)}: {one_line(error)}") from error
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    _check_range(path, model)
    model.metadata = metadata
    return model.eval()


def _translate(tensors: dict[str, Tensor]) -> ForeignWeights | None:
    """Returns the weights of another implementation under our names; None for our own, and for anything else."""
    if not foreign_weights.is_state_dict(tensors) or any(name in tensors for name in NAMES):
        return None
    return foreign_weights.translate(tensors)


def _read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Returns tensors and metadata of a file; its content decides the format, not its extension."""
    if path.is_dir():
        raise InputError(
            f"{printable(path)} is a folder without weights; expected a .safetensors or .pth file, or a run"
        )
    try:
        content = read_plain_file(path, FILE_BYTES)
    except FileNotFoundError as error:
        expected = "a .safetensors or .pth file, or the folder of a run"
        raise InputError(f"{printable(path)} does not exist{searched_folder(path)}; expected {expected}") from error
    except (OSError, ValueError) as error:  # InputError, or a name with a zero byte
        reason = one_line(error_reason(error))
        raise InputError(f"{printable(path)} can't be read ({reason}); expected a .safetensors or .pth file") from error
    if content[8:9] == b"{":
        return _read_safetensors(path, content)
    try:
        if content.startswith(b"PK"):
            check_archive(content)
        with warnings.catch_warnings(action="ignore"):
            tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen kinds of exception for a damaged file
        # torch refuses a text file with the same words as code, but only a pickle, bare or in a zip, can contain code.
        if "weights_only" in str(error) and content.startswith((b"\x80", b"PK")):
            raise InputError(
                f"{printable(path)} contains code besides weights, which is never run; save a state dict"
            ) from error
        raise InputError(
            f"{printable(path)} is damaged, or not a weights file; expected .safetensors or .pth"
        ) from error
    tensors = foreign_weights.unwrap(tensors)
    try:
        check_sizes(tensors, len(content))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{printable(path)}: {one_line(error)}; expected plain tensors of the size of the file"
        ) from error
    return tensors, _card_of(path, content)


def _card_of(path: Path, content: bytes) -> dict:
    """Returns the model card beside a file; {} if there is none, or if it belongs to another file."""
    try:
        card = json.loads(read_plain_file(path.with_suffix(".json"), CARD_BYTES).decode("utf-8"))
        if card["sha256"] != hashlib.sha256(content).hexdigest():
            return {}
        return {**card, "scale": card["network"]["scale"], "padding_mode": card["network"]["padding_mode"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _read_safetensors(path: Path, content: bytes) -> tuple[dict[str, Tensor], dict]:
    import safetensors
    import safetensors.torch

    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        stored = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        if not isinstance(stored, dict):
            raise ValueError("no metadata")
    except (safetensors.SafetensorError, ValueError, KeyError, RecursionError) as error:
        raise InputError(
            f"{printable(path)} is damaged, or not a weights file; expected .safetensors or .pth"
        ) from error
    metadata = {}
    for name, value in stored.items():
        try:
            metadata[name] = json.loads(value)
        except (ValueError, RecursionError):  # another program wrote it, as plain text
            metadata[name] = value
    return tensors, metadata


def _check_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Raises an InputError that names the first tensor that does not belong to an SRCNN."""
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"{printable(path)} does not hold a state dict; expected the tensors {', '.join(NAMES)}")
    channels = None
    for number, layer in enumerate(LAYERS):
        weight, bias = (_tensor(path, tensors, f"{layer}.{part}") for part in ("weight", "bias"))
        square = weight.ndim == 4 and weight.shape[2] == weight.shape[3] and weight.shape[2] % 2
        if not square or channels not in (None, weight.shape[1]):
            expected = f"(outputs, {'channels' if channels is None else channels}, odd, the same)"
            raise _differs(path, f"{layer}.weight", weight, expected)
        if number == 0 and weight.shape[1] not in (1, 3):
            raise _differs(path, f"{layer}.weight", weight, "1 or 3 input channels")
        if number == 2 and weight.shape[0] != tensors["layer_1.weight"].shape[1]:
            inputs = tensors["layer_1.weight"].shape[1]
            raise _differs(path, f"{layer}.weight", weight, f"{inputs} outputs, as layer_1 has inputs")
        if bias.shape != weight.shape[:1]:
            raise _differs(path, f"{layer}.bias", bias, f"({weight.shape[0]},)")
        channels = weight.shape[0]
    for name in tensors:
        if name not in NAMES:
            raise InputError(
                f"{printable(path)}: {_shown(name)} is not part of this network; expected only {', '.join(NAMES)}"
            )


def _tensor(path: Path, tensors: dict[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        held = ", ".join(map(_shown, list(tensors)[:4])) or "nothing"
        raise InputError(f"{printable(path)}: {name} is missing; the file holds {held}; expected {', '.join(NAMES)}")
    tensor = tensors[name]
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_floating_point()
    if not plain or not torch.isfinite(tensor.float()).all():
        raise InputError(f"{printable(path)}: {name} holds values that are not finite numbers")
    return tensor


def _check_range(path: Path, model: SRCNN) -> None:
    """Refuses weights with which values can exceed what float32 holds, whatever the picture."""
    largest = torch.tensor(1.0, dtype=torch.float64)  # of the input; then of the output of each layer
    for layer in LAYERS:
        convolution = getattr(model, layer)
        sums = convolution.weight.detach().double().abs().sum((1, 2, 3))
        largest = (sums * largest + convolution.bias.detach().double().abs()).max()
    if not largest <= LARGEST_VALUE:
        raise InputError(
            f"{printable(path)}: its values are so large that the result would be no numbers; train it again"
        )


def _shown(name: object) -> str:
    """Returns the name of a tensor for a message; a file may contain any text."""
    text = one_line(name)
    return text if len(text) <= 40 else text[:40] + "…"


def _differs(path: Path, name: str, tensor: Tensor, expected: str) -> InputError:
    return InputError(f"{printable(path)}: {name} has the shape {tuple(tensor.shape)}, expected {expected}")


def _refuse_picture(path: Path, way_out: str) -> None:
    if path.suffix.lower() in EXTENSIONS:
        raise InputError(f"{printable(path)} is the name of a picture, not of a weights file; {way_out}")
