"""How many steps fit into a training of so many minutes: arithmetic only, the times come from elsewhere."""

from dataclasses import dataclass, replace

OPEN_SHARE = 0.09  # of the time, in which the number of steps is still corrected
DUE_SHARE = (
    0.1  # of the steps, after which it is; more than the share above, so that one correction does not cause another
)


@dataclass(frozen=True)
class TimePlan:
    """A number of steps that is corrected in the first tenth of a training, by the time that its steps really take.

    Attributes:
        seconds: of training in all.
        steps: that fit into them.
        steps_per_epoch: steps in each epoch.
        step_seconds: of one of the first steps, as it was timed before the training.
        epoch_seconds: for the measurements at the end of an epoch.
        mean_seconds: of a step in the mean over the training: with its part of the epochs' ends, and where the last
            steps are slower than the first ones.
    """

    seconds: float
    steps: int
    steps_per_epoch: int
    step_seconds: float
    epoch_seconds: float
    mean_seconds: float

    @classmethod
    def of(
        cls, seconds: float, steps_per_epoch: int, step_seconds: float, epoch_seconds: float, slowdown: float = 1.0
    ) -> "TimePlan":
        """Returns the plan for a training that has not begun; `slowdown` is that of all steps over the first ones."""
        mean_seconds = step_seconds * slowdown + epoch_seconds / steps_per_epoch
        steps = max(1, round(seconds / mean_seconds))
        return cls(seconds, steps, steps_per_epoch, step_seconds, epoch_seconds, mean_seconds)

    def is_open(self, seconds: float) -> bool:
        """Returns whether the number of steps may still change, `seconds` after the beginning."""
        return seconds < OPEN_SHARE * self.seconds

    def is_due(self, step: int, seconds: float) -> bool:
        """Returns whether it is time for a correction: a tenth of the steps, or of the time, has passed."""
        return step > 0 and (step >= DUE_SHARE * self.steps or not self.is_open(seconds))

    def corrected(self, step: int, seconds: float) -> "TimePlan":
        """Returns the plan with the number of steps that fits, if the first `step` steps took `seconds`."""
        expected = step * self.step_seconds + step // self.steps_per_epoch * self.epoch_seconds
        mean_seconds = self.mean_seconds * seconds / expected
        left = max(0.0, self.seconds - seconds)
        return replace(self, steps=step + max(1, round(left / mean_seconds)))
