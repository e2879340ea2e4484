"""Pictures from files, addresses and bytes to pixels and back, whatever their mode, depth or colour profile."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import numpy as np
import tifffile
import torch
from PIL import Image
from torch import Tensor

from .decoding import Decoded, decode, in_srgb
from .errors import InputError
from .files import is_address, read_address, shown, write_whole

PIXEL_LIMIT = 500_000_000


@dataclass(frozen=True)
class Format:
    """What a file format can hold, and how it is written."""

    name: str
    alpha: bool = False
    deep: tuple[int, ...] = ()  # numbers of channels, alpha among them, that keep 16 bits
    side: int = 2**31 - 1  # pixels
    length: int = 2**62  # bytes
    options: dict = field(default_factory=dict)


# 65,535 is what a JPEG's header can say, 65,500 is where libjpeg stops.
JPEG = Format("JPEG", side=65_500, options={"quality": 95, "subsampling": "4:4:4"})
TIFF = Format("TIFF", alpha=True, deep=(1, 2, 3, 4))
FORMATS = {
    ".png": Format("PNG", alpha=True, deep=(1,)),
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".bmp": Format("BMP", length=2**32 - 2**20),
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": Format("WebP", alpha=True, side=16_383, options={"lossless": True, "exact": True}),
}
WRITABLE = tuple(FORMATS)
EXTENSIONS = (*WRITABLE, ".gif")


@dataclass(frozen=True, eq=False)
class Picture:
    """The pixels of a picture, and what they alone can't say."""

    pixels: Tensor  # (C, H, W) float32 in [0, 1], C = 1 grey or 3 RGB (sRGB)
    alpha: Tensor | None = None  # (1, H, W) in [0, 1]; the colours are not multiplied by it
    bits: int = 8  # 8 or 16 a channel in the file
    name: str = "picture"  # of the file, without its folder
    notes: tuple[str, ...] = ()  # what was lost in reading, a line each


def read(source: str | Path | bytes, name: str | None = None, pixel_limit: int = PIXEL_LIMIT) -> Picture:
    """Read a picture: upright by its EXIF orientation, in sRGB by its colour profile.

    Args:
        source: a path, an http(s) address, or the bytes of a file.
        name: what the picture is called, where `source` doesn't tell.
        pixel_limit: a picture with more pixels is refused before it is decoded.

    Raises:
        InputError: missing, a folder, empty, no picture, damaged or cut, or larger than `pixel_limit`.
    """
    with _opened(source, name) as (file, name, label):
        return _picture(decode(file, label, pixel_limit), name)


@contextlib.contextmanager
def _opened(source: str | Path | bytes, name: str | None) -> Iterator[tuple[BinaryIO, str, str]]:
    """A file to read from, the picture's name, and how messages call it."""
    if isinstance(source, (str, Path)) and not is_address(source):
        label = shown(source)
        with _opened_path(Path(source), label) as file:
            yield file, name or Path(source).name, label
        return
    label = shown(source if is_address(source) else name or "the picture")
    data = read_address(source) if is_address(source) else bytes(source)
    yield io.BytesIO(data), name or _name_in(source), label


def _opened_path(path: Path, label: str) -> BinaryIO:
    try:
        # Opening a pipe would wait for whoever writes into it.
        if not path.is_dir() and path.exists() and not path.is_file():
            raise InputError(f"{label} is no plain file; give the path of a picture")
        return path.open("rb")
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{label} doesn't exist; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{label} is a folder; give a picture in it") from error
    except (OSError, ValueError) as error:  # no permission, too long, a zero byte in it
        reason = shown(getattr(error, "strerror", None) or error)
        raise InputError(f"{label} can't be opened ({reason}); check the path and its permissions") from error


def _name_in(source: str | bytes) -> str:
    """The name at the end of an address; it may become a file's name, so it must hold nothing but a name."""
    path = unquote(urlsplit(source).path) if isinstance(source, str) else ""
    return shown(PurePosixPath(path.replace("\\", "/")).name) or "picture"


def _picture(found: Decoded, name: str) -> Picture:
    """The last step of reading: colours into sRGB, arrays into tensors."""
    colour, bits = found.colour, 8
    if isinstance(colour, Image.Image):
        colour = in_srgb(colour, found.profile, found.notes)
    else:
        bits = 16
        if found.profile:
            eight = Image.fromarray((colour * 255).round().astype(np.uint8))
            if (converted := in_srgb(eight, found.profile, found.notes)) is not eight:
                colour, bits = converted, 8
                found.notes.append("16 bits were reduced to 8: its colour profile can only be applied to 8")
    alpha = None if found.alpha is None else _tensor(found.alpha)
    return Picture(_tensor(colour), alpha, bits, name, tuple(found.notes))


def _tensor(image: Image.Image | np.ndarray) -> Tensor:
    """(H, W) or (H, W, C) → (C, H, W) float32 in [0, 1]."""
    array = np.array(image)  # a copy: what Pillow gives is read-only
    planes = torch.from_numpy(np.atleast_3d(array)).permute(2, 0, 1)  # (C, H, W)
    pixels = planes.to(torch.float32, memory_format=torch.contiguous_format)
    return pixels if array.dtype == np.float32 else pixels.div_(255)


