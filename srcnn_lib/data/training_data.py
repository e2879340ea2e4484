"""Prepares the data of a training: crops to train on, patches to measure on, and the probe to look at."""

import hashlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import Artifact, TrainingConfig
from ..errors import InputError
from ..runtime.console import Progress
from .artifacts import add_artifacts
from .augmentation import TILE, Crops, RandomCrops, TenCrops, epoch_generator, remove_border, tile_positions
from .color import to_network_channels
from .degradation import degrade, downscale, resize, upscaled_size
from .low_resolution import LowResolutionPictures
from .sources import Photographs, split_photographs

IN_MEMORY = 4 * 2**30  # bytes of pairs that are kept in memory; more go to memory-mapped files
BLOCK = 256 * 2**20  # bytes that are reserved at once
PROBE_TILES = 4
RENEWAL_SEED = 7_919  # keeps the strengths of artifacts apart from the choice of the crops


@dataclass(frozen=True)
class Patches:
    """Fixed patches to measure on, in RGB and in Y. A gray photograph is three equal channels in RGB."""

    rgb: tuple[Tensor, Tensor]  # inputs (N, 3, crop, crop) and targets (N, 3, patch, patch), float32
    y: tuple[Tensor, Tensor]  # inputs (N, 1, crop, crop) and targets (N, 1, patch, patch), float32

    def __len__(self) -> int:
        return len(self.y[0])


@dataclass
class TrainingData:
    """What a training needs of its photographs."""

    train: Crops
    train_patches: Patches
    validation_patches: Patches
    probe: tuple[Tensor, Tensor]  # upsampled and original, (4, 3, 96, 96) each
    description: dict  # for the run's config.json: numbers, names of the validation photographs, fingerprint
    notes: list[str] = field(default_factory=list)  # photographs that were left out, one line for each reason


def load_training_data(config: TrainingConfig, progress: Progress | None = None) -> TrainingData:
    """Reads, degrades and cuts the photographs of a training.

    Args:
        config: names the photographs, and says how they are degraded and cut.
        progress: called with the photographs done and the photographs in all.

    Raises:
        InputError: a source that can't be read, or no photograph that is large enough to cut a crop from.
    """
    training, validation = split_photographs(config.data, config.validation, config.seed, config.limit)
    pairs = LowResolutionPictures(config.low_resolution, config.scale) if config.low_resolution else None
    total = len(training) + len(validation)
    done = itertools.count(1)

    def report() -> None:
        if progress:
            progress(next(done), total)

    # A photograph with the pixels of a validation photograph is left out of the training.
    validation_patches, probe, validation_hashes = _prepare_validation(config, validation, pairs, report)
    train, train_patches, train_hashes, notes = _prepare_training(
        config, training, pairs, set(validation_hashes), report
    )
    content = [*train_hashes, "|", *validation_hashes, pairs.digest if pairs else ""]
    description = {
        "photographs": len(train_hashes),
        "crops_per_epoch": train.per_epoch,
        "validation_photographs": len(validation),
        "validation_names": list(validation.names),
        "fingerprint": hashlib.sha256("".join(content).encode()).hexdigest(),
    }
    return TrainingData(train, train_patches, validation_patches, probe, description, notes)


def _prepare_validation(
    config: TrainingConfig,
    photographs: Photographs,
    pairs: LowResolutionPictures | None,
    report: Callable[[], None],
) -> tuple[Patches, tuple[Tensor, Tensor], list[str]]:
    """Returns the patches, the probe, and the hashes of the photographs' pixels."""
    strengths = epoch_generator(config.seed, -3)
    cutter = _PatchCutter(config, len(photographs), stream=1)
    candidates = []
    hashes = []
    for name, (pixels, pixel_hash) in zip(photographs.names, _read_ahead(photographs), strict=True):
        if pairs:
            upsampled, original = pairs.pair(name, pixels)
        else:
            upsampled, original = degrade(pixels, config.scale, config.artifacts, strengths)
        cutter.cut(upsampled, original)
        candidates.append(_probe_candidates(upsampled, original))
        hashes.append(pixel_hash)
        report()
    if not cutter.cuts:
        raise InputError(
            f"{', '.join(config.validation)}: no validation photograph is as large as a crop ({config.crop} pixels)"
        )
    return cutter.patches(), _choose_probe(candidates), hashes


