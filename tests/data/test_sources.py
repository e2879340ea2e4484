"""Sources: the photographs they find, downloads whole or not at all, and that training and validation share nothing."""

import dataclasses
import errno
import hashlib
import io
import os
import pickle
import random
import socket
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows
from torchvision.datasets import STL10

from srcnn_lib.data import archives, download, named_sets, sources
from srcnn_lib.data.sources import load_photographs, split_photographs
from srcnn_lib.errors import InputError
from srcnn_lib.runtime import files

DATA = os.environ.get("SRCNN_DATA", "")  # before the tests set it
ARCHIVES = ("zip", "stored.zip", "streamed.zip", "prefixed.zip", "tar", "tar.gz", "tar.xz", "tar.bz2", "tgz")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Makes an empty data folder the place for all sets."""
    home = tmp_path / "data"
    monkeypatch.setenv("SRCNN_DATA", str(home))
    return home


PHOTOGRAPH = skimage.data.astronaut()


def square(number: int, side: int = 24) -> np.ndarray:
    """Cuts a square from the astronaut, another one for each number: (side, side, 3) uint8."""
    top, left = random.Random(number).choices(range(512 - side), k=2)
    return PHOTOGRAPH[top : top + side, left : left + side]


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(square(number)).save(file, "PNG")
    return file.getvalue()


def put(folder: Path, *names: str, start: int = 0) -> Path:
    """Writes pictures with these names, all different, into a folder."""
    for number, name in enumerate(names, start):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number))
    return folder


def packed(members: dict[str, bytes], kind: str) -> bytes:
    """Packs an archive with these members; `kind` is one of ARCHIVES."""
    file = io.BytesIO()
    if kind.endswith("zip"):
        if kind == "prefixed.zip":  # a self-extracting zip begins with a program
            file.write(b"#!/bin/sh\n" * 10)
        target = Unseekable(file) if kind == "streamed.zip" else file
        method = zipfile.ZIP_STORED if kind == "stored.zip" else zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(target, "w", method) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        compression = {"tar": "", "tar.gz": "gz", "tgz": "gz", "tar.xz": "xz", "tar.bz2": "bz2"}[kind]
        with tarfile.open(fileobj=file, mode=f"w:{compression}") as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


class Unseekable(io.RawIOBase):
    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


def pixels(picture) -> np.ndarray:
    return (picture.pixels * 255).round().byte().permute(1, 2, 0).numpy()


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def assert_one_line(error) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


# Samples


def test_samples_are_photographs_with_credit_and_license_and_need_no_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", full_disk)
    samples = load_photographs("Samples")
    color = {"astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "grace_hopper"}
    assert color | {"camera", "brick", "grass", "gravel", "coins"} == set(samples.names)
    assert {name for name, picture in zip(samples.names, samples, strict=True) if len(picture.pixels) == 3} == color
    assert all(min(picture.pixels.shape[1:]) >= 300 for picture in samples)
    assert all(sample.credit and sample.license for sample in named_sets.SAMPLES.values())
    np.testing.assert_array_equal(pixels(samples[samples.names.index("coffee")]), skimage.data.coffee())


def test_one_sample_can_be_kept_out_by_its_name():
    training, validation = split_photographs(["samples"], ["samples:chelsea"], 0)
    assert validation.names == ("chelsea",)
    assert set(training.names) == set(load_photographs("samples").names) - {"chelsea"}


def test_a_sample_that_the_installed_version_lacks_is_skipped(monkeypatch):
    monkeypatch.setitem(named_sets.SAMPLES, "zebra", named_sets.SamplePhotograph("data/zebra.png", "nobody", "none"))
    assert "zebra" not in load_photographs("samples").names


# Folders, files and globs


def test_a_folder_gives_the_pictures_in_it_and_its_subfolders_sorted_and_without_hidden_ones(tmp_path):
    folder = put(
        tmp_path / "photos", "b.png", "a.PNG", "deep/er/c.jpg", ".hidden.png", ".git/d.png", "__MACOSX/._a.png"
    )
    (folder / "notes.txt").write_text("no picture")
    found = load_photographs(str(folder))
    assert found.names == ("a.PNG", "b.png", "deep/er/c.jpg")
    np.testing.assert_array_equal(pixels(found[1]), square(0))
    assert load_photographs(str(folder), limit=2).names == ("a.PNG", "b.png")


def test_links_in_a_folder_are_followed_but_not_in_circles(tmp_path):
    folder = put(tmp_path / "photos", "a.png")
    put(tmp_path / "elsewhere", "b.png", start=1)
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "circle").symlink_to(folder)
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    assert load_photographs(str(folder)).names == ("a.png", "linked/b.png")


def test_names_of_a_glob_begin_at_its_first_wildcard(tmp_path, monkeypatch):
    put(tmp_path / "photos", "a/1.png", "b/2.png", "b/3.bmp", "4.png")
    assert load_photographs(f"{tmp_path}/photos/*/*.png").names == ("a/1.png", "b/2.png")
    assert load_photographs(f"{tmp_path}/photos/**/*.png").names == ("4.png", "a/1.png", "b/2.png")
    monkeypatch.chdir(tmp_path)
    assert load_photographs("photos/b/*").names == ("2.png", "3.bmp")
    assert load_photographs("./*/4.png").names == ("photos/4.png",)


def test_a_single_picture_is_a_source(tmp_path):
    put(tmp_path, "x y[1].png")
    found = load_photographs(str(tmp_path / "x y[1].png"))
    assert found.names == ("x y[1].png",)
    np.testing.assert_array_equal(pixels(found[0]), square(0))


def test_a_folder_with_the_name_of_a_set_is_used_only_if_written_with_a_separator(tmp_path, monkeypatch, home):
    put(home / "Set5", "kept.png")
    put(tmp_path / "set5", "own.png")
    monkeypatch.chdir(tmp_path)
    assert load_photographs("set5").names == ("kept.png",)
    assert load_photographs("./set5").names == ("own.png",)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("photos\nand more", "photos\\nand more"),
        ("set55", "set5, set14, bsd100"),
        ("", "no file, folder or set"),
        ("samples:zebra", "astronaut, chelsea"),
        ("stl10:valid", "stl10:unlabeled"),
        ("nothing/*.png", "no picture"),
        ("https://example.org/photos.zip", "download it"),
        ("text.png.txt", "no picture, zip or tar"),
        ("empty", "no picture"),
    ],
)
def test_an_unknown_source_gives_an_error_of_one_line_with_the_way_out(source, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png.txt").write_text("text")
    with pytest.raises(InputError) as error:
        load_photographs(source)
    assert message in assert_one_line(error)


# Archives


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_gives_the_pictures_that_were_packed(kind, tmp_path):
    path = tmp_path / f"photos.{kind}"
    members = {f"in/{number}.PNG": png(number) for number in range(3)}
    path.write_bytes(packed({**members, "in/read.me": b"text", "__MACOSX/in/._1.png": b"fork", ".x/1.png": b"?"}, kind))
    found = load_photographs(str(path))
    assert found.names == ("in/0.PNG", "in/1.PNG", "in/2.PNG")
    for number, picture in enumerate(found):
        np.testing.assert_array_equal(pixels(picture), square(number))
    assert load_photographs(str(path), limit=1).names == ("in/0.PNG",)


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_zip_or_plain_tar_is_read_in_place(kind, tmp_path, home):
    path = tmp_path / f"photos.{kind}"
    path.write_bytes(packed({"a.png": png(0)}, kind))
    load_photographs(str(path))[0]
    assert [file.name for file in tmp_path.rglob("*")] == [path.name]


def test_a_compressed_tar_is_unpacked_once(tmp_path, home, monkeypatch):
    path = tmp_path / "photos.tar.gz"
    path.write_bytes(packed({"a.png": png(0), "notes.txt": b"text"}, "tar.gz"))
    first = load_photographs(str(path))
    monkeypatch.setattr(archives, "write_atomically", full_disk)
    assert load_photographs(str(path)) == first
    assert len(list(home.rglob("*.tar"))) == 1
    path.write_bytes(packed({"b.png": png(1)}, "tar.gz"))
    monkeypatch.undo()
    monkeypatch.setenv("SRCNN_DATA", str(home))
    assert load_photographs(str(path)).names == ("b.png",)  # another archive under the same name


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_an_archive_that_is_cut_off_is_refused_and_leaves_nothing_behind(kind, tmp_path, home):
    path = tmp_path / f"photos.{kind}"
    whole = packed({f"{number}.png": random.Random(number).randbytes(3000) for number in range(9)}, kind)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError) as error:
        load_photographs(str(path))
    assert path.name in assert_one_line(error)
    assert not list(home.rglob("*.*"))


@pytest.mark.parametrize("kind", ["zip", "stored.zip"])
def test_an_error_names_the_damaged_member_of_a_zip(kind, tmp_path):
    path, data = tmp_path / "photos.zip", bytearray(packed({"a.png": png(0), "b.png": png(1)}, kind))
    data[200] ^= 255
    path.write_bytes(data)
    found = load_photographs(str(path))
    with pytest.raises(InputError) as error:
        found[0]
    assert "a.png" in assert_one_line(error)
    np.testing.assert_array_equal(pixels(found[1]), square(1))


def test_an_error_names_the_archive_of_a_member_that_is_no_picture(tmp_path):
    (tmp_path / "photos.tar").write_bytes(packed({"in/a.png": b"text"}, "tar"))
    with pytest.raises(InputError) as error:
        load_photographs(str(tmp_path / "photos.tar"))[0]
    assert f"in/a.png in {tmp_path / 'photos.tar'}" in assert_one_line(error)


def test_an_encrypted_zip_is_refused(tmp_path):
    data = bytearray(packed({"a.png": png(0)}, "zip"))
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "secret.zip").write_bytes(data)
    with pytest.raises(InputError, match="encrypted"):
        load_photographs(str(tmp_path / "secret.zip"))


def test_a_member_that_claims_gigabytes_is_not_inflated(tmp_path, monkeypatch):
    (tmp_path / "bomb.zip").write_bytes(packed({"a.png": bytes(10**6)}, "zip"))
    monkeypatch.setattr(download, "PICTURE_BYTES", 10**5)
    with pytest.raises(InputError, match="longer than"):
        load_photographs(str(tmp_path / "bomb.zip"))[0]


def test_a_member_of_a_tar_with_a_negative_size_is_refused(tmp_path):
    info = tarfile.TarInfo("a.png")
    info.pax_headers = {"size": "-10"}
    (tmp_path / "photos.tar").write_bytes(info.tobuf(format=tarfile.PAX_FORMAT) + bytes(10240))
    with pytest.raises(InputError, match="no picture, zip or tar, or a damaged one"):
        load_photographs(str(tmp_path / "photos.tar"))[0]


@pytest.mark.parametrize("size", [2**62, 2**63 - 1, 2**63 - 2000])
def test_a_member_of_a_tar_that_is_larger_than_any_file_is_refused(tmp_path, size):
    info = tarfile.TarInfo("a.png")
    info.size = size
    (tmp_path / "photos.tar").write_bytes(info.tobuf(format=tarfile.GNU_FORMAT) + bytes(10240))
    with pytest.raises(InputError, match=r"photos\.tar"):
        load_photographs(str(tmp_path / "photos.tar"))[0]


# Reading


def test_photographs_are_a_sequence_that_is_sliced_selected_pickled_and_read_by_threads(tmp_path):
    path = tmp_path / "photos.zip"
    path.write_bytes(packed({f"{number}.png": png(number) for number in range(8)}, "zip"))
    found = load_photographs(str(path))
    assert found[2:4].names == ("2.png", "3.png")
    assert found.select([5, 0]).names == ("5.png", "0.png")
    np.testing.assert_array_equal(pixels(found.select([5, 0])[-2]), square(5))
    with pytest.raises(IndexError):
        found[8]
    copy = pickle.loads(pickle.dumps(found))
    assert copy == found
    with ThreadPoolExecutor(8) as pool:
        for number, picture in enumerate(pool.map(copy.__getitem__, list(range(8)) * 10)):
            np.testing.assert_array_equal(pixels(picture), square(number % 8))


# Named sets


def test_a_folder_with_the_name_of_the_set_is_used_in_upper_or_lower_case(home):
    put(home / "SET5", "a.png")
    put(home / "b100", "b.png")
    put(home / "BSDS400", "c.png")
    assert load_photographs("set5").names == ("a.png",)
    assert load_photographs("BSD100").names == ("b.png",)
    assert load_photographs("Bsds500").names == ("c.png",)


def test_val_of_bsds500_and_reduced_pictures_of_div2k_are_never_used(home):
    put(home / "BSDS500/BSDS500/data/images", "train/1.jpg", "test/2.jpg", "val/3.jpg")
    put(home / "DIV2K", "DIV2K_train_HR/1.png", "DIV2K_train_LR_bicubic/X2/1x2.png")
    assert [Path(name).name for name in load_photographs("bsds500").names] == ["2.jpg", "1.jpg"]
    assert load_photographs("div2k").names == ("DIV2K_train_HR/1.png",)


@pytest.fixture
def set5(web, monkeypatch):
    """Puts an archive of Set5 on the local server, and returns its name there."""
    members = {
        f"Set5_HR/{name}.png": png(number) for number, name in enumerate(["baby", "bird", "head", "lion", "zoo"])
    }
    archive = packed({**members, "Set5_HR/._baby.png": b"fork"}, "tar.gz")
    sums = {"md5": hashlib.md5(archive).hexdigest()}
    entry = dataclasses.replace(named_sets.NAMED_SETS["set5"], archives=((web.put("Set5_HR.tar.gz", archive), sums),))
    monkeypatch.setitem(named_sets.NAMED_SETS, "set5", entry)
    return "Set5_HR.tar.gz"


def test_a_named_set_is_downloaded_once_unpacked_and_kept(set5, web, home):
    calls = []
    found = load_photographs("Set5", progress=lambda done, total: calls.append((done, total)))
    assert found.names == ("baby.png", "bird.png", "head.png", "lion.png", "zoo.png")
    np.testing.assert_array_equal(pixels(found[3]), square(3))
    size = (web.folder / set5).stat().st_size
    assert calls[-1] == (size, size)
    assert load_photographs("SET5") == dataclasses.replace(found, source="SET5")
    assert web.requests == ["/" + set5]
    assert sorted(path.name for path in home.iterdir()) == ["Set5"]
    assert sorted(path.name for path in (home / "Set5").iterdir()) == list(found.names)


@pytest.mark.parametrize("script", ["cut", "chunked cut", "other", "404", "html"])
def test_a_failed_download_of_a_set_leaves_nothing_behind_and_a_second_one_succeeds(script, set5, web, home):
    web.script(set5, script, 1)
    with pytest.raises(InputError) as error:
        load_photographs("set5")
    assert str(home / "Set5") in assert_one_line(error)
    assert list(home.iterdir()) == []
    assert len(load_photographs("set5")) == 5


@pytest.mark.parametrize("moment", ["download", "unpacking", "second picture"])
def test_a_full_disk_leaves_nothing_behind_and_a_second_download_succeeds(moment, set5, home, monkeypatch):
    calls, write = [], Path.write_bytes

    def write_once(path, data):
        calls.append(path)
        return full_disk() if len(calls) > 1 else write(path, data)

    with monkeypatch.context() as patch:
        if moment == "download":
            patch.setattr(files, "open", full_disk, raising=False)
        else:
            patch.setattr(Path, "write_bytes", full_disk if moment == "unpacking" else write_once)
        with pytest.raises(OSError, match="No space left"):
            load_photographs("set5")
    assert list(home.iterdir()) == []
    assert len(load_photographs("set5")) == 5


def test_a_set_with_too_few_pictures_is_refused(set5, web, home):
    archive = packed({f"{number}.png": png(number) for number in range(4)}, "tar.gz")
    entry = named_sets.NAMED_SETS["set5"]
    named_sets.NAMED_SETS["set5"] = dataclasses.replace(entry, archives=((web.put("four.tar.gz", archive), {}),))
    with pytest.raises(InputError, match="4 pictures.* expected 5 pictures"):
        load_photographs("set5")
    assert list(home.iterdir()) == []


def test_no_member_is_written_outside_the_folder_of_the_set(set5, web, home, tmp_path):
    names = ["../../evil1.png", "/evil2.png", "..\\evil3.png", "C:evil4.png", f"{tmp_path}/evil5.png"]
    archive = io.BytesIO(packed({name: png(0) for name in names}, "tar"))
    with tarfile.open(fileobj=archive, mode="a") as tar:
        for name, kind in [
            ("link.png", tarfile.SYMTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
            ("hard.png", tarfile.LNKTYPE),
        ]:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    entry = named_sets.NAMED_SETS["set5"]
    address = web.put("evil.tar", archive.getvalue())
    named_sets.NAMED_SETS["set5"] = dataclasses.replace(entry, archives=((address, {}),))
    assert load_photographs("set5").names == tuple(f"evil{number}.png" for number in range(1, 6))
    assert sorted(tmp_path.rglob("evil*")) == sorted((home / "Set5").iterdir())


def test_the_validation_photographs_are_twenty_of_bsds500_and_not_in_its_training(home):
    stems = named_sets.NAMED_SETS["bsds500"].validation
    put(home / "BSDS500", *(f"train/{stem}.jpg" for stem in stems), "train/1.jpg", "test/2.jpg")
    training, validation = split_photographs(["bsds500"], ["bsds500:validation"], seed=3)
    assert sorted(Path(name).stem for name in validation.names) == sorted(stems)
    assert [Path(name).stem for name in training.names] == ["2", "1"]
    (home / "BSDS500" / "train" / f"{stems[0]}.jpg").unlink()
    with pytest.raises(InputError, match="19 of its 20"):
        load_photographs("bsds500:validation")


@pytest.mark.skipif(not DATA, reason="needs the photographs of BSDS500 under SRCNN_DATA")
def test_the_validation_photographs_are_those_with_the_smallest_digests(monkeypatch):
    monkeypatch.setenv("SRCNN_DATA", DATA)
    try:
        stems = [Path(name).stem for name in load_photographs("bsds500").names]
    except InputError as error:
        pytest.skip(str(error))
    drawn = sorted(stems, key=lambda stem: hashlib.sha256(f"0\n{stem}".encode()).digest())[:20]
    assert sorted(drawn) == sorted(named_sets.NAMED_SETS["bsds500"].validation)


def test_bsds500_takes_train_and_test_of_the_repository_and_never_val(web, monkeypatch):
    folder = "BSDS500-a04b7c6c/BSDS500/data"
    names = [f"{folder}/images/{part}/{part}{number}.jpg" for part in ("train", "test", "val") for number in range(2)]
    members = {name: png(number) for number, name in enumerate(names)}
    members |= {f"{folder}/groundTruth/train/train0.mat": b"boundaries", f"{folder}/bench/data/images/x.jpg": png(9)}
    entry = named_sets.NAMED_SETS["bsds500"]
    entry = dataclasses.replace(entry, count=4, archives=((web.put("a04b.zip", packed(members, "zip")), {}),))
    monkeypatch.setitem(named_sets.NAMED_SETS, "bsds500", entry)
    assert load_photographs("bsds500").names == ("test0.jpg", "test1.jpg", "train0.jpg", "train1.jpg")


def test_t91_takes_the_training_pictures_of_the_repository_and_counts_their_bytes(web, monkeypatch, home):
    members = {f"SRCNN-Tensorflow-78be1a24/Train/t{number}.bmp": png(number) for number in range(3)}
    size = sum(map(len, members.values()))
    members |= {"SRCNN-Tensorflow-78be1a24/Test/kong1.bmp": png(8), "SRCNN-Tensorflow-78be1a24/result/orig.png": png(9)}
    address = web.put("78be1a24.zip", packed(members, "zip"))
    entry = dataclasses.replace(named_sets.NAMED_SETS["t91"], count=3, archives=((address, {}),))
    monkeypatch.setitem(named_sets.NAMED_SETS, "t91", entry)
    with pytest.raises(InputError, match="expected 3 pictures, 16,102,570 bytes"):
        load_photographs("t91")
    monkeypatch.setitem(named_sets.NAMED_SETS, "t91", dataclasses.replace(entry, size=size))
    assert load_photographs("t91").names == ("t0.bmp", "t1.bmp", "t2.bmp")


def test_div2k_is_made_of_two_archives(web, monkeypatch):
    addresses = []
    for name in ("DIV2K_train_HR", "DIV2K_valid_HR"):
        data = packed({f"{name}/{name}.png": png(len(name))}, "zip")
        addresses.append((web.put(f"{name}.zip", data), {"md5": hashlib.md5(data).hexdigest()}))
    entry = dataclasses.replace(named_sets.NAMED_SETS["div2k"], count=2, archives=tuple(addresses))
    monkeypatch.setitem(named_sets.NAMED_SETS, "div2k", entry)
    assert load_photographs("div2k").names == ("DIV2K_train_HR.png", "DIV2K_valid_HR.png")


@pytest.mark.parametrize(("name", "folder", "count"), [("set5", "Set5", 5), ("set14", "Set14", 14), ("t91", "T91", 91)])
def test_the_real_sets_are_complete(name, folder, count, monkeypatch):
    if not DATA or not (Path(DATA) / folder).is_dir():
        pytest.skip(f"no folder {folder} under SRCNN_DATA")
    monkeypatch.setenv("SRCNN_DATA", DATA)
    found = load_photographs(name)
    assert len(found) == count
    assert found[0].pixels.shape[0] == 3


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        (Unix, "XDG_CACHE_HOME", "set/srcnn"),
        (Unix, None, ".cache/srcnn"),
        (MacOS, None, "Library/Caches/srcnn"),
        (Windows, None, "AppData/Local/srcnn"),
    ],
)
def test_without_srcnn_data_sets_are_kept_in_the_users_cache(platform, variable, expected, tmp_path, monkeypatch):
    for name in ("SRCNN_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("platformdirs.PlatformDirs", platform)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", lambda name: str(tmp_path / "AppData/Local"))
    monkeypatch.setenv("HOME", str(tmp_path))
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "set"))
    assert named_sets.data_folder() == tmp_path / expected


# STL-10

COUNTS = {"train": 12, "test": 20, "unlabeled": 5}


def stl10_square(part: str, index: int) -> np.ndarray:
    return square(1000 * list(COUNTS).index(part) + index, 96)


@pytest.fixture
def stl10(web, monkeypatch):
    """Makes a small STL-10 that torchvision's class accepts; returns the name of its archive."""
    members = {"class_names.txt": b"airplane\nbird\n", "fold_indices.txt": b"0 1 \n" * 10}
    for part, count in COUNTS.items():
        # columns before rows
        squares = [stl10_square(part, index).transpose(2, 1, 0) for index in range(count)]
        members[f"{part}_X.bin"] = np.stack(squares).tobytes()
        if part != "unlabeled":
            members[f"{part}_y.bin"] = bytes([1] * count)
    sums = {name: hashlib.md5(data).hexdigest() for name, data in members.items()}
    archive = packed({f"stl10_binary/{name}": data for name, data in members.items()}, "tar.gz")
    for table in ("train_list", "test_list"):
        monkeypatch.setattr(STL10, table, [[name, sums[name]] for name, _ in getattr(STL10, table)])
    monkeypatch.setattr(STL10, "tgz_md5", hashlib.md5(archive).hexdigest())
    monkeypatch.setattr(STL10, "url", web.put(STL10.filename, archive))
    return STL10.filename


