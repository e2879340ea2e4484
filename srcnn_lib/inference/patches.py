"""Patches of a picture, such as 33×33 pixels, each run through the network alone.

A patch is run like a small picture: in place of the pixels around it, the network gets the patch's own edge pixels,
repeated `halo` times on each side (the border rule of `SRCNN`; zeros for padding_mode "zeros"). Near its border a patch
is therefore restored less well than the same pixels in a pass over the whole picture.

    positions          where patches begin in a row or a column
    non_overlapping    each patch once, side by side
    overlapping        a patch every `stride` pixels, and the mean where they overlap

At stride 1, `overlap.overlapping` computes the same mean without running each patch.
"""

import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ..model import SRCNN
from ..runtime.console import Progress
from .tiling import bytes_per_pixel, out_of_memory

RunPatches = Callable[[Tensor], Tensor]

BATCH_BYTES = 64 * 2**20  # of the feature maps of a batch: larger batches are slower on a CPU


def positions(length: int, patch: int, stride: int) -> list[int]:
    """Returns where patches begin so that they cover `length` pixels.

    One begins every `stride` pixels; the last one is moved inside, so that it ends with the picture. For 100 pixels,
    patches of 33 and a stride of 33, they begin at 0, 33, 66 and 67.
    """
    last = max(0, length - patch)
    return [*range(0, last, stride), last]


def non_overlapping(
    upsampled: Tensor,
    run: RunPatches,
    patch: int,
    batch_size: int,
    progress: Progress | None = None,
) -> Tensor:
    """Restores a picture patch by patch; where two patches cover a pixel, the later one overwrites.

    Args:
        upsampled: (C, H, W) bicubic picture with the network's channels.
        run: runs patches alone, (N, C, H, W) → the same shape on the CPU, such as `run_alone` with a network.
        patch: side of a patch in pixels.
        batch_size: patches at a time.
        progress: called as progress(done, total), in patches.

    Returns:
        (C, H, W) float32 on the CPU, not clamped.
    """
    result = torch.empty(upsampled.shape)
    for top, left, output in _run_patches(upsampled, run, patch, patch, batch_size, progress):
        height, width = output.shape[-2:]
        result[:, top : top + height, left : left + width] = output
    return result


def overlapping(
    upsampled: Tensor,
    run: RunPatches,
    patch: int,
    stride: int,
    batch_size: int,
    progress: Progress | None = None,
) -> Tensor:
    """Restores a picture from patches that overlap: each pixel is the mean of all values that it got.

    Args:
        upsampled, run, patch, batch_size, progress: as in `non_overlapping`.
        stride: pixels from one patch to the next.

    Returns:
        (C, H, W) float64 on the CPU, not clamped.
    """
    # A pixel may get a thousand values: in float32 their sum would lose two of its seven digits.
    total = torch.zeros(upsampled.shape, dtype=torch.float64)
    for top, left, output in _run_patches(upsampled, run, patch, stride, batch_size, progress):
        height, width = output.shape[-2:]
        total[:, top : top + height, left : left + width] += output
    down, across = (_patch_counts(length, patch, stride) for length in upsampled.shape[-2:])
    return total / (down[:, None] * across)


def _patch_counts(length: int, patch: int, stride: int) -> Tensor:
    """Counts the patches that each row, or column, lies in: (length,)."""
    count = torch.zeros(length)
    for start in positions(length, patch, stride):
        count[start : start + patch] += 1
    return count


def _run_patches(
    upsampled: Tensor,
    run: RunPatches,
    patch: int,
    stride: int,
    batch_size: int,
    progress: Progress | None,
) -> Iterator[tuple[int, int, Tensor]]:
    """Yields (top, left, output) of every patch, row by row; the output is (C, patch, patch)."""
    # 1. Every possible patch, as a view of the picture. A picture smaller than a patch is one patch in that dimension.
    height, width = (min(patch, length) for length in upsampled.shape[-2:])
    tops, lefts = (torch.tensor(positions(length, patch, stride)) for length in upsampled.shape[-2:])
    windows = upsampled.unfold(1, height, 1).unfold(2, width, 1)  # (C, every top, every left, height, width)
    # 2. The patches that are asked for, batch by batch through the network.
    total = len(tops) * len(lefts)
    first = 0
    while first < total:
        numbers = torch.arange(first, min(first + batch_size, total))
        top = tops[numbers // len(lefts)]
        left = lefts[numbers % len(lefts)]
        outputs = None
        try:
            outputs = run(windows[:, top, left].transpose(0, 1))  # (batch, C, height, width)
        except RuntimeError as error:
            if len(numbers) == 1 or not out_of_memory(error):
                raise
        if outputs is None:  # outside of `except`: there the error still holds the memory of the pass
            batch_size = _halve(len(numbers))
            continue
        yield from zip(top.tolist(), left.tolist(), outputs, strict=True)
        first += len(outputs)
        if progress:
            progress(first, total)


@torch.inference_mode()
def run_alone(patches: Tensor, model: SRCNN) -> Tensor:
    """Runs a network over patches, each alone: (N, C, H, W) → the same shape, on the CPU."""
    return model(patches.to(model.layer_1.weight)).cpu()


def batch_for(model: SRCNN, patch: int) -> int:
    """Returns the largest number of patches whose feature maps take at most BATCH_BYTES, at least 1."""
    return max(1, BATCH_BYTES // (bytes_per_pixel(model) * (patch + 2 * model.halo) ** 2))


def _halve(batch_size: int) -> int:
    """Halves a batch for which a GPU had no memory, and returns unused memory to the GPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    # No numbers in the text: Python shows equal warnings only once.
    warnings.warn("the GPU has no memory for so many patches at a time; fewer are run", stacklevel=2)
    return batch_size // 2
