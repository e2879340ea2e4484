"""Cuts training samples from pairs of pictures: TenCrop, and random crops with flips and rotations.

A pair is a bicubic picture and its original, stacked along the channels, so that both are cropped alike. The order of
the samples depends on seed, epoch and index alone.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

TILE = 96  # side of an STL-10 picture, in pixels


class Crops(Protocol):
    """Training samples in an endless, repeatable order."""

    per_epoch: int  # samples

    def batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Returns the samples start … stop − 1 of an epoch.

        Returns:
            Inputs (B, C, crop, crop) and targets (B, C, patch, patch), float32.
        """


def tile_positions(height: int, width: int, side: int = TILE) -> list[tuple[int, int]]:
    """Returns (top, left) of the tiles that cover a picture; none where the picture is smaller than a tile.

    The last tile of a row or column is moved inside, so that it overlaps the one before.
    """
    if height < side or width < side:
        return []
    return [(top, left) for top in _tile_offsets(height, side) for left in _tile_offsets(width, side)]


def _tile_offsets(length: int, side: int) -> list[int]:
    return sorted({min(offset, length - side) for offset in range(0, length, side)})


def ten_crops(tiles: Tensor, side: int) -> Tensor:
    """Cuts torchvision's TenCrop of each tile: (N, C, H, W) → (10·N, C, side, side).

    They are the four corners and the center, then the same of the mirrored tile; the ten crops of a tile are adjacent.
    """
    crops = torch.stack(v2.TenCrop(side)(tiles), dim=1)  # (N, 10, C, side, side)
    return crops.flatten(0, 1)  # (10·N, C, side, side)


def remove_border(image: Tensor, border: int) -> Tensor:
    """Crops `border` pixels from each side of (…, H, W): without padding, the target is smaller than the input."""
    return image[..., border : image.shape[-2] - border, border : image.shape[-1] - border]


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Returns the generator of all random choices in an epoch."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)


class TenCrops:
    """The ten crops of every tile, each once per epoch.

    Crops are shuffled within windows of 128 tiles, which are drawn anew each epoch. The ten crops of one tile in a row
    would make a batch of nearly equal samples; shuffling the crops of all tiles would need all of them in memory.

    Args:
        tiles: pairs (2·C, 96, 96), float16 or float32.
        crop: side of an input in pixels.
        margin: pixels by which the target is smaller than the input on each side.
        seed: decides the order.
        renew: called with the number of each epoch before its first crop; it may change the tiles.
    """

    WINDOW = 128

    def __init__(
        self, tiles: list[Tensor], crop: int, margin: int, seed: int, renew: Callable[[int], None] = lambda epoch: None
    ):
        self.tiles = tiles
        self.crop = crop
        self.margin = margin
        self.seed = seed
        self.per_epoch = 10 * len(tiles)
        self._renew = renew
        self._epoch: int | None = None
        self._window: tuple[tuple[int, int] | None, Tensor] = (None, torch.empty(0))

    def batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Returns the samples start … stop − 1 of an epoch, as `Crops.batch`."""
        size = 10 * self.WINDOW
        parts = []
        for first in range(start // size * size, stop, size):
            crops = self._window_crops(epoch, first // size)
            parts.append(crops[max(start - first, 0) : stop - first])
        upsampled, original = torch.cat(parts).chunk(2, dim=1)  # (B, C, crop, crop) each
        return upsampled.contiguous(), remove_border(original, self.margin).contiguous()

    def _window_crops(self, epoch: int, window: int) -> Tensor:
        """Returns the shuffled crops of a window, (up to 1 280, 2·C, crop, crop); the latest window is cached."""
        if self._epoch != epoch:
            self._renew(epoch)
            self._epoch = epoch
        if self._window[0] != (epoch, window):
            generator = epoch_generator(self.seed, epoch)
            order = torch.randperm(len(self.tiles), generator=generator)
            keys = torch.randperm(self.per_epoch, generator=generator)
            tiles = [self.tiles[index] for index in order[window * self.WINDOW : (window + 1) * self.WINDOW]]
            crops = ten_crops(torch.stack(tiles).float(), self.crop)
            # The argsort of a slice of a random permutation is a random order of this window's crops.
            shuffled = keys[window * 10 * self.WINDOW :][: len(crops)].argsort()
            self._window = ((epoch, window), crops[shuffled])
        return self._window[1]


class RandomCrops:
    """Random crops of whole photographs, each in one of the eight flips and rotations.

    A photograph is drawn with a probability proportional to its area.

    Args:
        pairs: pairs (2·C, H, W), float16 or float32, at least `crop` high and wide.
        crop: side of an input in pixels.
        margin: pixels by which the target is smaller than the input on each side.
        seed: decides the crops.
        per_epoch: samples per epoch.
        renew: as in `TenCrops`; it changes the pairs in place.
    """

    def __init__(
        self,
        pairs: list[Tensor],
        crop: int,
        margin: int,
        seed: int,
        per_epoch: int,
        renew: Callable[[int], None] = lambda epoch: None,
    ):
        self.crop = crop
        self.margin = margin
        self.seed = seed
        self.per_epoch = per_epoch
        # NumPy slices thousands of small crops ten times as fast as torch.
        self._arrays = [pair.numpy() for pair in pairs]
        sizes = torch.tensor([pair.shape[-2:] for pair in pairs])  # (photographs, 2)
        self._positions = sizes - crop + 1  # number of tops and of lefts that a crop can have
        self._area = sizes.prod(1).double()
        self._renew = renew
        self._drawn: tuple[int | None, Tensor] = (None, torch.empty(0))

    def batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Returns the samples start … stop − 1 of an epoch, as `Crops.batch`."""
        crops = [
            flip_and_rotate(self._arrays[photograph][:, top : top + self.crop, left : left + self.crop], orientation)
            for photograph, top, left, orientation in self._draw(epoch)[start:stop].tolist()
        ]
        upsampled, original = torch.from_numpy(np.stack(crops)).chunk(2, dim=1)  # (B, C, crop, crop) each
        return upsampled.float().contiguous(), remove_border(original, self.margin).float().contiguous()

    def _draw(self, epoch: int) -> Tensor:
        """Draws the samples of an epoch: (per_epoch, 4) of photograph, top, left and orientation; cached."""
        if self._drawn[0] != epoch:
            self._renew(epoch)
            generator = epoch_generator(self.seed, epoch)
            photograph = torch.multinomial(self._area, self.per_epoch, replacement=True, generator=generator)
            position = torch.rand(self.per_epoch, 2, dtype=torch.float64, generator=generator)
            top, left = (position * self._positions[photograph]).long().unbind(1)
            orientation = torch.randint(8, (self.per_epoch,), generator=generator)
            self._drawn = (epoch, torch.stack([photograph, top, left, orientation], dim=1))
        return self._drawn[1]


def flip_and_rotate(image: np.ndarray, orientation: int) -> np.ndarray:
    """Returns one of the eight flips and rotations, 0 … 7, of (…, H, W); a view."""
    image = np.rot90(image, orientation % 4, (-2, -1))
    return image[..., ::-1] if orientation >= 4 else image
