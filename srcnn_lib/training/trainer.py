"""Training: a generator that takes a step each time it is asked."""

import contextlib
import copy
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import metrics
from ..config import TrainingConfig
from ..data import sources, training_data
from ..data.augmentation import remove_border
from ..data.color import luminance, with_luminance
from ..data.training_data import Patches, TrainingData
from ..errors import InputError
from ..model import SRCNN, start_from_identity
from ..run import Run
from ..runtime import distributed
from ..runtime.devices import resolve_arithmetic, describe_device, resolve_device, deterministic_algorithms, package_versions
from ..runtime.distributed import ProcessGroup
from .control import TrainingControl
from .tensorboard import TensorBoardWriter

TINY = 1e-6  # added to a crop's mean squared error (60 dB) before its root, whose slope at zero has no end
CACHED = 32  # crops at a time on a CPU, whose caches hold their maps: 1 280 a step go up to a quarter faster
FIRST_BIAS = 0.1  # share of the rate: at the full one a step is as large as many an edge
RECYCLED = 0.6  # share of the steps up to which channels begin anew: what comes late has no time to learn
JUDGES = 32  # patches in which a channel must be active somewhere
CHECKPOINT_SECONDS = 60  # what a killed process loses at most, in the middle of a long epoch


@dataclass(frozen=True)
class Record:
    """One step, as `fit` yields it; cheap, so that nobody waits for it."""

    step: int  # steps taken
    steps: int  # steps in all
    epoch: int  # whole epochs behind it
    loss: Tensor  # mean squared error of this step's crops, () on the device; float(record.loss) waits for it
    rate: float
    crops_per_second: float
    seconds_left: float
    epoch_ends: bool = False
    metrics: dict | None = None  # where an epoch ends: its line of history.jsonl
    paused: bool = False
    notes: tuple[str, ...] = ()  # what a person should know, with the first record


def fit(
    config: TrainingConfig,
    run: Run | None = None,
    data: TrainingData | None = None,
    control: TrainingControl | None = None,
) -> Iterator[Record]:
    """Train, a step each time the next record is asked for.

    Goes on where `run` stopped. Ctrl-C (or the notebook's interrupt button) ends it at the end of the step; so does
    leaving the loop. Either way everything is saved.

    Where a launcher started several processes, each calls this and gets the same records: a batch is divided among
    them, and the main one alone writes and is steered. Any of them ends the training for all.

    Args:
        settings: what to train; a run's own are `run.settings`.
        run: where snapshots, history and checkpoints go; nowhere without one. Only the main process's counts.
        data: the photographs made ready; loaded as the settings say without.
        steering: commands from another thread or a file; applied between two steps.

    Yields:
        A Record a step. `record.epoch_ends` marks an epoch, whose measurements are `record.metrics`.

    Raises:
        InputError: photographs that can't be used, or a run made with other settings.
    """
    group = distributed.process_group()
    run = run if group.is_main else None
    data = data or read(config, group)
    state = State(config, data, group)
    checkpointer = Checkpointer(run, state, data)
    control = control or TrainingControl()
    with (
        interruptible() as interrupted,
        deterministic_algorithms(config.deterministic),
        contextlib.closing(checkpointer),
        left(group),
    ):
        if not checkpointer.resume(interrupted):
            return
        clock = Clock(state)
        while True:
            wanted = control.commands(run), control.stopped or interrupted(), control.paused
            commands, stop, paused = group.synchronize(*wanted)
            for command in commands:
                checkpointer.obey(command)
            if stop or state.step >= state.steps:
                break
            if paused:
                time.sleep(0.05)
                yield clock.record(state, paused=True)
                continue
            with checkpointer.whole_step():
                loss = state.take_step(*state.batch())
                measured = state.end_epoch() if state.epoch_ended else None
                checkpointer.keep(measured)
            yield clock.record(state, loss, measured, checkpointer.told())