def _prepare_training(
    config: TrainingConfig,
    photographs: Photographs,
    low_resolution: LowResolutionPictures | None,
    kept_out: set[str],
    report: Callable[[], None],
) -> tuple[Crops, Patches, list[str], list[str]]:
    """Makes pairs of the photographs, which are cut into crops while training, and patches.

    Args:
        config: says how the photographs are degraded and cut.
        photographs: to train on.
        low_resolution: their low-resolution pictures; None to reduce them.
        kept_out: hashes of pixels; a photograph with one of them is left out.
        report: called after each photograph.

    Returns:
        The crops, the patches, the hashes of the pixels of the photographs that are used, and notes on those left out.
    """
    smallest = TILE if config.crops == "ten" else config.crop
    store = _PairStore()
    cutter = _PatchCutter(config, len(photographs), stream=2)
    pairs: list[Tensor] = []  # (2·C, H, W) float16: tiles for TenCrop, whole photographs for random crops
    hashes: list[str] = []
    renewal = _ArtifactRenewal(config)
    strengths = epoch_generator(config.seed, -4)
    tiles = too_small = duplicates = 0
    for name, (pixels, pixel_hash) in zip(photographs.names, _read_ahead(photographs), strict=True):
        report()
        if pixel_hash in kept_out:
            duplicates += 1
            continue
        if low_resolution:
            degraded = [(pixels, low_resolution.pair(name, pixels))]
        else:
            degraded = [
                (image, degrade(image, config.scale, config.artifacts, strengths))
                for image in _rescaled(pixels, config.scale_augmentation)
            ]
        degraded = [(image, pair) for image, pair in degraded if min(pair[1].shape[-2:]) >= smallest]
        if not degraded:
            too_small += 1
            continue
        hashes.append(pixel_hash)
        cutter.cut(*degraded[0][1])
        for image, (upsampled, original) in degraded:
            positions = tile_positions(*original.shape[-2:])
            tiles += max(1, len(positions))
            pair = torch.cat([to_network_channels(each, config.channels) for each in (upsampled, original)])
            if config.crops == "ten":
                stored = [store.add(pair[:, top : top + TILE, left : left + TILE]) for top, left in positions]
            else:
                stored, positions = [store.add(pair)], [(0, 0)]
            pairs += stored
            renewal.add(image, stored, positions)

    sources = ", ".join(config.data)
    if not pairs and not too_small:
        raise InputError(f"{sources}: every photograph is among the validation photographs too; name others")
    if not pairs:
        raise InputError(f"{sources}: no photograph of {smallest}×{smallest} pixels or more to train on")
    reasons = {
        "among the validation photographs too": duplicates,
        f"smaller than {smallest}×{smallest} pixels": too_small,
    }
    notes = [
        f"{count} {'photograph was' if count == 1 else 'photographs were'} left out of the training: {reason}"
        for reason, count in reasons.items()
        if count
    ]
    crops: Crops
    if config.crops == "ten":
        crops = TenCrops(pairs, config.crop, config.margin, config.seed, renewal.renew)
    else:
        crops = RandomCrops(pairs, config.crop, config.margin, config.seed, 10 * tiles, renewal.renew)
    return crops, cutter.patches(), hashes, notes


def _read_ahead(photographs: Photographs) -> Iterator[tuple[Tensor, str]]:
    """Yields the pixels of each photograph, (1 or 3, H, W), and their hash; two threads read a few ahead."""
    with ThreadPoolExecutor(2) as pool:
        waiting = []
        for index in range(len(photographs)):
            waiting.append(pool.submit(_read, photographs, index))
            if len(waiting) > 4:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


