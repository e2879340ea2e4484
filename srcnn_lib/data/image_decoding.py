"""Decodes picture files with Pillow and tifffile, and converts their colors to sRGB."""

import contextlib
import ctypes
import functools
import io
import logging
import math
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError, features

from ..errors import InputError
from ..runtime import memory
from ..runtime.files import one_line
from .deep_color import read_deep_color

BYTES_PER_PIXEL = 20  # of memory while reading, rounded up: Pillow's 4, NumPy's 3, and 12 as three float32

# A picture of more pixels than this is refused where its file is so short that it can only be damaged, or be made to
# fill the memory. A blank page of 1 bit per pixel, deflated, has 8,256 pixels per byte.
SMALL = 16_000_000
PIXELS_PER_BYTE = 10_000
ORIENTATION = 274  # the number of the tag, in TIFF and in EXIF data
DEFLATE = 1032  # bytes at most that deflate stores in one

AVIF = "avif" in features.modules and features.check("avif")  # Pillow has it since 11.3, where it was built with it

# Only these of Pillow's decoders are used on files of unknown origin; one of the others starts Ghostscript.
READABLE = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", *(["AVIF"] if AVIF else []))

# Pillow's mode → the mode that its colors are converted to. 16 bits, 32 bits and floats (I;16…, I, F) are not here:
# `_decode_deep` takes them.
MODES = {
    "1": "L", "L": "L", "LA": "LA", "La": "LA",
    "RGB": "RGB", "RGBX": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB", "HSV": "RGB",
    "CMYK": "CMYK", "LAB": "LAB",
}  # fmt: skip


@dataclass
class DecodedImage:
    """A decoded picture whose colors are still in the color space of its profile."""

    color: Image.Image | np.ndarray  # L, RGB, CMYK or LAB; or (H, W[, 3]) float32 in [0, 1] for more than 8 bits
    alpha: Image.Image | np.ndarray | None
    profile: bytes | None
    notes: list[str]


def decode(file: BinaryIO, label: str, pixel_limit: int) -> DecodedImage:
    """Decodes the first picture in a file, and turns it upright.

    Args:
        file: seekable, at its start.
        label: what messages call it.
        pixel_limit: a picture with more pixels is refused before it is decoded.

    Raises:
        InputError: no picture, damaged or cut off, more pixels than the limit or than fit into memory.
    """
    _silence_libtiff()
    with pillows_limit_lifted, explain_damage(label), loggers_silenced:
        if not file.read(1):
            raise InputError(f"{label} is empty (0 bytes); get a whole copy of it")
        return _decode_deep_tiff(file, label, pixel_limit) or _decode_with_pillow(file, label, pixel_limit)


@contextlib.contextmanager
def explain_damage(label: str) -> Iterator[None]:
    """Turns any error of decoders and of converting what they give into an InputError."""
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(f"{label} holds no picture that can be read; expected {', '.join(READABLE)}") from error
    except Exception as error:  # decoders raise errors of any kind on damaged files
        if isinstance(error, MemoryError) or "alloc" in str(error):  # torch raises a RuntimeError
            raise InputError(f"{label} is too large for the memory of this machine; make it smaller first") from error
        raise InputError(f"{label} is damaged or cut off ({one_line(error)}); get a whole copy of it") from error


@functools.cache
def _silence_libtiff() -> None:
    """Stops libtiff's messages, which it writes to standard error: a damaged file is reported by its exception."""
    with contextlib.suppress(OSError, AttributeError):  # Pillow may contain libtiff in a way that can't be reached
        libtiff = ctypes.CDLL(Image.core.__file__)  # finds the functions of the libraries that Pillow has loaded
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            function = getattr(libtiff, name)
            function.argtypes, function.restype = [ctypes.c_void_p], ctypes.c_void_p
            function(None)


