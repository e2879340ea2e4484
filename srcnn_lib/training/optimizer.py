"""The optimizer and its learning rate."""

import math
from typing import Any

import torch

from ..config import TrainingConfig
from ..model import SRCNN

FIRST_BIAS_SHARE = (
    0.1  # of the learning rate; with all of it, a step of the bias is as large as the contrast of an edge
)
LARGEST_BASIS = 128  # rows of a matrix that SOAP diagonalizes


def make_optimizer(config: TrainingConfig, model: SRCNN) -> torch.optim.Optimizer:
    """Returns Adam, or SOAP: Adam in the eigenbasis of Shampoo's preconditioners.

    Each parameter is a group of its own, whose "share" says how much of the learning rate it gets.

    Reference: Vyas et al., SOAP, arXiv 2409.11321.
    """
    groups: list[dict[str, Any]] = []
    for layer in model.layers():
        weight_share = config.last_layer_learning_rate if layer is model.layer_3 else 1.0
        bias_share = FIRST_BIAS_SHARE if config.input_center and layer is model.layer_1 else weight_share
        for parameter, share in ((layer.weight, weight_share), (layer.bias, bias_share)):
            groups.append({"params": [parameter], "lr": config.learning_rate, "share": share})
    if config.optimizer == "adam":
        return torch.optim.Adam(groups)
    from pytorch_optimizer import SOAP  # takes a second to import, and only this optimizer needs it

    # A filter's rows and columns are merged into one dimension: (out, in, 25) has three small bases. A tensor that
    # would become a single dimension can't be merged.
    for group in groups:
        parameter = group["params"][0]
        group["merge_dims"] = parameter.numel() > LARGEST_BASIS and parameter.ndim > 1
    return SOAP(groups, weight_decay=0.0, max_precondition_dim=LARGEST_BASIS)


def scheduled_learning_rate(config: TrainingConfig, step: int, steps: int) -> float:
    """Returns the learning rate of the step that follows `step` steps out of `steps`: warm-up, then the schedule."""
    factor = 1.0
    warmup = min(config.warmup, steps // 10)  # a short training must not end in its warm-up
    if step < warmup:
        factor *= (step + 1) / warmup
    if config.schedule == "cosine":
        factor *= 0.5 * (1 + math.cos(math.pi * min(step / max(steps, 1), 1)))
    return config.learning_rate * factor
