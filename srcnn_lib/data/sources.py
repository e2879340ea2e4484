"""Finds the photographs of a source (samples, stl10, set5, a folder, a glob, an archive) and decodes them on demand."""

import contextlib
import dataclasses
import hashlib
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import overload

import numpy as np
import torch

from ..errors import InputError, searched_folder
from ..runtime.files import find_matches, printable
from . import archives, images, named_sets
from .archives import ArchiveMember
from .download import DownloadProgress, is_url
from .named_sets import NAMED_SETS, STL10_SPLITS, data_folder

STL10_SHAPE = (3, 96, 96)
STL10_VALIDATION = 512  # photographs at most: validating on more would take longer than training


@dataclass(frozen=True)
class PictureFile:
    """A picture in a file of its own. Two are equal when they are the same file."""

    path: Path

    def read(self) -> images.Picture:
        """Decodes the picture."""
        return images.read_image(self.path)


@dataclass(frozen=True)
class STL10Picture:
    """A picture of STL-10, in an .npy file of (N, 3, 96, 96) uint8. Two are equal when they are the same picture."""

    path: Path
    name: str  # "train-00017"
    offset: int  # of its bytes; mapping the file for each picture would take ten times as long as reading it

    def read(self) -> images.Picture:
        """Reads the picture."""
        pixels = np.fromfile(self.path, np.uint8, math.prod(STL10_SHAPE), offset=self.offset).reshape(STL10_SHAPE)
        return images.Picture(torch.from_numpy(pixels).float() / 255, name=self.name)


Location = PictureFile | ArchiveMember | STL10Picture


@dataclass(frozen=True)
class Photographs(Sequence[images.Picture]):
    """Photographs in a fixed order. None is held in memory: `photographs[i]` decodes a Picture each time.

    Several threads may read at once, and it can be pickled for worker processes.
    """

    source: str  # as the user gave it
    names: tuple[str, ...]  # unique, without the folder that the source names
    locations: tuple[Location, ...]  # equal locations are the same photograph

    def __len__(self) -> int:
        return len(self.locations)

    @overload
    def __getitem__(self, index: int) -> images.Picture: ...
    @overload
    def __getitem__(self, index: slice) -> "Photographs": ...
    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        return self.locations[index].read()

    def select(self, indices: Iterable[int]) -> "Photographs":
        """Returns the photographs with these indices, in this order."""
        indices = tuple(indices)
        names = tuple(self.names[index] for index in indices)
        locations = tuple(self.locations[index] for index in indices)
        return Photographs(self.source, names, locations)


def load_photographs(source: str, limit: int = 0, progress: DownloadProgress | None = None) -> Photographs:
    """Finds the photographs of a source; a named set that is not there yet is downloaded, checked and kept.

    Args:
        source: samples, or one of them such as samples:coffee; stl10, stl10:train, stl10:test or stl10:unlabeled; a
            named set (a key of NAMED_SETS), in upper or lower case; bsds500:validation, twenty photographs of that set;
            or the path of a folder, an image, a zip or tar, or a glob. A folder with the name of a set is written
            "./set5".
        limit: the number of photographs to take, the first by name; 0 for all.
        progress: called with the bytes done and the bytes in all (None where the server doesn't say) of a download.

    Returns:
        The photographs, sorted by name, decoded when they are indexed.

    Raises:
        InputError: an unknown source, one without pictures, a damaged archive, or a set that can't be downloaded.
        OSError: a full disk, or a folder without permission to read or write.
    """
    source = str(source)
    if limit < 0:
        raise InputError(f"limit is {limit}, expected 0 (all) or more")
    found = _find_named(source, progress) or _find_path(source)  # name → location
    names = sorted(found)[: limit or None]
    return Photographs(source, tuple(names), tuple(found[name] for name in names))


def is_on_this_machine(source: str) -> bool:
    """Returns whether `load_photographs` finds a source without a download. STL-10 is not looked for."""
    family = source.lower().partition(":")[0]
    if family in NAMED_SETS:
        return named_sets.existing_set_folder(family) is not None
    return family == "samples" or bool(find_matches(os.path.expanduser(source)))