def test_stl10_is_downloaded_once_and_its_pictures_are_upright(stl10, web, home, capsys):
    for part, count in COUNTS.items():
        found = load_photographs(f"STL10:{part}")
        assert len(found) == count
        assert found.names[3] == found[3].name == f"{part}-00003"
        for index, picture in enumerate(found):
            np.testing.assert_array_equal(pixels(picture), stl10_square(part, index))
    assert web.requests == ["/" + stl10]
    assert not (home / "stl10" / stl10).exists()
    assert capsys.readouterr().out == ""
    assert load_photographs("stl10").locations == load_photographs("stl10:train").locations


def test_stl10_is_read_from_its_cache_the_second_time(stl10, monkeypatch):
    first = load_photographs("stl10")
    monkeypatch.setattr(STL10, "__init__", full_disk)  # the class, which hashes gigabytes, is not used
    start = time.monotonic()
    assert load_photographs("stl10") == first
    assert time.monotonic() - start < 3
    assert pickle.loads(pickle.dumps(first)) == first


@pytest.mark.parametrize("script", ["cut", "other", "404", "html"])
def test_a_failed_download_of_stl10_gives_an_error_of_one_line_and_a_second_one_succeeds(script, stl10, web):
    web.script(stl10, script, 1)
    with pytest.raises(InputError) as error:
        load_photographs("stl10")
    assert stl10 in assert_one_line(error)
    assert len(load_photographs("stl10")) == COUNTS["train"]