class _Silenced(logging.Filter):
    """Drops what decoders log in the threads that are inside of the context: without handlers it is printed."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int | None] = set()
        for name in ("tifffile", "PIL.TiffImagePlugin"):
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        return record.thread not in self.threads

    def __enter__(self) -> None:
        self.threads.add(threading.get_ident())

    def __exit__(self, *_: object) -> None:
        self.threads.discard(threading.get_ident())


loggers_silenced = _Silenced()


class _PillowsLimit:
    """Lifts Pillow's own limit on pixels, which is lower than ours, while pictures are read.

    The limit is global. It is restored when the last of several threads has finished reading.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.readers = 0

    def __enter__(self) -> None:
        with self.lock:
            if not self.readers:
                self.limit = Image.MAX_IMAGE_PIXELS
                Image.MAX_IMAGE_PIXELS = None
            self.readers += 1

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.readers -= 1
            if not self.readers:
                Image.MAX_IMAGE_PIXELS = self.limit


pillows_limit_lifted = _PillowsLimit()


class ImageHeader(NamedTuple):
    """The size and the format of the pixels, from the header of a picture file."""

    height: int
    width: int
    channels: int  # alpha included
    bits: int  # 8 or 16 per channel


def read_header(file: BinaryIO) -> ImageHeader | None:
    """Reads the header of a picture; None where Pillow does not know the format. The file is rewound to its start."""
    try:
        with pillows_limit_lifted, loggers_silenced, Image.open(file, formats=READABLE) as picture:
            channels = len(picture.getbands()) if picture.mode != "P" else 3 + ("transparency" in picture.info)
            deep = picture.mode not in MODES or any(";16" in str(tile[3]) for tile in picture.tile or ())
            return ImageHeader(picture.height, picture.width, channels, 16 if deep else 8)
    except Exception:  # decoders raise errors of any kind on damaged files; `decode` reports them
        return None
    finally:
        file.seek(0)


def _check_size(file: BinaryIO, label: str, width: int, height: int, limit: int, sample_bytes: int = 0) -> None:
    """Refuses what has too many pixels, before they are decoded.

    Args:
        file: to decode; its length is compared.
        label, width, height: of the picture.
        limit: of pixels.
        sample_bytes: of all samples in the file, where that is known and deflate the closest way to store them.
    """
    pixels = width * height
    if pixels <= 0:
        raise InputError(f"{label} is {width:,} × {height:,} pixels; get a whole copy of it")
    what = f"{label} is {width:,} × {height:,} pixels"
    if pixels > limit:
        raise InputError(
            f"{what} and would take some {pixels * BYTES_PER_PIXEL / 1e9:,.1f} GB of memory; "
            f"the limit is {limit:,} pixels: make it smaller, or cut it into parts first"
        )
    if pixels <= SMALL and sample_bytes <= SMALL:
        return
    length = _length(file)
    if pixels > PIXELS_PER_BYTE * length or sample_bytes > DEFLATE * length:
        raise InputError(f"{what}, which {length:,} bytes can't hold; get a whole copy of it")
    needed = max(pixels * BYTES_PER_PIXEL, 2 * sample_bytes)
    memory.check(what, needed, "make it smaller, or cut it into parts first")


def _length(file: BinaryIO) -> int:
    place = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(place)
    return length


def _decode_with_pillow(file: BinaryIO, label: str, limit: int) -> DecodedImage:
    with Image.open(file, formats=READABLE) as image:
        _check_size(file, label, *image.size, limit)
        stored = " ".join(str(tile[3]) for tile in image.tile)  # Pillow's names of the sample layout in the file
        notes = []
        if getattr(image, "is_animated", False):
            notes.append("only the first of several pictures in the file was read")
        if image.format == "TIFF":
            _check_tiff(image)
        if image.format == "AVIF" and _has_high_depth(file):
            notes.append("10 or 12 bits were read as 8")
        image.load()
        deep = read_deep_color(file, image) if ";16" in stored and image.mode in MODES else None
        if deep is not None:
            return _separate_deep(deep, image, notes)
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except Exception:  # damaged EXIF data raises errors of any kind; the picture itself is whole
            notes.append("its EXIF orientation could not be read")
        profile = _profile(image.info.get("icc_profile"))
        if image.mode not in MODES:
            return DecodedImage(*_decode_deep(image, label, stored), profile, notes)
        if ";16" in stored:
            notes.append("16 bits were read as 8: this kind of TIFF is read with 8; store it without compression")
        return DecodedImage(*_split_alpha(image, MODES[image.mode]), profile, notes)


