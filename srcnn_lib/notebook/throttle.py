"""Limits how much of a training's time something may take."""

import time


class Throttle:
    """Says when something that takes time may be done again, so that it uses at most a given share of the time.

        if throttle.is_due():
            began = time.monotonic()
            ...
            throttle.done(time.monotonic() - began)

    Args:
        share: of the time that it may take, from 0 to 1.
        shortest: seconds between the end of one time and the beginning of the next, at least.
    """

    def __init__(self, share: float, shortest: float = 0.0):
        self.share, self.shortest = share, shortest
        self._next = 0.0

    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def done(self, seconds: float, longest: float = float("inf")) -> None:
        """Fixes the next time, after something took `seconds`; it is at most `longest` seconds from now."""
        self._next = time.monotonic() + min(max(self.shortest, seconds / self.share), longest)
