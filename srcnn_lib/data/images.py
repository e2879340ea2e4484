"""Reads pictures from files, addresses and bytes into tensors, and writes tensors into picture files."""

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

from ..errors import InputError, error_reason
from ..runtime.files import printable, write_atomically
from .deep_color import encode_deep_png
from .download import is_url, read_url
from .image_decoding import AVIF, DecodedImage, ImageHeader, convert_to_srgb, decode, explain_damage, read_header

PIXEL_LIMIT = 500_000_000
BAND = 256  # rows; so many are converted to the file's bit depth at once
WEIGHTS_EXTENSIONS = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True)
class Format:
    """What a file format can hold, and how it is written."""

    name: str
    alpha: bool = False
    deep: tuple[int, ...] = ()  # numbers of channels, alpha included, that can be stored with 16 bits
    side: int = 2**31 - 1  # pixels
    length: int = 2**62  # bytes
    options: dict = field(default_factory=dict)  # of Pillow's encoder


# JPEG allows sides of 65,535 pixels, libjpeg 65,500.
JPEG = Format("JPEG", side=65_500, options={"quality": 95, "subsampling": "4:4:4"})
TIFF = Format("TIFF", alpha=True, deep=(1, 2, 3, 4))
FORMATS = {
    ".png": Format("PNG", alpha=True, deep=(1, 2, 3, 4)),
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".bmp": Format("BMP", length=2**32 - 2**20),
    ".tif": TIFF,
    ".tiff": TIFF,
    ".webp": Format("WebP", alpha=True, side=16_383, options={"lossless": True, "exact": True}),
}
if AVIF:  # of longer sides, libavif reads no picture
    FORMATS[".avif"] = Format("AVIF", alpha=True, side=16_384, options={"quality": 95, "subsampling": "4:4:4"})
WRITABLE = tuple(FORMATS)
EXTENSIONS = (*WRITABLE, ".gif")


@dataclass(frozen=True, eq=False)
class Picture:
    """The pixels of a picture with its alpha, bit depth and name."""

    pixels: Tensor  # (C, H, W) float32 in [0, 1], C = 1 gray or 3 RGB (sRGB)
    alpha: Tensor | None = None  # (1, H, W) in [0, 1]; the colors are not multiplied by it
    bits: int = 8  # 8 or 16 per channel in the file
    name: str = "picture"  # of the file, without its folder
    notes: tuple[str, ...] = ()  # what was lost in reading, one line each


def read_image(
    source: str | Path | bytes,
    name: str | None = None,
    pixel_limit: int = PIXEL_LIMIT,
    check_header: Callable[[ImageHeader], object] | None = None,
) -> Picture:
    """Reads a picture: upright by its EXIF orientation, in sRGB by its color profile.

    Args:
        source: a path, an http(s) address, or the bytes of a file.
        name: what the picture is called; by default the name of the file, or "picture" for bytes.
        pixel_limit: a picture with more pixels is refused before it is decoded.
        check_header: called with the picture's header, where that can be read, before the pixels are decoded. It may
            raise an error to refuse the picture.

    Returns:
        The picture, its pixels (1 or 3, H, W) float32 in [0, 1].

    Raises:
        InputError: the file is missing, a folder, empty, no picture, damaged or cut off, or larger than `pixel_limit`.
    """
    with _open(source, name) as (file, name, label):
        if check_header and (header := read_header(file)):
            check_header(header)
        decoded = decode(file, label, pixel_limit)
        with explain_damage(label):
            return _to_picture(decoded, name)


@contextlib.contextmanager
def _open(source: str | Path | bytes, name: str | None) -> Iterator[tuple[BinaryIO, str, str]]:
    """Opens a source, and yields the file, the picture's name, and its name in messages."""
    if not isinstance(source, (str, Path)):  # bytes, or the memoryview of an upload in a notebook
        yield io.BytesIO(source), name or "picture", printable(name or "the picture")
    elif isinstance(source, str) and is_url(source):
        yield io.BytesIO(read_url(source)), name or _name_in_url(source), printable(source)
    else:
        _refuse_weights(source, "srcnn_lib.load reads networks")
        with _open_path(Path(source), printable(source)) as file:
            yield file, name or Path(source).name, printable(source)