def test_half_an_archive_of_stl10_is_downloaded_again(stl10, web, home):
    (home / "stl10").mkdir(parents=True)
    whole = (web.folder / stl10).read_bytes()
    (home / "stl10" / stl10).write_bytes(whole[: len(whole) // 2])
    assert len(load_photographs("stl10")) == COUNTS["train"]


def test_stl10_is_read_after_a_full_disk_while_it_was_unpacked_or_cached(stl10, web, home, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(tarfile.TarFile, "makefile", full_disk)
        with pytest.raises(OSError, match="No space left"):
            load_photographs("stl10")
    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array_header_1_0", full_disk)
        with pytest.raises(OSError, match="No space left"):
            load_photographs("stl10")
    assert not list(home.rglob("*.npy"))
    assert len(load_photographs("stl10")) == COUNTS["train"]
    assert web.requests == ["/" + stl10]


def test_an_stl10_with_other_digests_is_refused(stl10, monkeypatch):
    monkeypatch.setattr(STL10, "test_list", [[name, "0" * 32] for name, _ in STL10.test_list])
    with pytest.raises(InputError) as error:
        load_photographs("stl10")
    assert "is damaged" in assert_one_line(error)


# Training and validation


def test_a_fraction_takes_the_same_photographs_on_every_machine_and_in_every_folder(tmp_path):
    names = [f"{letter}.png" for letter in "abcdefghij"]
    results = set()
    for folder in ("one", "another/place"):
        training, validation = split_photographs([str(put(tmp_path / folder, *names))], ["0.3"], seed=1)
        results.add((training.names, validation.names))
        assert sorted(training.names + validation.names) == names
    ranked = sorted(names, key=lambda name: hashlib.sha256(f"1\n{name}".encode()).hexdigest())
    assert results == {(tuple(sorted(ranked[3:])), tuple(sorted(ranked[:3])))}
    assert validation.names == ("a.png", "g.png", "j.png")  # as on any other machine


def test_another_seed_keeps_out_other_photographs(tmp_path):
    folder = str(put(tmp_path / "photos", *[f"{number}.png" for number in range(20)]))
    assert len({split_photographs([folder], ["0.2"], seed)[1].names for seed in range(5)}) > 1


@pytest.mark.parametrize(("fraction", "count"), [("0.01", 1), ("0.5", 2), ("0.99", 3)])
def test_a_fraction_is_at_least_one_photograph_and_never_all(fraction, count, tmp_path):
    training, validation = split_photographs(
        [str(put(tmp_path / "photos", "a.png", "b.png", "c.png", "d.png"))], [fraction], 0
    )
    assert (len(training), len(validation)) == (4 - count, count)


@pytest.mark.parametrize(
    "validation", [["0"], ["1"], ["-0.1"], ["nan"], ["12"], ["0.1", "0.2"], ["0.1", "samples"], []]
)
def test_a_validation_that_is_neither_a_fraction_nor_sources_is_refused(validation):
    with pytest.raises(InputError, match="expected sources, or one fraction between 0 and 1"):
        split_photographs(["samples"], validation, 0)


def test_one_photograph_can_not_be_divided(tmp_path):
    folder = str(put(tmp_path / "photos", "a.png"))
    with pytest.raises(InputError, match="one photograph"):
        split_photographs([folder, folder], ["0.1"], 0)


def test_validation_photographs_are_left_out_of_the_training_under_any_name(tmp_path):
    folder = put(tmp_path / "photos", "a.png", "b.png", "c.png", "d.png")
    (tmp_path / "link.png").symlink_to(folder / "b.png")
    training, validation = split_photographs(
        [str(folder)], [f"{folder}/a*", str(tmp_path / "link.png"), f"{folder}/../photos/c.png"], 0
    )
    assert [name.split("/")[-1] for name in training.names] == ["d.png"]
    assert len(validation) == 3
    with pytest.raises(InputError, match="in the validation as well"):
        split_photographs([f"{folder}/*.png"], [str(folder)], 0)


def test_a_photograph_given_twice_counts_once(tmp_path):
    folder = put(tmp_path / "photos", "a.png", "b.png", "c.png")
    training, validation = split_photographs([str(folder), f"{folder}/*.png"], ["0.4"], 0)
    assert sorted(training.names + validation.names) == ["a.png", "b.png", "c.png"]


def test_names_stay_unique_over_several_sources(tmp_path):
    sources = [str(put(tmp_path / name, "a.png", "b.png")) for name in ("one", "two", "deep/one")]
    training, validation = split_photographs(sources[:2], ["0.5"], 0)
    assert sorted(training.names + validation.names) == ["one/a.png", "one/b.png", "two/a.png", "two/b.png"]
    training, validation = split_photographs([sources[0]], [sources[1]], 0)
    assert (training.names, validation.names) == (("one/a.png", "one/b.png"), ("two/a.png", "two/b.png"))
    training, validation = split_photographs([sources[0], sources[2]], [f"{sources[1]}/a.png"], 0)
    assert training.names == ("1-one/a.png", "1-one/b.png", "2-one/a.png", "2-one/b.png")
    assert validation.names == ("3-two/a.png",)
    assert (training.source, validation.source) == (f"{sources[0]}, {sources[2]}", f"{sources[1]}/a.png")


def test_the_limit_applies_to_each_source(tmp_path):
    sources = [str(put(tmp_path / name, *[f"{name}{number}.png" for number in range(5)])) for name in "ab"]
    training, validation = split_photographs(sources, ["0.25"], 0, limit=2)
    assert sorted(training.names + validation.names) == ["a0.png", "a1.png", "b0.png", "b1.png"]


def test_a_fraction_of_stl10_is_taken_from_its_own_test_pictures(stl10, tmp_path, monkeypatch):
    training, validation = split_photographs(["stl10"], ["0.1"], 0)
    assert (len(training), len(validation)) == (COUNTS["train"], COUNTS["test"])
    monkeypatch.setattr(sources, "STL10_VALIDATION", 4)
    training, validation = split_photographs(["STL10", "stl10:unlabeled"], ["0.1"], 0)
    assert len(training) == COUNTS["train"] + COUNTS["unlabeled"]
    assert len(validation) == 4
    assert all(name.startswith("test-") for name in validation.names)
    assert validation.names != split_photographs(["stl10"], ["0.1"], 1)[1].names
    folder = str(put(tmp_path / "photos", "a.png", "b.png"))
    training, validation = split_photographs(["stl10", folder], ["0.1"], 0)
    assert (len(training), len(validation)) == (COUNTS["train"] + 1, 4 + 1)


def test_a_fraction_of_stl10s_test_pictures_is_an_ordinary_fraction(stl10):
    training, validation = split_photographs(["stl10:test"], ["0.1"], 0)
    assert (len(training), len(validation)) == (18, 2)
    assert not set(training.names) & set(validation.names)


def test_a_tar_whose_entry_leads_back_is_refused_and_does_not_loop(tmp_path):
    first, second = tarfile.TarInfo("a.png"), bytearray(tarfile.TarInfo("b.png").tobuf(format=tarfile.GNU_FORMAT))
    second[124:136] = (2**96 - 512).to_bytes(12, "big")  # −512 in base 256
    second[148:156] = b"%06o\0 " % (sum(second[:148]) + sum(second[156:512]) + 8 * 32)
    (tmp_path / "loop.tar").write_bytes(first.tobuf() + bytes(second) + bytes(10240))
    with pytest.raises(InputError, match="damaged"):
        load_photographs(str(tmp_path / "loop.tar"))


def test_a_compressed_tar_that_unpacks_to_far_more_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "UNPACKED_ALWAYS", 10**6)
    monkeypatch.setenv("SRCNN_DATA", str(tmp_path / "data"))
    for name in ("a.bmp", "notes.txt"):  # what is no picture has to be unpacked as well
        with tarfile.open(tmp_path / "bomb.tar.gz", "w:gz") as tar:
            info = tarfile.TarInfo(name)
            info.size = 30 * 10**6
            tar.addfile(info, io.BytesIO(bytes(info.size)))
        with pytest.raises(InputError, match="unpacks to more than"):
            load_photographs(str(tmp_path / "bomb.tar.gz"))
        assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_a_tar_of_many_entries_is_read_in_order(tmp_path):
    with tarfile.open(tmp_path / "many.tar", "w") as tar:
        for number in range(300):
            tar.addfile(tarfile.TarInfo(f"{number:03d}.png"))
    assert load_photographs(str(tmp_path / "many.tar")).names == tuple(f"{number:03d}.png" for number in range(300))


def test_a_glob_ends_where_folders_contain_links_to_folders_above(tmp_path, photograph_folder):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for name in ("one", "two", "three"):
        (below / name).symlink_to(tmp_path)
    (below / "0.png").write_bytes((photograph_folder / "0.png").read_bytes())
    assert load_photographs(str(tmp_path / "**" / "*.png")).names == ("a/b/0.png",)
