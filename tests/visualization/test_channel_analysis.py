"""Measurements of channels: edges, subjects, copies, and the orientation of kernels."""

import math

import numpy as np
import pytest
import skimage.data
import torch
from scipy.ndimage import sobel
from skimage.filters import gaussian, threshold_otsu

from srcnn_lib.config import TrainingConfig
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.model import SRCNN
from srcnn_lib.run import Run
from srcnn_lib.visualization.channel_analysis import (
    describe_channels,
    edge_following,
    kernel_orientation,
    most_changed_channels,
    subject_mask,
    subject_separation,
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SRCNN(3, widths=(6, 4))


def edge_kernel(degrees, size=9):
    """Returns the derivative of a Gaussian across an edge whose line rises at this angle."""
    across = math.radians(degrees - 90)
    x = torch.arange(size) - size // 2.0
    up = -x[:, None]
    return (x * math.cos(across) + up * math.sin(across)) * torch.exp(-(x**2 + up**2) / 3)


def one_layer(*kernels, biases=None):
    """Returns a Y network whose first layer has these kernels."""
    model = SRCNN(1, widths=(len(kernels), 2))
    model.layer_1.weight.data = torch.stack(kernels)[:, None]
    model.layer_1.bias.data = torch.tensor(biases or [0.0] * len(kernels))
    return model


@pytest.fixture
def camera():
    return torch.from_numpy(skimage.data.camera()[50:250:, 120:340]).float()[None] / 255


@pytest.mark.parametrize("degrees", [0, 45, 90, 135])
def test_an_edge_kernel_follows_edges_of_its_orientation(camera, degrees):
    report = describe_channels(one_layer(edge_kernel(degrees)), [camera], "layer_1")[0]
    assert report.label == f"edge {degrees}°"
    assert report.orientation == degrees
    assert report.edges > 0.9


def test_the_orientation_is_that_of_the_visible_line():
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    rising = rows + columns - 64  # zero on the line from the lower left to the upper right
    pictures = [(rising > 0).float()[None], (rows > columns).float()[None]]
    maps = [(rising.abs() < 2).float()[None], torch.zeros(1, 64, 64)]
    (found,) = edge_following(maps, pictures)
    assert found.orientation == 45
    assert found.correlation > 0.9


@pytest.mark.parametrize("degrees", range(0, 180, 15))
def test_the_orientation_of_a_single_edge_is_found(degrees):
    rows, columns = torch.meshgrid(torch.arange(96) - 47.5, torch.arange(96) - 47.5, indexing="ij")
    angle = math.radians(degrees)
    distance = columns * math.sin(angle) + rows * math.cos(angle)  # rows run downwards
    channel = torch.exp(-distance.square() / 8)[None]
    (found,) = edge_following([channel], [(distance > 0).float()[None]])
    assert found.orientation == degrees
    assert 0.9 < found.correlation <= 1


def test_the_gradient_magnitude_follows_edges_of_all_orientations(camera):
    magnitude = torch.from_numpy(np.hypot(sobel(camera[0].numpy(), 0), sobel(camera[0].numpy(), 1)))[None]
    (found,) = edge_following([magnitude], [camera])
    assert found.orientation is None
    assert found.correlation > 0.9


def test_a_map_of_noise_follows_no_edges(camera):
    noise = torch.rand(1, *camera.shape[-2:], generator=torch.Generator().manual_seed(0))
    (found,) = edge_following([noise], [camera])
    assert abs(found.correlation) < 0.15


def test_a_constant_map_follows_no_edges(camera):
    (found,) = edge_following([torch.ones(1, *camera.shape[-2:])], [camera])
    assert found == (0, None)


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120])
def test_the_orientation_of_a_kernel_is_computed_from_its_weights(degrees):
    weight = torch.stack([edge_kernel(degrees), torch.ones(9, 9)])[:, None]
    orientation, coherence, frequency = kernel_orientation(weight)
    assert orientation[0] == pytest.approx(degrees, abs=2) or orientation[0] == pytest.approx(degrees + 180, abs=2)
    assert coherence[0] > 0.45 > 0.01 > coherence[1]
    assert frequency[0] > frequency[1]


def test_rotating_a_kernel_by_90_degrees_rotates_its_orientation_and_keeps_its_coherence():
    kernel = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(3)) - 0.5
    both = kernel_orientation(torch.cat([kernel, kernel.rot90(1, (2, 3))]))
    orientation, coherence, frequency = (values.tolist() for values in both)
    assert (orientation[1] - orientation[0]) % 180 == pytest.approx(90, abs=1)
    assert coherence[0] == pytest.approx(coherence[1], abs=0.02)
    assert frequency[0] == pytest.approx(frequency[1], abs=1e-6)


