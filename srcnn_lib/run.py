"""A run: the folder that training writes and everything else reads.

config.json        every setting, versions, device, fingerprint of the data
history.jsonl      a record an epoch
snapshots/         weights only: at step 0, at log-spaced early steps, then every epoch
checkpoints/       the whole state for an exact resume: the last few, and the best by test PSNR on Y
probe.safetensors  four fixed 96×96 tiles of validation_photographs: upsampled, original
events.out.*       TensorBoard
"""

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from . import weights
from .config import TrainingConfig
from .errors import InputError
from .model import SRCNN
from .runtime.files import digest, write_whole


@dataclass(frozen=True)
class Snapshot:
    """The weights as they were after `step` steps, `epoch` whole epochs behind them."""

    step: int
    epoch: int
    path: Path

    def load(self) -> SRCNN:
        return weights.load(self.path)


class Run:
    """A run's folder. Every file but the event files appears whole or not at all.

    Raises:
        InputError: where there is no run, or its config can't be read.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self.metadata = json.loads((self.path / "config.json").read_text("utf-8"))
            self.config = TrainingConfig.from_dict(self.metadata["training_config"])
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"{self.path} is no run: it has no config.json; `srcnn train` makes one") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path / 'config.json'} can't be read ({error})") from error
        self._writer = None

    @classmethod
    def create(cls, path: str | Path, config: TrainingConfig, **facts) -> "Run":
        """A new, empty run; `facts` go into its config beside the settings.

        Raises:
            InputError: where the folder holds anything already: a run is never overwritten.
        """
        path = Path(path)
        cls.check_new(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{path} can't be made ({error.strerror}); name another folder with --out") from error
        _write_json(path / "config.json", {"training_config": config.to_dict(), **facts})
        return cls(path)

    @staticmethod
    def check_new(path: Path) -> None:
        """Raise an InputError where a new run at `path` would overwrite anything."""
        if path.exists() and not (path.is_dir() and Run.is_empty(path)):
            raise InputError(f"{path} exists already; name another with --out, or go on with --resume")

    @staticmethod
    def is_empty(path: Path) -> bool:
        """Whether a folder holds nothing, or no more than the half-written config of a process that was killed."""
        return all(file.match(".config-????????.json") for file in path.iterdir())

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def update_metadata(self, **facts) -> None:
        """Change facts in the config, such as a number of steps that was only found out later."""
        self.metadata.update(facts)
        _write_json(self.path / "config.json", self.metadata)

    # The history: a record an epoch

    def history(self) -> list[dict]:
        """The records so far, in order."""
        path = self.path / "history.jsonl"
        if not path.exists():
            return []
        try:
            return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        except ValueError as error:
            raise InputError(f"{path} can't be read ({error})") from error

    def write_history(self, records: list[dict]) -> None:
        """The file is small: rewritten whole, it can't end in half a line."""
        lines = [json.dumps(_finite(record)) + "\n" for record in records]
        with write_whole(self.path / "history.jsonl") as temporary:
            temporary.write_text("".join(lines), "utf-8")

    # The snapshots: weights only

    def snapshots(self) -> list[Snapshot]:
        """All snapshots in the order of their steps."""
        snapshots = []
        for path in sorted((self.path / "snapshots").glob("step-*.safetensors")):
            step, _, epoch = path.stem.partition("-epoch-")
            snapshots.append(Snapshot(int(step.removeprefix("step-")), int(epoch), path))
        return snapshots

    def write_snapshot(self, model: SRCNN, step: int, epoch: int) -> Path:
        folder = self.path / "snapshots"
        folder.mkdir(exist_ok=True)
        facts = {"step": step, "epoch": epoch}  # not the run's name: equal trainings have files of equal sums
        return weights.save(model, folder / f"step-{step:08}-epoch-{epoch:04}.safetensors", facts)

    def snapshot(self, which: str | int = "newest") -> Snapshot:
        """One snapshot: "newest", "best" (by test PSNR on Y), or the one of a step.

        Raises:
            InputError: where there is none; the message lists what there is.
        """
        snapshots = self.snapshots()
        if not snapshots:
            raise InputError(f"{self.path} has no snapshots yet; train it first")
        if which == "newest":
            return snapshots[-1]
        if which == "best":
            records = [record for record in self.history() if record.get("validation_psnr_y") is not None]
            if not records:
                return snapshots[-1]
            which = max(records, key=lambda record: record["validation_psnr_y"])["step"]
        for snapshot in snapshots:
            if snapshot.step == which:
                return snapshot
        steps = ", ".join(str(snapshot.step) for snapshot in snapshots)
        raise InputError(f"{self.path} has no snapshot of step {which}; it has newest, best and the steps {steps}")

    def model(self, which: str | int = "newest") -> SRCNN:
        """The network of a snapshot, on the CPU."""
        return self.snapshot(which).load()

    # The checkpoints: the whole state

    def checkpoints(self) -> list[Path]:
        """All checkpoints, the newest first."""
        return sorted((self.path / "checkpoints").glob("step-*.pt"), reverse=True)

    def write_checkpoint(self, state: dict, step: int, best_step: int | None, keep: int) -> Path:
        """Write the state; of the earlier ones the last `keep` and the best stay."""
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        path = folder / f"step-{step:08}.pt"
        with write_whole(path) as temporary:
            torch.save(state, temporary)
        for number, old in enumerate(self.checkpoints()):
            if number >= keep and old.stem != f"step-{best_step or 0:08}":
                old.unlink(missing_ok=True)
        return path

    def read_checkpoint(self) -> tuple[dict | None, list[str]]:
        """The newest state that can be read, and a line for each newer one that is damaged."""
        notes = []
        for path in self.checkpoints():
            try:
                with zipfile.ZipFile(path) as archive:  # torch does not compare the sums that it writes
                    if archive.testzip():
                        raise ValueError("a sum differs")
                state = torch.load(path, map_location="cpu", weights_only=True)
                if "step" not in state:
                    raise ValueError("no state of a training")
                return state, notes
            except Exception:  # torch answers a damaged file with half a dozen kinds of exception
                notes.append(f"{path} is damaged; the checkpoint before it is taken")
        return None, notes

    def forget_after(self, step: int) -> None:
        """Remove what a resumed training will write again, snapshots and checkpoints beyond `step`, and half-written
        files of a process that was killed."""
        for folder in (self.path, self.path / "snapshots", self.path / "checkpoints"):
            for half_written in folder.glob(".*-*"):
                if half_written.suffix in (".safetensors", ".pt", ".json", ".jsonl"):
                    half_written.unlink()
        for snapshot in self.snapshots():
            if snapshot.step > step:
                snapshot.path.unlink()
        for path in self.checkpoints():
            if int(path.stem.removeprefix("step-")) > step:
                path.unlink()

    # The probe: what the pictures of progress show

    def write_probe(self, upsampled: Tensor, original: Tensor) -> None:
        tensors = {"upsampled": upsampled.contiguous(), "original": original.contiguous()}
        with write_whole(self.path / "probe.safetensors") as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors))

    def probe(self) -> tuple[Tensor, Tensor]:
        """(upsampled, original), (4, 3, 96, 96) each, RGB."""
        path = self.path / "probe.safetensors"
        try:
            tensors = safetensors.torch.load(path.read_bytes())
            return tensors["upsampled"], tensors["original"]
        except (OSError, KeyError, safetensors.SafetensorError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{path} can't be read ({reason}); name a photograph in its place") from error


def weights_digest(run: Run) -> tuple[Path, str]:
    """The newest snapshot and its SHA-256, by which two trainings are compared."""
    path = run.snapshot().path
    return path, digest(path)


def _finite(record: dict) -> dict:
    """JSON knows no infinity: it becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in record.items()
    }


def _write_json(path: Path, content: dict) -> None:
    with write_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
