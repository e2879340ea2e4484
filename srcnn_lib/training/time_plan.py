"""Computes how many steps fit into the minutes of a training, from the duration of steps that were timed."""

from dataclasses import dataclass, replace

CHECKS = (0.1, 0.3, 0.6, 0.85)  # shares of the time, or of the steps, at which the number of steps is corrected
APART = 0.03  # of the time, by which a correction may come before its share
WORTH_CHANGING = 0.03  # of the steps: after the first tenth, less is left as it is, and the learning rate with it


@dataclass(frozen=True)
class TimePlan:
    """A number of steps, and how it is corrected by the time that the steps really take.

    Most is corrected in the first tenth, where a cosine schedule is nearly flat; the later checks are for machines
    whose other work changes.

    Attributes:
        seconds: of training in all.
        steps: that fit into them.
        steps_per_epoch: steps in each epoch.
        step_seconds: of one of the first steps, as it was timed before the training.
        epoch_seconds: for the measurements at the end of an epoch.
        mean_seconds: of a step in the mean over the training: with its part of the epochs' ends, and where the last
            steps are slower than the first ones.
        checked_step, checked_seconds: when it was last corrected.
    """

    seconds: float
    steps: int
    steps_per_epoch: int
    step_seconds: float
    epoch_seconds: float
    mean_seconds: float
    checked_step: int = 0
    checked_seconds: float = 0.0

    @classmethod
    def of(
        cls, seconds: float, steps_per_epoch: int, step_seconds: float, epoch_seconds: float, slowdown: float = 1.0
    ) -> "TimePlan":
        """Returns the plan for a training that has not begun; `slowdown` is that of all steps over the first ones."""
        mean_seconds = step_seconds * slowdown + epoch_seconds / steps_per_epoch
        # The training ends with measurements, also where that is no epoch's end.
        steps = max(1, round((seconds - epoch_seconds) / mean_seconds))
        return cls(seconds, steps, steps_per_epoch, step_seconds, epoch_seconds, mean_seconds)

    @property
    def next_check(self) -> float | None:
        """The share of the time at which it is corrected next; None where the number of steps is final."""
        done = self.checked_seconds / self.seconds + APART
        return next((share for share in CHECKS if share > done), None)

    def is_due(self, step: int, seconds: float) -> bool:
        """Returns whether it is time for a correction, `seconds` after the beginning."""
        share = self.next_check
        if share is None or step <= self.checked_step:
            return False
        return seconds >= share * self.seconds or step >= share * self.steps

    def corrected(self, step: int, seconds: float) -> "TimePlan":
        """Returns the plan with the number of steps that fits at the speed since the last correction."""
        epochs = step // self.steps_per_epoch - self.checked_step // self.steps_per_epoch
        expected = (step - self.checked_step) * self.step_seconds + epochs * self.epoch_seconds
        slowness = (seconds - self.checked_seconds) / expected
        left = self.seconds - seconds - slowness * self.epoch_seconds
        steps = step + max(1, round(left / (self.mean_seconds * slowness)))
        if self.next_check != CHECKS[0] and abs(steps - self.steps) < WORTH_CHANGING * self.steps:
            steps = self.steps
        return replace(self, steps=steps, checked_step=step, checked_seconds=seconds)

    def without(self, seconds: float) -> "TimePlan":
        """Returns the plan with less time, which preparations took."""
        return replace(self, seconds=max(self.seconds - seconds, 0.1 * self.seconds))
