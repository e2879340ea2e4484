"""Reads pictures inside a zip or tar without unpacking it.

An `ArchiveMember` holds the position of a picture's bytes in the archive. The archive is opened anew for each picture,
so that threads and worker processes share no open file.
"""

import errno
import hashlib
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PureWindowsPath

from ..errors import InputError
from ..runtime.files import printable, write_atomically
from . import download, images

# What the standard library's readers raise for damaged archives.
DAMAGED = (OSError, EOFError, ValueError, NotImplementedError, struct.error, zlib.error, LZMAError, tarfile.TarError,
           zipfile.BadZipFile)  # fmt: skip


# A compressed tar may unpack to so many times its size, and to this many bytes in any case.
UNPACKED = 50
UNPACKED_ALWAYS = 64 * 2**20


@dataclass(frozen=True)
class ArchiveMember:
    """The position of a picture in an archive. Two are equal when they are the same picture."""

    archive: Path
    name: str  # as in the archive, e.g. "train_images/0001.jpg"
    offset: int  # of the picture's bytes in a tar, of its local header in a zip
    stored_size: int  # bytes in the archive
    size: int  # bytes of the picture's file
    deflated: bool = False
    crc: int | None = None  # of a zip; a tar has none

    @property
    def file_name(self) -> str:
        """The name without folders or a drive, by Windows' rules: a file of this name stays in its folder."""
        return PureWindowsPath(self.name).name

    def read_bytes(self) -> bytes:
        """Returns the bytes of the picture's file.

        Raises:
            InputError: they are damaged, or more than `download.PICTURE_BYTES`.
        """
        if max(self.size, self.stored_size) > download.PICTURE_BYTES:
            raise InputError(f"{self} is longer than {download.PICTURE_BYTES:,} bytes; leave it out")
        if min(self.size, self.stored_size, self.offset) < 0:  # a damaged archive may say so
            raise InputError(f"{self} is damaged; fetch the archive again")
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            if self.crc is not None:
                # The local header repeats the directory's entry; only the lengths of name and extra field are needed.
                name_length, extra_length = struct.unpack("<26xHH", file.read(30).ljust(30, b"\0"))
                file.seek(name_length + extra_length, os.SEEK_CUR)
            data = file.read(self.stored_size)
        if self.deflated:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
            except zlib.error:
                data = b""
        if len(data) != self.size or (self.crc is not None and zlib.crc32(data) != self.crc):
            raise InputError(f"{self} is damaged; fetch the archive again")
        return data

    def read(self) -> images.Picture:
        """Decodes the picture."""
        data = self.read_bytes()
        try:
            return images.read_image(data, name=self.file_name)
        except InputError as error:
            raise InputError(f"{self} can't be used: {error}") from error

    def __str__(self) -> str:
        return f"{printable(self.name)} in {printable(self.archive)}"


def is_picture(name: str) -> bool:
    """Returns whether a path has a picture's extension and no part of it is hidden (".name", "__MACOSX")."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/") if part not in (".", ".."))
    return not hidden and name.lower().endswith(images.EXTENSIONS)


def list_pictures(path: Path, scratch: Path) -> list[ArchiveMember]:
    """Lists the pictures of a zip or tar, sorted by name.

    A zip and a plain tar are read in place. A compressed tar can only be read from its start: its pictures are copied
    once into a plain tar in the folder `scratch`. Its name comes from the archive's path, size and time.

    Raises:
        InputError: no archive, a damaged or an encrypted one.
        OSError: `scratch` can't be written.
    """
    path = path.resolve()
    try:
        members = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path, scratch)
    except InputError:
        raise
    except DAMAGED as error:
        # EINVAL: a place in the archive that no file can have. Other errors are of the disk, not of the archive.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise InputError(
            f"{printable(path)} is no picture, zip or tar, or a damaged one; check or fetch it again"
        ) from error
    by_name = {member.name: member for member in members}  # of two with the same name, the later one counts
    return [by_name[name] for name in sorted(by_name)]


def _zip_members(path: Path) -> list[ArchiveMember]:
    members = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = _normalize(info.filename)
            if info.is_dir() or not is_picture(name):
                continue
            if info.flag_bits & 1:
                raise InputError(f"{printable(path)} is encrypted; unpack it with its password and give the folder")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(
                    f"{printable(path)} is compressed with method {info.compress_type}, which can't be read; "
                    "unpack it and give the folder"
                )
            deflated = info.compress_type == zipfile.ZIP_DEFLATED
            members.append(
                ArchiveMember(path, name, info.header_offset, info.compress_size, info.file_size, deflated, info.CRC)
            )
    return members


def _tar_members(path: Path, scratch: Path) -> list[ArchiveMember]:
    try:
        return _plain_tar_members(path)
    except tarfile.ReadError:  # compressed, or no tar at all
        return _plain_tar_members(_uncompress(path, scratch))


def _plain_tar_members(path: Path) -> list[ArchiveMember]:
    with tarfile.open(path, "r:") as tar:
        return [
            ArchiveMember(path, _normalize(info.name), info.offset_data, info.size, info.size)
            for info in _entries(tar)
            if _is_picture_file(info)
        ]


def _entries(tar: tarfile.TarFile, limit: int | None = None) -> Iterator[tarfile.TarInfo]:
    """Yields the members of a tar archive, and checks each one's size and place.

    Args:
        tar: opened for reading.
        limit: bytes after which an archive that decompresses to more is refused.

    Raises:
        tarfile.ReadError: an entry that leads back, with which reading would never end.
        InputError: more than `limit` bytes.
    """
    for info in tar:
        if info.size < 0 or info.offset_data < info.offset or tar.offset <= info.offset:
            raise tarfile.ReadError("an entry of negative size")
        if limit is not None and tar.offset > limit:
            raise InputError(
                f"{printable(tar.name)} unpacks to more than {limit:,} bytes, far more than its own size; "
                "unpack it yourself if you trust it, and give the folder"
            )
        yield info
        tar.members = []  # type: ignore[attr-defined]  # a small archive may have millions of entries


def _uncompress(path: Path, scratch: Path) -> Path:
    """Returns a plain tar with the pictures of a compressed one; an existing one is used again."""
    state = path.stat()
    facts = f"{path}\n{state.st_size}\n{state.st_mtime_ns}"
    identity = hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:12]  # the path may be no UTF-8
    plain = scratch / f"{path.name.split('.')[0]}-{identity}.tar"
    if not plain.exists():
        with tarfile.open(path, "r|*") as packed:  # "|": only forward, since going back would start over
            scratch.mkdir(parents=True, exist_ok=True)
            with write_atomically(plain) as temporary, tarfile.open(temporary, "w:") as copy:
                for info in _entries(packed, UNPACKED * state.st_size + UNPACKED_ALWAYS):
                    if _is_picture_file(info):
                        copy.addfile(info, packed.extractfile(info))
    return plain


def _is_picture_file(info: tarfile.TarInfo) -> bool:
    """Returns whether an entry is a picture; links, devices and sparse files are not, whatever their names."""
    return info.isreg() and not info.issparse() and is_picture(_normalize(info.name))


def _normalize(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")
