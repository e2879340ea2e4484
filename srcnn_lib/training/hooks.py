"""What a training step does beside the forward pass, the loss, the backward pass and the optimizer's step.

Each hook is one technique. `make_hooks` lists those that a training uses, in the order in which they run.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import TrainingConfig
from ..kernel_projection import patch_statistics, shrink_kernels
from ..runtime.distributed import ProcessGroup

if TYPE_CHECKING:
    from .state import TrainingState

REINIT_UNTIL = 0.6  # of the steps; a channel that is reinitialized later has no time to learn
PATCH_STRIDE = 3  # of the patches whose covariance is measured; neighbors tell little new
PROBED_PATCHES = 32  # a channel that is active in none of them is dead


class StepHook:
    """Code that runs before and after the optimizer's step. Both methods do nothing by default."""

    def before_update(self, state: "TrainingState", loss: Tensor) -> None:
        """Runs when the gradients are complete; `loss` is the step's mean squared error, ()."""

    def after_update(self, state: "TrainingState") -> None:
        """Runs when the weights have changed; `state.step` counts the new step already."""


def make_hooks(config: TrainingConfig, group: ProcessGroup) -> list[StepHook]:
    """Returns the hooks of a training, in the order in which they run."""
    hooks: list[StepHook] = []
    if group.size > 1:
        hooks.append(GradientSum())
    if config.input_center:
        hooks.append(InputCentering())
    if config.reinit_dead_every:
        hooks.append(DeadChannelReinitialization())
    if config.kernel_ridge:
        hooks.append(KernelShrinkage())
    if group.size > 1:
        hooks.append(WeightBroadcast())
    hooks.append(WeightAveraging())
    return hooks


class GradientSum(StepHook):
    """Adds up the gradients and the loss of all processes, which gives those of the whole batch.

    All are sent in one message. DistributedDataParallel would send them while others are still being computed, which
    does not pay for some 60 000 gradients. It also averages over the processes, which would be wrong where their parts
    of the batch differ in size.
    """

    def before_update(self, state: "TrainingState", loss: Tensor) -> None:
        gradients = [parameter.grad for parameter in state.model.parameters() if parameter.grad is not None]
        tensors = [*gradients, loss]
        unpack(state.group.all_reduce(pack(tensors)), tensors)


class InputCentering(StepHook):
    """Updates the first layer as if its input were x − center.

    The optimizer updates the same layer written as w · (x − center) + b′ with b′ = b + center · Σw. A change of Σw
    then raises the response to bright areas and lowers that to dark ones. Written as w · x + b, it lowers all responses
    at once, until none is above zero and ReLU passes nothing.
    """

    kernel_sums: Tensor  # (C₁,), before the update

    def before_update(self, state: "TrainingState", loss: Tensor) -> None:
        weight, bias = state.model.layer_1.parameters()
        assert weight.grad is not None
        assert bias.grad is not None
        weight.grad -= state.config.input_center * bias.grad[:, None, None, None]
        self.kernel_sums = weight.detach().sum((1, 2, 3))

    def after_update(self, state: "TrainingState") -> None:
        weight, bias = state.model.layer_1.parameters()
        change = weight.detach().sum((1, 2, 3)) - self.kernel_sums  # (C₁,)
        bias.detach().sub_(state.config.input_center * change)


class DeadChannelReinitialization(StepHook):
    """Gives new kernels to channels that are active nowhere in patches of the training photographs.

    No gradient ever reaches such a channel again. Its new kernel does not respond to flat areas, and the next layer's
    weights on it become zero, so that the network's output stays as it is.

    Reference: Sokar et al., The Dormant Neuron Phenomenon, arXiv 2302.12902.
    """

    @torch.no_grad()
    def after_update(self, state: "TrainingState") -> None:
        config = state.config
        if state.step % config.reinit_dead_every or state.step > REINIT_UNTIL * state.steps:
            return
        patches = state.data.train_patches
        inputs = (patches.y if config.channels == 1 else patches.rgb)[0]
        maps = inputs[:PROBED_PATCHES].to(state.device)  # (n, C, crop, crop)
        generator = torch.Generator().manual_seed(config.seed + state.step)
        for number, layer in enumerate(state.model.layers()[:2]):
            # These maps have the old channels. The next layer's do not depend on that: the map of a dead channel is
            # zero, and so are the weights on a new one.
            maps = F.relu(layer(maps))
            dead = (maps.amax((0, 2, 3)) == 0).nonzero().flatten()
            kernels = torch.empty(len(dead), *layer.weight.shape[1:]).uniform_(-1, 1, generator=generator)
            kernels /= math.sqrt(layer.weight[0].numel())
            if layer.kernel_size != (1, 1):  # a 1×1 kernel without its mean would be zero
                kernels -= kernels.mean((2, 3), keepdim=True)
            for model in (state.model, state.averaged):
                reinitialized, following = model.layers()[number : number + 2]
                weight, bias = reinitialized.parameters()
                weight[dead] = kernels.to(state.device)
                bias[dead] = 0.0
                following.weight[:, dead] = 0.0


class KernelShrinkage(StepHook):
    """Shrinks the first layer's kernels along the directions in which bicubic pictures hardly vary.

    No gradient reaches these directions, but the optimizer's normalized steps fill them with noise. The shrinkage is a
    weight decay for them alone: at the full learning rate a step multiplies a direction of variance v by
    v / (v + ridge), and at a lower rate it shrinks less, as decoupled weight decay does.

    Reference: Loshchilov and Hutter, Decoupled Weight Decay Regularization, arXiv 1711.05101, for the schedule.
    """

    shrinkage: Tensor | None = None  # (C·k·k, C·k·k), in float32; measured at the first step
    mean_patch: Tensor  # (C·k·k,)

    def after_update(self, state: "TrainingState") -> None:
        if self.shrinkage is None:
            patches = state.data.train_patches
            inputs = (patches.y if state.config.channels == 1 else patches.rgb)[0]
            statistics = patch_statistics([inputs], state.config.filters[0], PATCH_STRIDE)
            self.shrinkage = statistics.shrinkage(state.config.kernel_ridge).to(state.device, torch.float32)
            self.mean_patch = statistics.mean.to(state.device, torch.float32)
        fraction = state.optimizer.param_groups[0]["lr"] / state.config.learning_rate
        shrink_kernels(state.model, self.shrinkage, self.mean_patch, fraction)


class WeightBroadcast(StepHook):
    """Copies the main process's weights to all others: differences in rounding would grow with each step.

    Different processors round differently. SOAP in particular amplifies that, where a gradient is nearly zero along
    one of its directions.
    """

    @torch.no_grad()
    def after_update(self, state: "TrainingState") -> None:
        parameters = list(state.model.parameters())
        unpack(state.group.broadcast(pack(parameters)), parameters)


class WeightAveraging(StepHook):
    """Keeps an exponential moving average of the weights; its window widens during the first steps."""

    @torch.no_grad()
    def after_update(self, state: "TrainingState") -> None:
        decay = min(state.config.ema, (1 + state.step) / (10 + state.step))
        torch._foreach_lerp_(tuple(state.averaged.parameters()), tuple(state.model.parameters()), 1 - decay)


def pack(tensors: Sequence[Tensor]) -> Tensor:
    """Returns all values of the tensors as one message, (total,)."""
    return torch.cat([tensor.flatten() for tensor in tensors])


def unpack(message: Tensor, tensors: Sequence[Tensor]) -> None:
    """Copies a message's values into the tensors; the inverse of `pack`."""
    parts = message.split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))
