"""Reads and writes color pictures of 16 bits, which Pillow would reduce to 8.

Pillow's decoders are used nevertheless. They know two layouts of 16-bit samples, with the high byte first (B) and with
the low byte first (L), and keep the byte that is the high one there. Told the other layout, they keep the low one.
"""

import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

PNG_COLORS = {1: 0, 2: 4, 3: 2, 4: 6}  # number of channels → PNG's color type
PAETH = 4  # PNG's number of the filter
BAND = 256  # rows that are filtered at once

# Pillow's layout → the one that gives the low bytes. N is this machine's order, as libtiff gives it.
_NATIVE = "B" if np.little_endian else "L"
_OTHER = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in (("B", "L"), ("L", "B"), ("N", _NATIVE))
}


def read_deep_color(file: BinaryIO, image: Image.Image) -> np.ndarray | None:
    """Decodes the samples of a PNG or TIFF with 16 bits.

    Args:
        file: the picture.
        image: the picture as Pillow has opened and decoded it.

    Returns:
        (H, W, C) uint16, with C = 2 for gray and alpha, 3 for RGB, 4 for RGB and alpha; None for other layouts.
    """
    file.seek(0)
    with Image.open(file, formats=[image.format or ""]) as again:
        layouts = {_layout(tile[3]) for tile in again.tile}
        if layouts == {"LA;16B"}:  # four bytes a pixel, as RGBA has: both are decoded as they are
            _decode(again, {"LA;16B": "RGBA"})
            return np.asarray(again).view(">u2").astype(np.uint16)
        if len(layouts) != 1 or not layouts <= set(_OTHER):
            return None
        _decode(again, _OTHER)
        samples = np.asarray(image).astype(np.uint16)
        samples <<= 8  # in place: a picture of 22 million pixels has 130 MB of samples
        samples |= np.asarray(again)
        return samples


def _layout(arguments: Any) -> str:
    return arguments[0] if isinstance(arguments, tuple) else arguments


def _decode(image: Any, layouts: dict[str, str]) -> None:
    """Decodes a picture as if its samples had another layout."""
    tiles = []
    for codec, extents, offset, arguments in image.tile:
        layout = layouts[_layout(arguments)]
        changed = (layout, *arguments[1:]) if isinstance(arguments, tuple) else layout
        tiles.append(type(image.tile[0])(codec, extents, offset, changed))
    image.tile = tiles
    image.load()


def encode_deep_png(file: BinaryIO, array: np.ndarray) -> None:
    """Writes a PNG with 16 bits.

    Args:
        file: to write to.
        array: (H, W, C) uint16, with C as `read_deep_color` returns it, or 1 for gray.

    Reference: W3C, Portable Network Graphics (third edition), sections 9 (filtering) and 11 (chunks).
    """
    height, width, channels = array.shape
    file.write(b"\x89PNG\r\n\x1a\n")
    _write_chunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, PNG_COLORS[channels], 0, 0, 0))
    compressor = zlib.compressobj()
    above = np.zeros(2 * width * channels, np.uint8)
    for top in range(0, height, BAND):
        rows = array[top : top + BAND].astype(">u2").reshape(-1, width * channels).view(np.uint8)
        filtered = np.full((len(rows), 1 + rows.shape[1]), PAETH, np.uint8)
        filtered[:, 1:] = rows - _predict(np.concatenate([above[None], rows]), 2 * channels)
        above = rows[-1]
        _write_chunk(file, b"IDAT", compressor.compress(filtered.tobytes()))
    _write_chunk(file, b"IDAT", compressor.flush())
    _write_chunk(file, b"IEND", b"")


def _predict(rows: np.ndarray, pixel: int) -> np.ndarray:
    """Returns Paeth's prediction of all rows but the first, (N, bytes) uint8.

    Of the bytes at the left, above, and above left it is the one that is closest to left + above − above left.
    """
    padded = np.pad(rows, ((0, 0), (pixel, 0))).astype(np.int16)
    left, above, corner = padded[1:, :-pixel], padded[:-1, pixel:], padded[:-1, :-pixel]
    to_left, to_above = np.abs(above - corner), np.abs(left - corner)
    to_corner = np.abs(left + above - 2 * corner)
    nearest = np.where(to_above <= to_corner, above, corner)
    return np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest).astype(np.uint8)


def _write_chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
