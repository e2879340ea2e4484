"""Minimal filtering against convolutions written out."""

import pytest
import torch
from torch.nn import functional as F

from srcnn_lib.inference.minimal_filtering import TEN_POINTS, TILES, minimal_filtering


@pytest.mark.parametrize(("tile", "taps"), [(4, 3), (4, 5), (2, 7), *((tile, taps) for taps, tile in TILES.items())])
def test_a_tile_equals_a_convolution_with_fewer_products(tile, taps):
    filtering = minimal_filtering(tile, taps)
    size = tile + taps - 1
    assert filtering.data.shape == (size, size)
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(taps, dtype=torch.float64, generator=generator)
    inputs = torch.rand(size, dtype=torch.float64, generator=generator)
    expected = torch.stack([(weights * inputs[start : start + taps]).sum() for start in range(tile)])
    result = filtering.result @ ((filtering.kernel @ weights) * (filtering.data @ inputs))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("taps", TILES)
def test_transformed_weights_give_a_convolution_in_two_dimensions(taps):
    filtering = minimal_filtering(TILES[taps], taps)
    generator = torch.Generator().manual_seed(0)
    size = filtering.tile + taps - 1
    weight = torch.rand(3, 2, taps, taps, dtype=torch.float64, generator=generator)
    maps = torch.rand(2, size, size, dtype=torch.float64, generator=generator)
    data = filtering.data @ maps @ filtering.data.T
    products = torch.einsum("aboc,cab->oab", filtering.of_weight(weight), data)
    result = filtering.result @ products @ filtering.result.T
    torch.testing.assert_close(result, F.conv2d(maps[None], weight)[0], rtol=0, atol=1e-11)


def test_rounding_adds_less_with_these_ten_points_than_with_others():
    """The sum in the module's docstring, against sets of points from the literature."""

    def variance(points):
        outputs, kernel = (
            torch.tensor(points)[:, None] ** torch.arange(6),
            torch.tensor(points)[:, None] ** torch.arange(5),
        )
        both = torch.cat([torch.tensor(points)[:, None] ** torch.arange(10), torch.eye(10)[9:]]).double()
        outputs, kernel = (torch.cat([part, torch.eye(part.shape[1])[-1:]]).double() for part in (outputs, kernel))
        data = torch.linalg.inv(both).T
        return ((outputs**2).T @ ((kernel**2).sum(1) * (data**2).sum(1))).mean()

    ours = variance([float(point) for point in TEN_POINTS])
    assert ours < 0.65 * variance([0, 1, -1, 0.5, -0.5, 2, -2, 4 / 3, -0.75])
    assert ours < 0.65 * variance([0, 1, -1, 0.5, -0.5, 2, -2, 0.25, -4])
