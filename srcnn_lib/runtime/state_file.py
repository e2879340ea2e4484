"""Files that hold a state of tensors and plain values with a checksum. Reading one never runs code."""

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .files import read_plain_file, write_atomically

LARGEST_FILE = 2**36  # bytes


class DamagedError(Exception):
    """A file does not hold what was written."""


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Writes a state, whole or not at all; `read_state` is the inverse.

    Args:
        path: of the file.
        state: tensors and plain values, in dicts, lists and tuples.

    Raises:
        OSError: the file can't be written.
    """
    content = io.BytesIO()  # in memory: on a full disk, torch.save ends with a RuntimeError
    torch.save({"sha256": state_digest(state), "state": state}, content)
    with write_atomically(path, follow_links=False) as temporary:
        temporary.write_bytes(content.getbuffer())


def read_state(path: Path) -> dict[str, Any]:
    """Returns a state, its tensors on the CPU.

    Raises:
        DamagedError: the file's content is not what `write_state` wrote.
        OSError: the file can't be read, which says nothing about its content.
        MemoryError: there is no memory for it.
    """
    try:
        content = read_plain_file(path, most=LARGEST_FILE)
    except InputError as error:  # a folder, or no plain file
        raise DamagedError(str(error)) from error
    try:
        check_archive(content)
        stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        state = stored["state"]
        check_sizes(state, len(content))
        if not isinstance(state, dict) or state_digest(state) != stored["sha256"]:
            raise ValueError("the checksum differs")
    except MemoryError:
        raise
    except Exception as error:  # torch raises half a dozen kinds of exception for a damaged file
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    return state


def check_archive(content: bytes) -> None:
    """Compares the checksums in a zip, which torch does not, and its sizes, so that no more memory is taken than that.

    Raises:
        ValueError, zipfile.BadZipFile: something differs.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        compressed = any(member.compress_type != zipfile.ZIP_STORED for member in members)
        if compressed or sum(member.file_size for member in members) > len(content):
            raise ValueError("a size differs")
        if archive.testzip():
            raise ValueError("a checksum differs")


def check_sizes(value: Any, most: int) -> None:
    """Raises a ValueError for a tensor that is not plain, or larger than the whole file: its strides may be zero."""
    for tensor in _tensors_in(value):
        plain = tensor.layout == torch.strided and not tensor.is_quantized and tensor.device.type == "cpu"
        if not plain or tensor.numel() * tensor.element_size() > most:
            raise ValueError("a tensor is not plain")


def _tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors_in(item)]
    return [value] if isinstance(value, Tensor) else []


def state_digest(value: Any) -> str:
    """Returns the SHA-256 of all values and tensors of a state, with their names, types and shapes.

    Raises:
        TypeError: a value that is neither a tensor nor plain.
    """
    summed = hashlib.sha256()
    _add(summed, value)
    return summed.hexdigest()


def _add(summed: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        summed.update(f"tensor {value.dtype} {tuple(value.shape)}:".encode())
        pixels = value.detach().cpu().contiguous().reshape(-1)
        summed.update(pixels.view(torch.uint8).numpy())
    elif isinstance(value, dict):
        summed.update(f"dict {len(value)}:".encode())
        for name, item in value.items():
            _add(summed, name)
            _add(summed, item)
    elif isinstance(value, (list, tuple)):
        summed.update(f"{type(value).__name__} {len(value)}:".encode())
        for item in value:
            _add(summed, item)
    elif value is None or isinstance(value, (bool, int, float, str, torch.dtype)):
        text = repr(value).encode("utf-8", "surrogatepass")
        summed.update(b"%s %d:%s" % (type(value).__name__.encode(), len(text), text))
    else:
        raise TypeError(f"{type(value).__name__} is no plain value")
