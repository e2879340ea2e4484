"""The lines that `srcnn upscale` prints, one picture after another."""

import sys
from typing import TYPE_CHECKING

from ..errors import InputError
from ..runtime.console import ProgressBar, error_text
from ..runtime.files import printable

if TYPE_CHECKING:
    from ..inference.passage import Done, Job


def print_outcome(progress: ProgressBar, outcome: "Done | tuple[Job, Exception]") -> None:
    """Prints one line for a picture: its new file, size and time, or why it could not be upscaled."""
    progress.clear()
    if isinstance(outcome, tuple):
        job, error = outcome
        reason = str(error) if isinstance(error, InputError) else f"{job.source}: {error_text(error)}"
        print("srcnn:", printable(reason), file=sys.stderr)
        return
    height, width, _ = outcome.size
    print(f"{printable(outcome.job.target)}  {width}×{height}  {outcome.seconds:.1f} s")
    for note in outcome.notes:
        print(f"  {printable(note)}")
