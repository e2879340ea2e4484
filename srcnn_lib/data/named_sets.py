"""Named sets of photographs: where each is downloaded from, and the folder in which it is kept."""

import contextlib
import importlib.util
import os
import sys
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import numpy as np
import platformdirs

from ..errors import InputError
from ..runtime.files import digest, write_atomically
from . import archives
from .download import DownloadProgress, download_file

STL10_SPLITS = ("train", "test", "unlabeled")


class SamplePhotograph(NamedTuple):
    """A photograph that an installed package ships."""

    file: str  # inside the package
    credit: str
    license: str
    package: str = "skimage"
    subject: tuple[int, int] | None = None  # row and column of an eye or the like, which a crop of it shows


# Photographs of scenes with a stated license; the last six were added so that a training on the samples does not learn
# them by heart. Left out: the retina, the moon and the stained tissue, which teach little, the blurred clock, and the
# motorcycle, whose license scikit-image does not state.
SAMPLES = {
    "astronaut": SamplePhotograph(
        "data/astronaut.png", "NASA, portrait of Eileen Collins", "public domain", subject=(108, 222)
    ),
    "chelsea": SamplePhotograph("data/chelsea.png", "Stefan van der Walt", "CC0", subject=(108, 168)),
    "coffee": SamplePhotograph(
        "data/coffee.png", "Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0", subject=(270, 362)
    ),
    "hubble_deep_field": SamplePhotograph(
        "data/hubble_deep_field.jpg", "NASA, Hubble eXtreme Deep Field", "public domain"
    ),
    "rocket": SamplePhotograph("data/rocket.jpg", "SpaceX, DSCOVR on Falcon 9", "public domain"),
    "camera": SamplePhotograph("data/camera.png", "Lav Varshney", "CC0"),
    "brick": SamplePhotograph("data/brick.png", "CC0Textures, Bricks25", "CC0"),
    "grass": SamplePhotograph("data/grass.png", "linolafett, DeviantArt", "CC0"),
    "gravel": SamplePhotograph("data/gravel.png", "CC0Textures, Gravel04", "CC0"),
    "coins": SamplePhotograph("data/coins.png", "Brooklyn Museum Collection", "no known copyright restrictions"),
    "grace_hopper": SamplePhotograph(
        "mpl-data/sample_data/grace_hopper.jpg",
        "James S. Davis, U.S. Navy, portrait of Grace Hopper",
        "public domain",
        package="matplotlib",
        subject=(215, 215),
    ),
}


@dataclass(frozen=True)
class NamedSet:
    """A set of photographs that the papers train or measure on, and where it comes from."""

    folder: str  # its name under `data_folder()`
    count: int  # of photographs
    archives: tuple[tuple[str, dict[str, str]], ...]  # addresses, each with its digests: {"md5": "…"}
    other_folders: tuple[str, ...] = ()  # other names that the folder may have
    members: tuple[str, ...] = ("*",)  # patterns of the archive's pictures that belong to the set
    excluded_folders: tuple[str, ...] = ()  # patterns of folders inside the set's folder that do not belong to it
    size: int = 0  # bytes of all files, where the archive has no lasting digest
    validation: tuple[str, ...] = ()  # stems of the pictures in "<name>:validation"


LOW_RESOLUTION = ("lr*", "*_lr*")  # usual names of folders with reduced copies


def _benchmark(folder: str, count: int, *other_folders: str) -> NamedSet:
    address = f"https://huggingface.co/datasets/eugenesiow/{folder}/resolve/main/data/{folder}_HR.tar.gz"
    return NamedSet(folder, count, ((address, {}),), other_folders, excluded_folders=LOW_RESOLUTION)


# GitHub repacks its archives now and then, so that their digests don't last: files and bytes are counted instead.
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
        other_folders=("BSDS400",),
        members=("*/images/train/*.jpg", "*/images/test/*.jpg"),
        excluded_folders=("val",),  # is the test set B100
        # Recipes and snapshots of released networks are chosen on these twenty, and no released network is trained on
        # them. They have the smallest SHA-256 of "0\n<stem>" (a test draws them again).
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
        excluded_folders=LOW_RESOLUTION,
    ),
}


def data_folder() -> Path:
    """Returns the folder in which sets are looked for and kept: SRCNN_DATA, or "srcnn" in the user's cache."""
    if folder := os.environ.get("SRCNN_DATA"):
        return Path(os.path.expanduser(folder))
    return platformdirs.user_cache_path("srcnn", appauthor=False, opinion=False)


def sample_files() -> dict[str, Path]:
    """Returns the files of SAMPLES that the installed packages have, by name; nothing is downloaded.

    Raises:
        InputError: scikit-image isn't installed.
    """
    folders = {}
    for name in {sample.package for sample in SAMPLES.values()}:
        package = importlib.util.find_spec(name)  # skimage's own functions may download
        folders[name] = Path(package.origin).parent if package and package.origin else None
    paths = {name: (folders[sample.package], sample.file) for name, sample in SAMPLES.items()}
    found = {name: folder / file for name, (folder, file) in paths.items() if folder and (folder / file).is_file()}
    if not found or not folders["skimage"]:
        raise InputError("the samples come with scikit-image, which isn't installed: pip install scikit-image")
    return found


