"""The state of a training, and the step that changes it."""

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from ..config import TrainingConfig
from ..data.training_data import TrainingData
from ..errors import InputError
from ..inference.convolution import rearrange
from ..runtime.devices import resolve_arithmetic, resolve_device
from ..runtime.distributed import ProcessGroup
from . import filtered_convolution
from .hooks import make_hooks
from .initial_weights import load_initial_weights, new_model
from .optimizer import make_optimizer, scheduled_learning_rate
from .time_plan import TimePlan
from .validation import validate

EPSILON = 1e-6  # added to a crop's mean squared error: the gradient of its root would be infinite at zero
CROPS_IN_CACHE = 32  # per pass on a CPU, so that their maps fit into its caches: 1 280 crops are up to a quarter faster


class TrainingState:
    """Everything that changes while a network learns, and so everything that a checkpoint holds.

    The state is the same in all processes: each starts from the seed or from the main process's checkpoint, and takes
    the same steps.

    Args:
        config: what to train.
        data: the photographs.
        group: the processes that train together; this one alone by default.

    Attributes:
        model: the network that learns.
        averaged: the same network with the moving average of its weights, which is measured and kept.
        step: steps taken.
        steps: steps in all; 0 until the minutes of a new training are converted to steps.
        plan: how they were; it corrects the number in the first tenth of the training.
        epoch: whole epochs taken.
        steps_per_epoch: steps in each.
        history: a record per epoch.
    """

    def __init__(self, config: TrainingConfig, data: TrainingData, group: ProcessGroup | None = None):
        self.config = config
        self.data = data
        self.group = group or ProcessGroup()
        self.device = resolve_device(config.device)
        # "auto" may be decided by timing, so one process decides.
        self.arithmetic = self.group.run_on_main(lambda: resolve_arithmetic(config.arithmetic, self.device))
        torch.manual_seed(config.seed)
        self.model = new_model(config).to(self.device).to(memory_format=torch.channels_last)
        if self.device.type == "cpu":
            rearrange(self.model)
            if filtered_convolution.pays(self.model.layer_2):
                self.model.layer_2 = filtered_convolution.FilteredConvolution(self.model.layer_2)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = make_optimizer(config, self.model)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.arithmetic == "float16")
        self.hooks = make_hooks(config, self.group)
        self.steps_per_epoch = -(-data.train.per_epoch // config.batch_size)
        self.step = 0
        self.epoch = 0
        self.steps = config.steps or config.epochs * self.steps_per_epoch  # more if the user adds an epoch
        self.requested_steps = self.steps
        self.plan: TimePlan | None = None  # where the number of steps follows from minutes and is not final yet
        self.threads = 0  # of a CPU, where one alone was quicker; 0 for torch's own number
        self.initial_weights: dict[str, Any] = {}  # the file that `load_initial_weights` took them from
        self.rate_factor = 1.0  # halved when the user asks for it
        self.history: list[dict] = []
        self.seconds = 0.0
        self.crops = 0  # since the epoch began
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)  # over these crops

    @property
    def epoch_ended(self) -> bool:
        """Whether the last step ended an epoch, or the training."""
        return self.step == self.steps or self.step % self.steps_per_epoch == 0

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return self.rate_factor * scheduled_learning_rate(self.config, self.step, self.steps)

    def sample_range(self) -> tuple[int, int, int]:
        """Returns which samples the next step takes, over all processes: epoch, first, one after the last."""
        epoch, step = divmod(self.step, self.steps_per_epoch)
        start = step * self.config.batch_size
        return epoch, start, min(start + self.config.batch_size, self.data.train.per_epoch)

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Returns this process's crops of the next step: inputs (B, C, crop, crop), targets (B, C, patch, patch).

        B is 0 where there are fewer crops than processes.
        """
        epoch, start, stop = self.sample_range()
        first, last = self.group.share(start, stop)
        upsampled, original = self.data.train.batch(epoch, first, max(last, first + 1))
        return upsampled[: last - first], original[: last - first]

    def take_step(self, upsampled: Tensor, original: Tensor) -> Tensor:
        """Takes one optimizer step on a batch of crops, or on this process's part of it.

        Args:
            upsampled: (B, C, crop, crop) in [0, 1].
            original: (B, C, patch, patch), the targets.

        Returns:
            (): the mean squared error of the whole batch, detached. Returning it does not synchronize the device.
        """
        batch_size = len(upsampled)
        if self.group.size > 1:
            _, start, stop = self.sample_range()
            batch_size = stop - start
        for param_group in self.optimizer.param_groups:
            param_group["lr"] = self.learning_rate * param_group["share"]
        self.optimizer.zero_grad(set_to_none=True)

        loss = torch.zeros((), device=self.device)
        for inputs, targets in self._split(upsampled, original):
            # 1. Predict.
            with self.autocast():
                output = self.model.run_layers(inputs)  # (b, C, patch, patch)
            # 2. Compute the loss: these crops' part of the mean over the batch.
            squared_errors = (output.float() - targets).square().mean((1, 2, 3))  # (b,), one per crop
            errors = squared_errors if self.config.loss == "mse" else (squared_errors + EPSILON).sqrt()
            # 3. Add up the gradients.
            self.scaler.scale(errors.sum() / batch_size).backward()
            loss += squared_errors.detach().sum() / batch_size
        for hook in self.hooks:
            hook.before_update(self, loss)  # several processes: sums gradients and loss in place

        # 4. Update the weights.
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        for hook in self.hooks:
            hook.after_update(self)

        self.loss_sum += loss * batch_size
        self.crops += batch_size
        return loss

    def _split(self, upsampled: Tensor, original: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields a batch on the device: in parts that fit into a CPU's caches, or as a whole on a GPU."""
        upsampled = upsampled.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        original = original.to(self.device, non_blocking=True)
        size = CROPS_IN_CACHE if self.device.type == "cpu" else max(len(original), 1)
        yield from zip(upsampled.split(size), original.split(size), strict=True)

    def autocast(self) -> torch.autocast:
        """Returns the context in which the next step predicts: 16 bits, or float32 for the last steps."""
        dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(self.arithmetic)
        in_float32 = dtype is None or self.step >= (1 - self.config.float32_fraction) * self.steps
        return torch.autocast(self.device.type, dtype=dtype, enabled=not in_float32)

    def end_epoch(self) -> dict:
        """Measures the averaged network, closes the epoch, and returns its record in the history.

        Raises:
            InputError: where the validation loss is infinite or NaN.
        """
        self.epoch, steps_into_next = divmod(self.step, self.steps_per_epoch)
        train = validate(self.averaged, self.data.train_patches, self.group)
        validation = validate(self.averaged, self.data.validation_patches, self.group)
        if not math.isfinite(validation["loss"]):
            raise InputError(
                f"step {self.step}: the error is not a finite number any more; "
                f"start a new run with a smaller learning_rate than {self.config.learning_rate:g}"
            )
        record = {
            "step": self.step,
            "epoch": round(self.step / self.steps_per_epoch, 4),
            "patches": self.epoch * self.data.train.per_epoch + steps_into_next * self.config.batch_size,
            "seconds": round(self.seconds, 3),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "train_loss": (self.loss_sum / self.crops).item(),
            "validation_loss": validation["loss"],
        }
        for name in ("mse", "psnr_rgb", "psnr_y", "bicubic_psnr_rgb", "bicubic_psnr_y"):
            record |= {f"train_{name}": train[name], f"validation_{name}": validation[name]}
        self.loss_sum.zero_()
        self.crops = 0
        self.history.append(record)
        return record

    def load_initial_weights(self) -> None:
        """Starts from the weights that `config.init` names, if it names a file or a run.

        For a new training only: one that goes on has its weights from a checkpoint, and needs the file no more.

        Raises:
            InputError: as `initial_weights.load_initial_weights`.
        """
        if loaded := self.group.run_on_all(lambda: load_initial_weights(self.config)):
            model, self.initial_weights = loaded
            self.model.load_state_dict(model.state_dict())
            self.averaged.load_state_dict(model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Returns everything that a checkpoint holds."""
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "steps": self.steps,
            "requested_steps": self.requested_steps,
            "plan": asdict(self.plan) if self.plan else None,
            "threads": self.threads,
            "epoch": self.epoch,
            "rate_factor": self.rate_factor,
            "history": self.history,
            "seconds": self.seconds,
            "crops": self.crops,
            "loss_sum": self.loss_sum,
            "arithmetic": self.arithmetic,
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a checkpoint; the inverse of `state_dict`.

        Raises:
            RuntimeError, LookupError, ValueError, TypeError, AttributeError: it is the state of another training.
        """
        history = state["history"]
        if not isinstance(history, list) or not all(isinstance(record, dict) for record in history):
            raise ValueError("the history is none")
        for name in ("step", "steps", "requested_steps", "epoch", "crops", "threads"):
            if type(state[name]) is not int or state[name] < 0:
                raise ValueError(f"{name} is {state[name]!r}")
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.arithmetic = state["arithmetic"]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.arithmetic == "float16")
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.loss_sum.copy_(state["loss_sum"])
        for name in (
            "step",
            "steps",
            "requested_steps",
            "epoch",
            "rate_factor",
            "crops",
            "history",
            "seconds",
            "threads",
        ):
            setattr(self, name, state[name])
        self.plan = TimePlan(**state["plan"]) if state["plan"] else None
        torch.set_rng_state(state["random"])
