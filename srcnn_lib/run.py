"""A run: the folder that training writes and everything else reads.

config.json        every setting, versions, device, fingerprint of the data
history.jsonl      one record per epoch
snapshots/         weights only: at step 0, at log-spaced early steps, then every epoch
checkpoints/       the whole state for an exact resume: the last few, and the best by validation PSNR on Y
probe.safetensors  four fixed 96×96 tiles of validation photographs: upsampled, original
events.out.*       TensorBoard
lock               there while it is trained
set_aside-1/ …     damaged files, and newer ones than the checkpoint that a training went back to
"""

import itertools
import json
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from . import weights
from .config import TrainingConfig
from .errors import InputError, error_reason, searched_folder
from .model import SRCNN
from .runtime.files import digest, json_values, one_line, printable, read_plain_file, write_atomically
from .runtime.lock import FileLock
from .runtime.state_file import DamagedError, read_state, write_state
from .runtime.temporary_files import MARK

# Names of a run's files. Other files, such as the copies "step-… (1)" that Drive makes, are ignored.
SNAPSHOT_NAME = re.compile(r"step-(\d+)-epoch-(\d+)\.safetensors")
CHECKPOINT_NAME = re.compile(r"step-(\d+)\.pt")
# What a process that was killed leaves behind; see `write_atomically`.
HALF_WRITTEN_NAME = re.compile(
    rf"\.(config|history|probe|drive_backup|step-\d+(-epoch-\d+)?){MARK}\.(safetensors|pt|json|jsonl)"
)


@dataclass(frozen=True)
class Snapshot:
    """The weights after `step` steps, of which `epoch` epochs are complete."""

    step: int
    epoch: int
    path: Path
    config: TrainingConfig | None = None  # of the run

    def load(self) -> SRCNN:
        """Returns the network with these weights, on the CPU.

        Raises:
            InputError: the file is damaged, or holds another network than the run's.
        """
        model = weights.load(self.path)
        if config := self.config:
            found = (model.channels, model.filters, model.widths)
            if found != (config.channels, config.filters, config.widths):
                raise InputError(f"{self.path} is of another network than its run; remove it")
        return model


@dataclass(frozen=True)
class StoredState:
    """What a run's checkpoints hold.

    Attributes:
        state: of the newest checkpoint that can be read; None without one.
        damaged: the newer checkpoints, which are damaged.
        missing: epochs in the history beyond that checkpoint.
    """

    state: dict[str, Any] | None = None
    damaged: list[Path] = field(default_factory=list)
    missing: int = 0


