"""Limits the share of a training's time that other work takes."""

import time


class Throttle:
    """Tells when an action is due again, so that it takes at most a given share of the time.

        if throttle.is_due():
            began = time.monotonic()
            ...
            throttle.done(time.monotonic() - began)

    Args:
        share: the largest share of the time, from 0 to 1.
        shortest: the least seconds between the end of the action and its next beginning.
    """

    def __init__(self, share: float, shortest: float = 0.0):
        self.share = share
        self.shortest = shortest
        self._next = 0.0

    def is_due(self) -> bool:
        """Returns whether the next time has come."""
        return time.monotonic() >= self._next

    def done(self, seconds: float, longest: float = float("inf")) -> None:
        """Schedules the next time, after the action took `seconds`; it is at most `longest` seconds from now."""
        self._next = time.monotonic() + min(max(self.shortest, seconds / self.share), longest)
