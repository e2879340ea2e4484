"""A training from its settings to its last line, alike in one process and in each of those that a launcher starts."""

from pathlib import Path

from ..config import TrainingConfig
from ..run import Run, weights_digest
from ..runtime import distributed
from ..runtime.console import ProgressBar
from ..runtime.devices import describe_device, resolve_device
from .progress import train_with_progress
from .trainer import fit, read


def train(config: TrainingConfig, path: str | Path, quiet: bool = False) -> Run | None:
    """Train to the end: a new run at `path`, or the one that is there.

    On several GPUs, from a notebook that has not used one yet:

        accelerate.notebook_launcher(launch.train, (settings, "runs/mine"), num_processes=2)

    Args:
        settings: what to train; `settings.batch_size` is divided among the processes.
        path: the run's folder, on the main process's disk.
        quiet: no progress bars.

    Returns:
        The run, in the main process; it alone writes and prints.

    Raises:
        InputError: as `fit`, and where `path` holds anything but a run; in every process alike.
    """
    group, path = distributed.process_group(), Path(path)
    device = group.run_on_all(lambda: resolve_device(config.device))
    with ProgressBar("photographs", quiet=quiet or not group.is_main) as progress:
        data = read(config, group, progress)
    run = group.run_on_main(lambda: _opened(path, config, describe_device(device)))
    records = fit(config, run, data)
    if not group.is_main:
        for _ in records:
            pass
        return None
    for note in filter(None, (group.note, *data.notes)):
        print(note)
    last = train_with_progress(records, run, quiet)
    if last and last.step < last.steps:
        print(f"stopped at step {last.step} of {last.steps}; --resume goes on from there")
    if not run.snapshots():  # stopped while it was getting ready
        print(f"{run.path} has not begun; --resume begins it")
        return run
    weights, total = weights_digest(run)
    print(f"\n{run.path}: the run")
    print(f"{weights}\n  SHA-256 {total}")
    return run


def _opened(path: Path, config: TrainingConfig, machine: str) -> Run:
    if (path / "config.json").exists():
        return Run(path)
    return Run.create(path, config, machine=machine)
