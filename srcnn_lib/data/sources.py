"""From what the user says (samples, stl10, set5, a folder, a glob, an archive) to photographs, decoded on demand."""

import contextlib
import dataclasses
import glob
import hashlib
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch

from ..errors import InputError
from ..runtime.files import printable
from . import archives, download, images, named_sets
from .named_sets import NAMED_SETS, SAMPLES, STL10_SPLITS, ProgressBar, data_folder

__all__ = ["NAMED_SETS", "SAMPLES", "Photographs", "data_folder", "load_photographs", "split_photographs"]

STL10_SHAPE = (3, 96, 96)
STL10_TEST = 512  # photographs: more would be measured longer than trained on


@dataclass(frozen=True)
class File:
    """A picture in a file of its own. Two are equal when they are the same file."""

    path: Path

    def read(self) -> images.Picture:
        return images.read_image(self.path)


@dataclass(frozen=True)
class Tile:
    """A picture of STL-10: one of the (N, 3, 96, 96) uint8 in an .npy file. Two are equal when they are the same."""

    path: Path
    name: str  # "train-00017"
    offset: int  # of its bytes; mapping the file for each picture would take ten times as long as reading it

    def read(self) -> images.Picture:
        pixels = np.fromfile(self.path, np.uint8, math.prod(STL10_SHAPE), offset=self.offset).reshape(STL10_SHAPE)
        return images.Picture(torch.from_numpy(pixels).float() / 255, name=self.name)


Place = File | archives.Member | Tile


@dataclass(frozen=True)
class Photographs(Sequence):
    """Photographs in a fixed order. Nothing is held in memory: `photographs[i]` decodes a Picture each time.

    Safe to read from several threads, and it can be pickled for worker processes.
    """

    source: str  # what the user said
    names: tuple[str, ...]  # unique, without the folder that the source names
    places: tuple[Place, ...]  # equal places are the same photograph

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        return self.places[index].read()

    def select(self, indices: Iterable[int]) -> "Photographs":
        """These photographs only, in this order."""
        indices = tuple(indices)
        names, places = (tuple(values[i] for i in indices) for values in (self.names, self.places))
        return Photographs(self.source, names, places)


def load_photographs(source: str, limit: int = 0, progress: ProgressBar | None = None) -> Photographs:
    """Find the photographs that a source names; a set that isn't there yet is fetched, checked and kept.

    Args:
        source: samples, or one of them such as samples:coffee; stl10, stl10:train, stl10:test or stl10:unlabeled; a
            named set (NAMED_SETS), in any case; bsds500:validation, twenty of that set; or the path of a folder, an
            image, a zip or tar, or a glob. A folder called like a set is written "./set5".
        limit: take the first so many by name; 0 for all.
        progress: called with the bytes of each piece of a download and the total (None where the server doesn't say).

    Raises:
        InputError: no such source, one without pictures, a damaged archive, or a set that can't be fetched.
        OSError: the disk is full, or not to be read or written.
    """
    source = str(source)
    if limit < 0:
        raise InputError(f"limit is {limit}, expected 0 (all) or more")
    found = _known(source, progress) or _at_path(source)  # name → place
    names = sorted(found)[: limit or None]
    return Photographs(source, tuple(names), tuple(found[name] for name in names))


def split_photographs(
    data: Sequence[str], test: Sequence[str], seed: int, limit: int = 0, progress: ProgressBar | None = None
) -> tuple[Photographs, Photographs]:
    """The photographs to train on and those to measure on; none is in both.

    Args:
        data: sources, as for `photographs`.
        test: sources as well, or one fraction such as "0.1": that share of the photographs of `data`, whole ones,
            chosen by `seed` and by name, so alike on every machine. STL-10 has test pictures of its own: for its train
            and unlabeled pictures at most 512 of those are taken instead.
        seed: decides which.
        limit: at most so many of each source, the first by name; 0 for all.
        progress: as for `photographs`.

    Raises:
        InputError: as `photographs`; a fraction that isn't between 0 and 1; nothing left to train or to measure on.
    """
    fraction = _fraction(test)
    training = [load_photographs(source, limit, progress) for source in data]
    if fraction is None:
        testing = [load_photographs(source, limit, progress) for source in test]
    else:
        testing = _kept_out(training, fraction, seed, limit, progress)
    kept_out = {place for part in testing for place in part.places}
    together = _joined(training + testing)  # so that names are unique over both
    sides = [], []
    for index, place in enumerate(together.places):
        sides[place in kept_out].append(index)
    if not sides[0]:
        raise InputError(
            f"all photographs of {printable(', '.join(data))} are in the test as well; test on others or on a fraction"
        )
    train, measured = map(together.select, sides)
    return dataclasses.replace(train, source=", ".join(data)), dataclasses.replace(measured, source=", ".join(test))


def _fraction(test: Sequence[str]) -> float | None:
    """The fraction that `test` is, or None where it is sources."""
    numbers = []
    for text in test:
        with contextlib.suppress(ValueError):
            numbers.append(float(text))
    if test and not numbers:
        return None
    if len(test) != 1 or not 0 < numbers[0] < 1:
        given = printable(", ".join(test)) or "empty"
        raise InputError(f"test is {given}, expected sources, or one fraction between 0 and 1")
    return numbers[0]