def stl10_file(split: str, progress: DownloadProgress | None = None) -> Path:
    """Returns the .npy file of one of STL-10's splits, (N, 3, 96, 96) uint8; it is downloaded and written where absent.

    Args:
        split: one of STL10_SPLITS.
        progress: called with the bytes done and the bytes in all.

    Raises:
        InputError: an unknown split, or STL-10 can't be downloaded or is damaged.
    """
    if split not in STL10_SPLITS:
        raise InputError(f"STL-10 has no {split!r}; give {', '.join(f'stl10:{name}' for name in STL10_SPLITS)}")
    cached = data_folder() / "stl10" / f"{split}.npy"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        pixels = _stl10_pixels(split, cached.parent, progress)  # (N, 3, 96, 96), gigabytes, a transposed view
        with write_atomically(cached) as temporary, open(temporary, "wb") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": pixels.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, len(pixels), 1000):
                file.write(pixels[start : start + 1000].tobytes())
    return cached


def _stl10_pixels(split: str, folder: Path, progress: DownloadProgress | None) -> np.ndarray:
    """Reads, checks and unpacks STL-10 with torchvision's class, which hashes three gigabytes each time."""
    from torchvision.datasets import STL10  # slow to import, and used once

    archive = folder / STL10.filename
    with contextlib.redirect_stdout(sys.stderr):  # torchvision prints, and standard output may be JSON
        with contextlib.suppress(RuntimeError):  # missing, or with other digests
            return STL10(folder, split).data
        # torchvision's own download waits forever on a host that stalls, and leaves half an archive where it is cut.
        if not (archive.is_file() and digest(archive, "md5") == STL10.tgz_md5):
            download_file(STL10.url, archive, {"md5": STL10.tgz_md5}, progress=progress)
        try:
            STL10(folder, split, download=True)  # unpacks without a check
            pixels = STL10(folder, split).data
        except (RuntimeError, ValueError) as error:
            raise InputError(f"STL-10 in {folder} is damaged ({error}); remove it and try again") from error
    archive.unlink()
    return pixels


def set_folder(name: str, progress: DownloadProgress | None = None) -> Path:
    """Returns the folder of a named set, which is downloaded and checked where it does not exist yet.

    Args:
        name: a key of NAMED_SETS.
        progress: called with the bytes done and the bytes in all of each archive.

    Raises:
        InputError: the set can't be downloaded, or is incomplete; nothing is left behind then.
        OSError: a full disk, or a folder without permission to write; likewise.
    """
    return existing_set_folder(name) or _download_set(NAMED_SETS[name], progress)


def existing_set_folder(name: str) -> Path | None:
    """Returns the folder of a named set that is on this machine; None for one that would be downloaded."""
    named, home = NAMED_SETS[name], data_folder()
    folders = {path.name.lower(): path for path in sorted(home.iterdir()) if path.is_dir()} if home.is_dir() else {}
    names = [folder.lower() for folder in (named.folder, *named.other_folders)]
    return next((folders[folder] for folder in names if folder in folders), None)


def _download_set(named: NamedSet, progress: DownloadProgress | None) -> Path:
    """Downloads, unpacks and checks a set in a temporary folder, which then takes its final name."""
    folder = data_folder() / named.folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{named.folder}-", dir=folder.parent) as scratch:
            unpacked = Path(scratch) / named.folder
            unpacked.mkdir()
            for url, digests in named.archives:
                archive = Path(scratch) / url.rpartition("/")[2]
                download_file(url, archive, digests, progress=progress)
                _unpack(archive, named.members, unpacked)
                archive.unlink()
            _check(named, unpacked)
            if not folder.exists():  # another process may have been faster
                os.rename(unpacked, folder)
    except InputError as error:
        raise InputError(f"{error}; or put the pictures of {named.folder} into {folder} yourself") from error
    return folder


def _unpack(archive: Path, patterns: tuple[str, ...], folder: Path) -> None:
    """Writes an archive's pictures whose names match one of the patterns into a folder, without their own folders."""
    for member in archives.list_pictures(archive, scratch=archive.parent):
        if any(fnmatchcase(member.name, pattern) for pattern in patterns):
            with write_atomically(folder / member.file_name) as temporary:
                temporary.write_bytes(member.read_bytes())


def _check(named: NamedSet, folder: Path) -> None:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    if len(sizes) != named.count or named.size not in (0, sum(sizes)):
        expected = f"{named.count} pictures" + (f", {named.size:,} bytes" if named.size else "")
        found = f"{len(sizes)} pictures, {sum(sizes):,} bytes"
        raise InputError(f"{named.folder} came with {found}, expected {expected}; try again later")