def split_photographs(
    data: Sequence[str], validation: Sequence[str], seed: int, limit: int = 0, progress: DownloadProgress | None = None
) -> tuple[Photographs, Photographs]:
    """Divides photographs into those to train on and those to validate on; none is in both.

    Args:
        data: sources, as for `load_photographs`.
        validation: sources as well, or one fraction such as "0.1": that share of the photographs of `data`, chosen by
            `seed` and by name, so that it is the same on every machine. STL-10 has test pictures of its own: for its
            train and unlabeled pictures at most 512 of those are taken instead.
        seed: decides which photographs a fraction takes.
        limit: the number of photographs to take of each source, the first by name; 0 for all.
        progress: as for `load_photographs`.

    Returns:
        The training photographs and the validation photographs.

    Raises:
        InputError: as `load_photographs`; a fraction that isn't between 0 and 1; no photograph left to train on.
    """
    fraction = _parse_fraction(validation)
    training_parts = [load_photographs(source, limit, progress) for source in data]
    if fraction is None:
        validation_parts = [load_photographs(source, limit, progress) for source in validation]
    else:
        validation_parts = _draw_validation(training_parts, fraction, seed, limit, progress)
    kept_out = {location for part in validation_parts for location in part.locations}
    together = _join(training_parts + validation_parts)  # joined, so that names are unique over both
    training_indices = [index for index, location in enumerate(together.locations) if location not in kept_out]
    validation_indices = [index for index, location in enumerate(together.locations) if location in kept_out]
    if not training_indices:
        raise InputError(
            f"all photographs of {printable(', '.join(data))} are in the validation as well; "
            "validate on others or on a fraction"
        )
    return (
        dataclasses.replace(together.select(training_indices), source=", ".join(data)),
        dataclasses.replace(together.select(validation_indices), source=", ".join(validation)),
    )


def _parse_fraction(validation: Sequence[str]) -> float | None:
    """Returns the fraction that `validation` gives, or None where it names sources."""
    numbers = []
    for text in validation:
        with contextlib.suppress(ValueError):
            numbers.append(float(text))
    if validation and not numbers:
        return None
    if len(validation) != 1 or not 0 < numbers[0] < 1:
        value = printable(", ".join(validation)) or "empty"
        raise InputError(f"validation is {value}, expected sources, or one fraction between 0 and 1")
    return numbers[0]


def _draw_validation(
    training_parts: list[Photographs], fraction: float, seed: int, limit: int, progress: DownloadProgress | None
) -> list[Photographs]:
    """Draws a fraction of the training photographs, or pictures of STL-10's own test split."""
    parts = [part for part in training_parts if part.source.lower() not in ("stl10", "stl10:train", "stl10:unlabeled")]
    drawn = []
    if len(parts) < len(training_parts):
        drawn.append(_draw(load_photographs("stl10:test", limit, progress), STL10_VALIDATION, seed))
    if parts:
        pool = _join(parts)
        if len(pool) == 1 and not drawn:
            raise InputError(f"{printable(pool.source)} is one photograph, too few to divide; validate on others")
        drawn.append(_draw(pool, min(max(1, round(fraction * len(pool))), len(pool) - 1), seed))
    return drawn


def _draw(pool: Photographs, count: int, seed: int) -> Photographs:
    """Draws `count` photographs by the hashes of their names: the same for any folder and any version of Python."""
    # "surrogatepass": a file's name may be no UTF-8.
    keys = [f"{seed}\n{name}".encode("utf-8", "surrogatepass") for name in pool.names]
    hashes = [hashlib.sha256(key).digest() for key in keys]
    by_hash = sorted(range(len(pool)), key=hashes.__getitem__)
    return pool.select(sorted(by_hash[:count]))


def _join(parts: list[Photographs]) -> Photographs:
    """Joins several sources, each photograph once. Where names collide, each is preceded by its source's folder."""
    found: dict[Location, tuple[int, str]] = {}  # location → number of its part, name
    for number, part in enumerate(parts):
        for name, location in zip(part.names, part.locations, strict=True):
            found.setdefault(location, (number, name))
    folders = [_folder_name(part) for part in parts]
    numbered = [f"{number}-{folder}" for number, folder in enumerate(folders, 1)]
    names: tuple[str, ...] = ()
    for prefixes in ([""] * len(parts), [f"{folder}/" for folder in folders], [f"{folder}/" for folder in numbered]):
        names = tuple(prefixes[number] + name for number, name in found.values())
        if len(set(names)) == len(names):
            break
    return Photographs(", ".join(part.source for part in parts), names, tuple(found))


