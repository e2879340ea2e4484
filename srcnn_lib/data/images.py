"""Pictures from files, addresses and bytes to pixels and back, whatever their mode, depth or color profile."""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

import numpy as np
import tifffile
import torch
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..runtime.files import shown, write_whole
from .download import is_address, read_address
from .image_decoding import Announced, Decoded, decode, header, in_srgb

PIXEL_LIMIT = 500_000_000
BAND = 256  # rows that are brought to the file's bits at once


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
    alpha: Tensor | None = None  # (1, H, W) in [0, 1]; the colors are not multiplied by it
    bits: int = 8  # 8 or 16 a channel in the file
    name: str = "picture"  # of the file, without its folder
    notes: tuple[str, ...] = ()  # what was lost in reading, a line each


def read_image(
    source: str | Path | bytes,
    name: str | None = None,
    pixel_limit: int = PIXEL_LIMIT,
    admit: Callable[[Announced], object] | None = None,
) -> Picture:
    """Read a picture: upright by its EXIF orientation, in sRGB by its color profile.

    Args:
        source: a path, an http(s) address, or the bytes of a file.
        name: what the picture is called, where `source` doesn't tell.
        pixel_limit: a picture with more pixels is refused before it is decoded.
        admit: called with what the header announces, where it can be read, before the rest is decoded; what it raises
            is passed on.

    Raises:
        InputError: missing, a folder, empty, no picture, damaged or cut, or larger than `pixel_limit`.
    """
    with _opened(source, name) as (file, name, label):
        if admit and (announced := header(file)):
            admit(announced)
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
    """The last step of reading: colors into sRGB, arrays into tensors."""
    color, bits = found.color, 8
    if isinstance(color, Image.Image):
        color = in_srgb(color, found.profile, found.notes)
    else:
        bits = 16
        if found.profile:
            eight = Image.fromarray((color * 255).round().astype(np.uint8))
            if (converted := in_srgb(eight, found.profile, found.notes)) is not eight:
                color, bits = converted, 8
                found.notes.append("16 bits were reduced to 8: its color profile can only be applied to 8")
    alpha = None if found.alpha is None else _tensor(found.alpha)
    return Picture(_tensor(color), alpha, bits, name, tuple(found.notes))


def _tensor(image: Image.Image | np.ndarray) -> Tensor:
    """(H, W) or (H, W, C) → (C, H, W) float32 in [0, 1]."""
    array = np.array(image)  # a copy: what Pillow gives is read-only
    planes = torch.from_numpy(np.atleast_3d(array)).permute(2, 0, 1)  # (C, H, W)
    pixels = planes.to(torch.float32, memory_format=torch.contiguous_format)
    return pixels if array.dtype == np.float32 else pixels.div_(255)


def write_image(path: str | Path, picture: Picture | Tensor) -> tuple[str, ...]:
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
    channels, *size = picture.pixels.shape
    canvas = Canvas(path, size, channels, picture.alpha is not None, picture.bits)
    for top in range(0, size[0], BAND):
        rows = slice(top, top + BAND)
        canvas.fill(top, picture.pixels[:, rows], None if picture.alpha is None else picture.alpha[:, rows])
    return canvas.write()


class Canvas:
    """A picture file in the making, filled band by band and held in its own 8 or 16 bits: `write` without the floats.

    Args:
        path: ends with one of WRITABLE.
        size: (height, width) in pixels.
        channels: 1 (grey) or 3 (RGB).
        alpha: whether the bands have alpha.
        bits: 8 or 16, of the picture.

    Raises:
        InputError: another extension, or a side longer than the format allows.
    """

    def __init__(self, path: str | Path, size: tuple[int, int], channels: int, alpha: bool = False, bits: int = 8):
        self.path, self.kind = path, _kind_of(path, *size, channels)
        self.notes = []
        self.on_white = alpha and not self.kind.alpha
        if self.on_white:
            self.notes.append(f"{self.kind.name} holds no alpha: the picture was laid on white")
        planes = channels + (alpha and self.kind.alpha)
        deep = bits == 16 and planes in self.kind.deep
        if bits == 16 and not deep:
            which = "TIFF alone keeps" if self.kind.deep else "TIFF keeps"
            self.notes.append(f"16 bits were written as 8: of such pictures {which} 16")
        self.top_level = 65535 if deep else 255
        self.array = np.empty((*size, planes), np.uint16 if deep else np.uint8)

    def fill(self, top: int, pixels: Tensor, alpha: Tensor | None = None) -> None:
        """The rows from `top` on: (C, rows, W), and (1, rows, W) where there is alpha; clamped to [0, 1]."""
        if self.on_white:
            alpha = alpha.clamp(0, 1)
            pixels, alpha = pixels.clamp(0, 1) * alpha + (1 - alpha), None
        planes = (pixels if alpha is None else torch.cat([pixels, alpha])).detach().cpu().float()
        levels = planes.clamp(0, 1).mul_(self.top_level).round_()  # (planes, rows, W)
        self.array[top : top + levels.shape[1]] = np.moveaxis(levels.numpy(), 0, -1)

    def write(self) -> tuple[str, ...]:
        """Write the file whole or not at all, and let the pixels go; what the format could not hold, a line each.

        Raises:
            InputError: no such folder.
            OSError: a full disk, a folder that may not be written.
        """
        with write_whole(self.path) as temporary:
            # Not straight into the file: there Pillow overlooks that a full disk took only half of what it gave.
            encoded = io.BytesIO()
            array, self.array = (self.array[..., 0] if self.array.shape[-1] == 1 else self.array), None
            if self.kind is TIFF:  # Pillow would not write 16-bit color, nor more than 4 GB
                _save_tiff(encoded, array)
            else:
                image = Image.fromarray(array)
                del array  # Pillow has it in its own way
                image.save(encoded, format=self.kind.name, **self.kind.options)
            temporary.write_bytes(encoded.getbuffer())
        return tuple(self.notes)


def _kind_of(path: str | Path, height: int, width: int, channels: int) -> Format:
    kind = FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise InputError(f"{shown(path)} has no extension that can be written; expected one of {', '.join(WRITABLE)}")
    if max(height, width) > kind.side or height * width * channels > kind.length:
        ends = f"sides of {kind.side:,}" if max(height, width) > kind.side else f"{kind.length / 1e9:.1f} GB"
        raise InputError(
            f"{shown(path)} would be {width:,} × {height:,} pixels, and {kind.name} ends at {ends}; "
            "write .png or .tiff instead"
        )
    return kind


def _save_tiff(file: BinaryIO, array: np.ndarray) -> None:
    channels = array.shape[2] if array.ndim == 3 else 1
    layout = {"planarconfig": "contig"} if channels > 1 else {}
    if channels in (2, 4):
        layout["extrasamples"] = ["unassalpha"]
    tifffile.imwrite(file, array, photometric="rgb" if channels > 2 else "minisblack", metadata=None, **layout)