def _read(photographs: Photographs, index: int) -> tuple[Tensor, str]:
    pixels = photographs[index].pixels.contiguous()
    digest = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    digest.update(pixels.numpy().data)
    return pixels, digest.hexdigest()


def _rescaled(pixels: Tensor, factors: Sequence[float]) -> Iterator[Tensor]:
    """Yields a photograph (C, H, W), and a copy of it reduced by each factor.

    Reference: Dong, Loy, Tang, arXiv 1608.00367 (FSRCNN), section 4.1.
    """
    yield pixels
    for factor in factors:
        height, width = (max(1, round(factor * length)) for length in pixels.shape[-2:])
        yield resize(pixels, (height, width)).clamp(0, 1)


class _ArtifactRenewal:
    """Degrades the pairs of a training anew in each epoch, where `config.degrade` names artifacts.

    A photograph is compressed as a whole, as it is outside: its blocks of 8×8 pixels then have the place in the crop
    that chance gives them. The strengths and the noise are a function of seed and epoch.
    """

    def __init__(self, config: TrainingConfig):
        self.config = config
        self.artifacts: tuple[Artifact, ...] = config.artifacts
        self._entries: list[tuple[Tensor, tuple[int, int], list[Tensor], list[tuple[int, int]]]] = []

    def add(self, photograph: Tensor, pairs: list[Tensor], positions: list[tuple[int, int]]) -> None:
        """Remembers the pairs (2·C, H, W) that were cut from a photograph (1 or 3, H, W) at these tops and lefts."""
        if self.artifacts:
            low = (downscale(photograph, self.config.scale).clamp(0, 1) * 255).round().byte()
            height, width = low.shape[-2:]
            size = upscaled_size(height, width, self.config.scale)
            self._entries.append((low, size, pairs, positions))

    def renew(self, epoch: int) -> None:
        """Writes the bicubic half of every pair anew."""
        generator = epoch_generator(self.config.seed + RENEWAL_SEED, epoch)
        channels = self.config.channels
        for low, size, pairs, positions in self._entries:
            degraded = add_artifacts(low.float() / 255, self.artifacts, generator)
            upsampled = resize(to_network_channels(degraded, channels), size)  # Y is linear: it may come first
            for pair, (top, left) in zip(pairs, positions, strict=True):
                height, width = pair.shape[-2:]
                pair[:channels].copy_(upsampled[:, top : top + height, left : left + width])


