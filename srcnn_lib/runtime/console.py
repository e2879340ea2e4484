"""What a terminal shows: progress, tables, and errors in one line."""

import sys
import time
import typing
import warnings

from ..errors import InputError
from . import distributed
from .files import shown

PATIENCE = 2  # seconds for the process that prints: a launcher ends them all with the first that ends


def guarded(command) -> None:
    """Run a command; what the user can mend is one line and status 2, what only we can mend keeps its traceback."""
    warnings.filterwarnings("ignore", module="PIL")  # what matters of a damaged picture is said in its error
    try:
        command()
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        if error.strerror is None:
            raise
        _fail(f"{error.filename or 'file'}: {error.strerror}")
    except KeyboardInterrupt:
        _fail("stopped", 130)


def _fail(message: str, status: int = 2) -> typing.NoReturn:
    if distributed.first():
        print("srcnn:", shown(message), file=sys.stderr)
    else:
        time.sleep(PATIENCE)
    sys.exit(status)


def follow(records, run, quiet: bool = False):
    """Take a training to its end with a progress bar, and a line an epoch; returns its last record, if there is any."""
    from tqdm import tqdm

    channel = "y" if run.config.channels == 1 else "rgb"
    columns = (
        "train_loss",
        f"train_psnr_{channel}",
        f"validation_psnr_{channel}",
        f"validation_bicubic_psnr_{channel}",
    )
    print(f"PSNR on {channel.upper()} of patches, in dB")
    print(f"{'epoch':>7} {'step':>8} {'loss':>10} {'train':>9} {'test':>9} {'bicubic':>9}")
    record = None
    with tqdm(unit="step", disable=quiet or None, leave=False, mininterval=0.5) as progress:
        say = print if progress.disable else progress.write  # where there is no standard output, tqdm's write fails
        for record in records:
            progress.total = record.steps
            progress.update(record.step - progress.n)
            for note in record.notes:
                say(note)
            if record.epoch_ends:
                loss, *decibels = (record.metrics[column] for column in columns)
                progress.set_postfix_str(f"{record.crops_per_second:.0f} crops/s")
                line = f"{record.metrics['epoch']:>7g} {record.step:>8} {loss:>10.6f}"
                say(line + "".join(f"{value:>10.2f}" for value in decibels))
    return record


def print_table(table: dict) -> None:
    """PSNR on Y, SSIM on Y and PSNR on RGB of bicubic and SRCNN, an image a line and the mean.

    Options that change the figures are named below, each with what it changed.
    """
    width = max(len("mean"), *(len(name) for name in table["per_image"]))
    print(f"{'':{width}}   {'PSNR Y (dB)':^22}   {'SSIM Y':^15}   {'PSNR RGB (dB)':^15}")
    print(f"{'':{width}}   bicubic  SRCNN    gain   bicubic  SRCNN    bicubic  SRCNN")
    for name, scores in (*table["per_image"].items(), ("mean", table)):
        low, made = scores["bicubic"], scores["srcnn"]
        print(
            f"{name:{width}}   {low['psnr_y']:7.2f} {made['psnr_y']:6.2f}  {made['psnr_y'] - low['psnr_y']:+6.2f}   "
            f"{low['ssim_y']:7.4f} {made['ssim_y']:6.4f}   {low['psnr_rgb']:7.2f} {made['psnr_rgb']:6.2f}"
        )
    for option, plain in table.get("without", {}).items():
        name, other = ("self-ensemble", "one plain pass") if option == "ensemble" else (table[option], "float32")
        changed = table["srcnn"]["psnr_y"] - plain["psnr_y"]
        print(f"SRCNN with {name}: {changed:+.3f} dB on Y against {other}, mean of {plain['psnr_y']:.3f}")


class ProgressBar:
    """A progress bar on standard error, where that is a terminal; called with what is done and of how much."""

    def __init__(self, label: str, quiet: bool = False):
        from tqdm import tqdm

        self.progress = tqdm(desc=label, disable=quiet or None, leave=False, delay=1)

    def __call__(self, done: int, total: int) -> None:
        self.progress.total = total
        self.progress.update(done - self.progress.n)

    def tell(self, became) -> None:
        """One line for what became of a picture."""
        self.progress.clear()
        if isinstance(became, tuple):
            job, error = became
            reason = error if isinstance(error, InputError) else f"{job.source}: {error_text(error)}"
            print("srcnn:", shown(str(reason)), file=sys.stderr)
            return
        height, width, _ = became.size
        print(f"{shown(str(became.job.target))}  {width}×{height}  {became.seconds:.1f} s")
        for note in became.notes:
            print(f"  {shown(note)}")

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *error) -> None:
        self.progress.close()


def error_text(error: Exception) -> str:
    """Why, in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
