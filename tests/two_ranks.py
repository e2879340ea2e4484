"""Pairs of processes that work together, as a launcher would start them: `python two_ranks.py FOLDER PHOTOGRAPHS`.

They are forked from this one, which has imported what they need and done nothing yet: importing torch takes longer than
such a training. What each scene finds out goes into FOLDER/found.pickle.
"""

import contextlib
import dataclasses
import os
import pickle
import signal
import socket
import sys
import traceback
from pathlib import Path

import accelerate
import pytorch_optimizer  # noqa: F401 so that no process has to
import torch
import torch.utils.tensorboard

from srcnn_lib.commands import main as command_line
from srcnn_lib.config import TrainingConfig
from srcnn_lib.data import training_data
from srcnn_lib.model import SRCNN
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.runtime import console, distributed
from srcnn_lib.training import launch, trainer
from srcnn_lib.training.control import TrainingControl
from srcnn_lib.training.hooks import WeightBroadcast
from srcnn_lib.training.validation import validate

TRAININGS = {  # changes to `config_for`
    "even": {}, "uneven": {"batch_size": 3}, "random": {"crops": "random", "channels": 3},
}  # fmt: skip


def config_for(photographs: Path, **changes) -> TrainingConfig:
    given = dict(
        data=(str(photographs),), validation=("0.3",), limit=2, channels=1, filters=(5, 1, 3), widths=(8, 4),
        crops="ten", batch_size=8, optimizer="adam", steps=20, warmup=4, device="cpu", arithmetic="float32",
        validation_patches=5,
    )  # fmt: skip
    return TrainingConfig.of(**{**given, **changes})


def pair(work, *given, folder: Path) -> list[dict]:
    """`work(*given)` in two processes at once; of each its status, what it gave, and what it wrote.

    The lines that Gloo prints to standard output in torch 2.10 are left out.
    """
    folder.mkdir(exist_ok=True)
    port = free_port()
    children = [_forked(work, given, folder, rank, port) for rank in range(2)]
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    found = []
    for rank, status in enumerate(ended):
        out, err, gave = (folder / f"{name}-{rank}" for name in ("out", "err", "gave"))
        printed = "".join(line for line in out.read_text().splitlines(True) if not line.startswith("[Gloo]"))
        found.append({"status": status, "out": printed, "err": err.read_text(), "gave": None})
        if gave.exists():
            found[rank]["gave"] = pickle.loads(gave.read_bytes())
    return found


def free_port() -> str:
    """Returns a port of this machine that no process listens on."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return str(unused.getsockname()[1])


def _forked(work, given, folder: Path, rank: int, port: str) -> int:
    child = os.fork()
    if child:
        return child
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", MASTER_ADDR="127.0.0.1",
        MASTER_PORT=port,
    )  # fmt: skip
    for number, name in enumerate(("out", "err"), 1):
        os.dup2(os.open(folder / f"{name}-{rank}", os.O_WRONLY | os.O_CREAT), number)
    status = 1
    try:
        (folder / f"gave-{rank}").write_bytes(pickle.dumps(work(*given)))
        status = 0
    except SystemExit as ended:
        status = ended.code or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def weights(run: Run) -> dict:
    return {name: tensor.numpy() for name, tensor in run.model().state_dict().items()}


def command(*arguments):
    """Runs `srcnn` with these arguments."""
    sys.argv, console.ERROR_DELAY = ["srcnn", *map(str, arguments)], 0.1
    command_line.main()


def train_and_watch(config: TrainingConfig, path: Path) -> dict:
    """Trains; returns the crops that this rank took, the files that it opened for writing, its losses and scores."""
    written, taken = [], []

    def audit(event, given):
        to_write = event == "open" and (set(given[1] or "") & set("wax+") or given[2] & (os.O_WRONLY | os.O_RDWR))
        if to_write or event in ("os.mkdir", "os.rename", "os.remove", "os.truncate"):
            written.append(str(given[0]))

    group = distributed.process_group()
    data = trainer.load_data(config, group)
    batch = data.train.batch
    data.train.batch = lambda *place: taken.append(place) or batch(*place)
    run = group.run_on_main(lambda: Run.create(path, config))
    sys.addaudithook(audit)
    records = list(trainer.fit(config, run, data))
    return {
        "written": [name for name in written if not name.startswith("/dev/")],
        "taken": taken,
        "per epoch": data.train.per_epoch,
        "losses": [float(record.loss) for record in records],
        "history": records[-1].metrics,
    }


def train_with_soap(config: TrainingConfig, rounding: float) -> list[float]:
    """Trains with a second rank that rounds a little differently, as another processor would; returns the losses."""
    broadcast = WeightBroadcast.after_update

    def update_with_other_rounding(hook, state):
        with torch.no_grad():
            for parameter in state.model.parameters():
                parameter *= 1 if state.group.is_main else 1 + rounding
        broadcast(hook, state)

    WeightBroadcast.after_update = update_with_other_rounding
    return [float(record.loss) for record in trainer.fit(dataclasses.replace(config, optimizer="soap"))]


def validate_both_ways(config: TrainingConfig) -> tuple[dict, dict]:
    """Returns the scores that both ranks compute together, and those of this one alone."""
    data = training_data.load_training_data(config)
    torch.manual_seed(0)
    model = SRCNN(config.channels, config.filters, config.widths)
    return validate(model, data.validation_patches, distributed.process_group()), validate(
        model, data.validation_patches
    )


def end_on_one_rank(config: TrainingConfig, path: Path, rank: int, end) -> list[int]:
    """Trains until `end` ends one of the ranks; returns the steps of this one."""
    group, steps = distributed.process_group(), []
    run = group.run_on_main(lambda: Run(path) if path.exists() else Run.create(path, config))
    for record in trainer.fit(config, run):
        steps.append(record.step)
        if record.step == 9 and group.rank == rank and end():
            break
    return steps


def train_with_commands(config: TrainingConfig) -> list[tuple]:
    """Trains with commands to the main rank; returns (step, learning rate, steps in all, paused) of each record."""
    group, control, told = distributed.process_group(), TrainingControl(), []
    for record in trainer.fit(config, control=control):
        told.append((record.step, record.learning_rate, record.steps, record.paused))
        if not group.is_main:
            continue
        if record.step == 5:
            for word in ("pause", "halve", "epoch") if not record.paused else ("resume",):
                control.send(word)
    return told


def full_disk(photographs: Path, path: Path) -> None:
    """Trains with a disk on the main rank that is full at the end of the first epoch."""

    def full(*_):
        raise OSError(28, "No space left on device")

    if distributed.is_main_process():
        Run.write_history = lambda *_: full() if _[1] else None
    command("train", *flags(photographs), "--out", path)


def flags(photographs: Path) -> list[str]:
    """Returns the settings of `config_for` as flags."""
    changed = {name: value for name, value in config_for(photographs).to_dict().items() if name != "recipe"}
    text = {name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in changed.items()}
    return [part for name, value in text.items() if value for part in (f"--{name.replace('_', '-')}", str(value))]


def data_on_one_machine(photographs: Path) -> None:
    """Trains on photographs in the main rank's current folder that the other rank does not have."""
    os.chdir(photographs.parent if distributed.is_main_process() else "/")
    command("train", "--data", photographs.name, "--out", "never", "--steps", 3, "--device", "cpu")


