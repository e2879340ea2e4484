"""Crops of pairs, the same place in both; their order is a function of (seed, epoch, index)."""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

TILE = 96  # side of an STL-10 picture, in pixels


class Crops(Protocol):
    """Training samples in an endless, repeatable order."""

    per_epoch: int

    def batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Samples start … stop − 1 of an epoch: inputs (B, C, crop, crop) and targets (B, C, patch, patch), float32."""


def tile_positions(height: int, width: int, side: int = TILE) -> list[tuple[int, int]]:
    """(top, left) of the tiles that cover a picture; the last of a row or column is moved inside.

    Empty where the picture is smaller than a tile.
    """
    if height < side or width < side:
        return []
    tops, lefts = (_places(length, side) for length in (height, width))
    return [(top, left) for top in tops for left in lefts]


def _places(length: int, side: int) -> list[int]:
    return sorted({min(place, length - side) for place in range(0, length, side)})


def ten_crops(tiles: Tensor, side: int) -> Tensor:
    """(N, C, H, W) → (10·N, C, side, side): torchvision's TenCrop, ten crops of a tile after one another.

    Four corners and the center, then the same of the mirrored tile. Channels that belong together (a pair stacked
    along C) are cropped alike.
    """
    crops = torch.stack(v2.TenCrop(side)(tiles), dim=1)  # (N, 10, C, side, side)
    return crops.flatten(0, 1)  # (10·N, C, side, side)


def remove_border(original: Tensor, halo: int) -> Tensor:
    """What is left of (…, H, W) without `halo` pixels on each side: the target that belongs to an input."""
    return original[..., halo : original.shape[-2] - halo, halo : original.shape[-1] - halo]


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """The source of all that is random in an epoch."""
    return torch.Generator().manual_seed(seed * 1_000_003 + epoch)


class TenCrops:
    """The ten crops of every tile, each once an epoch.

    Crops are mixed within windows of 128 tiles, whose tiles are drawn anew each epoch: a batch of neighbours from one
    tile would be nearly one sample, and mixing all crops of all tiles would need them all in memory.

    Args:
        tiles: pairs stacked along the channels, (2·C, 96, 96) each, float16 or float32.
        crop: side of an input; halo: what the target is smaller by, on each side.
    """

    WINDOW = 128

    def __init__(self, tiles: list[Tensor], crop: int, halo: int, seed: int):
        self.tiles, self.crop, self.halo, self.seed = tiles, crop, halo, seed
        self.per_epoch = 10 * len(tiles)
        self._window: tuple[tuple[int, int] | None, Tensor] = (None, torch.empty(0))

    def batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        size, parts = 10 * self.WINDOW, []
        for window in range(start // size, (stop - 1) // size + 1):
            first = window * size
            parts.append(self._crops(epoch, window)[max(start - first, 0) : stop - first])
        upsampled, original = torch.cat(parts).chunk(2, dim=1)  # (B, C, crop, crop) each
        return upsampled.contiguous(), remove_border(original, self.halo).contiguous()

    def _crops(self, epoch: int, window: int) -> Tensor:
        """The mixed crops of a window, (up to 1 280, 2·C, crop, crop); the last window asked for is remembered."""
        if self._window[0] != (epoch, window):
            generator = epoch_generator(self.seed, epoch)
            order = torch.randperm(len(self.tiles), generator=generator)
            mix = torch.randperm(self.per_epoch, generator=generator)
            chosen = order[window * self.WINDOW : (window + 1) * self.WINDOW]
            crops = ten_crops(torch.stack([self.tiles[index] for index in chosen]).float(), self.crop)
            place = mix[window * 10 * self.WINDOW :][: len(crops)].argsort()
            self._window = ((epoch, window), crops[place])
        return self._window[1]


class RandomCrops:
    """Random crops of whole photographs, drawn by their area, each in one of the eight flips and rotations.

    Args:
        pairs: pairs stacked along the channels, (2·C, H, W) each, at least `crop` high and wide.
        per_epoch: how many make an epoch.
    """

    def __init__(self, pairs: list[Tensor], crop: int, halo: int, seed: int, per_epoch: int):
        self.crop, self.halo, self.seed, self.per_epoch = crop, halo, seed, per_epoch
        # Slicing thousands of small pieces is what numpy is ten times quicker at.
        self._arrays = [pair.numpy() for pair in pairs]
        sizes = torch.tensor([pair.shape[-2:] for pair in pairs])  # (photographs, 2)
        self._room = sizes - crop + 1
        self._area = sizes.prod(1).double()
        self._drawn: tuple[int | None, Tensor] = (None, torch.empty(0))

    def batch(self, epoch: int, start: int, stop: int) -> tuple[Tensor, Tensor]:
        crops = [
            flip_and_rotate(self._arrays[photograph][:, top : top + self.crop, left : left + self.crop], turn)
            for photograph, top, left, turn in self._draw(epoch)[start:stop].tolist()
        ]
        upsampled, original = np.split(np.stack(crops), 2, axis=1)  # (B, C, crop, crop) each
        return _as_float(upsampled), _as_float(remove_border(original, self.halo))

    def _draw(self, epoch: int) -> Tensor:
        """(per_epoch, 4): photograph, top, left, flip and rotation of each sample of an epoch."""
        if self._drawn[0] != epoch:
            generator = epoch_generator(self.seed, epoch)
            photograph = torch.multinomial(self._area, self.per_epoch, replacement=True, generator=generator)
            place = torch.rand(self.per_epoch, 2, dtype=torch.float64, generator=generator)
            place = (place * self._room[photograph]).long()
            turn = torch.randint(8, (self.per_epoch,), generator=generator)
            self._drawn = (epoch, torch.stack([photograph, place[:, 0], place[:, 1], turn], dim=1))
        return self._drawn[1]


def _as_float(crops: np.ndarray) -> Tensor:
    return torch.from_numpy(crops.astype(np.float32, order="C"))


def flip_and_rotate(image: np.ndarray, turn: int) -> np.ndarray:
    """One of the eight flips and rotations, 0 … 7, of (…, H, W); a view."""
    image = np.rot90(image, turn % 4, (-2, -1))
    return image[..., ::-1] if turn >= 4 else image
