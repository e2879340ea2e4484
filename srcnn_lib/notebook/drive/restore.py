"""Fetches a run from Drive to the local disk."""

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from ...errors import InputError
from ...run import Run, check_run_name, step_of_checkpoint
from ...runtime.files import printable
from .backup import read_identity, write_identity
from .pieces import MOUNT_ERRORS, DamagedError, Listing, Piece, listing_names, read_piece, readable_listings

REQUIRED = "config.json"  # and a checkpoint: training can't resume without them


class DriveUnavailableError(Exception):
    """Nothing on Drive can be read. Not an OSError, which the local disk may raise as well."""


def restore_run(
    drive_folder: str | Path | None, name: str, local_folder: str | Path, report: Callable[[str], object] = print
) -> Path | None:
    """Returns the run of this name on the local disk; if it is only on Drive, restores it from there first.

    Of the listings whose pieces all have the right SHA-256, it restores the one of the highest step. If no listing is
    complete, it restores the highest one that a training can resume from, without the damaged files. If it fails,
    nothing is left behind. Other copies on Drive are reported: of another runtime that trained the same run, and of
    another run of this name, which is stored as NAME-2.

    Args:
        drive_folder: as `mount_drive` returns it; None looks on the local disk only.
        name: of the run.
        local_folder: the local folder of all runs.
        report: called with a line about what was done.

    Returns:
        local_folder/name, or None if there is no such run. A run on the local disk is left as it is; a line says where
        Drive has it at a higher step.

    Raises:
        InputError: a name that is none, or Drive can't be read, so it is not known whether the run is there.
        OSError: the local disk can't be written.
    """
    check_run_name(name)
    target = Path(local_folder) / name
    if target.is_dir() and any(target.iterdir()):
        if drive_folder is not None:
            _compare(target, Path(drive_folder) / name, report)
        return target
    if drive_folder is None:
        return None
    folder = Path(drive_folder) / name
    try:
        listings, damaged = _find_listings(folder)
        _report_namesakes(folder, report)
        for allow_damage in (False, True):
            for listing in listings:
                if _restore(folder, listing, target, allow_damage):
                    report(_summary(listing, target, damaged or listing is not listings[0]))
                    _report_rivals(listing, listings, report)
                    return target
    except DriveUnavailableError as error:
        message = f"Drive can't be read ({printable(drive_folder)}: {error}); mount it again, or go on without it"
        raise InputError(message) from error
    if listings:
        report(f"Drive: {name} is there, but too damaged to resume from; nothing was restored")
    return None


def _find_listings(folder: Path) -> tuple[list[Listing], bool]:
    """Returns the readable listings of a run, the highest step first, and whether the newest one can't be read."""
    try:
        os.listdir(folder.parent)  # if this is missing too, the mount is gone and not the run
    except OSError as error:
        raise DriveUnavailableError(error.strerror) from error
    try:
        names = listing_names(folder)
        listings = readable_listings(folder, names)
        unreadable = bool(names) and (not listings or listings[0].name != names[0])
        # Not by their numbers: two runtimes count each for itself, and one of them may be behind.
        return sorted(listings, key=lambda listing: (listing.step, listing.number), reverse=True), unreadable
    except (FileNotFoundError, NotADirectoryError):
        return [], False
    except OSError as error:
        raise DriveUnavailableError(error.strerror) from error


def _report_rivals(restored: Listing, listings: list[Listing], report: Callable[[str], object]) -> None:
    """Reports newer listings of a lower step, and those of another run, which are not restored."""
    rivals = [each for each in listings if each.run != restored.run or each.number > restored.number]
    if rivals and (step := max(each.step for each in rivals)) < restored.step:
        report(f"Drive: another runtime has stored step {step} of it since; the copy of step {restored.step} was taken")


def _report_namesakes(folder: Path, report: Callable[[str], object]) -> None:
    """Reports other runs of this name: NAME-2, NAME-3, …"""
    for path in sorted(folder.parent.glob(f"{glob.escape(folder.name)}-*")):
        if path.name.removeprefix(f"{folder.name}-").isdecimal() and (listings := _find_listings(path)[0]):
            there = f"{printable(path.name)} (step {listings[0].step})"
            report(f"Drive: another run of this name is there as {there}; restore it by that name")


def _compare(target: Path, folder: Path, report: Callable[[str], object]) -> None:
    """Reports where Drive has a later state of the run on the local disk; a Drive that fails is no error here."""
    with contextlib.suppress(InputError, OSError, DriveUnavailableError):
        run = Run(target)
        identity = read_identity(run)
        local = max(map(step_of_checkpoint, run.checkpoints()), default=0)
        steps = [listing.step for listing in _find_listings(folder)[0] if listing.run == identity]
        if steps and max(steps) > local:
            report(
                f"Drive: it has step {max(steps)} of this run, the local disk step {local}; to take Drive's, rename "
                f"{printable(target)} and restore again"
            )


def _restore(folder: Path, listing: Listing, target: Path, allow_damage: bool) -> bool:
    """Restores the files of a listing as a whole or not at all; returns whether it did."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        if not _fetch_files(folder, listing, temporary, allow_damage):
            return False
        if target.is_dir():
            target.rmdir()  # it is empty; on some systems a rename onto it is an error
        try:
            os.rename(temporary, target)
        except OSError:
            if not (target / REQUIRED).is_file():
                raise
            # Another process has restored or created the run in the meantime: it stays as it is.
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


def _summary(listing: Listing, target: Path, newer_damaged: bool) -> str:
    missing = [printable(path) for path in listing.files if not (target / path).is_file()]
    step = max(step_of_checkpoint(path) for path in listing.files if path not in missing and path.endswith(".pt"))
    return (
        f"Drive: {printable(target)} was restored at step {step}"
        + ("; the newer copy there is damaged" if newer_damaged else "")
        + (f"; damaged there and left out: {', '.join(missing)}" if missing else "")
    )
