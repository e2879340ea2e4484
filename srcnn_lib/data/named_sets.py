"""Photographs that go by a name: where each set comes from, and where it lies once it is here."""

import contextlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..runtime import files
from . import archives, download

ProgressBar = Callable[[int, int | None], None]  # the bytes of a piece, and the total where the server says it

STL10_SPLITS = ("train", "test", "unlabeled")


class Sample(NamedTuple):
    """A photograph that comes with scikit-image."""

    file: str  # in the folder skimage/data
    credit: str
    licence: str


# Color photographs of scenes with a stated licence. Left out: the retina and the stained tissue, which teach nothing
# about scenes, and the motorcycle, whose licence scikit-image does not state.
SAMPLES = {
    "astronaut": Sample("astronaut.png", "NASA, portrait of Eileen Collins", "public domain"),
    "chelsea": Sample("chelsea.png", "Stefan van der Walt", "CC0"),
    "coffee": Sample("coffee.png", "Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0"),
    "hubble_deep_field": Sample("hubble_deep_field.jpg", "NASA, Hubble eXtreme Deep Field", "public domain"),
    "rocket": Sample("rocket.jpg", "SpaceX, DSCOVR on Falcon 9", "public domain"),
}


@dataclass(frozen=True)
class NamedSet:
    """A set of photographs that the papers train or measure on, and where it comes from."""

    folder: str  # what it is called under `data_folder()`
    count: int
    archives: tuple[tuple[str, dict[str, str]], ...]  # addresses, each with its sums: {"md5": "…"}
    also: tuple[str, ...] = ()  # other names under which people keep it
    members: tuple[str, ...] = ("*",)  # which of an archive's pictures belong to it
    never: tuple[str, ...] = ()  # folders inside it that don't
    size: int = 0  # bytes of all files, where the archive itself has no lasting sum
    validation: tuple[str, ...] = ()  # stems of the pictures that "<name>:validation" means


LOW_RESOLUTION = ("lr*", "*_lr*")  # how people call what they keep beside the originals


def _benchmark(folder: str, count: int, *also: str) -> NamedSet:
    address = f"https://huggingface.co/datasets/eugenesiow/{folder}/resolve/main/data/{folder}_HR.tar.gz"
    return NamedSet(folder, count, ((address, {}),), also, never=LOW_RESOLUTION)


# GitHub packs its archives anew now and then, so their sums don't last: files and bytes are counted instead.
NAMED_SETS = {
    "set5": _benchmark("Set5", 5),
    "set14": _benchmark("Set14", 14),
    "bsd100": _benchmark("BSD100", 100, "B100", "BSDS100"),
    "urban100": _benchmark("Urban100", 100),
    "t91": NamedSet(
        "T91",
        91,
        (("https://github.com/tegg89/SRCNN-Tensorflow/archive/78be1a24.zip", {}),),
        members=("*/Train/*.bmp",),
        size=16_102_570,
    ),
    "bsds500": NamedSet(
        "BSDS500",
        400,
        (("https://github.com/BIDS/BSDS500/archive/a04b7c6c3a9f0ace74bf205c72a43d32e1c72722.zip", {}),),
        also=("BSDS400",),
        members=("*/images/train/*.jpg", "*/images/test/*.jpg"),
        never=("val",),  # is the test set B100
        # What recipes and snapshots of released networks are chosen on, and no released network is trained on: the
        # twenty with the smallest SHA-256 of "0\n<stem>" (a test draws them again).
        validation=tuple(
            "16052 46076 55075 65074 70090 97010 102062 124084 175083 198087 "  # noqa: SIM905
            "207049 209021 217013 254054 258089 268048 302003 323016 376086 393035".split()
        ),
    ),
    "div2k": NamedSet(
        "DIV2K",
        900,
        (
            ("http://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_train_HR.zip", {"md5": "bdc2d9338d4e574fe81bf7d158758658"}),
            ("http://data.vision.ee.ethz.ch/cvl/DIV2K/DIV2K_valid_HR.zip", {"md5": "9fcdda83005c5e5997799b69f955ff88"}),
        ),
        never=LOW_RESOLUTION,
    ),
}


def data_folder() -> Path:
    """Where sets are looked for and kept: SRCNN_DATA, or a folder "srcnn" in the user's cache."""
    if given := os.environ.get("SRCNN_DATA"):
        return Path(os.path.expanduser(given))
    if sys.platform == "darwin":
        cache = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "srcnn"