class Run:
    """A run's folder. Each file except TensorBoard's is written atomically: it appears whole or not at all.

    Args:
        path: the folder.

    Attributes:
        config: the settings of the training.
        metadata: the content of config.json: "training_config", "data", "resolved" (the values that were chosen for
            "auto" and the like) and "machine".

    Raises:
        InputError: where there is no run, or its config.json can't be read.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.exists():
            place = searched_folder(self.path)
            raise InputError(f"{self.path} is no run: it does not exist{place}; `srcnn train` makes one")
        try:
            self.metadata: dict[str, Any] = _read_json(self.path / "config.json")
            _check_metadata(self.metadata)
            self.config = TrainingConfig.from_dict(self.metadata["training_config"])
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{self.path} is no run: it has no config.json; `srcnn train` makes one") from error
        except KeyError as error:
            raise InputError(f"{self.path / 'config.json'} can't be read (it has no {error})") from error
        except (OSError, ValueError) as error:
            reason = one_line(error_reason(error))  # it repeats a value, which may be of any length
            raise InputError(f"{self.path / 'config.json'} can't be read ({reason})") from error

    @classmethod
    def create(cls, path: str | Path, config: TrainingConfig, **metadata: Any) -> "Run":
        """Creates a new, empty run.

        Args:
            path: the folder.
            config: the settings of the training.
            metadata: further entries of config.json, beside the settings.

        Raises:
            InputError: where the folder already holds anything: a run is never overwritten.
        """
        path = Path(path)
        cls.check_new(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path} can't be created ({error.strerror}); name another with --out") from error
        try:
            _write_json(path / "config.json", {"training_config": config.to_dict(), **metadata}, new=True)
        except FileExistsError as error:  # another process has created it in the meantime
            raise InputError(f"{path} exists already; name another with --out, or go on with --resume") from error
        return cls(path)

    @staticmethod
    def check_new(path: Path) -> None:
        """Checks that a new run at `path` overwrites nothing.

        Raises:
            InputError: where it would.
        """
        if path.exists() and not (path.is_dir() and Run.is_empty(path)):
            raise InputError(f"{path} exists already; name another with --out, or go on with --resume")

    @staticmethod
    def is_empty(path: Path) -> bool:
        """Returns whether a folder is empty; the half-written config of a process that was killed does not count."""
        return all(HALF_WRITTEN_NAME.fullmatch(file.name) for file in path.iterdir())

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    def lock(self) -> FileLock:
        """Returns a lock that keeps other trainings out of the run until it is released, or the process ends.

        Raises:
            InputError: the run is being trained.
        """
        return FileLock(self.path / "lock", "is being trained")

    def update_metadata(self, **changes: Any) -> None:
        """Changes entries of config.json, such as a number of steps that is determined during the training."""
        self.metadata.update(changes)
        _write_json(self.path / "config.json", self.metadata)

    # The history: one record per epoch

    def history(self) -> list[dict]:
        """Returns the records so far, in order: numbers and None by name, among them "step".

        Raises:
            InputError: where the file can't be read, or holds anything else.
        """
        path = self.path / "history.jsonl"
        records: list[dict] = []
        try:
            for line in read_plain_file(path).decode("utf-8").splitlines():
                record = _parse_json(line)
                _check_record(record, after=records[-1]["step"] if records else -1)
                records.append(record)
        except FileNotFoundError:
            return []
        except ValueError as error:
            raise InputError(f"{path}, line {len(records) + 1}, can't be read ({error})") from error
        return records

    def write_history(self, records: list[dict]) -> None:
        """Writes all records. The whole file is rewritten, so that it can't end in half a line."""
        lines = [json.dumps(json_values(record)) + "\n" for record in records]
        with write_atomically(self.path / "history.jsonl", follow_links=False) as temporary:
            temporary.write_text("".join(lines), "utf-8")

    # The snapshots: weights only

    def snapshots(self) -> list[Snapshot]:
        """Returns all snapshots, in the order of their steps."""
        snapshots = []
        for path in (self.path / "snapshots").glob("*"):
            if (match := SNAPSHOT_NAME.fullmatch(path.name)) and path.is_file():
                snapshots.append(Snapshot(int(match[1]), int(match[2]), path, self.config))
        return sorted(snapshots, key=lambda snapshot: snapshot.step)

    def write_snapshot(self, model: SRCNN, step: int, epoch: int) -> Path:
        """Writes the network's weights, and returns the file's path."""
        folder = self.path / "snapshots"
        folder.mkdir(exist_ok=True)
        metadata = {"step": step, "epoch": epoch}  # not the run's name, so that equal trainings have equal files
        path = folder / f"step-{step:08}-epoch-{epoch:04}.safetensors"
        content = weights.to_bytes(model, metadata)
        if not (path.is_file() and path.read_bytes() == content):  # an unchanged file need not be copied to Drive again
            with write_atomically(path, follow_links=False) as temporary:
                temporary.write_bytes(content)
        return path

    def snapshot(self, which: str | int = "newest") -> Snapshot:
        """Returns one snapshot.

        Args:
            which: "newest", "best" (by validation PSNR on Y), or a step.

        Raises:
            InputError: where there is none; the message lists the existing ones.
        """
        snapshots = self.snapshots()
        if not snapshots:
            raise InputError(f"{self.path} has no snapshots yet; train it first")
        if which == "newest":
            return snapshots[-1]
        if which == "best":
            best = best_step(self.history())
            if best is None:
                return snapshots[-1]
            which = best
        for snapshot in snapshots:
            if snapshot.step == which:
                return snapshot
        steps = ", ".join(str(snapshot.step) for snapshot in snapshots)
        raise InputError(f"{self.path} has no snapshot of step {which}; it has newest, best and the steps {steps}")

    def model(self, which: str | int = "newest") -> SRCNN:
        """Returns the network of a snapshot, on the CPU; `which` as in `snapshot`."""
        return self.snapshot(which).load()

    # The checkpoints: the whole state

    def checkpoints(self) -> list[Path]:
        """Returns all checkpoints, the newest first."""
        return [path for path in self._checkpoint_names() if path.is_file()]

    def _checkpoint_names(self) -> list[Path]:
        """Returns everything that is named like a checkpoint, a folder or a link to nowhere included."""
        paths = (path for path in (self.path / "checkpoints").glob("*") if CHECKPOINT_NAME.fullmatch(path.name))
        return sorted(paths, key=step_of_checkpoint, reverse=True)

    def write_checkpoint(self, state: dict, step: int, best_step: int | None, keep: int) -> Path:
        """Writes a checkpoint and removes older ones.

        Args:
            state: the training's state.
            step: number of steps taken.
            best_step: the step whose checkpoint is kept as the best, if any.
            keep: number of the newest checkpoints that are kept as well.

        Returns:
            The file's path.
        """
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        path = folder / f"step-{step:08}.pt"
        write_state(path, state)
        for old in self.checkpoints()[keep:]:
            if step_of_checkpoint(old) != (best_step or 0):
                old.unlink(missing_ok=True)
        return path

    def read_checkpoint(self) -> StoredState:
        """Reads the newest checkpoint that is whole, and finds out what is lost if that is not the last one written.

        Raises:
            OSError: a checkpoint can't be read at the moment. That does not make it a damaged one.
        """
        damaged: list[Path] = []
        for path in self._checkpoint_names():
            try:
                state = read_state(path)
            except DamagedError:
                state = {}
            except MemoryError as error:
                raise InputError(f"{path} can't be read: there is not enough memory") from error
            if state.get("step") == step_of_checkpoint(path):
                return StoredState(state, damaged, self._epochs_beyond(state["step"]))
            damaged.append(path)
        return StoredState(None, damaged)

    def _epochs_beyond(self, step: int) -> int:
        """Returns how many epochs of the history are newer than `step`. A killed process leaves one at most."""
        try:
            return sum(record["step"] > step for record in self.history())
        except InputError:  # a training writes the history again
            return 0

    def set_aside(self, step: int, damaged: list[Path]) -> Path:
        """Moves damaged checkpoints, and everything newer than `step`, into a new folder in the run.

        Returns:
            The folder, `set_aside-1` or with the next free number.
        """
        folder = self._new_folder("set_aside")
        newer = [snapshot.path for snapshot in self.snapshots() if snapshot.step > step]
        newer += [path for path in self.checkpoints() if step_of_checkpoint(path) > step and path not in damaged]
        for path in (*damaged, *newer):
            (folder / path.parent.name).mkdir(exist_ok=True)
            os.rename(path, folder / path.parent.name / path.name)
        history = self.path / "history.jsonl"
        if history.is_file():
            shutil.copyfile(history, folder / history.name)
        return folder

    def _new_folder(self, name: str) -> Path:
        for number in itertools.count(1):
            folder = self.path / f"{name}-{number}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise AssertionError("the numbers do not end")

    def remove_after(self, step: int) -> None:
        """Removes snapshots and checkpoints beyond `step`, which a resumed training writes again.

        Half-written files of a process that was killed are removed too.
        """
        for folder in (self.path, self.path / "snapshots", self.path / "checkpoints"):
            for half_written in folder.glob(".*"):
                if HALF_WRITTEN_NAME.fullmatch(half_written.name):
                    half_written.unlink()
        for snapshot in self.snapshots():
            if snapshot.step > step:
                snapshot.path.unlink()
        for path in self.checkpoints():
            if step_of_checkpoint(path) > step:
                path.unlink()

    # The probe: tiles that show the progress of a training

    def write_probe(self, upsampled: Tensor, original: Tensor) -> None:
        """Writes the probe: (4, 3, 96, 96) each, RGB in [0, 1]."""
        tensors = {"upsampled": upsampled.contiguous(), "original": original.contiguous()}
        with write_atomically(self.path / "probe.safetensors", follow_links=False) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors))

    def probe(self) -> tuple[Tensor, Tensor]:
        """Returns (upsampled, original), (4, 3, 96, 96) each, RGB in [0, 1].

        Raises:
            InputError: where the file can't be read, or holds anything else.
        """
        path = self.path / "probe.safetensors"
        try:
            tensors = safetensors.torch.load(read_plain_file(path))
            upsampled, original = tensors["upsampled"], tensors["original"]
            for tiles in (upsampled, original):
                known = tiles.dtype in (torch.float32, torch.float16)  # the example run's has 16 bits, to be small
                if tiles.ndim != 4 or tiles.shape[1] != 3 or not known or not tiles.numel():
                    raise InputError(f"tiles of the shape {tuple(tiles.shape)} and type {tiles.dtype}")
            if upsampled.shape != original.shape or not all(tiles.isfinite().all() for tiles in (upsampled, original)):
                raise InputError("the tiles do not belong together, or are no numbers")
            return upsampled.float(), original.float()
        except (OSError, ValueError, LookupError, safetensors.SafetensorError) as error:
            raise InputError(f"{path} can't be read ({error_reason(error)}); name a photograph in its place") from error