def in_a_notebook(config: TrainingConfig, path: Path) -> None:
    """Trains from a process that has used several threads, as a notebook has before its training."""
    torch.set_num_threads(2)
    torch.nn.functional.conv2d(torch.ones(8, 16, 128, 128), torch.ones(16, 16, 5, 5))
    accelerate.notebook_launcher(launch.train, (config, path, True), num_processes=2, use_port=free_port())


def main(folder: Path, photographs: Path) -> None:
    config, found = config_for(photographs), {}

    def scene(name, work, *given):
        found[name] = pair(work, *given, folder=folder / name)

    for name, changes in TRAININGS.items():
        path = folder / name / "run"
        scene(name, train_and_watch, dataclasses.replace(config, **changes), path)
        found[name][0]["weights"] = weights(Run(path))
    for channels in (1, 3):
        scene(f"measured {channels}", validate_both_ways, dataclasses.replace(config, channels=channels))
    scene("soap", train_with_soap, config, 0.0)
    scene("soap on two processors", train_with_soap, config, 1e-6)
    scene("commands", train_with_commands, config)
    scene("minutes", launch.train, dataclasses.replace(config, steps=0, minutes=0.01), folder / "minutes" / "run")

    whole = weights_digest(Run(folder / "even" / "run"))[1]
    ends = {
        "break": (0, lambda: True),
        "signal": (1, lambda: signal.raise_signal(signal.SIGINT)),
        "kill": (1, lambda: os.kill(os.getpid(), signal.SIGKILL)),
    }
    for name, (rank, end) in ends.items():
        path = folder / name / "run"
        scene(name, end_on_one_rank, config, path, rank, end)
        scene(f"{name}, resumed", end_on_one_rank, config, path, rank, lambda: False)
        found[name][0]["same"] = weights_digest(Run(path))[1] == whole

    scene("refused setting", command, "train", "--filters", "9,4,5")
    scene("refused run", command, "train", "--out", folder / "even" / "run")
    scene("refused data", command, "train", "--data", "missing", "--out", folder / "never")
    scene("refused by one", data_on_one_machine, photographs)
    scene("full disk", full_disk, photographs, folder / "full disk" / "run")
    pictures, bad = folder / "pictures", folder / "bad"
    small = folder / "even" / "run" / "snapshots" / "step-00000000-epoch-0000.safetensors"
    scene("upscale", command, "upscale", pictures, "--weights", small, "--device", "cpu")
    scene("upscale, one bad", command, "upscale", pictures, bad, "--weights", small, "--out", folder / "large")
    scene("upscale, collision", command, "upscale", pictures, photographs, "--weights", small, "--out", folder / "none")

    with contextlib.redirect_stdout(None):
        in_a_notebook(config, folder / "notebook" / "run")
    found["notebook"] = weights_digest(Run(folder / "notebook" / "run"))[1] == whole
    (folder / "found.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
