"""From picture files to samples, and from their color profiles to sRGB: what Pillow and tifffile do in reading."""

import io
import threading
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import InputError
from ..runtime.files import shown

BYTES_A_PIXEL = 20  # what reading takes: Pillow's 4, NumPy's 3, and 12 as three float32

# Only these decoders are offered a stranger's file; Pillow has others, one of which starts Ghostscript.
READABLE = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF")

# What Pillow decodes to → what its colors are taken on as. 16 bits, 32 bits and floats (I;16…, I, F) go another way.
MODES = {
    "1": "L", "L": "L", "LA": "LA", "La": "LA",
    "RGB": "RGB", "RGBX": "RGB", "RGBA": "RGBA", "RGBa": "RGBA", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB", "HSV": "RGB",
    "CMYK": "CMYK", "LAB": "LAB",
}  # fmt: skip


@dataclass
class Decoded:
    """A decoded picture whose colors are still those of its profile."""

    color: Image.Image | np.ndarray  # L, RGB, CMYK or LAB; or (H, W[, 3]) float32 in [0, 1]: more than 8 bits
    alpha: Image.Image | np.ndarray | None
    profile: bytes | None
    notes: list[str]


def decode(file: BinaryIO, label: str, pixel_limit: int) -> Decoded:
    """The first picture in `file`, upright.

    Args:
        file: seekable, at its start.
        label: what messages call it.
        pixel_limit: a picture with more pixels is refused before it is decoded.

    Raises:
        InputError: no picture, damaged or cut, more pixels than the limit or than memory holds.
    """
    with pillows_limit_lifted:
        try:
            if not file.read(1):
                raise InputError(f"{label} is empty (0 bytes); get a whole copy of it")
            return _deep_tiff(file, label, pixel_limit) or _by_pillow(file, label, pixel_limit)
        except InputError:
            raise
        except UnidentifiedImageError as error:
            raise InputError(f"{label} holds no picture that can be read; expected {', '.join(READABLE)}") from error
        except MemoryError as error:
            raise InputError(f"{label} is too large for the memory of this machine; make it smaller first") from error
        except Exception as error:  # decoders raise whatever comes up on damaged files
            raise InputError(f"{label} is damaged or cut off ({shown(error)}); get a whole copy of it") from error


class _PillowsLimit:
    """Takes Pillow's own limit, lower than ours, out of the way while pictures are read, and puts it back after.

    It is one number for the whole process: counting the readers lets several threads read at once.
    """

    def __init__(self):
        self.lock, self.readers = threading.Lock(), 0

    def __enter__(self):
        with self.lock:
            if not self.readers:
                self.limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self.readers += 1

    def __exit__(self, *_):
        with self.lock:
            self.readers -= 1
            if not self.readers:
                Image.MAX_IMAGE_PIXELS = self.limit


pillows_limit_lifted = _PillowsLimit()


class Announced(NamedTuple):
    """What the header of a picture says."""

    height: int
    width: int
    channels: int  # alpha among them
    bits: int  # 8 or 16 a channel


def header(file: BinaryIO) -> Announced | None:
    """What the header announces, None where it is none that Pillow knows; the file is at its start again."""
    try:
        with pillows_limit_lifted, Image.open(file, formats=READABLE) as picture:
            channels = len(picture.getbands()) if picture.mode != "P" else 3 + ("transparency" in picture.info)
            return Announced(picture.height, picture.width, channels, 8 if picture.mode in MODES else 16)
    except Exception:  # decoders raise whatever comes up on damaged files; `decode` says what is wrong
        return None
    finally:
        file.seek(0)


def _check_size(label: str, width: int, height: int, limit: int) -> None:
    if width * height > limit:
        memory = width * height * BYTES_A_PIXEL / 1e9
        raise InputError(
            f"{label} is {width:,} × {height:,} pixels and would take some {memory:,.1f} GB of memory; "
            f"the limit is {limit:,} pixels: make it smaller, or cut it into parts first"
        )


def _by_pillow(file: BinaryIO, label: str, limit: int) -> Decoded:
    with Image.open(file, formats=READABLE) as image:
        _check_size(label, *image.size, limit)
        stored = " ".join(str(tile[3]) for tile in image.tile)  # Pillow's names of how the samples lie in the file
        notes = []
        if getattr(image, "is_animated", False):
            notes.append("only the first of several pictures in the file was read")
        image.load()
        try:
            ImageOps.exif_transpose(image, in_place=True)
        except Exception:  # whatever comes up in damaged EXIF data; the picture itself is whole
            notes.append("its EXIF orientation could not be read")
        profile = image.info.get("icc_profile")
        if image.mode not in MODES:
            return Decoded(*_deep(image, label, stored), profile, notes)
        if ";16" in stored:
            notes.append("16 bits were read as 8: they are kept of grey PNG and of TIFF, LZW-compressed color excepted")
            _transparency_to_8_bits(image)
        return Decoded(*_shallow(image, "LA" if "LA;16B" in stored else MODES[image.mode]), profile, notes)


def _shallow(image: Image.Image, mode: str) -> tuple[Image.Image, Image.Image | None]:
    """Color (L, RGB, CMYK or LAB) and alpha, apart."""
    if image.has_transparency_data and mode in ("L", "RGB"):
        mode += "A"
    if image.mode != mode:
        image = image.convert(mode)
    if mode not in ("LA", "RGBA"):
        return image, None
    return image.convert(mode[:-1]), image.getchannel("A")


