"""Fetches a run from Drive to the local disk."""

import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from ...errors import InputError
from ...run import step_of_checkpoint
from ...runtime.files import printable
from .backup import write_identity
from .pieces import MOUNT_ERRORS, DamagedError, Listing, Piece, listing_names, read_piece, readable_listings

REQUIRED = "config.json"  # and a checkpoint: training can't resume without them


class DriveUnavailableError(Exception):
    """Nothing on Drive can be read. Not an OSError, which the local disk may raise as well."""


def restore_run(
    drive_folder: str | Path | None, name: str, local_folder: str | Path, report: Callable[[str], object] = print
) -> Path | None:
    """Returns the run of this name on the local disk; if it is only on Drive, restores it from there first.

    It restores the newest listing whose pieces all have the right SHA-256. If no listing is complete, it restores the
    newest one that a training can resume from, without the damaged files. If it fails, nothing is left behind.

    Args:
        drive_folder: as `mount_drive` returns it; None looks on the local disk only.
        name: of the run.
        local_folder: the local folder of all runs.
        report: called with a line about what was done.

    Returns:
        local_folder/name, or None if there is no such run. A run on the local disk is left as it is.

    Raises:
        InputError: Drive can't be read, so it is not known whether the run is there.
        OSError: the local disk can't be written.
    """
    target = Path(local_folder) / name
    if target.is_dir() and any(target.iterdir()):
        return target
    if drive_folder is None:
        return None
    folder = Path(drive_folder) / name
    try:
        listings, newest = _find_listings(folder)
        for allow_damage in (False, True):
            for listing in listings:
                if _restore(folder, listing, target, allow_damage):
                    report(_summary(listing, target, listing.name == newest))
                    return target
    except DriveUnavailableError as error:
        message = f"Drive can't be read ({printable(drive_folder)}: {error}); mount it again, or go on without it"
        raise InputError(message) from error
    if listings:
        report(f"Drive: {name} is there, but too damaged to resume from; nothing was restored")
    return None


def _find_listings(folder: Path) -> tuple[list[Listing], str]:
    """Returns the readable listings of a run, newest first, and the name of the newest one, readable or not."""
    try:
        os.listdir(folder.parent)  # if this is missing too, the mount is gone and not the run
    except OSError as error:
        raise DriveUnavailableError(error.strerror) from error
    try:
        names = listing_names(folder)
        return readable_listings(folder, names), names[0] if names else ""
    except (FileNotFoundError, NotADirectoryError):
        return [], ""
    except OSError as error:
        raise DriveUnavailableError(error.strerror) from error


def _restore(folder: Path, listing: Listing, target: Path, allow_damage: bool) -> bool:
    """Restores the files of a listing as a whole or not at all; returns whether it did."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        if not _fetch_files(folder, listing, temporary, allow_damage):
            return False
        if target.is_dir():
            target.rmdir()  # it is empty; on some systems a rename onto it is an error
        os.rename(temporary, target)
        return True
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _fetch_files(folder: Path, listing: Listing, local: Path, allow_damage: bool) -> bool:
    """Copies the files of a listing to `local`; returns whether a training can resume from them."""
    local.mkdir()
    write_identity(local, listing.run)
    fetched = []
    for path, pieces in listing.files.items():
        try:
            content = b"".join(_read(folder, piece) for piece in pieces)
        except DamagedError:
            if not allow_damage or path == REQUIRED:
                return False
            continue
        (local / path).parent.mkdir(parents=True, exist_ok=True)
        (local / path).write_bytes(content)
        fetched.append(path)
    return REQUIRED in fetched and any(path.startswith("checkpoints/") for path in fetched)


def _read(folder: Path, piece: Piece) -> bytes:
    """Reads a piece. An unreadable piece counts as damaged, unless the mount is gone."""
    try:
        return read_piece(folder, piece)
    except OSError as error:
        if error.errno in MOUNT_ERRORS:
            raise DriveUnavailableError(error.strerror) from error
        raise DamagedError(f"{piece.name} can't be read") from error


def _summary(listing: Listing, target: Path, is_newest: bool) -> str:
    missing = [printable(path) for path in listing.files if not (target / path).is_file()]
    step = max(step_of_checkpoint(path) for path in (target / "checkpoints").glob("step-*.pt"))
    return (
        f"Drive: {printable(target)} was restored at step {step}"
        + ("" if is_newest else "; the newer copy there is damaged")
        + (f"; damaged there and left out: {', '.join(missing)}" if missing else "")
    )
