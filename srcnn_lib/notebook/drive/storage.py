"""Decides what is written to a run's folder on Drive, and what is removed from it."""

import contextlib
import hashlib
import itertools
import math
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from .pieces import (
    LISTING_NAME,
    DamagedError,
    Listing,
    Piece,
    listing_names,
    listing_number,
    read_listing,
    read_piece,
    readable_listings,
    remove_file,
    session_of,
    write_piece,
)

KEPT_LISTINGS = 3  # with all pieces that they name
LARGEST_MERGED = 8 * 2**20  # bytes of a piece that may be merged with the next; event files grow to hundreds of MB
# A file of another session is removed only if it is older than the newest listing by this: the session may be alive, in
# another runtime, and a file that it has stored is listed later.
OTHERS_SECONDS = 6 * 3600
LOOK_SECONDS = 600  # between two looks for such files


class DriveStorage:
    """Stores the files of a run as pieces, then a listing, then removes what no kept listing names.

    If another run of the same name is there, it is left alone, and this run is stored under NAME-2. Two runtimes that
    store the same run never remove each other's files.

    Args:
        drive: the folder of all runs on Drive.
        name: of the run.
        run: the run's identity.
        heartbeat: called whenever Drive has answered.
    """

    def __init__(self, drive: Path, name: str, run: str, heartbeat: Callable[[], object] = lambda: None):
        self.drive, self.name, self.run, self.heartbeat = drive, name, run, heartbeat
        self.folder = drive / name
        self.rival = False  # whether another runtime stores this run at the same time
        self.connected = False  # whether `stored` is known to match what is on Drive
        self.stored: dict[str, list[Piece]] = {}
        self._folder_chosen = False
        self._listings: list[Listing] = []  # the kept ones, newest first
        self._number = 0  # of the newest listing
        self._unverified: set[str] = set()  # pieces of an earlier session, which Drive may have damaged since
        self._removable: set[str] = set()  # files that may be removed once no kept listing names them
        self._known: set[str] = set()  # listings of other sessions that were there at the beginning
        self._looked = -math.inf  # when files of other sessions were looked for
        self._session = secrets.token_hex(3)
        self._count = itertools.count(1)

    def connect(self) -> None:
        """Finds out which files of the run are on Drive: at the beginning, and whenever Drive was away.

        Raises:
            OSError: Drive is not there.
        """
        if not self._folder_chosen:
            self._choose_folder()
        # Without `parents`: if the mount is gone this must fail, not create a local folder in its place.
        self.folder.mkdir(exist_ok=True)
        sizes = {name: status.st_size for name, status in self._look().items()}
        self._forget_lost(sizes)
        self._listings = [listing for listing in self._listings if sizes.get(listing.name) == len(listing.content())]
        self.connected = True

    def _look(self) -> dict[str, os.stat_result]:
        """Returns what is in the folder, and notices the listings of another runtime."""
        with os.scandir(self.folder) as entries:
            found = {entry.name: entry.stat() for entry in entries}
        self.heartbeat()
        listings = filter(LISTING_NAME.fullmatch, found)
        others = {name for name in listings if session_of(name) != self._session}
        self.rival = self.rival or bool(others - self._known)
        self._number = max([self._number, *map(listing_number, others)])
        return found

    def _forget_lost(self, sizes: dict[str, int]) -> bool:
        """Forgets files whose pieces are not there in full: a mount that dies loses what it had not uploaded yet.

        Returns:
            Whether there were any.
        """
        lost = [
            path for path, pieces in self.stored.items() if any(sizes.get(piece.name) != piece.size for piece in pieces)
        ]
        for path in lost:
            del self.stored[path]
        return bool(lost)

    def _choose_folder(self) -> None:
        """Takes the first of NAME, NAME-2, … that is free or holds this run, and reads what this run has there."""
        for number in itertools.count(1):
            self.folder = self.drive / (self.name if number == 1 else f"{self.name}-{number}")
            self.folder.mkdir(exist_ok=True)
            names = os.listdir(self.folder)
            listings = readable_listings(self.folder, listing_names(self.folder))
            self.heartbeat()
            own = [listing for listing in listings if listing.run == self.run]
            if own or not any(name.startswith("latest-") for name in names):
                break
        self._known = set(filter(LISTING_NAME.fullmatch, names))
        self._number = max((listing.number for listing in listings), default=0)
        if own:
            self.stored = dict(own[0].files)
            self._listings = own[:KEPT_LISTINGS]
            self._unverified = own[0].names()
        self._folder_chosen = True

    def unchanged_bytes(self, path: str, size: int) -> int:
        """Returns how many bytes at the beginning of a file that only grew need not be read for `store`."""
        pieces = list(self.stored.get(path, []))
        rest = size - sum(piece.size for piece in pieces)
        if rest < 0 or any(piece.name in self._unverified for piece in pieces):
            return 0
        while pieces and pieces[-1].size <= min(rest, LARGEST_MERGED):
            rest += pieces.pop().size
        return size - rest

    def store(self, path: str, content: bytes, offset: int = 0) -> list[Piece]:
        """Stores a file, and returns its pieces; pieces that are on Drive already are not written again.

        If the file was only appended to, the pieces of its beginning stay and the new end becomes a new piece. Short
        pieces at the end are merged into it, so a file of n bytes has about log n pieces, whatever it was appended in,
        and one more for each LARGEST_MERGED bytes.

        Args:
            path: of the file in the run.
            content: of the file, from `offset` on.
            offset: what `unchanged_bytes` returned, for a file that only grew.

        Raises:
            OSError: Drive refuses, is full or gone.
            DamagedError: the content that is read back differs.
        """
        pieces: list[Piece] = []
        end = 0
        for piece in self.stored.get(path, []):
            part = content[end - offset : end - offset + piece.size] if end >= offset else b""
            if end >= offset and hashlib.sha256(part).hexdigest() != piece.sha256 or not self._verify(piece):
                break
            pieces.append(piece)
            end += piece.size
        size = offset + len(content)
        if end < size or not pieces:
            while end > offset and pieces[-1].size <= min(size - end, LARGEST_MERGED):
                end -= pieces.pop().size
            pieces.append(self._write(PurePosixPath(path), content[end - offset :]))
        self.stored[path] = pieces
        return pieces

    def _verify(self, piece: Piece) -> bool:
        """Returns whether a piece still has its content; reads it if an earlier session wrote it."""
        if piece.name in self._unverified:
            try:
                read_piece(self.folder, piece)
            except DamagedError:
                return False
            self.heartbeat()
            self._unverified.discard(piece.name)
        return True

    def _write(self, path: PurePosixPath, content: bytes) -> Piece:
        name = f"{path.stem}.{self._session}-{next(self._count)}{path.suffix}"
        self._removable.add(name)  # before it is written: a half-written file must be removed as well
        return write_piece(self.folder, name, content, self.heartbeat)

    def commit(self, files: dict[str, list[Piece]], step: int) -> None:
        """Writes the listing of the stored files, unless the newest listing is the same.

        Raises:
            OSError: Drive refuses, is full or gone.
            DamagedError: the listing does not read back, or a piece is not there in full.
        """
        self.stored = dict(files)
        if self._forget_lost({name: status.st_size for name, status in self._look().items()}):
            raise DamagedError("a piece is gone")
        if self._listings and self._listings[0].files == files:
            return
        content = Listing("", self.run, step, files).content()
        piece = self._write(PurePosixPath(f"latest-{self._number + 1:08}.json"), content)
        self._number += 1
        self._listings = [Listing(piece.name, self.run, step, files), *self._listings][:KEPT_LISTINGS]

    def remove_unlisted(self) -> None:
        """Removes the files that no kept listing names; those that can't be removed now are tried again next time."""
        if not os.path.isdir(self.folder):  # the mount is gone, and every file would seem to be removed already
            return
        needed = {piece.name for pieces in self.stored.values() for piece in pieces}
        needed.update(*(listing.names() for listing in self._listings))
        if time.monotonic() - self._looked > LOOK_SECONDS:
            with contextlib.suppress(OSError):
                self._removable |= self._old_files_of_others()
                self._looked = time.monotonic()
        for name in self._removable - needed:
            with contextlib.suppress(OSError):
                remove_file(self.folder, name)
                self._removable.discard(name)

    def _old_files_of_others(self) -> set[str]:
        """Returns files that ended sessions of this run left behind: old ones that no newer listing names."""
        found = self._look()
        times = [found[listing.name].st_mtime for listing in self._listings if listing.name in found]
        if not times:
            return set()
        limit = max(times) - OTHERS_SECONDS
        others = {name for name in found if session_of(name) not in (None, self._session)}
        old = {name for name in others if found[name].st_mtime < limit}
        for name in filter(LISTING_NAME.fullmatch, others):
            try:
                listing = read_listing(self.folder, name)
            except DamagedError:
                continue
            if listing.run != self.run:  # another run is here: nothing is certain
                return set()
            if name not in old:
                old -= listing.names()
        return old
