"""The regions of a picture that are worth showing."""

import math

import torch

from srcnn_lib.data.regions import largest_error_region, region_around, subject_region


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


def test_the_subject_is_where_most_pixels_err_near_a_point_above_the_middle():
    original, blurred = torch.rand(2, 3, 30, 40, generator=torch.Generator().manual_seed(1))
    error = (original - blurred).square().mean(0)
    typical = error.flatten().sort().values[int(0.8 * error.numel())]
    error = error.clamp(max=max(float(typical), float(error.mean()))).double()
    for tall, wide in ((7, 9), (30, 3), (99, 99)):
        top, left, height, width = subject_region(original, blurred, (tall, wide))
        sums = {(y, x): float(error[y : y + height, x : x + width].sum())
                * math.exp(-6 * (((y + height / 2) / 30 - 0.4) ** 2 + ((x + width / 2) / 40 - 0.5) ** 2))
                for y in range(31 - height) for x in range(41 - width)}  # fmt: skip
        assert (top, left) == max(sums, key=sums.get)


def test_a_small_part_with_extreme_errors_is_not_the_subject():
    original = torch.zeros(1, 100, 100)
    upsampled = original.clone()
    upsampled[:, 30:50, 40:60:2] = 0.1  # hair
    upsampled[:, 80:90, 80:90:2] = 1.0  # a badge
    assert largest_error_region(original, upsampled, (20, 20))[0] > 60
    top, left, _, _ = subject_region(original, upsampled, (20, 20))
    assert (top, left) == (30, 40)


def test_a_region_around_a_point_is_moved_inside_the_picture():
    picture = torch.zeros(1, 50, 60)
    assert region_around((20, 30), picture, (10, 20)) == (15, 20, 10, 20)
    assert region_around((1, 59), picture, (10, 20)) == (0, 40, 10, 20)
    assert region_around((20, 30), picture, (99, 99)) == (0, 0, 50, 60)
