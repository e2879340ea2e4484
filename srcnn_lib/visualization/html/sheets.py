"""Feature maps and kernels as pictures for a page: all channels in one sheet, compressed until a size is kept."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from ..video import evenly
from .page import bytes_of, encoded

COLUMNS = 8  # of a sheet
BLOCK = 16  # pixels: WebP codes such squares, so a map padded to whole ones does not bleed into its neighbour
QUALITIES = (85, 75, 65, 55, 45, 35, 25)  # of the sheets, the best first


def tile(height: int, width: int) -> tuple[int, int]:
    """What a map takes in its sheet, in pixels: whole BLOCKs."""
    return math.ceil(height / BLOCK) * BLOCK, math.ceil(width / BLOCK) * BLOCK


def sheet(maps: Tensor, limits: Tensor) -> Tensor:
    """(channels, h, w) from 0 to (channels,) `limits` → uint8 picture, COLUMNS in a row, padded by their edges."""
    channels, height, width = maps.shape
    tall, wide = tile(height, width)
    pixels = bytes_of(maps.float() / limits[:, None, None])
    if (tall, wide) != (height, width):
        pixels = F.pad(pixels[None].float(), [0, wide - width, 0, tall - height], mode="replicate")[0].to(torch.uint8)
    rows = math.ceil(channels / COLUMNS)
    pixels = torch.cat([pixels, pixels.new_zeros(rows * COLUMNS - channels, tall, wide)])
    return pixels.unflatten(0, (rows, COLUMNS)).transpose(1, 2).flatten(2).flatten(0, 1)  # (rows·tall, COLUMNS·wide)


def kernel_image(weight: Tensor, limit: float, levels: int, colors: bool, root: bool = False) -> Tensor:
    """(outputs, inputs, k, k) → uint8, zero in the middle: a row of squares for each output, or one in colors.

    `root` spreads the small values before they are rounded to `levels`: the (signed) square root is stored.
    """
    values = (weight / limit).clamp(-1, 1)
    values = values.sign() * values.abs().sqrt() if root else values
    values = values.mul(levels).round() / levels
    values = (127.5 + 127.5 * values).round().to(torch.uint8)
    if colors:
        return values.permute(0, 2, 3, 1).flatten(0, 1)  # (outputs·k, k, 3)
    return values.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)  # (outputs·k, inputs·k)


def fitted(frames: list[dict], maps: list[list[Tensor]], room: int) -> list[dict]:
    """The frames with their sheets as "maps", in the best quality that stays within `room` bytes.

    Where the lowest quality is not enough, frames are left out, evenly; [] where not even two of several fit.
    """
    sizes = [sum(len(text) for text in (frame["picture"], *frame["kernels"])) + 200 for frame in frames]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow encodes outside Python's lock

        def compress(places: list[int], quality: int) -> tuple[list[list[str]], int]:
            jobs = [[pool.submit(encoded, picture, quality=quality) for picture in maps[place]] for place in places]
            texts = [[job.result() for job in jobs_of_frame] for jobs_of_frame in jobs]
            return texts, sum(len(text) for of_frame in texts for text in of_frame)

        @cache
        def mean_size(quality: int) -> float:
            sample = evenly(len(frames), 4)
            return compress(sample, quality)[1] / len(sample)

        count = len(frames)
        while count >= min(2, len(frames)):
            places = evenly(len(frames), count)
            left = room - sum(sizes[place] for place in places)
            for quality in QUALITIES:
                # A few frames tell which quality will do; should the others be busier, the next lower one.
                if mean_size(quality) * count <= left:
                    texts, size = compress(places, quality)
                    if size <= left:
                        return [frames[place] | {"maps": text} for place, text in zip(places, texts, strict=True)]
            count = count * 4 // 5
    return []
