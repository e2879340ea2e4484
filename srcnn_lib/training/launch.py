"""Trains in the terminal, in one process or in each of those that a launcher starts."""

import contextlib
from pathlib import Path

from ..config import TrainingConfig
from ..run import Run, weights_digest
from ..runtime import distributed
from ..runtime.console import ProgressBar
from ..runtime.devices import describe_device, resolve_device
from ..runtime.files import printable
from .initial_weights import load_initial_weights
from .progress import train_with_progress
from .trainer import fit, load_data


def train(
    config: TrainingConfig, path: str | Path, quiet: bool = False, new: bool = False, go_back: bool = False
) -> Run | None:
    """Trains to the end, in a new run or in the one at `path`, and prints the progress.

    On several GPUs, from a notebook that has not used one yet:

        accelerate.notebook_launcher(train, (config, "runs/mine"), num_processes=2)

    Args:
        config: what to train; `config.batch_size` is divided among the processes.
        path: the run's folder, on the main process's disk.
        quiet: whether to show no progress bars.
        new: whether a run that is at `path` already is an error; otherwise it is resumed.
        go_back: as in `fit`.

    Returns:
        The run, in the main process, which alone writes and prints; None in the others.

    Raises:
        InputError: as `fit`, and where `path` holds anything but a run; in all processes.
    """
    path = Path(path)
    group = distributed.process_group()
    device = group.run_on_all(lambda: resolve_device(config.device))
    with ProgressBar("photographs", quiet=quiet or not group.is_main) as progress:
        data = load_data(config, group, progress)

    def open_or_create() -> Run:
        if not new and (path / "config.json").exists():
            return Run(path)
        load_initial_weights(config)  # raises before a folder is made
        return Run.create(path, config, machine=describe_device(device))

    run = group.run_on_main(open_or_create)
    # Closed here, so that an error in saving at the end is raised and not only printed.
    with contextlib.closing(fit(config, run, data, go_back=go_back)) as records:
        if not group.is_main:
            for _ in records:
                pass
            return None
        for note in filter(None, (group.note, *data.notes)):
            print(printable(note))
        last = train_with_progress(records, run, quiet)
    if last and last.step < last.steps:
        print(f"stopped at step {last.step} of {last.steps}; --resume goes on from there")
    if not run.snapshots():  # stopped before the first step
        print(f"{printable(run.path)} has not begun; --resume begins it")
        return run
    weights, sha256 = weights_digest(run)
    print(f"\n{printable(run.path)}: the run")
    print(f"{printable(weights)}\n  SHA-256 {sha256}")
    if warning := below_bicubic(run):
        print(warning)
    return run


def below_bicubic(run: Run) -> str | None:
    """Returns a line about a training that ended below bicubic, with what helps; None for any other."""
    config = run.config
    history = run.history()
    if not history:
        return None
    psnr, bicubic = (history[-1].get(f"validation_{name}psnr_{config.psnr_channel}") for name in ("", "bicubic_"))
    if psnr is None or bicubic is None or psnr >= bicubic:
        return None
    step = f"{history[-1]['step']:,}"
    if config.init == "identity":  # it began as good as bicubic
        reason = f"it diverged; start a new run with a smaller learning rate than {config.learning_rate:g}"
    else:
        reason = "from random weights that takes thousands of steps; train longer, or start with --init identity"
    return f"after {step} steps the network is {bicubic - psnr:.1f} dB below bicubic: {reason}"