def _transparency_to_8_bits(image: Image.Image) -> None:
    """Pillow keeps the 16 bits of a PNG's one transparent color while it reduces the pixels to 8."""
    transparent = image.info.get("transparency")
    if isinstance(transparent, tuple):
        image.info["transparency"] = tuple(value >> 8 for value in transparent)


def _deep(image: Image.Image, label: str, stored: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Grey of more than 8 bits, and its alpha where one value is said to be transparent."""
    array = np.asarray(image)
    transparent = image.info.get("transparency")
    alpha = None if transparent is None else (array != transparent).astype(np.float32)
    return _unit(array, label, 4095 if ";12" in stored else 65535), alpha


def _unit(array: np.ndarray, label: str, top: int = 65535) -> np.ndarray:
    """Samples as float32 in [0, 1]: integers by `top`, floats as they are."""
    whole = np.issubdtype(array.dtype, np.integer)
    if not (array.min() >= 0 and array.max() <= (top if whole else 1)):  # so that NaN is refused as well
        raise InputError(
            f"{label} holds values from {array.min():g} to {array.max():g}; "
            f"expected {f'integers from 0 to {top:,}' if whole else 'floats from 0 to 1'}: bring it to that range first"
        )
    return array.astype(np.float32) / np.float32(top if whole else 1)


def _deep_tiff(file: BinaryIO, label: str, limit: int) -> Decoded | None:
    """A TIFF of more than 8 bits a sample, whose color Pillow would cut to 8; None for whatever Pillow does well."""
    file.seek(0)
    magic = file.read(4)
    file.seek(0)
    if magic not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return None
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages[0]
        colors = {0: 1, 1: 1, 2: 3}.get(int(page.photometric), 0)  # white is zero, black is zero, RGB
        plain = colors and colors <= page.samplesperpixel <= 8 and page.imagedepth == 1
        if page.bitspersample <= 8 or not plain:
            return None
        _check_size(label, page.imagewidth, page.imagelength, limit)
        try:
            array = page.asarray()
        except (ValueError, NotImplementedError) as error:
            if "imagecodecs" in str(error):  # a compression that Pillow knows and tifffile alone doesn't
                return None
            raise
        notes = ["only the first of several pictures in the file was read"] if len(tiff.pages) > 1 else []
        if page.axes.startswith("S"):  # (C, H, W): each channel stored for itself
            array = np.moveaxis(array, 0, -1)
        array = _upright(np.atleast_3d(_unit(array, label)), page.tags.valueof(274, 1))  # (H, W, samples)
        color, alpha = array[..., :colors], None
        if int(page.photometric) == 0:
            color = 1 - color
        if page.extrasamples and int(page.extrasamples[0]) in (1, 2):
            alpha = array[..., colors]
            if int(page.extrasamples[0]) == 1:  # colors are stored multiplied by alpha
                color = np.divide(color, alpha[..., None], out=np.zeros_like(color), where=alpha[..., None] > 0)
        color = color.clip(0, 1).squeeze(-1) if colors == 1 else color.clip(0, 1)
        return Decoded(color, alpha, page.iccprofile, notes)


def _upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, C), turned as EXIF's orientation 1 to 8 says."""
    if orientation in (5, 6, 7, 8):
        array = array.swapaxes(0, 1)
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return array[::rows, ::columns]


def in_srgb(color: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    """L or RGB by the profile; the very image where it is in sRGB already, or where nothing says that it isn't."""
    mode = "L" if color.mode == "L" else "RGB"
    try:
        if color.mode == "LAB":  # says what its colors are without a profile
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        else:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
        if source:
            # Grey pictures with a profile for colors are common, and mean its grey axis.
            given = "RGB" if source.profile.xcolor_space == "RGB " else color.mode
            transform = _to_srgb(source, given)
            if not _changes_nothing(transform, given):
                converted = ImageCms.applyTransform(color.convert(given), transform)
                return converted.getchannel("G") if mode == "L" else converted
    except (ImageCms.PyCMSError, OSError, ValueError):
        notes.append("its color profile is damaged or of another kind of picture; its colors were taken as sRGB")
    return color if color.mode == mode else color.convert(mode)


def _to_srgb(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    # LittleCMS's short cut is exact for RGB and five times as quick; for greys and Lab it is up to ten levels off.
    flags = ImageCms.Flags.NONE if mode == "RGB" else ImageCms.Flags.NOOPTIMIZE
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB", flags=flags)


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether a transform to sRGB stays within one level of 256 all over the range of L or RGB."""
    levels = np.linspace(0, 255, 18 if mode == "RGB" else 256).round().astype(np.uint8)
    if mode == "RGB":
        samples = Image.fromarray(np.stack(np.meshgrid(levels, levels, levels), -1).reshape(18, -1, 3))
    elif mode == "L":
        samples = Image.fromarray(levels[None])
    else:
        return False
    before, after = (np.asarray(image, np.int16) for image in (samples.convert("RGB"), transform.apply(samples)))
    return int(np.abs(before - after).max()) <= 1
