"""A run's folder on Drive, from the side that writes it."""

import contextlib
import hashlib
import itertools
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from .drive import DamagedError, Listing, Piece, listings, read_piece, remove_piece, write_piece

KEEP = 3  # listings, with all that they name


class DriveStorage:
    """Puts files there as pieces, then a listing of them, then removes what no kept listing names.

    Where another run lies under the same name it is left alone, and this one goes to NAME-2.

    Args:
        drive: the folder of all runs on Drive.
        name: the run's.
        run: the run's identity.
        beat: called whenever Drive has answered.
    """

    def __init__(self, drive: Path, name: str, run: str, beat: Callable[[], object] = lambda: None):
        self.drive, self.name, self.run, self.beat = drive, name, run, beat
        self.folder = drive / name
        self.met = False  # whether `stored` is known to be what is there
        self.stored: dict[str, list[Piece]] = {}
        self._chosen = False
        self._kept: list[Listing] = []  # the newest first
        self._number = 0
        self._unproved: set[str] = set()  # pieces of an earlier session, which Drive may have spoilt since
        self._ours: set[str] = set()  # what may be removed: never another session's files, nor the user's own
        # Two sessions that train one run at the same time must not write, or clear away, each other's files.
        self._session, self._count = secrets.token_hex(3), itertools.count(1)

    def meet(self) -> None:
        """Find out what of the run is there: at the beginning, and whenever Drive has been away.

        Raises:
            OSError: Drive is not there.
        """
        if not self._chosen:
            self._choose()
        # Without parents: where the mount is gone this has to fail, not to make a folder in its place.
        self.folder.mkdir(exist_ok=True)
        with os.scandir(self.folder) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries}
        self.beat()
        # A mount that dies takes with it what it had not sent on yet.
        for path, pieces in list(self.stored.items()):
            if any(sizes.get(piece.name) != piece.size for piece in pieces):
                del self.stored[path]
        self._kept = [listing for listing in self._kept if sizes.get(listing.name) == len(listing.content())]
        self.met = True

    def _choose(self) -> None:
        """Take the first of NAME, NAME-2, … that is free or holds this run already, and what is known of it there."""
        for number in itertools.count(1):
            self.folder = self.drive / (self.name if number == 1 else f"{self.name}-{number}")
            self.folder.mkdir(exist_ok=True)
            names = os.listdir(self.folder)
            found = listings(self.folder)
            self.beat()
            own = [listing for listing in found if listing.run == self.run]
            if own or not any(name.startswith("latest-") for name in names):
                break
        self._number = max((listing.number for listing in found), default=0)
        if own:
            self.stored = dict(own[0].files)
            self._kept = own[:KEEP]
            self._unproved = own[0].names()
        if len(own) == len(found):  # nobody else's: what a session that was killed left half written goes as well
            self._ours = {name for name in names if re.search(r"\.[0-9a-f]{6}-\d+(\.|$)", name)}
        self._chosen = True

    def store(self, path: str, content: bytes) -> list[Piece]:
        """Have a file's content there; what is there already is not copied again.

        Where a file was only appended to, its beginning is: the new end makes a new piece. Short pieces at the end
        are copied with it, so that a file of n bytes has some log n pieces, whatever it was appended in.

        Args:
            path: in the run.
            content: the whole file's.

        Raises:
            OSError, DamagedError: Drive did not take it.
        """
        held, end = [], 0
        for piece in self.stored.get(path, []):
            part = content[end : end + piece.size]
            if hashlib.sha256(part).hexdigest() != piece.sha256 or not self._proved(piece):
                break
            held.append(piece)
            end += piece.size
        if end < len(content) or not held:
            while held and held[-1].size <= len(content) - end:
                end -= held.pop().size
            held.append(self._write(PurePosixPath(path), content[end:]))
        self.stored[path] = held
        return held

    def _proved(self, piece: Piece) -> bool:
        if piece.name in self._unproved:
            try:
                read_piece(self.folder, piece)
            except DamagedError:
                return False
            self.beat()
            self._unproved.discard(piece.name)
        return True

    def _write(self, path: PurePosixPath, content: bytes) -> Piece:
        name = f"{path.stem}.{self._session}-{next(self._count)}{path.suffix}"
        self._ours.add(name)  # before it is written: half a file has to go as well
        return write_piece(self.folder, name, content, self.beat)

    def commit(self, files: dict[str, list[Piece]], step: int) -> None:
        """Write the listing of what was stored, unless the newest says the same."""
        self.stored = dict(files)
        if self._kept and self._kept[0].files == files:
            return
        content = Listing("", self.run, step, files).content()
        piece = self._write(PurePosixPath(f"latest-{self._number + 1:08}.json"), content)
        self._number += 1
        self._kept = [Listing(piece.name, self.run, step, files), *self._kept][:KEEP]

    def sweep(self) -> None:
        """Remove what no kept listing names. What can't be removed now is tried again next time."""
        if not os.path.isdir(self.folder):  # away, where every file would seem to be removed already
            return
        wanted = {piece.name for pieces in self.stored.values() for piece in pieces}
        wanted.update(*(listing.names() for listing in self._kept))
        for name in self._ours - wanted:
            with contextlib.suppress(OSError):
                remove_piece(self.folder, name)
                self._ours.discard(name)
