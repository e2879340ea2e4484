"""Maps and kernels as pixels: the range of values that they are drawn in."""

import pytest
import torch

from srcnn_lib.visualization.frames import limit_of


@pytest.mark.parametrize(
    ("largest", "limit"), [(0.123, 0.13), (4.0, 4.0), (97.1, 98.0), (0.0, 1.0), (0.000511, 0.00052)]
)
def test_the_limit_is_rounded_up_to_two_digits(largest, limit):
    assert limit_of(torch.tensor([[-largest, largest / 2]]), 1) == pytest.approx(limit)


def test_a_thousandth_of_the_values_may_exceed_the_limit():
    values = torch.cat([torch.linspace(0, 1, 10_000), torch.tensor([50.0])])
    assert limit_of(values) == pytest.approx(1.0)