def check_run_name(name: str) -> None:
    """Checks that a run's name is a valid name of a folder on every system and on Drive.

    Raises:
        InputError: it is empty or too long, leads elsewhere, or has characters that file systems refuse.
    """
    plain = name.isprintable() and not any(character in '/\\:*?"<>|' for character in name)
    if not plain or not name.strip(". ") or name != name.strip() or name.startswith(".") or len(name.encode()) > 100:
        raise InputError(
            f'{printable(name)!r} is no name for a run; take letters, digits, "-", "_" and spaces, up to 100'
        )


def weights_digest(run: Run) -> tuple[Path, str]:
    """Returns the newest snapshot's path and its SHA-256, by which two trainings are compared."""
    path = run.snapshot().path
    return path, digest(path)


def best_step(history: Iterable[dict]) -> int | None:
    """Returns the step with the highest validation PSNR on Y, the earliest of equal ones; None before the first."""
    measured = [record for record in history if record.get("validation_psnr_y") is not None]
    return max(measured, key=lambda record: record["validation_psnr_y"])["step"] if measured else None


def step_of_checkpoint(path: str | Path) -> int:
    """Returns the step in the name of a checkpoint."""
    return int(Path(path).stem.removeprefix("step-"))


# What the package reads of config.json beside the settings, and of "resolved" in it.
METADATA_KINDS = {"training_config": dict, "data": dict, "resolved": dict, "machine": str}
RESOLVED_KINDS = {"steps": int, "steps_per_epoch": int, "processes": int, "device": str, "arithmetic": str}


