"""The region in which a picture differs most from the original."""

import torch

from srcnn_lib.data.regions import largest_error_region


def test_the_region_covers_the_part_that_was_destroyed():
    photograph = torch.rand(3, 80, 120, generator=torch.Generator().manual_seed(0))
    blurred = photograph.clone()
    blurred[:, 50:58, 70:90] = 0
    top, left, height, width = largest_error_region(photograph, blurred, (10, 24))
    assert top <= 50 <= 58 <= top + height
    assert left <= 70 <= 90 <= left + width


def test_the_region_is_the_one_with_the_largest_squared_error():
    original, blurred = torch.rand(2, 3, 30, 40, generator=torch.Generator().manual_seed(0))
    error = (original - blurred).square().double()
    for tall, wide in ((7, 9), (30, 3), (1, 1), (99, 99)):
        top, left, height, width = largest_error_region(original, blurred, (tall, wide))
        assert (height, width) == (min(tall, 30), min(wide, 40))
        sums = {(y, x): float(error[:, y : y + height, x : x + width].sum())
                for y in range(31 - height) for x in range(41 - width)}  # fmt: skip
        assert (top, left) == max(sums, key=sums.get)