def _refuse_weights(path: str | Path, way_out: str) -> None:
    if Path(path).suffix.lower() in WEIGHTS_EXTENSIONS:
        raise InputError(f"{printable(path)} is the name of a weights file, not of a picture; {way_out}")


def _open_path(path: Path, label: str) -> BinaryIO:
    try:
        # Opening a pipe would wait for a process that writes into it.
        if not path.is_dir() and path.exists() and not path.is_file():
            raise InputError(f"{label} is no plain file; give the path of a picture")
        return path.open("rb")
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{label} doesn't exist; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{label} is a folder; give a picture in it") from error
    except (OSError, ValueError) as error:  # no permission, a name that is too long or holds a zero byte
        reason = printable(error_reason(error))
        raise InputError(f"{label} can't be opened ({reason}); check the path and its permissions") from error


def _name_in_url(url: str) -> str:
    """Returns the name at the end of a URL, without separators, since it may become the name of a file."""
    path = unquote(urlsplit(url).path)
    return printable(PurePosixPath(path.replace("\\", "/")).name) or "picture"


def _to_picture(decoded: DecodedImage, name: str) -> Picture:
    """Converts the colors to sRGB and the arrays to tensors."""
    color, bits = decoded.color, 8
    if isinstance(color, Image.Image):
        color = convert_to_srgb(color, decoded.profile, decoded.notes)
    else:
        bits = 16
        if decoded.profile:
            reduced = Image.fromarray((color * 255).round().astype(np.uint8))
            converted = convert_to_srgb(reduced, decoded.profile, decoded.notes)
            if converted is not reduced:
                color, bits = converted, 8
                decoded.notes.append("16 bits were reduced to 8: its color profile can only be applied to 8")
    alpha = None if decoded.alpha is None else _to_tensor(decoded.alpha)
    return Picture(_to_tensor(color), alpha, bits, name, tuple(decoded.notes))


def _to_tensor(image: Image.Image | np.ndarray) -> Tensor:
    """Converts (H, W) or (H, W, C) to (C, H, W) float32 in [0, 1]."""
    array = np.asarray(image)
    if not array.flags.writeable or min(array.strides) < 0:  # Pillow's own array, or one that was turned upright
        array = array.copy()
    planes = torch.from_numpy(np.atleast_3d(array)).permute(2, 0, 1)  # (C, H, W)
    pixels = planes.to(torch.float32, memory_format=torch.contiguous_format)
    return pixels if array.dtype == np.float32 else pixels.div_(255)


def to_uint8(pixels: Tensor) -> Tensor:
    """Converts (…) in [0, 1] to uint8, clamped and rounded, on the CPU."""
    return (pixels.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)


def to_rgb_pixels(picture: Tensor) -> Tensor:
    """Converts a picture (C, H, W) in [0, 1], RGB or gray, to (H, W, 3) uint8."""
    return to_uint8(picture.expand(3, -1, -1)).permute(1, 2, 0)


def write_image(path: str | Path, picture: Picture | Tensor) -> tuple[str, ...]:
    """Writes a picture, whole or not at all, in the format that the extension selects.

    Args:
        path: ends with one of WRITABLE.
        picture: a Picture, or pixels (C, H, W) in [0, 1] with C = 1 or 3, which are written with 8 bits. Values are
            clamped to [0, 1].

    Returns:
        What the format could not hold, one line each.

    Raises:
        InputError: another extension, a folder that doesn't exist, or a side longer than the format allows.
        OSError: a full disk, or a folder without permission to write.
        ValueError: pixels of another shape.
    """
    picture = Picture(picture) if isinstance(picture, Tensor) else picture
    if picture.pixels.ndim != 3 or len(picture.pixels) not in (1, 3) or not picture.pixels.numel():
        raise ValueError(f"pixels are {tuple(picture.pixels.shape)}, expected (1, H, W) or (3, H, W)")
    channels, height, width = picture.pixels.shape
    writer = PictureWriter(path, (height, width), channels, picture.alpha is not None, picture.bits)
    for top in range(0, height, BAND):
        rows = slice(top, top + BAND)
        writer.write_rows(top, picture.pixels[:, rows], None if picture.alpha is None else picture.alpha[:, rows])
    return writer.save()


