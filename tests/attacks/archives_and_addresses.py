"""Hostile archives, and servers on this machine that lie, stall and never end."""

import functools
import io
import os
import random
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import skimage.data
from attack import Tally
from bounded import check_line, run_cases
from mutations import mutate
from PIL import Image

WAIT = 0.5  # seconds in place of the twenty and sixty that a server gets
DISK = 80 * 2**20  # bytes that a case may leave in the cache


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Reads hostile archives as sources of photographs, and addresses as pictures and downloads."""
    tally = run_cases(functools.partial(_case, _picture()), seed, count, folder)
    outside = [path for path in folder.rglob("*") if path.name.startswith("outside")]
    if outside:
        tally.fail(f"written outside: {outside[:3]}")
    return tally


def _case(picture: bytes, chance: random.Random, folder: Path) -> str:
    os.environ.update(SRCNN_DATA=str(folder / "cache"), no_proxy="*")
    way = chance.choice((_archive, _archive, _address))
    outcome = way(picture, chance, folder)
    left = [path for path in folder.rglob("*") if path.is_file() and path.parts[-2] != "source"]
    assert sum(path.stat().st_size for path in left) < DISK, "the cache is full of an archive"
    assert not [path for path in left if path.name.startswith(".")], f"left behind: {left}"
    return outcome


def _archive(picture: bytes, chance: random.Random, folder: Path) -> str:
    from srcnn_lib import InputError, load_photographs

    source = folder / "source"
    source.mkdir()
    kind = chance.choice(("zip", "tar", "tar.gz", "tar.xz"))
    data = _zip(picture, chance) if kind == "zip" else _tar(picture, chance, kind)
    if chance.random() < 0.4:
        data = mutate(data, chance, data)
    path = source / f"photos.{kind}"
    path.write_bytes(data)
    read = 0
    try:
        for found in load_photographs(str(path)):
            assert found.pixels.numel()
            read += 1
    except InputError as error:
        check_line(str(error))
        return "archive refused"
    return "archive read"


NAMES = ("a.png", "b/c.png", "../outside.png", "/tmp/outside.png", "..\\outside.png", "C:\\outside.png", "a\0.png",
         "\x1b[2J.png", "a\nb.png", "x" * 240 + ".png", "./a.png", "\u202egnp.exe.png", ".hidden.png", "a.txt",
         "A.PNG")  # fmt: skip


def _zip(picture: bytes, chance: random.Random) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(
        file, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA))
    ) as made:
        for _ in range(chance.randint(0, 4)):
            content = chance.choice((picture, picture, picture[:50], b"", bytes(30 * 2**20)))
            info = zipfile.ZipInfo(chance.choice(NAMES))
            info.compress_type = made.compression
            if chance.random() < 0.2:
                info.external_attr = 0o120777 << 16  # a link
            made.writestr(info, content)
    data = bytearray(file.getvalue())
    if chance.random() < 0.4:  # the directory lies: encryption, method, sums, sizes, places
        at = data.find(b"PK\1\2")
        if at >= 0:
            place, size = chance.choice(((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (42, 4)))
            data[at + place : at + place + size] = chance.choice((1, 99, 2**31, 2**32 - 1)).to_bytes(8, "little")[:size]
    return bytes(data)


def _tar(picture: bytes, chance: random.Random, kind: str) -> bytes:
    file = io.BytesIO()
    form = chance.choice((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=file, mode="w:" + kind.partition(".")[2], format=form) as made:
        for _ in range(chance.randint(0, 4)):
            info = tarfile.TarInfo(chance.choice(NAMES).replace("\0", ""))
            content = chance.choice((picture, picture, picture[:50], b"", bytes(100 * 2**20) if "." in kind else b""))
            info.size = len(content)
            info.type = chance.choice(
                (*[tarfile.REGTYPE] * 5, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
            )
            info.linkname = chance.choice(("../outside.png", "/etc/passwd", "a.png"))
            if info.type != tarfile.REGTYPE:
                info.size, content = 0, b""
            if chance.random() < 0.15 and form == tarfile.PAX_FORMAT:
                info.pax_headers = {"size": chance.choice(("-512", "99999999999999", "x", "1e9"))}
            made.addfile(info, io.BytesIO(content))
    if chance.random() < 0.2:  # a size of −512 in base 256, with the right sum: reading forward leads back
        header = bytearray(tarfile.TarInfo("a.png").tobuf(format=tarfile.GNU_FORMAT))
        header[124:136] = (2**96 - 512).to_bytes(12, "big")
        header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:512]) + 8 * 32)
        return picture_tar(picture) + bytes(header) + bytes(1024)
    return file.getvalue()


def picture_tar(picture: bytes) -> bytes:
    """Returns a tar of one picture without its end."""
    info = tarfile.TarInfo("first.png")
    info.size = len(picture)
    return info.tobuf() + picture + bytes(-len(picture) % 512)


SCRIPTS = (None, "404", "html", "to file", "to data", "to other", "loop", "cut", "chunked cut", "silent",
           "slow headers", "slow body", "slow chunk", "other", "long", "long reason", "endless")  # fmt: skip
ADDRESSES = ("http://127.0.0.1:1/a.png", "http://[::1/a.png", "file:///etc/passwd", "ftp://127.0.0.1/a.png", "http://",
             "http://a..org/b.png", "http://127.0.0.1:99999/a.png", "http://127.0.0.1:1/\r\nHost: a",
             "gopher://a/b.png", "http://ann:secret@127.0.0.1:1/a.png", "http://\udcff.org/a.png",
             "http://127.0.0.1:1/" + "a" * 3000)  # fmt: skip


def _address(picture: bytes, chance: random.Random, folder: Path) -> str:
    from srcnn_lib import InputError, read_image
    from srcnn_lib.data import download

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from web_server import Web

    download.TIMEOUT = download.SLOW_AFTER = WAIT
    (folder / "source").mkdir()
    web = Web(folder / "source")
    try:
        script = chance.choice(SCRIPTS)
        data = chance.choice((picture, picture[:100], zlib.compress(bytes(2**20)), b"", struct.pack(">Q", 5)))
        address = web.put("a.png", data)
        if script:
            web.script("a.png", script)
        if chance.random() < 0.25:
            address = chance.choice(ADDRESSES)
        try:
            if chance.random() < 0.5:
                read_image(address)
            else:
                download.download_file(address, folder / "cache" / "a.bin", limit=2**26)
        except InputError as error:
            message = str(error)
        else:
            return "address read"
        check_line(message[:400] if len(address) > 400 else message)
        assert "secret" not in message, "the password is repeated"
        return "address refused"
    finally:
        web.close()


def _picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(skimage.data.astronaut()[60:100, 200:248]).save(file, "PNG")
    return file.getvalue()