def test_a_blob_detector_separates_the_subject():
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = (rows - 30).hypot(columns - 34) < 14
    noise = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) - 0.5  # single pixels hardly tell
    image = (0.5 + 0.1 * disc + noise)[None]
    mean = torch.ones(9, 9) / 81
    model = one_layer(mean, biases=[-0.5])
    inside = describe_channels(model, [image], "layer_1", [disc])[0]
    outside = describe_channels(one_layer(-mean, biases=[0.65]), [image], "layer_1", [disc])[0]
    assert (inside.label, outside.label) == ("subject", "background")
    assert inside.subject > 0.85 > 0.15 > outside.subject
    swapped = describe_channels(model, [image], "layer_1", [~disc])[0]
    assert swapped.subject == pytest.approx(1 - inside.subject)


def test_subject_separation_is_the_share_of_correctly_ordered_pairs():
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 4, (6, 7), generator=generator).float()  # many ties
    mask = torch.rand(6, 7, generator=generator) > 0.6
    inside, outside = values[mask][:, None], values[~mask][None]
    expected = ((inside > outside).double() + (inside == outside).double() / 2).mean()
    assert subject_separation(values, mask) == pytest.approx(float(expected))


def test_an_empty_mask_is_rejected():
    with pytest.raises(InputError, match="empty or covers"):
        subject_separation(torch.rand(4, 4), torch.zeros(4, 4, dtype=torch.bool))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_guessed_subject_is_a_bright_or_dark_disc(sign):
    rows, columns = torch.meshgrid(torch.arange(80.0), torch.arange(90.0), indexing="ij")
    disc = (rows - 40).hypot(columns - 45) < 20
    image = (0.5 + sign * 0.3 * disc)[None] + 0.02 * torch.rand(1, 80, 90)
    mask = subject_mask(image)
    assert (mask == disc).float().mean() > 0.97


def test_the_threshold_equals_scikit_images_otsu(camera):
    light = gaussian(camera[0].numpy(), 200 / 32, mode="nearest", truncate=3)
    mask = subject_mask(camera).numpy()
    expected = light > threshold_otsu(light, 256)
    assert max((mask == expected).mean(), (mask != expected).mean()) > 0.99


def test_dead_flat_copied_and_bright_channels_get_their_labels(camera):
    zero, delta = torch.zeros(9, 9), torch.zeros(9, 9)
    delta[4, 4] = 1.0
    edge = edge_kernel(90)
    model = one_layer(zero, zero, edge, edge * 2, delta, -delta, biases=[-1.0, 1.0, 0.0, 0.0, 0.0, 2.0])
    reports = describe_channels(model, [camera, camera[:, :60, :90]], "layer_1")
    labels = [report.label for report in reports]
    assert labels == ["dead", "flat", "edge 90°", "copy of 2", "brightness", "negative of 4"]
    assert reports[0].active == 0
    assert reports[3].similarity == pytest.approx(1, abs=1e-4)
    assert [report.channel for report in reports] == list(range(6))


def test_the_negative_of_the_picture_is_labelled_darkness(camera):
    delta = torch.zeros(9, 9)
    delta[4, 4] = -1.0
    report = describe_channels(one_layer(delta, biases=[2.0]), [camera], "layer_1")[0]
    assert report.label == "darkness"
    assert report.brightness == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("layer", ["layer_1", "layer_2", "layer_3"])
def test_every_layer_of_an_rgb_network_is_described_on_a_tiny_picture(model, layer):
    reports = describe_channels(model, [torch.rand(3, 9, 7)], layer)
    assert len(reports) == getattr(model, layer).out_channels
    for report in reports:
        assert -1 <= report.edges <= 1
        assert -1 <= report.similarity <= 1
        assert 0 <= report.subject <= 1
        assert 0 <= report.active <= 1


def test_missing_pictures_and_masks_of_another_size_are_rejected(model):
    with pytest.raises(InputError, match="at least one"):
        describe_channels(model, [], "layer_1")
    with pytest.raises(InputError, match="a mask is"):
        describe_channels(model, [torch.rand(3, 20, 20)], "layer_1", [torch.ones(3, 3, dtype=torch.bool)])
    with pytest.raises(InputError, match="0 masks for 1 pictures"):
        describe_channels(model, [torch.rand(3, 20, 20)], "layer_1", [])


def test_the_channel_whose_kernel_grew_most_comes_first(tmp_path):
    run = Run.create(tmp_path / "run", TrainingConfig.of(channels=1, widths=(6, 4)))
    torch.manual_seed(0)
    network = SRCNN(1, widths=(6, 4))
    run.write_snapshot(network, 0, 0)
    with torch.no_grad():
        network.layer_1.weight[4] *= 9
        network.layer_1.weight[2] *= 3
    run.write_snapshot(network, 1, 0)
    sample = Sample(torch.rand(3, 40, 40), network)
    assert most_changed_channels(run.snapshots(), sample, "layer_1", count=2) == [4, 2]