def _folder_name(part: Photographs) -> str:
    """Returns the name of the folder that a source's names are relative to."""
    path = _before_wildcards(part.source)
    return path.parent.name if path.name in part.names else path.name


def _find_named(source: str, progress: DownloadProgress | None) -> Mapping[str, Location] | None:
    """Returns the photographs of a named source, {name: location}; None where there is no such name."""
    source = source.lower()
    family, _, part = source.partition(":")
    if family == "samples":
        samples = {name: PictureFile(path.resolve()) for name, path in named_sets.sample_files().items()}
        if part and part not in samples:
            raise InputError(f"there is no sample {printable(part)}; the samples are {', '.join(samples)}")
        return {part: samples[part]} if part else samples
    if family == "stl10":
        path = named_sets.stl10_file(part or "train", progress)
        pixels = np.load(path, mmap_mode="r")  # (N, 3, 96, 96); only the header is read
        offsets = range(pixels.offset, pixels.offset + pixels.nbytes, math.prod(STL10_SHAPE))
        names = [f"{path.stem}-{index:05d}" for index in range(len(offsets))]
        return {name: STL10Picture(path, name, offset) for name, offset in zip(names, offsets, strict=True)}
    if family not in NAMED_SETS or source not in (family, f"{family}:validation"):
        return None
    stems = NAMED_SETS[family].validation
    if part and not stems:
        return None
    found = _find_in_folder(named_sets.set_folder(family, progress), NAMED_SETS[family].excluded_folders)
    if part:
        found = {name: location for name, location in found.items() if Path(name).stem in stems}
        if len(found) < len(stems):
            raise InputError(
                f"{family} holds {len(found)} of its {len(stems)} validation photographs; download it again"
            )
    return found


def _find_path(source: str) -> Mapping[str, Location]:
    """Returns the photographs of a path or glob, {name: location}."""
    if is_url(source):
        raise InputError(f"{printable(source)} is an address; download it and give the file or folder")
    path = Path(os.path.expanduser(source))
    if source and path.is_dir():
        return _find_in_folder(path)
    if path.is_file() and archives.is_picture(path.name.lstrip(".")):
        return {path.name: PictureFile(path.resolve())}
    if path.is_file():
        members = archives.list_pictures(path, data_folder() / "archives")
        return _check_found({member.name: member for member in members}, source)
    if set(source) & set("*?["):
        root = _before_wildcards(path)
        matches = [Path(match) for match in find_matches(str(path))]
        found = {
            match.relative_to(root).as_posix(): PictureFile(match.resolve())
            for match in matches
            if archives.is_picture(match.name) and match.is_file()
        }
        return _check_found(found, source)
    names = ", ".join(["samples", "stl10", *(f"stl10:{part}" for part in STL10_SPLITS), *NAMED_SETS])
    raise InputError(
        f"there is no file, folder or set '{printable(source)}'{searched_folder(source)}; the sets are {names}"
    )


def _before_wildcards(pattern: str | Path) -> Path:
    """Returns the folder above a glob's first wildcard; a plain path as it is."""
    path = Path(pattern)
    wild = [index for index, part in enumerate(path.parts) if set(part) & set("*?[")]
    return Path(*path.parts[: wild[0]]) if wild else path


def _find_in_folder(folder: Path, excluded_folders: tuple[str, ...] = ()) -> Mapping[str, Location]:
    """Returns the pictures in a folder and its subfolders, {name: location}.

    Hidden ones, and folders that match a pattern of `excluded_folders`, are left out.
    """
    found = {}
    visited = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        real_path = os.path.realpath(parent)
        if real_path in visited:  # a link to a folder above
            folders.clear()
            continue
        visited.add(real_path)
        folders[:] = sorted(
            name for name in folders if not any(fnmatchcase(name.lower(), p) for p in (".*", *excluded_folders))
        )
        for file_name in names:
            path = Path(parent, file_name)
            name = path.relative_to(folder).as_posix()
            if archives.is_picture(name) and path.is_file():
                found[name] = PictureFile(path.resolve())
    return _check_found(found, folder)


def _check_found(found: Mapping[str, Location], source: str | Path) -> Mapping[str, Location]:
    if not found:
        raise InputError(f"{printable(source)} holds no picture (files ending in {', '.join(images.EXTENSIONS)})")
    return found
