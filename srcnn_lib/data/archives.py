"""Pictures inside a zip or tar, read in place.

A `Member` says where in the archive a picture's bytes lie, and each reading opens the archive anew. So threads, forked
and spawned workers share nothing that one of them could move or close under the others.
"""

import hashlib
import os
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PureWindowsPath

from ..errors import InputError
from ..runtime import files
from ..runtime.files import printable
from . import download, images

# What the readers of the standard library raise for bytes that no writer would have written.
DAMAGED = (OSError, EOFError, ValueError, NotImplementedError, struct.error, zlib.error, LZMAError, tarfile.TarError,
           zipfile.BadZipFile)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """Where a picture lies in an archive. Two are equal when they are the same picture."""

    archive: Path
    name: str  # as in the archive, e.g. "train_images/0001.jpg"
    offset: int  # of its bytes in a tar, of its local header in a zip
    stored: int  # bytes in the archive
    size: int  # bytes of the picture
    deflated: bool = False
    crc: int | None = None  # a zip has one, a tar has none

    @property
    def file_name(self) -> str:
        """The name without folders. Windows' rules know every separator and drive, so nothing leads out of a folder."""
        return PureWindowsPath(self.name).name

    def data(self) -> bytes:
        """The picture's bytes, as they were before they were packed.

        Raises:
            InputError: they are damaged, or more than `files.PICTURE_BYTES`.
        """
        if max(self.size, self.stored) > download.PICTURE_BYTES:
            raise InputError(f"{self} is longer than {download.PICTURE_BYTES:,} bytes; leave it out")
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            if self.crc is not None:
                # The local header repeats the directory's entry; only the lengths of its two tails are of interest.
                name, extra = struct.unpack("<26xHH", file.read(30).ljust(30, b"\0"))
                file.seek(name + extra, os.SEEK_CUR)
            data = file.read(self.stored)
        if self.deflated:
            data = self._inflated(data)
        if len(data) != self.size or (self.crc is not None and zlib.crc32(data) != self.crc):
            raise InputError(f"{self} is damaged; fetch the archive again")
        return data

    def read(self) -> images.Picture:
        """The picture, decoded."""
        data = self.data()
        try:
            return images.read_image(data, name=self.file_name)
        except InputError as error:
            raise InputError(f"{self} can't be used: {error}") from error

    def __str__(self) -> str:
        return f"{printable(self.name)} in {printable(self.archive)}"

    def _inflated(self, data: bytes) -> bytes:
        try:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
        except zlib.error:
            return b""


def is_picture(name: str) -> bool:
    """Whether a relative path ends like a picture and no part of it is hidden (".name", "__MACOSX")."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in name.split("/") if part not in (".", ".."))
    return not hidden and name.lower().endswith(images.EXTENSIONS)


def members(path: Path, scratch: Path) -> list[Member]:
    """The pictures of a zip or tar, by name.

    A zip and a plain tar are read where they are. A compressed tar has no places to go to: its pictures are copied once
    into a plain tar in the folder `scratch`, under a name made from the archive's path, size and time.

    Raises:
        InputError: no archive, a damaged or an encrypted one.
        OSError: where `scratch` can't be written.
    """
    path = path.resolve()
    try:
        found = _zip_members(path) if zipfile.is_zipfile(path) else _tar_members(path, scratch)
    except InputError:
        raise
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's trouble, not the archive's
            raise
        raise InputError(
            f"{printable(path)} is no picture, zip or tar, or a damaged one; check or fetch it again"
        ) from error
    by_name = {member.name: member for member in found}  # of two with one name, the later one counts
    return [by_name[name] for name in sorted(by_name)]


def _zip_members(path: Path) -> list[Member]:
    with zipfile.ZipFile(path) as archive:
        found = []
        for info in archive.infolist():
            name = _plain(info.filename)
            if info.is_dir() or not is_picture(name):
                continue
            if info.flag_bits & 1:
                raise InputError(f"{printable(path)} is encrypted; unpack it with its password and give the folder")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise InputError(
                    f"{printable(path)} is packed in a rare way (method {info.compress_type}); unpack it, give the folder"
                )
            deflated = info.compress_type == zipfile.ZIP_DEFLATED
            found.append(Member(path, name, info.header_offset, info.compress_size, info.file_size, deflated, info.CRC))
        return found


def _tar_members(path: Path, scratch: Path) -> list[Member]:
    try:
        return _plain_tar_members(path)
    except tarfile.ReadError:  # compressed, or no tar at all
        return _plain_tar_members(_uncompressed(path, scratch))


def _plain_tar_members(path: Path) -> list[Member]:
    with tarfile.open(path, "r:") as tar:
        return [
            Member(path, _plain(info.name), info.offset_data, info.size, info.size) for info in tar if _wanted(info)
        ]


def _uncompressed(path: Path, scratch: Path) -> Path:
    """A plain tar with the pictures of a compressed one: made once, then found again."""
    state = path.stat()
    identity = hashlib.sha256(f"{path}\n{state.st_size}\n{state.st_mtime_ns}".encode()).hexdigest()[:12]
    plain = scratch / f"{path.name.split('.')[0]}-{identity}.tar"
    if not plain.exists():
        with tarfile.open(path, "r|*") as packed:  # "|": strictly forward, as going back means to begin anew
            scratch.mkdir(parents=True, exist_ok=True)
            with files.write_atomically(plain) as temporary, tarfile.open(temporary, "w:") as copy:
                for info in packed:
                    if _wanted(info):
                        copy.addfile(info, packed.extractfile(info))
    return plain


def _wanted(info: tarfile.TarInfo) -> bool:
    """Links, devices and files with holes are no pictures, whatever they are called."""
    return info.isreg() and not info.issparse() and is_picture(_plain(info.name))


def _plain(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")