def write(path: str | Path, picture: Picture | Tensor) -> tuple[str, ...]:
    """Write a picture whole or not at all, in the format that the extension names; values are clamped to [0, 1].

    Args:
        path: ends with one of WRITABLE.
        picture: a Picture, or (C, H, W) in [0, 1] with C = 1 or 3 for one of 8 bits without alpha.

    Returns:
        What the format could not hold, a line each.

    Raises:
        InputError: another extension, no such folder, or a side longer than the format allows.
        OSError: a full disk, a folder that may not be written.
    """
    picture = Picture(picture) if isinstance(picture, Tensor) else picture
    if picture.pixels.ndim != 3 or len(picture.pixels) not in (1, 3) or not picture.pixels.numel():
        raise ValueError(f"pixels are {tuple(picture.pixels.shape)}, expected (1, H, W) or (3, H, W)")
    kind = FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise InputError(f"{shown(path)} has no extension that can be written; expected one of {', '.join(WRITABLE)}")
    height, width = picture.pixels.shape[1:]
    if max(height, width) > kind.side or picture.pixels.numel() > kind.length:
        ends = f"sides of {kind.side:,}" if max(height, width) > kind.side else f"{kind.length / 1e9:.1f} GB"
        raise InputError(
            f"{shown(path)} would be {width:,} × {height:,} pixels, and {kind.name} ends at {ends}; "
            "write .png or .tiff instead"
        )
    with write_whole(path) as temporary:
        array, notes = _for_format(picture, kind)
        # Not straight into the file: there Pillow overlooks that a full disk took only half of what it gave.
        encoded = io.BytesIO()
        if kind is TIFF:  # Pillow would not write 16-bit colour, nor more than 4 GB
            _save_tiff(encoded, array)
        else:
            Image.fromarray(array).save(encoded, format=kind.name, **kind.options)
        temporary.write_bytes(encoded.getbuffer())
    return tuple(notes)


def _for_format(picture: Picture, kind: Format) -> tuple[np.ndarray, Sequence[str]]:
    """(H, W) or (H, W, channels) uint8 or uint16, alpha last, and what was lost on the way."""
    pixels, alpha, notes = picture.pixels, picture.alpha, []
    if alpha is not None and not kind.alpha:
        alpha = alpha.clamp(0, 1)
        pixels, alpha = pixels.clamp(0, 1) * alpha + (1 - alpha), None
        notes.append(f"{kind.name} holds no alpha: the picture was laid on white")
    planes = (pixels if alpha is None else torch.cat([pixels, alpha])).detach().cpu().float()  # (channels, H, W)
    deep = picture.bits == 16 and len(planes) in kind.deep
    if picture.bits == 16 and not deep:
        notes.append(
            f"16 bits were written as 8: of such pictures {'TIFF alone keeps' if kind.deep else 'TIFF keeps'} 16"
        )
    array = planes.clamp(0, 1).mul_(65535 if deep else 255).round_().numpy().astype(np.uint16 if deep else np.uint8)
    array = np.ascontiguousarray(np.moveaxis(array, 0, -1))  # (H, W, channels)
    return (array[..., 0] if len(planes) == 1 else array), notes


def _save_tiff(file: BinaryIO, array: np.ndarray) -> None:
    channels = array.shape[2] if array.ndim == 3 else 1
    layout = {"planarconfig": "contig"} if channels > 1 else {}
    if channels in (2, 4):
        layout["extrasamples"] = ["unassalpha"]
    tifffile.imwrite(file, array, photometric="rgb" if channels > 2 else "minisblack", metadata=None, **layout)


# BT.601, studio range: rows for Y, Cb and Cr, from RGB in [0, 1] to levels of 0…255.
TO_YCBCR = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
OFFSET = (16.0, 128.0, 128.0)


def rgb_to_ycbcr(image: Tensor) -> Tensor:
    """(…, 3, H, W) RGB in [0, 1] → YCbCr of BT.601, studio range / 255: Y from 16 to 235, Cb and Cr from 16 to 240.

    Reference: ITU-R BT.601; the constants of MATLAB's rgb2ycbcr.
    """
    matrix = np.array(TO_YCBCR) / 255
    return _mixed(image, matrix, np.array(OFFSET) / 255)


def ycbcr_to_rgb(image: Tensor) -> Tensor:
    """(…, 3, H, W) YCbCr as `rgb_to_ycbcr` gives it → RGB; not clamped: not every YCbCr is a colour."""
    matrix = np.linalg.inv(np.array(TO_YCBCR) / 255)
    return _mixed(image, matrix, -matrix @ np.array(OFFSET) / 255)


def with_luminance(image: Tensor, y: Tensor) -> Tensor:
    """(…, 3, H, W) with `y` (…, 1, H, W) for its luminance: what a Y network makes, in bicubic's colours."""
    return ycbcr_to_rgb(torch.cat([y, rgb_to_ycbcr(image)[..., 1:, :, :]], dim=-3))


def luminance(image: Tensor) -> Tensor:
    """(…, 3, H, W) RGB → (…, 1, H, W), the Y of `rgb_to_ycbcr`; a grey image (…, 1, H, W) is its own."""
    if image.shape[-3] == 1:
        return image
    return _mixed(image, np.array(TO_YCBCR[:1]) / 255, np.array(OFFSET[:1]) / 255)


def _mixed(image: Tensor, matrix: np.ndarray, offset: np.ndarray) -> Tensor:
    """Sums in plain float arithmetic: a matrix product may run in TF32 on a GPU, which keeps 10 bits."""
    if image.ndim < 3 or image.shape[-3] != 3:
        raise ValueError(f"image is {tuple(image.shape)}, expected (…, 3, H, W)")
    channels = image.unbind(-3)
    rows = [sum(w * c for w, c in zip(row, channels, strict=True)) for row in matrix.tolist()]
    return torch.stack([row + shift for row, shift in zip(rows, offset.tolist(), strict=True)], dim=-3)