def _check_metadata(metadata: Any) -> None:
    """Raises a ValueError that names the first entry of config.json that is of another kind than training writes."""
    if not isinstance(metadata, dict):
        raise ValueError("it holds no settings")
    for values, kinds in ((metadata, METADATA_KINDS), (metadata.get("resolved") or {}, RESOLVED_KINDS)):
        for name, kind in kinds.items():
            value = values.get(name)
            if value is not None and not isinstance(value, kind):
                raise ValueError(f"{name} is of another kind")


def _check_record(record: Any, after: int) -> None:
    """Raises a ValueError that names what is wrong with a record of the history, whose steps must increase."""
    if not isinstance(record, dict):
        raise ValueError("it is no record")
    for name, value in record.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63
        if value is not None and not number:
            raise ValueError(f"{name} is no number")
    step = record.get("step")
    if not isinstance(step, int) or step <= after:
        raise ValueError(f"step is {step!r}, after {after}")


def _read_json(path: Path) -> Any:
    return _parse_json(read_plain_file(path).decode("utf-8"))


def _parse_json(text: str) -> Any:
    """Returns the value of a JSON text.

    Raises:
        ValueError: it is none, or nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _write_json(path: Path, content: dict, new: bool = False) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with write_atomically(path, new, follow_links=False) as temporary:
        # A file's name that is no text becomes an escape of JSON, which is read back as the same name.
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))