def samples() -> dict[str, Path]:
    """The files of SAMPLES that the installed scikit-image has; nothing is downloaded.

    Raises:
        InputError: scikit-image isn't installed.
    """
    package = importlib.util.find_spec("skimage")  # not its functions: they may go to the network
    folder = Path(package.origin).parent / "data" if package else Path()
    found = {name: folder / sample.file for name, sample in SAMPLES.items() if (folder / sample.file).is_file()}
    if not found:
        raise InputError("the samples come with scikit-image, which isn't here: pip install scikit-image")
    return found


def stl10(split: str, progress: ProgressBar | None = None) -> Path:
    """The .npy of one of STL-10's splits, (N, 3, 96, 96) uint8, rows before columns; fetched and written where absent.

    Raises:
        InputError: no such split, or STL-10 can't be fetched or is damaged.
    """
    if split not in STL10_SPLITS:
        raise InputError(f"STL-10 has no {split!r}; give {', '.join(f'stl10:{name}' for name in STL10_SPLITS)}")
    cached = data_folder() / "stl10" / f"{split}.npy"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        pixels = _stl10_pixels(
            split, cached.parent, progress
        )  # (N, 3, 96, 96), gigabytes, a transposed view of the file
        with files.write_atomically(cached) as temporary, open(temporary, "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": pixels.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(pixels), 1000):
                file.write(pixels[start : start + 1000].tobytes())
    return cached


def _stl10_pixels(split: str, folder: Path, progress: ProgressBar | None) -> np.ndarray:
    """What torchvision's class reads, checks and unpacks; it sums three gigabytes each time."""
    from torchvision.datasets import STL10  # slow to import, and needed once

    archive = folder / STL10.filename
    with contextlib.redirect_stdout(sys.stderr):  # it prints, and standard output may be somebody's JSON
        with contextlib.suppress(RuntimeError):  # not there, or other sums
            return STL10(folder, split).data
        # The class's own download waits for ever on a host that stalls, and leaves half an archive where it is cut.
        if not (archive.is_file() and files.digest(archive, "md5") == STL10.tgz_md5):
            download.download_file(STL10.url, archive, progress=progress, md5=STL10.tgz_md5)
        try:
            STL10(folder, split, download=True)  # unpacks, whatever comes out
            pixels = STL10(folder, split).data
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"STL-10 in {folder} is not what it should be ({error}); remove it and try again"
            ) from error
    archive.unlink()
    return pixels


def folder_of(name: str, progress: ProgressBar | None = None) -> Path:
    """The folder of one of NAMED_SETS; fetched, checked and kept where there is none yet.

    Raises:
        InputError: it can't be fetched, or isn't what it should be; nothing is left behind then.
        OSError: the disk is full, or not to be written; likewise.
    """
    return _kept(NAMED_SETS[name]) or _fetched(NAMED_SETS[name], progress)


def _kept(named: NamedSet) -> Path | None:
    """The folder in which the set lies already."""
    home = data_folder()
    folders = {path.name.lower(): path for path in sorted(home.iterdir()) if path.is_dir()} if home.is_dir() else {}
    return next((folders[name.lower()] for name in (named.folder, *named.also) if name.lower() in folders), None)


def _fetched(named: NamedSet, progress: ProgressBar | None) -> Path:
    """The set's folder, made whole or not at all."""
    folder = data_folder() / named.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{named.folder}-", dir=folder.parent) as scratch:
            unpacked = Path(scratch) / named.folder
            unpacked.mkdir()
            for address, sums in named.archives:
                archive = download.download_file(
                    address, Path(scratch) / address.rpartition("/")[2], progress=progress, **sums
                )
                _unpack(archive, named.members, unpacked)
                archive.unlink()
            _check(named, unpacked)
            if not folder.exists():  # another process may have been quicker
                os.rename(unpacked, folder)
    except InputError as error:
        raise InputError(f"{error}; or put the pictures of {named.folder} into {folder} yourself") from error
    return folder


def _unpack(archive: Path, patterns: tuple[str, ...], folder: Path) -> None:
    for member in archives.members(archive, scratch=archive.parent):
        if any(fnmatchcase(member.name, pattern) for pattern in patterns):
            with files.write_atomically(folder / member.file_name) as temporary:
                temporary.write_bytes(member.data())


def _check(named: NamedSet, folder: Path) -> None:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    if len(sizes) != named.count or named.size not in (0, sum(sizes)):
        expected = f"{named.count} pictures" + (f", {named.size:,} bytes" if named.size else "")
        came = f"{len(sizes)} pictures, {sum(sizes):,} bytes"
        raise InputError(f"{named.folder} came with {came}, expected {expected}; try again later")