class PictureWriter:
    """Writes a picture file from bands of rows, for pictures whose float32 pixels should not be in memory at once.

    The bands are kept with the file's 8 or 16 bits until `save` encodes them.

    Args:
        path: ends with one of WRITABLE.
        size: (height, width) in pixels.
        channels: 1 (gray) or 3 (RGB).
        alpha: whether the bands have alpha.
        bits: 8 or 16 per channel. A format that can't hold 16 gets 8, and a note.

    Raises:
        InputError: another extension, or a side longer than the format allows.
    """

    def __init__(self, path: str | Path, size: tuple[int, int], channels: int, alpha: bool = False, bits: int = 8):
        self.path = path
        self.format = _format_for(path, *size, channels)
        self.notes: list[str] = []
        self._on_white = alpha and not self.format.alpha
        if self._on_white:
            self.notes.append(f"{self.format.name} holds no alpha: the picture was laid on white")
        planes = channels + (alpha and self.format.alpha)
        deep = bits == 16 and planes in self.format.deep
        if bits == 16 and not deep:
            self.notes.append("16 bits were written as 8; write .png or .tiff to keep them")
        self._top_level = 65535 if deep else 255
        self.shape = (*size, planes)  # (height, width, channels with alpha)
        self._array = np.empty(self.shape, np.uint16 if deep else np.uint8)

    def write_rows(self, top: int, pixels: Tensor, alpha: Tensor | None = None) -> None:
        """Stores a band of rows.

        Args:
            top: the first row.
            pixels: (channels, rows, width); clamped to [0, 1].
            alpha: (1, rows, width), for a picture with alpha.
        """
        if self._on_white and alpha is not None:
            alpha = alpha.clamp(0, 1)
            pixels = pixels.clamp(0, 1) * alpha + (1 - alpha)
            alpha = None
        planes = (pixels if alpha is None else torch.cat([pixels, alpha])).detach().cpu().float()
        levels = planes.clamp(0, 1).mul_(self._top_level).round_()  # (planes, rows, width)
        self._array[top : top + levels.shape[1]] = np.moveaxis(levels.numpy(), 0, -1)

    def save(self) -> tuple[str, ...]:
        """Writes the file, whole or not at all, and frees the pixels; it can be called once.

        Returns:
            What the format could not hold, one line each.

        Raises:
            InputError: the folder doesn't exist.
            OSError: a full disk, or a folder without permission to write.
        """
        with write_atomically(self.path) as temporary:
            # Not straight into the file: Pillow does not notice that a full disk took only a part of the bytes.
            encoded = io.BytesIO()
            array = self._array[..., 0] if self._array.shape[-1] == 1 else self._array
            del self._array
            if self.format is TIFF:  # Pillow writes neither 16-bit color nor more than 4 GB
                _encode_tiff(encoded, array)
            elif array.dtype == np.uint16 and array.ndim == 3:
                encode_deep_png(encoded, array)
            else:
                image = Image.fromarray(array)
                del array  # Pillow holds a copy
                image.save(encoded, format=self.format.name, **self.format.options)
            temporary.write_bytes(encoded.getbuffer())
        return tuple(self.notes)


def _format_for(path: str | Path, height: int, width: int, channels: int) -> Format:
    _refuse_weights(path, "srcnn_lib.save writes networks")
    file_format = FORMATS.get(Path(path).suffix.lower())
    if file_format is None:
        raise InputError(
            f"{printable(path)} has no extension that can be written; expected one of {', '.join(WRITABLE)}"
        )
    limit = None
    if max(height, width) > file_format.side:
        limit = f"sides of {file_format.side:,}"
    elif height * width * channels > file_format.length:
        limit = f"{file_format.length / 1e9:.1f} GB"
    if limit:
        raise InputError(
            f"{printable(path)} would be {width:,} × {height:,} pixels, and {file_format.name} ends at {limit}; "
            "write .png or .tiff instead"
        )
    return file_format


def _encode_tiff(file: BinaryIO, array: np.ndarray) -> None:
    channels = array.shape[2] if array.ndim == 3 else 1
    layout: dict = {"planarconfig": "contig"} if channels > 1 else {}
    if channels in (2, 4):
        layout["extrasamples"] = ["unassalpha"]
    tifffile.imwrite(file, array, photometric="rgb" if channels > 2 else "minisblack", metadata=None, **layout)
