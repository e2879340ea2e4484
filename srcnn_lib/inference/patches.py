"""Patches of a picture, each run through the network alone."""

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from ..model import SRCNN
from .tiling import bytes_a_pixel, out_of_memory

BATCH_BYTES = 64 * 2**20  # what the feature maps of a batch may take: larger ones were slower on a CPU


def batch_for(model: SRCNN, patch: int) -> int:
    """How many patches' feature maps take some BATCH_BYTES."""
    return max(1, BATCH_BYTES // (bytes_a_pixel(model) * (patch + 2 * model.halo) ** 2))


def positions(length: int, patch: int, stride: int) -> list[int]:
    """Where patches begin so that they cover `length`: every `stride` pixels, the last one moved inside."""
    last = max(0, length - patch)
    return [*range(0, last, stride), last]


def non_overlapping(upsampled: Tensor, model: SRCNN, patch: int, batch: int | None = None, progress=None) -> Tensor:
    """(C, H, W) of patches run alone; where two cover a pixel, the later one overwrites."""
    result = torch.empty(upsampled.shape)
    for top, left, pixels in _patches(upsampled, model, patch, patch, batch, progress):
        height, width = pixels.shape[-2:]
        result[:, top : top + height, left : left + width] = pixels
    return result


def overlapping(
    upsampled: Tensor, model: SRCNN, patch: int, stride: int, batch: int | None = None, progress=None
) -> Tensor:
    """(C, H, W) float64 on the CPU, of patches run alone: each pixel is the mean of all values it got."""
    # A thousand values a pixel: their sum in float32 would lose two of its seven digits.
    total = torch.zeros(upsampled.shape, dtype=torch.float64)
    for top, left, pixels in _patches(upsampled, model, patch, stride, batch, progress):
        height, width = pixels.shape[-2:]
        total[:, top : top + height, left : left + width] += pixels
    down, across = (_coverage(length, patch, stride) for length in upsampled.shape[-2:])
    return total / (down[:, None] * across)


def _coverage(length: int, patch: int, stride: int) -> Tensor:
    """(length,) in how many patches a row, or a column, lies."""
    count = torch.zeros(length)
    for start in positions(length, patch, stride):
        count[start : start + patch] += 1
    return count


def _patches(
    upsampled: Tensor, model: SRCNN, patch: int, stride: int, batch: int | None, progress
) -> Iterator[tuple[int, int, Tensor]]:
    """(top, left, (C, patch, patch)) of every patch run alone, row by row, computed in batches."""
    height, width = (min(patch, length) for length in upsampled.shape[-2:])
    tops, lefts = (torch.tensor(positions(length, patch, stride)) for length in upsampled.shape[-2:])
    windows = upsampled.unfold(1, height, 1).unfold(2, width, 1)  # (C, tops, lefts, height, width), a view
    batch, total, first = batch or batch_for(model, patch), len(tops) * len(lefts), 0
    while first < total:
        numbers = torch.arange(first, min(first + batch, total))
        top, left = tops[numbers // len(lefts)], lefts[numbers % len(lefts)]
        try:
            results = _run(windows[:, top, left].transpose(0, 1), model)  # (batch, C, height, width)
        except RuntimeError as error:
            if len(numbers) == 1 or not out_of_memory(error):
                raise
            results = None
        if results is None:  # not above: there the error still holds what the pass had in memory
            batch = _halved(len(numbers))
            continue
        yield from zip(top.tolist(), left.tolist(), results, strict=True)
        first += len(results)
        if progress:
            progress(first, total)


def _halved(batch: int) -> int:
    """Half of a batch that a GPU had no memory for; the rest of its memory is given back."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    # The same words every time: a warning is shown once.
    warnings.warn("the GPU has no memory for so many patches at a time; fewer are run", stacklevel=2)
    return batch // 2


@torch.inference_mode()
def _run(patches: Tensor, model: SRCNN) -> Tensor:
    return model(patches.to(model.layer_1.weight)).cpu()
