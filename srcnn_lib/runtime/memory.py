"""How much memory there is, and no for an answer where something would not fit."""

import os

from ..errors import InputError
from . import distributed

SHARE = 0.9  # of what is free that one piece of work may take


def available() -> int | None:
    """Bytes that can be had without swapping, where the system tells; ranks on one machine share them."""
    found = _of_the_machine()
    return found and found // distributed.processes_on_this_machine()


def fits(needed: float) -> bool:
    """Whether so many bytes can be had; where the system doesn't tell, they can."""
    there = available()
    return there is None or needed <= SHARE * there


def check(what: str, needed: float, way_out: str) -> None:
    """Refuse what would not fit, before it makes the machine unusable.

    Args:
        what: begins the message: "bird.png: 80×60 pixels".
        needed: bytes.
        way_out: ends it: "use a smaller scale".

    Raises:
        InputError: with what it would take and what there is.
    """
    if not fits(needed):
        wanted, there = (f"{size / 2**30:.1f} GB" for size in (needed, available()))
        raise InputError(f"{what} would take some {wanted} of memory, {there} are free; {way_out}")


def _of_the_machine() -> int | None:
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
