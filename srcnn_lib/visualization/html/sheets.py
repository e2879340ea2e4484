"""Feature maps and kernels as data of a page: sheets of all channels, compressed until they fit into a size.

The sheets hold values, not colors: the page's script cuts the channels out and colors them. (frames.py draws maps and
kernels in Python.)
"""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from ...data.images import to_uint8
from ..frames import evenly_spaced
from .page import encode_picture

COLUMNS = 8  # maps in a row of a sheet
BLOCK = 16  # pixels: WebP codes such squares; maps padded to whole squares do not affect their neighbors
QUALITIES = (85, 75, 65, 55, 45, 35, 25)  # of WebP, the best first


def tile_size(height: int, width: int) -> tuple[int, int]:
    """Returns height and width of a map's place in its sheet, in pixels: whole BLOCKs."""
    return math.ceil(height / BLOCK) * BLOCK, math.ceil(width / BLOCK) * BLOCK


def map_sheet(maps: Tensor, limits: Tensor) -> Tensor:
    """Lays out the feature maps of a layer.

    Args:
        maps: (channels, h, w), not negative.
        limits: (channels,), the value that is stored as 255.

    Returns:
        (rows · tile height, COLUMNS · tile width) uint8; each map is padded by its edges.
    """
    channels, height, width = maps.shape
    tile_height, tile_width = tile_size(height, width)
    pixels = to_uint8(maps.float() / limits[:, None, None])
    if (tile_height, tile_width) != (height, width):
        padding = [0, tile_width - width, 0, tile_height - height]
        pixels = F.pad(pixels[None].float(), padding, mode="replicate")[0].to(torch.uint8)
    rows = math.ceil(channels / COLUMNS)
    pixels = torch.cat([pixels, pixels.new_zeros(rows * COLUMNS - channels, tile_height, tile_width)])
    pixels = pixels.unflatten(0, (rows, COLUMNS)).transpose(1, 2)  # (rows, tile height, COLUMNS, tile width)
    return pixels.flatten(2).flatten(0, 1)


def kernel_sheet(weights: Tensor, limit: float, levels: int, *, rgb: bool, root: bool = False) -> Tensor:
    """Lays out the kernels of a layer, with zero as the middle of the range.

    Args:
        weights: (outputs, inputs, k, k).
        limit: the weight at the end of the range.
        levels: how many are stored from zero to the limit.
        rgb: whether three inputs are the colors of one picture.
        root: whether the (signed) square root is stored, which distinguishes small weights even in few levels.

    Returns:
        uint8, (outputs · k, k, 3) for RGB; otherwise (outputs · k, inputs · k), a row of squares for each output.
    """
    values = (weights / limit).clamp(-1, 1)
    if root:
        values = values.sign() * values.abs().sqrt()
    values = values.mul(levels).round() / levels
    pixels = (127.5 + 127.5 * values).round().to(torch.uint8)
    if rgb:
        return pixels.permute(0, 2, 3, 1).flatten(0, 1)
    return pixels.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)


def add_sheets(frames: list[dict], sheets: list[list[Tensor]], room: int) -> list[dict]:
    """Adds the sheets of maps to the frames of a page, in the best quality that fits.

    Args:
        frames: the data of each snapshot, with "picture" and "kernels" encoded.
        sheets: for each snapshot, the sheets of its layers.
        room: bytes that all frames may take.

    Returns:
        the frames, each with its encoded sheets as "maps". If the lowest quality does not fit, some frames are left
        out, evenly; [] if not even two of several fit.
    """
    sizes = [sum(len(text) for text in (frame["picture"], *frame["kernels"])) + 200 for frame in frames]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow releases the GIL while it encodes

        def encode(numbers: list[int], quality: int) -> tuple[list[list[str]], int]:
            jobs = [[pool.submit(encode_picture, sheet, quality=quality) for sheet in sheets[n]] for n in numbers]
            texts = [[job.result() for job in jobs_of_frame] for jobs_of_frame in jobs]
            return texts, sum(len(text) for texts_of_frame in texts for text in texts_of_frame)

        @cache
        def mean_size(quality: int) -> float:
            sample = evenly_spaced(range(len(frames)), 4)
            return encode(sample, quality)[1] / len(sample)

        count = len(frames)
        while count >= min(2, len(frames)):
            kept = evenly_spaced(range(len(frames)), count)
            left = room - sum(sizes[number] for number in kept)
            for quality in QUALITIES:
                # A few frames predict which quality will fit; if the others need more, the next lower one is tried.
                if mean_size(quality) * count <= left:
                    texts, size = encode(kept, quality)
                    if size <= left:
                        return [frames[number] | {"maps": text} for number, text in zip(kept, texts, strict=True)]
            count = count * 4 // 5
    return []
