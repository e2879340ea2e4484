"""Checks that an operation fits into memory."""

import psutil

from ..errors import InputError
from . import distributed

SHARE = 0.9  # of the free memory that one operation may take


def available() -> int:
    """Returns the bytes of memory that can be used without swapping; processes on one machine share them equally."""
    return psutil.virtual_memory().available // distributed.processes_on_this_machine()


def fits(needed: float) -> bool:
    """Returns whether an operation that needs so many bytes fits into memory."""
    return needed <= SHARE * available()


def check(what: str, needed: float, way_out: str) -> None:
    """Refuses an operation that does not fit into memory, before it makes the machine unusable.

    Args:
        what: the beginning of the message, such as "bird.png: 80×60 pixels".
        needed: bytes.
        way_out: the end of the message, such as "use a smaller scale".

    Raises:
        InputError: with the memory that is needed and the memory that is free.
    """
    if not fits(needed):
        needed_gb, free_gb = needed / 2**30, available() / 2**30
        raise InputError(f"{what} would take some {needed_gb:.1f} GB of memory, {free_gb:.1f} GB are free; {way_out}")
