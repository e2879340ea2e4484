"""Photographs made ready: pairs in memory to train on, fixed patches to measure on, the probe to look at."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..config import TrainingConfig
from ..errors import InputError
from . import sources
from .augmentation import TILE, Crops, RandomCrops, TenCrops, epoch_generator, remove_border, tile_positions
from .color import luminance
from .degradation import degrade, resize
from .images import Picture

IN_MEMORY = 4 * 2**30  # bytes of pairs; beyond, they go to a memory-mapped file
BLOCK = 256 * 2**20


@dataclass(frozen=True)
class Patches:
    """Fixed places to measure on. A grey photograph is three copies in RGB and its own Y.

    `rgb` and `y` are pairs: inputs (n, C, crop, crop) and targets (n, C, patch, patch), float32.
    """

    rgb: tuple[Tensor, Tensor]
    y: tuple[Tensor, Tensor]

    def __len__(self) -> int:
        return len(self.y[0])


@dataclass
class TrainingData:
    """What a training needs of its photographs."""

    train: Crops
    train_patches: Patches
    validation_patches: Patches
    probe: tuple[Tensor, Tensor]  # (upsampled, original), (4, 3, 96, 96) each
    description: dict  # for the run's config: photographs, test photographs by name, fingerprint
    notes: list[str] = field(default_factory=list)  # what a person should know, a line each


def load_training_data(config: TrainingConfig, progress: Callable[[int, int], None] | None = None) -> TrainingData:
    """Read, degrade and cut the photographs that `settings` name.

    The validation_photographs come first; a photograph with the same pixels is then left out of the training.

    Args:
        progress: called with the photographs done and their number.

    Raises:
        InputError: a source that can't be read, or nothing large enough to cut a crop from.
    """
    train, test = sources.split_photographs(config.data, config.validation, config.seed, config.limit)
    total, notes = len(train) + len(test), []

    test_cutter, probe_tiles, test_sums = _PatchCutter(config, len(test), 1), [], []
    for done, (picture, total_sum) in enumerate(_pictures(test)):
        upsampled, original = degrade(picture.pixels, config.scale)
        test_cutter.cut(upsampled, original)
        probe_tiles += _telling_tiles(upsampled, original)
        test_sums.append(total_sum)
        if progress:
            progress(done + 1, total)

    store, train_cutter = _Store(), _PatchCutter(config, len(train), 2)
    pairs, tiles, train_sums, seen, small = [], 0, [], set(test_sums), 0
    needed = TILE if config.crops == "ten" else config.crop
    for done, (picture, total_sum) in enumerate(_pictures(train), len(test)):
        if progress:
            progress(done + 1, total)
        if total_sum in seen:
            continue
        degraded = [degrade(pixels, config.scale) for pixels in _sizes(picture.pixels, config.scale_augmentation)]
        degraded = [pair for pair in degraded if min(pair[1].shape[-2:]) >= needed]
        if not degraded:
            small += 1
            continue
        train_sums.append(total_sum)
        train_cutter.cut(*degraded[0])
        for images in degraded:
            places = tile_positions(*images[1].shape[-2:])
            tiles += max(1, len(places))
            pair = torch.cat([_as_channels(image, config.channels) for image in images])
            if config.crops == "ten":
                pairs += [store.keep(pair[:, top : top + TILE, left : left + TILE]) for top, left in places]
            else:
                pairs.append(store.keep(pair))

    if shared := len(train) - small - len(train_sums):
        notes.append(f"{_counted(shared)} left out of the training: in the validation_photographs too")
    if small:
        notes.append(f"{_counted(small)} left out of the training: smaller than {needed}×{needed} pixels")
    if not pairs and not small:
        raise InputError(
            f"{', '.join(config.data)}: every photograph is in the validation_photographs too; name others"
        )
    if not pairs:
        raise InputError(f"{', '.join(config.data)}: no photograph of {needed}×{needed} pixels or more to train on")
    if not len(test_cutter):
        raise InputError(
            f"{', '.join(config.validation)}: no test photograph is as large as a crop ({config.crop} pixels)"
        )

    crops: Crops
    if config.crops == "ten":
        crops = TenCrops(pairs, config.crop, _halo(config), config.seed)
    else:
        crops = RandomCrops(pairs, config.crop, _halo(config), config.seed, 10 * tiles)
    description = {
        "photographs": len(train_sums),
        "crops_per_epoch": crops.per_epoch,
        "validation_photographs": len(test),
        "validation_names": list(test.names),
        "fingerprint": hashlib.sha256("".join([*train_sums, "|", *test_sums]).encode()).hexdigest(),
    }
    validation_patches, train_patches = (
        cutter.patches(config.validation_patches) for cutter in (test_cutter, train_cutter)
    )  # fmt: skip
    return TrainingData(crops, train_patches, validation_patches, _probe(probe_tiles), description, notes)


def _pictures(photographs):
    """(picture, sum of its pixels) of each photograph, in order, two being read ahead."""
    with ThreadPoolExecutor(2) as pool:
        waiting = []
        for index in range(len(photographs)):
            waiting.append(pool.submit(_read, photographs, index))
            if len(waiting) > 4:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _read(photographs, index: int) -> tuple[Picture, str]:
    picture = photographs[index]
    digest = hashlib.sha256(repr(tuple(picture.pixels.shape)).encode())
    digest.update(picture.pixels.contiguous().numpy())
    return picture, digest.hexdigest()


def _sizes(pixels: Tensor, factors: Sequence[float]) -> Iterator[Tensor]:
    """A photograph (C, H, W), and the same shrunk by each factor.

    Reference: Dong, Loy, Tang, arXiv 1608.00367 (FSRCNN), section 4.1.
    """
    yield pixels
    for factor in factors:
        height, width = (max(1, round(factor * length)) for length in pixels.shape[-2:])
        yield resize(pixels, (height, width)).clamp(0, 1)


def _halo(config: TrainingConfig) -> int:
    return (config.crop - config.patch) // 2


def _as_channels(image: Tensor, channels: int) -> Tensor:
    """(1 or 3, H, W) → (channels, H, W): luminance for one, three copies of grey for three."""
    if channels == 1:
        return luminance(image)
    return image.expand(3, -1, -1)


def _counted(number: int) -> str:
    return f"{number} photograph was" if number == 1 else f"{number} photographs were"


class _Store:
    """Keeps pairs as float16, whose steps (at most 1/4096 below 1) are far below what the network can tell apart.

    Memory comes in blocks; those beyond IN_MEMORY are files that the system pages in and out.
    """

    def __init__(self):
        self.kept = 0
        self._room = torch.empty(0, dtype=torch.float16)

    def keep(self, pair: Tensor) -> Tensor:
        size = pair.numel()
        if size > len(self._room):
            self._room = self._block(max(size, BLOCK // 2))
        place, self._room = self._room[:size].view(pair.shape), self._room[size:]
        self.kept += 2 * size
        return place.copy_(pair)

    def _block(self, size: int) -> Tensor:
        if self.kept < IN_MEMORY:
            return torch.empty(size, dtype=torch.float16)
        with tempfile.NamedTemporaryFile(prefix="srcnn-pairs-") as file:  # gone from the folder, alive while mapped
            return torch.from_file(file.name, shared=True, size=size, dtype=torch.float16)


class _PatchCutter:
    """Cuts patches at random places: a few of each photograph, or one of each of as many as `test_patches` needs."""

    def __init__(self, config: TrainingConfig, photographs: int, stream: int):
        self.config = config
        self.each = -(-config.validation_patches // max(photographs, 1))
        self.generator = epoch_generator(config.seed, -stream)
        order = torch.randperm(max(photographs, 1), generator=self.generator)
        self.chosen, self.seen = set(order[: config.validation_patches].tolist()), 0
        self.cuts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self.cuts)

    def cut(self, upsampled: Tensor, original: Tensor) -> None:
        crop = self.config.crop
        height, width = original.shape[-2:]
        self.seen += 1
        if min(height, width) < crop or self.seen - 1 not in self.chosen:
            return
        places = torch.rand(self.each, 2, generator=self.generator)
        for top, left in (places * torch.tensor([height - crop + 1, width - crop + 1])).long().tolist():
            # Copies: a view would keep its whole photograph in memory.
            pair = [image[:, top : top + crop, left : left + crop].clone() for image in (upsampled, original)]
            rgb = [_as_channels(image, 3) for image in pair]
            y = [_as_channels(image, 1) for image in pair]
            self.cuts.append((*rgb, *y))

    def patches(self, most: int) -> Patches:
        order = torch.randperm(len(self.cuts), generator=self.generator)[:most].sort().values
        rgb_in, rgb_out, y_in, y_out = (torch.stack(part) for part in zip(*(self.cuts[i] for i in order), strict=True))
        halo = _halo(self.config)
        return Patches((rgb_in, remove_border(rgb_out, halo).contiguous()), (y_in, remove_border(y_out, halo).contiguous()))


def _telling_tiles(upsampled: Tensor, original: Tensor, most: int = 4) -> list[tuple[int, float, Tensor, Tensor]]:
    """A photograph's tiles with the most to learn: (rank, −bicubic's error, upsampled, original), (3, 96, 96) each."""
    height, width = original.shape[-2:]
    if min(height, width) < TILE:  # rare: the edge is repeated, as the network's own border rule has it
        size = (max(height, TILE), max(width, TILE))
        rows, columns = (
            torch.arange(length).clamp(max=end - 1) for length, end in zip(size, (height, width), strict=True)
        )
        upsampled, original = (image[:, rows][:, :, columns] for image in (upsampled, original))
    tiles = []
    for top, left in tile_positions(*original.shape[-2:]):
        pair = [_as_channels(image[:, top : top + TILE, left : left + TILE], 3) for image in (upsampled, original)]
        tiles.append((-(pair[0] - pair[1]).square().mean().item(), *(image.clone() for image in pair)))
    return [(rank, *tile) for rank, tile in enumerate(sorted(tiles, key=lambda tile: tile[0])[:most])]


def _probe(tiles: list) -> tuple[Tensor, Tensor]:
    """The four most telling tiles, of four photographs where there are as many: (4, 3, 96, 96) twice."""
    best = sorted(tiles, key=lambda tile: tile[:2])
    best = (best * 4)[:4]
    return torch.stack([tile[2] for tile in best]), torch.stack([tile[3] for tile in best])
