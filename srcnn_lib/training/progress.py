"""Shows a training in the terminal: a progress bar, and a line of measurements per epoch."""

from collections.abc import Iterable

from tqdm import tqdm

from ..run import Run
from ..runtime.files import printable
from .trainer import Record


def train_with_progress(records: Iterable[Record], run: Run, quiet: bool = False) -> Record | None:
    """Runs a training to its end, with a progress bar and one line per epoch.

    Args:
        records: what `fit` yields.
        run: the run that is trained; its settings say which PSNR is printed.
        quiet: whether to show no progress bar.

    Returns:
        The last record; None where the training had ended already.
    """
    channel = run.config.psnr_channel
    columns = (
        "train_loss",
        f"train_psnr_{channel}",
        f"validation_psnr_{channel}",
        f"validation_bicubic_psnr_{channel}",
    )
    print(f"PSNR on {channel.upper()} of patches, in dB")
    print(f"{'epoch':>7} {'step':>8} {'loss':>10} {'train':>9} {'validation':>11} {'bicubic':>9}")
    record = None
    with tqdm(unit="step", disable=quiet or None, leave=False, mininterval=0.5) as bar:
        write = print if bar.disable else bar.write  # tqdm's write fails where there is no standard output
        for record in records:
            bar.total = record.steps
            bar.update(record.step - bar.n)
            for note in record.notes:
                write(printable(note))
            if record.metrics is not None:  # an epoch ended
                bar.set_postfix_str(f"{record.crops_per_second:.0f} crops/s")
                loss, train, validation, bicubic = (record.metrics[column] for column in columns)
                write(
                    f"{record.metrics['epoch']:>7g} {record.step:>8} {loss:>10.6f} "
                    f"{train:>9.2f} {validation:>11.2f} {bicubic:>9.2f}"
                )
    return record