class _PairStore:
    """Keeps pairs as float16: its rounding, at most 1/4096 for values below 1, makes no difference to the network.

    Memory is reserved in blocks. Those beyond IN_MEMORY are files that the system pages in and out.
    """

    def __init__(self):
        self.size = 0  # bytes
        self._free = torch.empty(0, dtype=torch.float16)

    def add(self, pair: Tensor) -> Tensor:
        """Copies a pair into the store, and returns the copy."""
        size = pair.numel()
        if size > len(self._free):
            self._free = self._new_block(max(size, BLOCK // 2))
        copy = self._free[:size].view(pair.shape)
        self._free = self._free[size:]
        self.size += 2 * size
        return copy.copy_(pair)

    def _new_block(self, size: int) -> Tensor:
        if self.size < IN_MEMORY:
            return torch.empty(size, dtype=torch.float16)
        with tempfile.NamedTemporaryFile(prefix="srcnn-pairs-") as file:  # removed at once, usable while it is mapped
            return torch.from_file(file.name, shared=True, size=size, dtype=torch.float16)


class _PatchCutter:
    """Cuts patches at random positions, about `validation_patches` in all.

    From few photographs it cuts several patches each; of many photographs it draws some, and cuts one patch from each.

    Args:
        config: sets crop, patch, seed and the number of patches.
        photographs: the number that `cut` will be called for.
        stream: keeps the random choices of training and validation apart.
    """

    def __init__(self, config: TrainingConfig, photographs: int, stream: int):
        self.config = config
        self.cuts: list[tuple[Tensor, Tensor]] = []  # upsampled and original, (1 or 3, crop, crop) each
        self._generator = epoch_generator(config.seed, -stream)
        self._patches_each = -(-config.validation_patches // max(photographs, 1))
        order = torch.randperm(max(photographs, 1), generator=self._generator)
        self._chosen = set(order[: config.validation_patches].tolist())
        self._index = -1  # of the photograph

    def cut(self, upsampled: Tensor, original: Tensor) -> None:
        """Cuts the patches of the next photograph, unless it is too small or not chosen."""
        crop = self.config.crop
        height, width = original.shape[-2:]
        self._index += 1
        if min(height, width) < crop or self._index not in self._chosen:
            return
        positions = torch.rand(self._patches_each, 2, generator=self._generator)
        for top, left in (positions * torch.tensor([height - crop + 1, width - crop + 1])).long().tolist():
            place = (slice(None), slice(top, top + crop), slice(left, left + crop))
            # Copies: a view would keep the whole photograph in memory.
            self.cuts.append((upsampled[place].clone(), original[place].clone()))

    def patches(self) -> Patches:
        """Returns a random choice of `validation_patches` cuts, in order."""
        order = torch.randperm(len(self.cuts), generator=self._generator)[: self.config.validation_patches]
        chosen = [self.cuts[index] for index in order.sort().values.tolist()]
        return Patches(self._in_channels(chosen, 3), self._in_channels(chosen, 1))

    def _in_channels(self, cuts: list[tuple[Tensor, Tensor]], channels: int) -> tuple[Tensor, Tensor]:
        """Returns inputs (N, C, crop, crop) and targets (N, C, patch, patch)."""
        inputs = torch.stack([to_network_channels(upsampled, channels) for upsampled, _ in cuts])
        targets = torch.stack([to_network_channels(original, channels) for _, original in cuts])
        return inputs, remove_border(targets, self.config.margin).contiguous()


@dataclass(frozen=True)
class _ProbeTile:
    error: float  # bicubic's mean squared error
    upsampled: Tensor  # (3, 96, 96)
    original: Tensor  # (3, 96, 96)


def _probe_candidates(upsampled: Tensor, original: Tensor) -> list[_ProbeTile]:
    """Returns the tiles of a photograph in which bicubic's error is largest, the largest first."""
    height, width = original.shape[-2:]
    if min(height, width) < TILE:  # the last row and column are repeated
        border = [0, max(0, TILE - width), 0, max(0, TILE - height)]
        upsampled, original = (F.pad(image, border, mode="replicate") for image in (upsampled, original))
    upsampled, original = (to_network_channels(image, 3) for image in (upsampled, original))
    tiles = []
    for top, left in tile_positions(*original.shape[-2:]):
        place = (slice(None), slice(top, top + TILE), slice(left, left + TILE))
        error = (upsampled[place] - original[place]).square().mean().item()
        tiles.append(_ProbeTile(error, upsampled[place].clone(), original[place].clone()))
    return sorted(tiles, key=lambda tile: -tile.error)[:PROBE_TILES]


def _choose_probe(candidates: list[list[_ProbeTile]]) -> tuple[Tensor, Tensor]:
    """Chooses the four tiles with the largest error, of four photographs where there are as many.

    Args:
        candidates: the tiles of each photograph, the one with the largest error first.

    Returns:
        upsampled and original, (4, 3, 96, 96) each.
    """
    best: list[_ProbeTile] = []
    for tiles in itertools.zip_longest(*candidates):  # each photograph's first tile, then each one's second, …
        best += sorted((tile for tile in tiles if tile), key=lambda tile: -tile.error)
    best = (best * PROBE_TILES)[:PROBE_TILES]
    return torch.stack([tile.upsampled for tile in best]), torch.stack([tile.original for tile in best])
