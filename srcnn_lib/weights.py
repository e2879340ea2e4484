"""Save and load weights files: `.safetensors` with metadata, `.pth` as torch.save writes it."""

import hashlib
import io
import json
import warnings
from pathlib import Path

import torch
from torch import Tensor

from .data.degradation import check_scale
from .errors import InputError
from .model import LAYERS, SRCNN
from .runtime.files import write_whole

NAMES = tuple(f"{layer}.{part}" for layer in LAYERS for part in ("weight", "bias"))


def save(model: SRCNN, path: str | Path, metadata: dict | None = None) -> Path:
    """Write the weights, whole or not at all: `.safetensors` with the settings and `metadata`, `.pth` without.

    Args:
        metadata: plain values (JSON) to keep in the file, such as a card; safetensors only.
    """
    path = Path(path)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with write_whole(path) as temporary:
        if path.suffix == ".pth":
            torch.save(tensors, temporary)
        elif path.suffix == ".safetensors":
            temporary.write_bytes(to_bytes(model, metadata))
        else:
            raise InputError(f"{path}: weights are written as .safetensors or .pth")
    return path


def to_bytes(model: SRCNN, metadata: dict | None = None) -> bytes:
    """The safetensors file of a network, with what its shapes can't say in its metadata."""
    import safetensors.torch

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    # The network's own come last: they stay true where metadata was taken over from another file.
    config = {**(metadata or {}), "padding_mode": model.padding_mode, "scale": model.scale}
    content = safetensors.torch.save(tensors, {name: json.dumps(value) for name, value in config.items()})
    # safetensors writes metadata in a random order; sorted, the same network always has the same SHA-256.
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors stay aligned
    return len(header).to_bytes(8, "little") + header + content[start:]


def load(path: str | Path) -> SRCNN:
    """The network that a file holds, on the CPU; its settings are read from the tensors' shapes and the metadata.

    Args:
        path: safetensors, or a state dict as torch.save writes it (`layer_1.weight` and so on), saved on any device.
            A `.pth` was made by anyone, so it is read with `weights_only=True`; what it can't say of itself, the card
            beside it does (`<name>.json` with the file's SHA-256). A file without either is ×2.

    Returns:
        An SRCNN in evaluation mode, with the file's metadata as `model.metadata` ({} without).

    Raises:
        InputError: a missing, truncated or foreign file, or a pickle with code in it (which is never run); the first
            tensor that differs is named with what was expected.
    """
    path = Path(path)
    tensors, metadata = _read(path)
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
    except (TypeError, ValueError) as error:  # InputError, and what is no number or no text at all
        raise InputError(f"{path}: {error}") from error
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    model.metadata = metadata
    return model.eval()


def _read(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and metadata of a file, whatever its extension says."""
    if path.is_dir():
        raise InputError(f"{path} is a folder without weights; expected a .safetensors or .pth file, or a run")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror}); expected a .safetensors or .pth file") from error
    if content[8:9] == b"{":
        return _read_safetensors(path, content)
    try:
        with warnings.catch_warnings(action="ignore"):
            tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch answers a damaged file with half a dozen kinds of exception
        # torch refuses a text file in the same words as code; only a pickle, bare or in a zip, can hold any.
        if "weights_only" in str(error) and content.startswith((b"\x80", b"PK")):
            raise InputError(
                f"{path} holds something besides weights, which is never run; save a state dict"
            ) from error
        raise InputError(f"{path} is damaged, or no file of weights; expected .safetensors or .pth") from error
    return tensors, _card_of(path, content)


def _card_of(path: Path, content: bytes) -> dict:
    """What the card beside a file says of it; {} where there is none, or one of another file."""
    try:
        card = json.loads(path.with_suffix(".json").read_text("utf-8"))
        if card["sha256"] != hashlib.sha256(content).hexdigest():
            return {}
        return {**card, "scale": card["network"]["scale"], "padding_mode": card["network"]["padding_mode"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _read_safetensors(path: Path, content: bytes) -> tuple[dict[str, Tensor], dict]:
    import safetensors
    import safetensors.torch

    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        stored = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path} is damaged, or no file of weights; expected .safetensors or .pth") from error
    metadata = {}
    for name, value in stored.items():
        try:
            metadata[name] = json.loads(value)
        except ValueError:  # written by another program
            metadata[name] = value
    return tensors, metadata


def _check_tensors(path: Path, tensors) -> None:
    """Raise an InputError that names the first tensor that is not an SRCNN's."""
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"{path} holds no state dict; expected the tensors {', '.join(NAMES)}")
    channels = None
    for number, layer in enumerate(LAYERS):
        weight, bias = (_tensor(path, tensors, f"{layer}.{part}") for part in ("weight", "bias"))
        square = weight.ndim == 4 and weight.shape[2] == weight.shape[3] and weight.shape[2] % 2
        if not square or channels not in (None, weight.shape[1]):
            inputs = "channels" if channels is None else channels
            raise _differs(path, f"{layer}.weight", weight, f"(outputs, {inputs}, odd, the same)")
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
            raise InputError(f"{path}: {name} is not part of this network; expected only {', '.join(NAMES)}")


def _tensor(path: Path, tensors: dict[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        held = ", ".join(map(str, list(tensors)[:4])) or "nothing"
        raise InputError(f"{path}: {name} is missing; the file holds {held}; expected {', '.join(NAMES)}")
    tensor = tensors[name]
    plain = tensor.layout == torch.strided and tensor.device.type == "cpu" and tensor.is_floating_point()
    if not plain or not torch.isfinite(tensor.float()).all():
        raise InputError(f"{path}: {name} holds values that are no finite numbers")
    return tensor


def _differs(path: Path, name: str, tensor: Tensor, expected: str) -> InputError:
    return InputError(f"{path}: {name} has the shape {tuple(tensor.shape)}, expected {expected}")
