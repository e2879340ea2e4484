"""Small networks and pictures of every kind, on which exact views are compared with brute force."""

import itertools

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.model import SRCNN

# Channels, filters, widths, border rule: every pair of channels and rule with several filters and widths.
KINDS = [
    (channels, filters, widths, rule)
    for (channels, rule), (filters, widths) in zip(
        itertools.cycle(itertools.product((1, 3), ("replicate", "zeros"))),
        [
            ((9, 5, 5), (6, 4)),
            ((9, 1, 5), (5, 8)),
            ((3, 3, 3), (1, 1)),
            ((1, 1, 1), (4, 3)),
            ((5, 3, 7), (7, 5)),
            ((9, 5, 5), (6, 4)),
            ((3, 5, 1), (3, 2)),
            ((1, 5, 9), (4, 6)),
            ((9, 5, 5), (4, 6)),
        ],
        strict=False,
    )
]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=str)

# The same at random, and sizes of tiny pictures: smaller than the receptive field as well.
odd_sizes = st.sampled_from((1, 3, 5, 7, 9))
any_kind = st.tuples(
    st.sampled_from((1, 3)),
    st.tuples(odd_sizes, odd_sizes, odd_sizes),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.sampled_from(("replicate", "zeros")),
)
any_size = st.tuples(st.integers(1, 14), st.integers(1, 14))
some_examples = settings(max_examples=25, deadline=None, derandomize=True)


def random_network(kind: tuple, seed: int = 0) -> SRCNN:
    """Returns a network of float64 random weights, of which about half of the ReLUs are open."""
    channels, filters, widths, rule = kind
    generator = torch.Generator().manual_seed(seed)
    model = SRCNN(channels, filters, widths, rule).double()
    for parameter in model.parameters():
        fan_in = max(1, parameter[0].numel())
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / fan_in**0.5
        parameter.data *= 0.3 if parameter.ndim == 1 else 1.0
    return model.requires_grad_(False)


def random_picture(channels: int, height: int = 13, width: int = 11, seed: int = 1) -> Tensor:
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_sample(model: SRCNN, channels: int = 3, height: int = 22, width: int = 18, seed: int = 1) -> Sample:
    """Returns a sample of a random photograph with so many channels, in double precision."""
    return Sample(random_picture(channels, height, width, seed), model, 2.0)