def _separate_deep(samples: np.ndarray, image: Image.Image, notes: list[str]) -> DecodedImage:
    """Separates (H, W, samples) uint16 into color and alpha, and turns them upright."""
    transparent = image.info.get("transparency")  # the one transparent color of a PNG
    height, width, channels = samples.shape
    planes = np.empty((channels, height, width), np.float32)  # as the picture's tensor will hold them, without a copy
    array = np.divide(samples, np.float32(65535), out=np.moveaxis(planes, 0, -1), dtype=np.float32)
    if isinstance(transparent, tuple) and samples.shape[-1] == 3:
        opaque = (samples != np.array(transparent)).any(-1, keepdims=True)
        array = np.concatenate([array, opaque.astype(np.float32)], axis=-1)
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF data raises errors of any kind; the picture itself is whole
        orientation = 1
        notes.append("its EXIF orientation could not be read")
    array = _turn_upright(array, orientation)
    alpha = array[..., -1] if array.shape[-1] in (2, 4) else None
    color = array[..., 0] if array.shape[-1] == 2 else array[..., :3]
    return DecodedImage(color, alpha, _profile(image.info.get("icc_profile")), notes)


def _profile(value: object) -> bytes | None:
    """Returns a color profile; a damaged TIFF may hold text or a number in its place."""
    return value if isinstance(value, bytes) else None


def _check_tiff(image: Any) -> None:
    counts = [image.tag_v2.get(number, ()) for number in (279, 325)]  # of bytes in strips and in tiles
    area = sum((right - left) * (lower - upper) for _, (left, upper, right, lower), *_ in image.tile)
    _check_segments(area / math.prod(image.size), *counts)


def _check_segments(share: float, *places: object) -> None:
    """Refuses a TIFF of which strips or tiles are missing: decoders give black for them.

    Args:
        share: of the picture that its strips or tiles cover.
        places: their numbers of bytes, or their positions in the file; 0 for one that is not there.
    """
    if share < 1 or any(0 in (values if isinstance(values, tuple) else (values,)) for values in places):
        raise ValueError("a part of its pixels is missing")


def _has_high_depth(file: BinaryIO) -> bool:
    """Returns whether an AVIF has more than 8 bits per channel, by the codec's configuration (AV1-ISOBMFF, 2.3.3)."""
    place = file.tell()
    file.seek(0)
    head = file.read(4096)
    file.seek(place)
    at = head.find(b"av1C")
    return at >= 0 and len(head) > at + 6 and bool(head[at + 6] & 0x40)


def _split_alpha(image: Image.Image, mode: str) -> tuple[Image.Image, Image.Image | None]:
    """Separates color (L, RGB, CMYK or LAB) and alpha."""
    if image.has_transparency_data and mode in ("L", "RGB"):
        mode += "A"
    if image.mode != mode:
        image = image.convert(mode)
    if mode not in ("LA", "RGBA"):
        return image, None
    return image.convert(mode[:-1]), image.getchannel("A")