def _kept_out(
    training: list[Photographs], fraction: float, seed: int, limit: int, progress: ProgressBar | None
) -> list[Photographs]:
    """The photographs to measure on where nothing but a fraction was said."""
    rest = [part for part in training if part.source.lower() not in ("stl10", "stl10:train", "stl10:unlabeled")]
    testing = []
    if len(rest) < len(training):
        testing.append(_drawn(load_photographs("stl10:test", limit, progress), STL10_TEST, seed))
    if rest:
        pool = _joined(rest)
        if len(pool) == 1 and not testing:
            raise InputError(f"{printable(pool.source)} is one photograph, too few to divide; test on others")
        testing.append(_drawn(pool, min(max(1, round(fraction * len(pool))), len(pool) - 1), seed))
    return testing


def _drawn(pool: Photographs, count: int, seed: int) -> Photographs:
    """`count` of them at random. By the sums of their names: neither paths nor Python's version have a say."""
    sums = [hashlib.sha256(f"{seed}\n{name}".encode()).digest() for name in pool.names]
    return pool.select(sorted(sorted(range(len(pool)), key=sums.__getitem__)[:count]))


def _joined(parts: list[Photographs]) -> Photographs:
    """Several sources as one, each photograph once; where names would collide, all get their source's in front."""
    found = {}
    for number, part in enumerate(parts):
        for name, place in zip(part.names, part.places, strict=True):
            found.setdefault(place, (number, name))
    above = [_fixed_part(part.source) for part in parts]
    folders = [(path.parent if path.name in part.names else path).name for path, part in zip(above, parts, strict=True)]
    numbered = [f"{number}-{folder}" for number, folder in enumerate(folders, 1)]
    for prefixes in ([""] * len(parts), [f"{folder}/" for folder in folders], [f"{folder}/" for folder in numbered]):
        names = tuple(prefixes[number] + name for number, name in found.values())
        if len(set(names)) == len(names):
            break
    return Photographs(", ".join(part.source for part in parts), names, tuple(found))


def _known(source: str, progress: ProgressBar | None) -> dict[str, Place] | None:
    """The photographs of a source that goes by a name, {name: place}; None where it is no such name."""
    source = source.lower()
    family, _, part = source.partition(":")
    if family == "samples":
        samples = {name: File(path.resolve()) for name, path in named_sets.samples().items()}
        if part and part not in samples:
            raise InputError(f"there is no sample {printable(part)}; the samples are {', '.join(samples)}")
        return {part: samples[part]} if part else samples
    if family == "stl10":
        path = named_sets.stl10(part or "train", progress)
        pixels = np.load(path, mmap_mode="r")  # (N, 3, 96, 96); of which only the header is read
        offsets = range(pixels.offset, pixels.offset + pixels.nbytes, math.prod(STL10_SHAPE))
        tiles = [Tile(path, f"{path.stem}-{index:05d}", offset) for index, offset in enumerate(offsets)]
        return {tile.name: tile for tile in tiles}
    if source in NAMED_SETS:
        return _in_folder(named_sets.folder_of(source, progress), NAMED_SETS[source].never)
    if part == "validation" and family in NAMED_SETS and (stems := NAMED_SETS[family].validation):
        found = _in_folder(named_sets.folder_of(family, progress), NAMED_SETS[family].never)
        found = {name: place for name, place in found.items() if Path(name).stem in stems}
        if len(found) < len(stems):
            raise InputError(f"{family} holds {len(found)} of its {len(stems)} validation photographs; fetch it anew")
        return found
    return None


def _at_path(source: str) -> dict[str, Place]:
    """The photographs of a path or glob, {name: place}."""
    if download.is_url(source):
        raise InputError(f"{printable(source)} is an address; download it and give the file or folder")
    path = Path(os.path.expanduser(source))
    if source and path.is_dir():
        return _in_folder(path)
    if path.is_file() and archives.is_picture(path.name.lstrip(".")):
        return {path.name: File(path.resolve())}
    if path.is_file():
        found = {member.name: member for member in archives.members(path, data_folder() / "archives")}
    elif set(source) & set("*?["):
        root, matches = _fixed_part(path), map(Path, glob.glob(str(path), recursive=True))
        found = {
            match.relative_to(root).as_posix(): File(match.resolve())
            for match in matches
            if archives.is_picture(match.name) and match.is_file()
        }
    else:
        names = ", ".join(["samples", "stl10", *(f"stl10:{part}" for part in STL10_SPLITS), *NAMED_SETS])
        raise InputError(f"there is no file, folder or set '{printable(source)}'; the sets are {names}")
    return found or _raise_empty(source)


def _fixed_part(pattern: str | Path) -> Path:
    """The folder above a glob's first wildcard; a plain path as it is."""
    path = Path(pattern)
    wild = [index for index, part in enumerate(path.parts) if set(part) & set("*?[")]
    return Path(*path.parts[: wild[0]]) if wild else path


def _in_folder(folder: Path, never: tuple[str, ...] = ()) -> dict[str, Place]:
    """The pictures in a folder and those below it, but for what is hidden or in folders called like `never`."""
    found, seen = {}, set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(parent)) in seen:  # a link to where we have been
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not any(fnmatchcase(f.lower(), p) for p in (".*", *never)))
        for path in (Path(parent, name) for name in names):
            name = path.relative_to(folder).as_posix()
            if archives.is_picture(name) and path.is_file():
                found[name] = File(path.resolve())
    return found or _raise_empty(folder)


def _raise_empty(source: str | Path):
    raise InputError(f"{printable(source)} holds no picture (files ending in {', '.join(images.EXTENSIONS)})")