@contextlib.contextmanager
def left(group: ProcessGroup):
    """One rank whose caller leaves the loop takes the others along; they would wait for its next step for ever."""
    try:
        yield
    except GeneratorExit:
        with contextlib.suppress(InputError):  # they may have gone already
            group.synchronize([], stop=True, paused=False)
        raise


def read(
    config: TrainingConfig, group: ProcessGroup, progress: Callable[[int, int], None] | None = None
) -> TrainingData:
    """The photographs made ready on every rank.

    Raises:
        InputError: as `pairs.load` on any of them, or they found different photographs.
    """
    if group.size > 1:  # one of each machine finds them first, and fetches what isn't there yet
        group.run_on_all(
            lambda: group.local_rank or sources.split_photographs(config.data, config.validation, config.seed, config.limit)
        )
    data = group.run_on_all(lambda: training_data.load_training_data(config, progress))
    if len(set(group.gather(data.description["fingerprint"]))) > 1:
        raise InputError(f"{', '.join(config.data)}: the machines hold different photographs; make them the same")
    return data


class State:
    """All that changes while a network learns, and so all that a checkpoint holds.

    The same on all ranks: each begins from the seed or the main one's checkpoint and takes the same steps.
    """

    def __init__(self, config: TrainingConfig, data: TrainingData, group: ProcessGroup | None = None):
        self.config, self.data, self.group = config, data, group or ProcessGroup()
        self.device = resolve_device(config.device)
        self.arithmetic = self.group.run_on_main(lambda: resolve_arithmetic(config.arithmetic, self.device))  # perhaps timed
        torch.manual_seed(config.seed)
        self.model = new_model(config).to(self.device, memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = make_optimizer(config, self.model)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.arithmetic == "float16")
        self.per_epoch = -(-data.train.per_epoch // config.batch_size)
        self.step = self.epoch = 0
        self.rate_factor = 1.0  # halved by steering
        self.history: list[dict] = []
        self.seconds = 0.0
        self.crops = 0  # since the epoch began
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)  # over them
        self.steps = self.asked = config.steps or config.epochs * self.per_epoch  # steering may add to the first

    @property
    def epoch_ended(self) -> bool:
        return self.step == self.steps or self.step % self.per_epoch == 0

    def place(self) -> tuple[int, int, int]:
        """Which samples the next step takes: epoch, first, one behind the last."""
        epoch, step = divmod(self.step, self.per_epoch)
        start = step * self.config.batch_size
        return epoch, start, min(start + self.config.batch_size, self.data.train.per_epoch)

    def batch(self) -> tuple[Tensor, Tensor]:
        """This rank's crops of the next step, as `Crops.batch` gives them; none where there are fewer than ranks."""
        epoch, start, stop = self.place()
        first, last = self.group.share(start, stop)
        crops = self.data.train.batch(epoch, first, max(last, first + 1))
        return crops if last > first else tuple(part[:0] for part in crops)

    def rate(self) -> float:
        """The learning rate of the next step: warm-up, then the schedule, halved as steering asked."""
        factor = self.rate_factor
        warmup = min(self.config.warmup, self.steps // 10)  # a short training must not end in its warm-up
        if self.step < warmup:
            factor *= (self.step + 1) / warmup
        if self.config.schedule == "cosine":
            factor *= 0.5 * (1 + math.cos(math.pi * min(self.step / max(self.steps, 1), 1)))
        return self.config.learning_rate * factor

    def take_step(self, upsampled: Tensor, original: Tensor) -> Tensor:
        """One step on a batch of crops, or on each rank's part of it.

        Returns the loss of the whole batch, detached, without waiting for the device.
        """
        _, start, stop = self.place()
        crops = len(upsampled) if self.group.size == 1 else stop - start
        upsampled = upsampled.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        original = original.to(self.device, non_blocking=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate() * group["share"]
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.device)
        at_once = CACHED if self.device.type == "cpu" else max(len(original), 1)
        for given, wanted in zip(upsampled.split(at_once), original.split(at_once), strict=True):
            with self.autocast():
                reconstructed = predict(self.model, given)  # (b, C, patch, patch)
            squared = (reconstructed.float() - wanted).square().mean((1, 2, 3))  # (b,) mean squared error of each crop
            errors = squared if self.config.loss == "mse" else (squared + TINY).sqrt()
            self.scaler.scale(errors.sum() / crops).backward()  # their part of the mean over the batch
            loss += squared.detach().sum() / crops
        if self.group.size > 1:
            self._sum_up(loss)
        with self._centered() if self.config.input_center else contextlib.nullcontext():
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        every = self.config.reinit_dead_every
        if every and self.step % every == 0 and self.step <= RECYCLED * self.steps:
            self._reinitialize_dead()
        if self.group.size > 1:
            self._follow()
        self._average()
        self.loss_sum += loss * crops
        self.crops += crops
        return loss

    def _sum_up(self, loss: Tensor) -> None:
        """Put the sum over the ranks in the place of the gradients and the loss: what one has from the whole batch.

        All in one message. DistributedDataParallel hides the sending of millions of gradients behind the computing;
        here there are some 60 000, and its mean over the ranks would be wrong where their parts differ in size.
        """
        tensors = [*(parameter.grad for parameter in self.model.parameters()), loss]
        unpack(self.group.all_reduce(pack(tensors)), tensors)

    def _follow(self) -> None:
        """Take over the main rank's weights: what another processor rounds otherwise would grow with each step.

        SOAP in particular makes much of it, where a gradient is next to nothing along one of its directions.
        """
        with torch.no_grad():
            parameters = list(self.model.parameters())
            unpack(self.group.broadcast(pack(parameters)), parameters)

    @contextlib.contextmanager
    def _centered(self):
        """Takes the optimizer's step on the same network written as w · (x − center) + b′, with b′ = b + center · Σw.

        A change of Σw then lifts bright areas and sinks dark ones; written as w · x + b it sinks all of them at once,
        below where ReLU lets anything through.
        """
        layer, center = self.model.layer_1, self.config.input_center
        layer.weight.grad -= center * layer.bias.grad[:, None, None, None]
        before = layer.weight.detach().sum((1, 2, 3))  # (C₁,) as all sums here
        yield
        layer.bias.detach().sub_(center * (layer.weight.detach().sum((1, 2, 3)) - before))

    @torch.no_grad()
    def _reinitialize_dead(self) -> None:
        """Channels that are active nowhere in patches of the training photographs begin anew.

        No gradient ever reaches them again. They get new kernels, without an answer to even areas; what the next layer
        makes of them is taken to be nothing at first, so the picture stays as it is.

        Reference: Sokar et al., The Dormant Neuron Phenomenon, arXiv 2302.12902.
        """
        patches = self.data.train_patches
        maps = (patches.y if self.config.channels == 1 else patches.rgb)[0][:JUDGES].to(self.device)
        random = torch.Generator().manual_seed(self.config.seed + self.step)
        for number, layer in enumerate(self.model.layers()[:2]):
            # A new channel counts for nothing in the next layer, so what that one sees is what it saw before.
            maps = F.relu(layer(maps))
            dead = (maps.amax((0, 2, 3)) == 0).nonzero().flatten()
            kernels = torch.empty(len(dead), *layer.weight.shape[1:]).uniform_(-1, 1, generator=random)
            kernels /= math.sqrt(layer.weight[0].numel())
            if layer.kernel_size != (1, 1):  # of which nothing would be left
                kernels -= kernels.mean((2, 3), keepdim=True)
            for model in (self.model, self.averaged):
                of, after = model.layers()[number : number + 2]
                of.weight[dead], of.bias[dead], after.weight[:, dead] = kernels.to(self.device), 0.0, 0.0

    def autocast(self):
        dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(self.arithmetic)
        finishing = self.step >= (1 - self.config.float32_fraction) * self.steps
        return torch.autocast(self.device.type, dtype=dtype, enabled=dtype is not None and not finishing)

    def _average(self) -> None:
        """Exponential moving average of the weights: a wide window only once there is something to average."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.parameters()), list(self.model.parameters()), 1 - decay)

    def end_epoch(self) -> dict:
        """Measure, and close the epoch: its line of the history."""
        self.epoch, rest = divmod(self.step, self.per_epoch)
        train = measure(self.averaged, self.data.train_patches, self.group)
        test = measure(self.averaged, self.data.validation_patches, self.group)
        if not math.isfinite(test["loss"]):
            raise InputError(
                f"step {self.step}: the error is no number any more; "
                f"start a new run with a smaller rate than {self.config.learning_rate:g}"
            )
        record = {
            "step": self.step,
            "epoch": round(self.step / self.per_epoch, 4),
            "patches": self.epoch * self.data.train.per_epoch + rest * self.config.batch_size,
            "seconds": round(self.seconds, 3),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "train_loss": (self.loss_sum / self.crops).item(),
            "validation_loss": test["loss"],
        }
        for name in ("mse", "psnr_rgb", "psnr_y", "bicubic_psnr_rgb", "bicubic_psnr_y"):
            record |= {f"train_{name}": train[name], f"validation_{name}": test[name]}
        self.loss_sum.zero_()
        self.crops = 0
        self.history.append(record)
        return record

    def state_dict(self) -> dict:
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "steps": self.steps,
            "asked": self.asked,
            "epoch": self.epoch,
            "rate_factor": self.rate_factor,
            "history": self.history,
            "seconds": self.seconds,
            "crops": self.crops,
            "loss_sum": self.loss_sum,
            "arithmetic": self.arithmetic,
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict) -> None:
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.arithmetic = state["arithmetic"]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.arithmetic == "float16")
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.loss_sum.copy_(state["loss_sum"])
        self.asked = state.get("asked", state["steps"])  # the first versions did not write it
        for name in ("step", "steps", "epoch", "rate_factor", "crops", "history", "seconds"):
            setattr(self, name, state[name])
        torch.set_rng_state(state["random"])


def new_model(config: TrainingConfig) -> SRCNN:
    """An untrained network as the settings describe it."""
    model = SRCNN(config.channels, config.filters, config.widths, config.padding_mode, config.scale)
    return start_from_identity(model) if config.init == "identity" else model


def make_optimizer(config: TrainingConfig, model: SRCNN) -> torch.optim.Optimizer:
    """Adam, or Adam in the eigenbasis of Shampoo's preconditioners; some parts at a share of the rate.

    Reference: Vyas et al., SOAP, arXiv 2409.11321.
    """
    groups = []
    for layer in model.layers():
        share = config.last_layer_learning_rate if layer is model.layer_3 else 1.0
        bias = FIRST_BIAS if config.input_center and layer is model.layer_1 else share
        for part, of_rate in ((layer.weight, share), (layer.bias, bias)):
            groups.append({"params": [part], "lr": config.learning_rate, "share": of_rate})
    if config.optimizer == "adam":
        return torch.optim.Adam(groups)
    from pytorch_optimizer import SOAP  # a second to import, which only a training should take

    # A filter's rows and columns are one dimension: (out, in, 25) has three small bases. What would become a single
    # dimension can't be merged.
    largest = 128
    for group in groups:
        group["merge_dims"] = group["params"][0].numel() > largest and group["params"][0].ndim > 1
    return SOAP(groups, weight_decay=0.0, max_precondition_dim=largest)


def pack(tensors: Sequence[Tensor]) -> Tensor:
    """All values of the tensors as one message, (total,)."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def unpack(message: Tensor, tensors: Sequence[Tensor]) -> None:
    """The inverse of `pack`, into the tensors themselves."""
    for tensor, part in zip(tensors, message.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(part.view_as(tensor))


def predict(model: SRCNN, crops: Tensor) -> Tensor:
    """(B, C, crop, crop) → (B, C, patch, patch), as the network's border rule has it."""
    return model(crops) if model.padding_mode == "zeros" else model.valid(crops)


@torch.inference_mode()
def measure(model: SRCNN, patches: Patches, group: ProcessGroup | None = None, batch: int = 64) -> dict:
    """Mean over the patches of each one's dB, in float32 arithmetic.

    Several ranks measure different patches, each once, and add up: nothing is padded.

    Returns:
        "loss" and "mse" (of 0 … 255, on what the network works on), "psnr_rgb", "psnr_y" and the same of bicubic. A
        Y network's RGB figures use bicubic's Cb and Cr.
    """
    group, device = group or ProcessGroup(), next(model.parameters()).device
    sums = dict.fromkeys(("loss", "psnr_rgb", "psnr_y", "bicubic_psnr_rgb", "bicubic_psnr_y"), 0.0)
    first, last = group.share(0, len(patches))
    for start in range(first, last, batch):
        part = slice(start, min(start + batch, last))
        (rgb_in, rgb), (y_in, y) = (
            tuple(image[part].to(device) for image in pair) for pair in (patches.rgb, patches.y)
        )  # fmt: skip
        margin = (y_in.shape[-1] - y.shape[-1]) // 2
        bicubic_rgb, bicubic_y = (remove_border(image, margin) for image in (rgb_in, y_in))
        if model.channels == 1:
            made_y = predict(model, y_in)
            made_rgb = with_luminance(bicubic_rgb, made_y)
            squared = metrics.mse(made_y, y)
        else:
            made_rgb = predict(model, rgb_in)
            made_y = luminance(made_rgb.clamp(0, 1))
            y, bicubic_y = luminance(rgb), luminance(bicubic_rgb)
            squared = metrics.mse(made_rgb, rgb)
        for name, values in {
            "loss": squared,
            "psnr_rgb": metrics.psnr(made_rgb, rgb),
            "psnr_y": metrics.psnr(made_y, y),
            "bicubic_psnr_rgb": metrics.psnr(bicubic_rgb, rgb),
            "bicubic_psnr_y": metrics.psnr(bicubic_y, y),
        }.items():
            # A flat patch is reproduced without error; 100 dB keeps its infinity from swallowing the mean.
            sums[name] += values.clamp(max=100).sum().item()
    totals = group.all_reduce(torch.tensor(list(sums.values()), dtype=torch.float64)).tolist()
    means = {name: total / len(patches) for name, total in zip(sums, totals, strict=True)}
    return {**means, "mse": means["loss"] * 255**2}


class Checkpointer:
    """Writes what `fit` makes into the run, and takes it up again; does nothing without a run."""

    def __init__(self, run: Run | None, state: State, data: TrainingData):
        self.run, self.state, self.data = run, state, data
        self.events: TensorBoardWriter | None = None
        self.saved_at, self.saved_step = time.monotonic(), -1
        self.notes: list[str] = []
        self.clean = False  # between two steps; what an error left in the middle of one is not saved

    @contextlib.contextmanager
    def whole_step(self):
        """What is left by an error is no state to go on from."""
        self.clean = False
        yield
        self.clean = True

    def told(self) -> tuple[str, ...]:
        """The notes, once."""
        notes, self.notes = tuple(self.notes), []
        return notes

    def resume(self, interrupted: Callable[[], bool]) -> bool:
        """Bring every rank's state to where the run stopped, or begin the run with its snapshot of step 0.

        Returns whether it was left to finish; interrupted while it times the first steps, the run is as it was.
        """
        state, group = self.state, self.state.group
        stored = group.run_on_main(self._stored)
        if stored:
            asked = state.asked
            try:
                state.load_state_dict(stored)
            except (RuntimeError, KeyError, ValueError, TypeError) as error:
                raise InputError(
                    "the run's checkpoint is of another network than its config.json says; start a new run"
                ) from error
            if asked and asked != state.asked:
                self._end_at(asked)
        elif not state.steps:
            state.steps = steps_in(state, 60 * (state.config.minutes or 10), interrupted)
            if not state.steps:
                return False
        group.run_on_all(lambda: self._begin(new=stored is None))
        self.clean = True
        return True

    def _stored(self) -> dict | None:
        """What the run's newest checkpoint holds; None where there is none yet."""
        if not self.run:
            return None
        stored, self.notes = self.run.read_checkpoint()
        if stored:
            self._check_same()
            with contextlib.suppress(OSError):
                (self.run.path / "control").unlink()  # what an earlier training was asked
        elif self.notes:
            raise InputError(f"{self.run.path}: no checkpoint can be read; start a new run")
        elif any(snapshot.step for snapshot in self.run.snapshots()):  # a run has a checkpoint before its first step
            raise InputError(f"{self.run.path}: its checkpoints are gone, so it can't go on; start a new run")
        return stored

    def _begin(self, new: bool) -> None:
        """Make the run's files what the state says, whatever an earlier process had still written."""
        if not self.run:
            return
        self.run.forget_after(self.state.step)
        self.run.write_history(self.state.history)
        self.events = TensorBoardWriter(self.run.path, self.state.step)
        size, before = self.state.group.size, (self.run.metadata.get("resolved") or {}).get("processes")
        if before and before != size:
            self.notes.append(f"so far {before} processes, now {size}: as good, but not the same to the last bit")
        self.run.update_metadata(resolved=self._facts(), data=self.data.description)
        try:
            self.run.probe()
        except InputError:  # not there yet, or damaged: it follows from the settings and the photographs
            self.run.write_probe(*self.data.probe)
        if new:
            self._snapshot()
        self.checkpoint()

    def _end_at(self, steps: int) -> None:
        """Another end than was asked for before; a cosine is stretched or pressed, so that its rate jumps once."""
        state = self.state
        before = state.rate()
        state.asked, state.steps = steps, max(steps, state.step)
        if steps < state.step:
            self.notes.append(f"step {steps} is long behind it: it stays at step {state.step}")
        elif state.config.schedule == "cosine":
            after = state.rate()
            self.notes.append(f"the cosine now ends at step {steps}: the rate goes from {before:.2g} to {after:.2g}")

    def _check_same(self) -> None:
        if differing := self.run.config.differences(self.state.config):
            raise InputError(f"{self.run.path} was made with other settings: {'; '.join(differing)}; start a new run")
        before = (self.run.metadata.get("data") or {}).get("fingerprint")
        if before and before != self.data.description["fingerprint"]:
            raise InputError(f"{self.run.path} was trained on other photographs than are there now; start a new run")

    def _facts(self) -> dict:
        state = self.state
        return {
            "steps": state.steps,
            "steps_per_epoch": state.per_epoch,
            "arithmetic": state.arithmetic,
            "device": describe_device(state.device),
            "processes": state.group.size,
            "threads": torch.get_num_threads(),
            "versions": package_versions(),
        }

    def keep(self, measured: dict | None) -> None:
        """After a step: what is due now."""
        state = self.state
        if not self.run:
            return
        if measured:
            self._snapshot()
            self.run.write_history(state.history)
            self.events.write(measured, state.averaged, self.run.probe())
            self.checkpoint()
        elif state.step < state.per_epoch and state.step & (state.step - 1) == 0:  # 1, 2, 4, 8, …
            self._snapshot()
        if time.monotonic() - self.saved_at > CHECKPOINT_SECONDS:
            self.checkpoint()

    def _snapshot(self) -> None:
        self.run.write_snapshot(self.state.averaged, self.state.step, self.state.epoch)

    def checkpoint(self) -> None:
        if self.run and self.saved_step != self.state.step and self._finite():
            records = [record for record in self.state.history if record["validation_psnr_y"] is not None]
            best = max(records, key=lambda record: record["validation_psnr_y"])["step"] if records else None
            self.run.write_checkpoint(
                self.state.state_dict(), self.state.step, best, self.state.config.keep_checkpoints
            )
            self.saved_at, self.saved_step = time.monotonic(), self.state.step

    def _finite(self) -> bool:
        """Whether the weights are numbers: where they are none, the checkpoint before is worth more than a new one."""
        return all(bool(part.isfinite().all()) for part in self.state.model.parameters())

    def obey(self, command: str) -> None:
        """Steering that changes the state is saved at once, so that a killed process does not forget it."""
        state = self.state
        if command == "halve":
            state.rate_factor /= 2
        elif command == "epoch":
            state.steps += state.per_epoch
            if self.run:
                self.run.update_metadata(resolved=self._facts())
        elif command == "snapshot" and self.run:
            self._snapshot()
        self.saved_step = -1
        self.checkpoint()

    def close(self) -> None:
        """However the training ends, where it stands is saved."""
        if self.clean:
            self.checkpoint()
        if self.events:
            self.events.close()


class Clock:
    """How fast it goes, averaged over the latest steps."""

    def __init__(self, state: State):
        self.last, self.pace, self.started = time.monotonic(), None, state.step

    def record(self, state: State, loss=None, measured=None, notes: tuple = (), paused: bool = False) -> Record:
        now = time.monotonic()
        elapsed, self.last = now - self.last, now
        if not paused:
            state.seconds += elapsed
            self.pace = elapsed if self.pace is None else self.pace + 0.05 * (elapsed - self.pace)
        pace = self.pace or math.inf
        return Record(
            state.step, state.steps, state.epoch,
            loss if loss is not None else torch.tensor(math.nan),
            state.optimizer.param_groups[0]["lr"], state.config.batch_size / pace, (state.steps - state.step) * pace,
            measured is not None, measured, paused, notes,
        )  # fmt: skip


def steps_in(state: State, seconds: float, interrupted: Callable[[], bool] = lambda: False) -> int:
    """How many steps fit into the time, from steps taken on a copy of the network before the first.

    The copy keeps the real training free of it: its steps, once fixed, are a number like any other, so that a run of
    minutes resumes to the bit as well. Several ranks take them together, as long as the main one's clock says. 0
    where any of them is interrupted.
    """
    began, group = time.monotonic(), state.group
    copied = State(state.config, state.data, group)
    copied.steps = 10**9
    warm, times = 2, []

    def enough() -> bool:
        late = time.monotonic() - began >= min(15, seconds * 0.03)
        return group.is_main and len(times) >= warm + 3 and (late or len(times) >= 400)

    def one() -> float:
        start = time.monotonic()
        copied.take_step(*copied.batch()).item()
        return time.monotonic() - start

    while not group.synchronize([], stop=enough() or interrupted(), paused=False)[1]:
        times.append(one())
    if group.synchronize([], stop=interrupted(), paused=False)[1]:
        return 0
    a_step = sum(times[warm:]) / len(times[warm:])
    if (finish := state.config.float32_fraction) and state.arithmetic != "float32":
        copied.steps = copied.step  # at its end, where it is float32's turn
        last = [one() for _ in range(warm + 3)][warm:]
        a_step += finish * (sum(last) / len(last) - a_step)
    start = time.monotonic()
    measure(copied.averaged, state.data.validation_patches, group)
    measure(copied.averaged, state.data.train_patches, group)
    at_epoch_end = time.monotonic() - start
    a_step += at_epoch_end / state.per_epoch
    return group.run_on_main(lambda: max(1, round((seconds - (time.monotonic() - began)) / a_step)))


@contextlib.contextmanager
def interruptible():
    """Gives a function that tells whether Ctrl-C was pressed; a second press stops at once.

    Only the main thread can take over the signal; elsewhere the answer is always no.
    """
    pressed = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return

    def press(number, frame):
        now = time.monotonic()
        # A launcher passes on the Ctrl-C that the terminal has sent to all its processes already.
        if pressed and now - pressed[0] > (5 if distributed.is_launched() else 0):
            raise KeyboardInterrupt
        pressed.append(now)

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