def _decode_deep(image: Image.Image, label: str, stored: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns gray of more than 8 bits, and its alpha where the file declares one value transparent."""
    array = np.asarray(image)
    transparent = image.info.get("transparency")
    alpha = None if transparent is None else (array != transparent).astype(np.float32)
    return _normalize(array, label, 4095 if ";12" in stored else 65535), alpha


def _normalize(array: np.ndarray, label: str, top: int = 65535) -> np.ndarray:
    """Converts samples to float32 in [0, 1]: integers are divided by `top`, floats stay as they are."""
    integer = np.issubdtype(array.dtype, np.integer)
    if not (array.min() >= 0 and array.max() <= (top if integer else 1)):  # written so that NaN is refused as well
        raise InputError(
            f"{label} holds values from {array.min():g} to {array.max():g}; expected "
            f"{f'integers from 0 to {top:,}' if integer else 'floats from 0 to 1'}: bring it to that range first"
        )
    return array.astype(np.float32) / np.float32(top if integer else 1)


def _decode_deep_tiff(file: BinaryIO, label: str, limit: int) -> DecodedImage | None:
    """Decodes a TIFF of more than 8 bits per sample, whose color Pillow would cut to 8; None for every other file."""
    file.seek(0)
    magic = file.read(4)
    file.seek(0)
    if magic not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return None
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        colors = {0: 1, 1: 1, 2: 3}.get(int(page.photometric), 0)  # white is zero, black is zero, RGB
        supported = colors and colors <= page.samplesperpixel <= 8 and page.imagedepth == 1
        if page.bitspersample <= 8 or not supported:
            return None
        samples = page.imagewidth * page.imagelength * page.samplesperpixel
        _check_size(file, label, page.imagewidth, page.imagelength, limit, samples * page.bitspersample // 8)
        parts = len(page.dataoffsets) / math.prod(page.chunked)
        _check_segments(parts, tuple(page.databytecounts), tuple(page.dataoffsets))
        try:
            array = page.asarray()
        except (ValueError, NotImplementedError) as error:
            if "imagecodecs" in str(error):  # a compression that Pillow knows and tifffile does not
                return None
            raise
        if page.axes.startswith("S"):  # (C, H, W): each channel is stored separately
            array = np.moveaxis(array, 0, -1)
        array = _turn_upright(
            np.atleast_3d(_normalize(array, label)), page.tags.valueof(ORIENTATION, 1)
        )  # (H, W, samples)
        color, alpha = _separate_samples(array, colors, page)
        notes = ["only the first of several pictures in the file was read"] if len(tiff.pages) > 1 else []
        return DecodedImage(color, alpha, _profile(page.iccprofile), notes)


def _separate_samples(array: np.ndarray, colors: int, page: tifffile.TiffPage) -> tuple[np.ndarray, np.ndarray | None]:
    """Separates (H, W, samples) in [0, 1] into color, (H, W) gray or (H, W, 3), and alpha (H, W)."""
    color, alpha = array[..., :colors], None
    if int(page.photometric) == 0:  # white is zero
        color = 1 - color
    if page.extrasamples and int(page.extrasamples[0]) in (1, 2):
        alpha = array[..., colors]
        if int(page.extrasamples[0]) == 1:  # the colors are stored multiplied by alpha
            color = np.divide(color, alpha[..., None], out=np.zeros_like(color), where=alpha[..., None] > 0)
    color = color.clip(0, 1)
    return (color.squeeze(-1) if colors == 1 else color), alpha


def _turn_upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Flips and rotates (H, W, C) by its EXIF orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return array[::rows, ::columns]


def convert_to_srgb(color: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """Converts colors to L or RGB in sRGB by their profile. An image that is in sRGB already is returned as it is."""
    mode = "L" if color.mode == "L" else "RGB"
    try:
        source = None
        if color.mode == "LAB":  # needs no profile
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif profile:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source:
            # Gray pictures with an RGB profile are common; their values are those of its gray axis.
            profile_mode = "RGB" if source.profile.xcolor_space == "RGB " else color.mode
            transform = _to_srgb(source, profile_mode)
            if not _is_identity(transform, profile_mode):
                converted = transform.apply(color.convert(profile_mode))
                return converted.getchannel("G") if mode == "L" else converted
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        notes.append("its color profile is damaged or of another kind of picture; its colors were taken as sRGB")
    return color if color.mode == mode else color.convert(mode)


def _to_srgb(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    # LittleCMS's optimization is exact for RGB and five times as fast; for gray and Lab it is up to ten levels off.
    flags = ImageCms.Flags.NONE if mode == "RGB" else ImageCms.Flags.NOOPTIMIZE
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Returns whether a transform to sRGB changes no L or RGB color by more than one level of 256."""
    levels = np.linspace(0, 255, 18 if mode == "RGB" else 256).round().astype(np.uint8)
    if mode == "RGB":
        samples = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(18, -1, 3))
    elif mode == "L":
        samples = Image.fromarray(levels[None])
    else:
        return False
    before = np.asarray(samples.convert("RGB"), np.int16)
    after = np.asarray(transform.apply(samples), np.int16)
    return int(np.abs(before - after).max()) <= 1
