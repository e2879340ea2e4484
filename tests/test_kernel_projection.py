import numpy as np
import pytest
import torch
from torch.nn import functional as F

from srcnn_lib.kernel_projection import PatchStatistics, patch_statistics, project_kernels, shrink_kernels
from srcnn_lib.model import SRCNN

pytestmark = pytest.mark.parametrize("channels", [1, 3])


@pytest.fixture
def smooth_pictures():
    """Pictures without high frequencies, as bicubic enlargements are: (2, C, 40, 48)."""

    def make(channels: int) -> torch.Tensor:
        noise = torch.rand(2, channels, 10, 12, generator=torch.Generator().manual_seed(1))
        return F.interpolate(noise, size=(40, 48), mode="bicubic")

    return make


def test_the_statistics_are_those_of_numpy(channels, smooth_pictures):
    pictures = smooth_pictures(channels)
    windows = np.lib.stride_tricks.sliding_window_view(pictures.double().numpy(), (5, 5), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, channels * 25)
    statistics = patch_statistics(pictures, 5)
    assert np.allclose(statistics.mean, patches.mean(0), atol=1e-12)
    assert np.allclose(statistics.covariance, np.cov(patches.T, bias=True), atol=1e-12)


def test_the_projection_is_the_ridge_regression_of_the_responses(channels, smooth_pictures):
    pictures = smooth_pictures(channels)
    model = SRCNN(channels, (5, 3, 3), (4, 3))
    ridge = 1e-3
    projected = project_kernels(model, patch_statistics(pictures, 5), ridge)
    patches = torch.cat([F.unfold(picture[None].double(), 5)[0].T for picture in pictures])
    centered = patches - patches.mean(0)
    responses = centered @ model.layer_1.weight.detach().double().flatten(1).T
    # Ridge regression as least squares with √(nλ)·I added to the rows.
    rows = torch.cat([centered, (len(patches) * ridge) ** 0.5 * torch.eye(channels * 25, dtype=torch.float64)])
    targets = torch.cat([responses, torch.zeros(channels * 25, 4, dtype=torch.float64)])
    expected = torch.linalg.lstsq(rows, targets).solution.T
    assert torch.allclose(projected.layer_1.weight.double().flatten(1), expected, atol=1e-6)


def test_the_projection_keeps_mean_responses_and_the_other_layers(channels, smooth_pictures):
    pictures = smooth_pictures(channels)
    model = SRCNN(channels, (5, 3, 3), (4, 3))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    projected = project_kernels(model, patch_statistics(pictures, 5), 1e-2)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
        assert name.startswith("layer_1") or torch.equal(projected.state_dict()[name], tensor)
    means = [net.layer_1(pictures).mean((0, 2, 3)) for net in (model, projected)]
    assert torch.allclose(*means, atol=1e-5)


def test_a_direction_shrinks_by_its_variance(channels):
    variance = torch.linspace(1e-6, 1e-3, channels * 9, dtype=torch.float64)
    statistics = PatchStatistics(torch.zeros_like(variance), variance.diag())
    model = SRCNN(channels, (3, 3, 3), (2, 2))
    before = model.layer_1.weight.detach().clone()
    shrink_kernels(model, statistics.shrinkage(1e-5), statistics.mean, fraction=0.5)
    factors = (1 + variance / (variance + 1e-5)) / 2
    assert torch.allclose(model.layer_1.weight, before * factors.float().view(channels, 3, 3), atol=1e-6)


def test_the_energy_of_low_variance_directions_is_a_fraction(channels):
    variance = torch.ones(channels * 9, dtype=torch.float64)
    variance[:3] = 1e-7
    weight = torch.zeros(2, channels, 3, 3)
    weight.view(2, -1)[0, 1] = 1.0  # a direction of low variance
    weight.view(2, -1)[1, 5] = 2.0
    statistics = PatchStatistics(torch.zeros_like(variance), variance.diag())
    assert statistics.low_variance_energy(weight) == pytest.approx(1 / 5)
