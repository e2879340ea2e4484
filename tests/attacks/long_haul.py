"""The long haul: hours of training with the panel, the copy to Drive and TensorBoard on, killed and resumed at random.

    python tests/attacks/long_haul.py --minutes 120 --out FOLDER

The network is tiny and its steps are spaced out, so that it needs little of a processor. In the first six tenths of the
time the training is interrupted, by kill -9, SIGTERM, SIGINT or SIGHUP. After some of them the machine is "lost", and
the run is restored from Drive. Then it is left alone, so that memory and open files can be compared. At the end the
same training is done once more, undisturbed and without a pause, and the weights are compared.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

STEPS_PER_SECOND = 10
FIRST_KILL, LAST_KILL = 0.02, 0.6  # parts of the time
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SETTLED = 0.1  # part of the longest process's life after which its memory is compared


def config_for(steps: int):
    """Returns the settings of a network of 400 weights that trains in epochs of some ten seconds."""
    from srcnn_lib.config import TrainingConfig

    return TrainingConfig.of(
        data=("samples",), validation=("samples:astronaut",), limit=2, channels=1, filters=(5, 1, 3), widths=(6, 4),
        crops="ten", patch=17, batch_size=6, steps=steps, warmup=100, validation_patches=16, arithmetic="float32",
        device="cpu",
    )  # fmt: skip


class _Display:
    """Stands for the output of a notebook's cell: it asks for the panel's HTML, as a browser would."""

    def __init__(self):
        self.drawn = 0

    def update(self, view) -> None:
        self.drawn += len(view._repr_html_()) > 0


def work(folder: Path, steps: int) -> None:
    """Trains in a new run or resumes it, with everything on, and logs memory and open files at the end of epochs."""
    import psutil

    from srcnn_lib.notebook import DriveBackup, TrainingPanel, open_run, restore_run
    from srcnn_lib.training.trainer import fit

    (folder / "Drive").mkdir(parents=True, exist_ok=True)
    config = config_for(steps)
    restore_run(folder / "Drive", "haul", folder / "runs")
    run = open_run(folder / "runs" / "haul", config)
    process, began = psutil.Process(), time.monotonic()
    display = _Display()
    with DriveBackup(run.path, folder / "Drive") as backup, TrainingPanel(run, backup) as panel:
        panel._display = display
        for record in fit(config, run, control=panel.control):
            panel.show(record)
            if record.epoch_ends:
                backup.push()
                seen = {
                    "process": os.getpid(), "seconds": time.monotonic() - began, "step": record.step,
                    "bytes": process.memory_info().rss, "files": process.num_fds(), "threads": process.num_threads(),
                    "drawn": display.drawn, "drive": backup.status,
                }  # fmt: skip
                with open(folder / "log.jsonl", "a") as log:
                    log.write(json.dumps(seen) + "\n")
            time.sleep(1 / STEPS_PER_SECOND)


def start(folder: Path, steps: int) -> subprocess.Popen:
    command = [sys.executable, __file__, "--work", str(steps), "--out", str(folder)]
    errors = open(folder / "stderr.txt", "ab")  # noqa: SIM115 the process keeps it
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True)


def disturb(folder: Path, steps: int, minutes: float, chance: random.Random) -> list[str]:
    """Trains to the end, with interruptions; returns what was done, a line for each."""
    began, done = time.monotonic(), []
    count = max(3, round(minutes / 6))
    moments = sorted(60 * minutes * chance.uniform(FIRST_KILL, LAST_KILL) for _ in range(count))
    worker = start(folder, steps)
    for number, moment in enumerate(moments):
        time.sleep(max(0, began + moment - time.monotonic()))
        kind = SIGNALS[number % len(SIGNALS)]
        if worker.poll() is None:
            worker.send_signal(kind)
        worker.wait()
        lost = number % 3 == 2
        if lost:  # it may have been killed before it had restored the run
            shutil.rmtree(folder / "runs" / "haul", ignore_errors=True)
        done.append(f"{moment:.0f} s: {kind.name}{', machine lost, restored from Drive' if lost else ''}")
        worker = start(folder, steps)
    while worker.wait() != 0:
        done.append(f"ended with status {worker.returncode}")
        if len(done) > 3 * count:
            raise SystemExit("it does not end")
        worker = start(folder, steps)
    return done


def report(folder: Path, steps: int, done: list[str], minutes: float) -> bool:
    """Trains once more without a disturbance, prints what was measured, and returns whether all of it holds."""
    from srcnn_lib.run import Run, weights_digest
    from srcnn_lib.training.trainer import fit

    whole = Run.create(folder / "runs" / "whole", config_for(steps))
    for _ in fit(whole.config, whole):
        pass
    haul = Run(folder / "runs" / "haul")
    same = weights_digest(haul)[1] == weights_digest(whole)[1]
    steps_of = [[record["step"] for record in run.history()] for run in (haul, whole)]
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    longest = max({line["process"] for line in log}, key=[line["process"] for line in log].count)
    lines = [line for line in log if line["process"] == longest]
    lines = lines[round(SETTLED * len(lines)) :]
    third = max(1, len(lines) // 3)
    early, late = lines[:third], lines[-third:]
    mean = {
        name: [sum(line[name] for line in part) / len(part) for part in (early, late)] for name in ("bytes", "files")
    }
    growth = (mean["bytes"][1] - mean["bytes"][0]) / 2**20
    errors = (folder / "stderr.txt").read_text(errors="replace")
    print(f"{minutes:.0f} minutes, {steps} steps, {len(steps_of[0])} epochs; interrupted {len(done)} times:")
    print("  " + "\n  ".join(done))
    print(f"SHA-256 {'the same as' if same else 'OTHER THAN'} that of the undisturbed training")
    print(f"history {'without gap or duplicate' if steps_of[0] == steps_of[1] else 'DIFFERS'}")
    print(f"tracebacks: {errors.count('Traceback')}")
    print(
        f"the longest process, {lines[-1]['seconds'] / 60:.0f} minutes, {lines[-1]['drawn']} drawings: "
        f"memory {mean['bytes'][0] / 2**20:.1f} MiB in the first third, {mean['bytes'][1] / 2**20:.1f} in the last "
        f"({growth:+.1f}); open files {mean['files'][0]:.1f}, {mean['files'][1]:.1f}; "
        f"threads {lines[0]['threads']}, {lines[-1]['threads']}"
    )
    print(f"Drive's last word: {log[-1]['drive']}")
    return same and steps_of[0] == steps_of[1] and "Traceback" not in errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--out", type=Path, required=True, help="an empty folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored under nohup, and so never the end of it
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
        try:
            work(options.out, options.work)
        except KeyboardInterrupt:  # also while it imports torch
            sys.exit(130)
        return
    options.out.mkdir(parents=True)
    steps = round(60 * options.minutes * STEPS_PER_SECOND)
    began = time.monotonic()
    done = disturb(options.out, steps, options.minutes, random.Random(options.seed))
    sys.exit(0 if report(options.out, steps, done, (time.monotonic() - began) / 60) else 1)


if __name__ == "__main__":
    main()
