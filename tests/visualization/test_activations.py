import math

import numpy as np
import pytest
import skimage.data
import torch
from scipy.ndimage import sobel
from skimage.filters import threshold_otsu
from torch.nn import functional as F

from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN
from srcnn_lib.visualization import activations


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SRCNN(3, widths=(6, 4))


@pytest.fixture
def image():
    return torch.rand(1, 3, 20, 26, generator=torch.Generator().manual_seed(1))


def by_hand(model, image):
    """Values before ReLU of every layer, by functional convolutions over the replicated surround, aligned by eye."""
    x = F.pad(image, [8] * 4, mode="replicate")
    one = F.conv2d(x, model.layer_1.weight, model.layer_1.bias)
    two = F.conv2d(F.relu(one), model.layer_2.weight, model.layer_2.bias)
    three = F.conv2d(F.relu(two), model.layer_3.weight, model.layer_3.bias)
    return {"layer_1": one[..., 4:-4, 4:-4], "layer_2": two[..., 2:-2, 2:-2], "layer_3": three}


def test_maps_equal_a_pass_of_functional_convolutions(model, image):
    expected = by_hand(model, image)
    signed = activations.feature_maps(model, image, before_relu=True)
    maps = activations.feature_maps(model, image)
    for layer, values in expected.items():
        assert signed[layer].shape[-2:] == image.shape[-2:]
        torch.testing.assert_close(signed[layer], values, atol=1e-6, rtol=0)
        torch.testing.assert_close(maps[layer], values if layer == "layer_3" else values.relu(), atol=1e-6, rtol=0)


def test_maps_of_a_zero_padded_network_equal_functional_convolutions(image):
    model = SRCNN(3, widths=(6, 4), padding_mode="zeros")
    one = F.relu(F.conv2d(image, model.layer_1.weight, model.layer_1.bias, padding=4))
    two = F.relu(F.conv2d(one, model.layer_2.weight, model.layer_2.bias, padding=2))
    maps = activations.feature_maps(model, image[0])
    torch.testing.assert_close(maps["layer_1"], one, atol=1e-6, rtol=0)
    torch.testing.assert_close(maps["layer_2"], two, atol=1e-6, rtol=0)


def test_a_map_lies_pixel_on_pixel_over_its_picture():
    model = SRCNN(1, widths=(1, 1))
    for layer in model.layers():
        layer.weight.data.zero_()
        layer.weight.data[0, 0, layer.kernel_size[0] // 2, layer.kernel_size[0] // 2] = 1
        layer.bias.data.zero_()
    picture = torch.rand(1, 11, 14)
    for values in activations.feature_maps(model, picture).values():
        torch.testing.assert_close(values[0], picture)


def test_capture_of_a_valid_pass_is_cropped_to_its_output(model, image):
    with activations.capture(model, ["layer_1"]) as maps, torch.no_grad():
        output = model.valid(image)
    assert maps["layer_1"].shape[-2:] == output.shape[-2:]
    inner = by_hand(model, image)["layer_1"][..., 8:-8, 8:-8].relu()
    torch.testing.assert_close(maps["layer_1"], inner, atol=1e-6, rtol=0)


def test_maps_are_detached_and_on_the_cpu(model, image):
    with activations.capture(model) as maps:
        model(image)
    assert list(maps) == ["layer_1", "layer_2", "layer_3"]
    assert not any(values.requires_grad or values.is_cuda for values in maps.values())


def test_hooks_are_removed_also_after_an_error(model, image):
    with activations.capture(model):
        model(image)
    with pytest.raises(RuntimeError), activations.capture(model):
        model(torch.zeros(1, 5, 20, 20))
    assert not any(layer._forward_hooks for layer in model.layers())


def test_an_unknown_layer_leaves_no_hook_and_lists_the_valid_ones(model):
    with (
        pytest.raises(InputError, match="layer_1, layer_2, layer_3"),
        activations.capture(model, ["layer_1", "layer_9"]),
    ):
        pass
    assert not any(layer._forward_hooks for layer in model.layers())


def test_a_picture_with_the_wrong_channels_is_refused(model):
    with pytest.raises(InputError, match="1 channels, expected 3"):
        activations.feature_maps(model, torch.zeros(1, 20, 20))


def test_an_address_names_layer_and_channel(model):
    assert activations.parse_address("layer_2:3", model) == ("layer_2", 3)


@pytest.mark.parametrize("address", ["layer_2:4", "layer_2", "layer_2:", "layer_4:0", "layer_2:-1", "layer_2:x", ""])
def test_a_wrong_address_lists_the_valid_ones(model, address):
    with pytest.raises(InputError, match="layer_1:0 to layer_1:5, layer_2:0 to layer_2:3, layer_3:0 to layer_3:2"):
        activations.parse_address(address, model)


def test_kernels_are_a_copy_of_the_weights(model):
    copied = activations.kernels(model, "layer_2")
    assert copied.shape == (4, 6, 5, 5)
    torch.testing.assert_close(copied, model.layer_2.weight.detach())
    copied.zero_()
    assert model.layer_2.weight.abs().sum() > 0


@pytest.mark.parametrize("layer", ["layer_1", "layer_2", "layer_3"])
def test_the_receptive_field_is_where_the_gradient_reaches(layer):
    model = SRCNN(1, widths=(2, 2))
    for convolution in model.layers():
        convolution.weight.data.fill_(1.0)  # nothing cancels, no ReLU cuts
        convolution.bias.data.zero_()
    image = torch.ones(1, 1, 41, 41, requires_grad=True)
    reached = {}
    hook = getattr(model, layer).register_forward_hook(lambda *a: reached.update(output=a[2]))
    model.valid(image)
    hook.remove()
    side = reached["output"].shape[-1]
    (gradient,) = torch.autograd.grad(reached["output"][0, 0, side // 2, side // 2], image)
    touched = (gradient[0, 0] != 0).any(0).sum()
    assert activations.receptive_field(model, layer) == touched
    assert activations.receptive_field(model) == 17


def edge_kernel(degrees, size=9):
    """The derivative of a Gaussian across an edge whose line rises at this angle."""
    across = math.radians(degrees - 90)
    x = torch.arange(size) - size // 2.0
    up = -x[:, None]
    return (x * math.cos(across) + up * math.sin(across)) * torch.exp(-(x**2 + up**2) / 3)


def one_layer(*kernels, biases=None):
    """A Y network whose first layer has these kernels."""
    model = SRCNN(1, widths=(len(kernels), 2))
    model.layer_1.weight.data = torch.stack(kernels)[:, None]
    model.layer_1.bias.data = torch.tensor(biases or [0.0] * len(kernels))
    return model


@pytest.fixture
def camera():
    return torch.from_numpy(skimage.data.camera()[50:250:, 120:340]).float()[None] / 255


@pytest.mark.parametrize("degrees", [0, 45, 90, 135])
def test_an_edge_kernel_follows_edges_of_its_orientation(camera, degrees):
    report = activations.describe(one_layer(edge_kernel(degrees)), [camera], "layer_1")[0]
    assert report.label == f"edge {degrees}°"
    assert report.orientation == degrees
    assert report.edges > 0.9


def test_an_orientation_is_that_of_a_drawn_line_to_the_eye():
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    rising = rows + columns - 64  # zero on the line from the lower left to the upper right
    pictures = [(rising > 0).float()[None], (rows > columns).float()[None]]
    maps = [(rising.abs() < 2).float()[None], torch.zeros(1, 64, 64)]
    score, orientation = activations.edge_following(maps, pictures)
    assert orientation == [45.0]
    assert score[0] > 0.9


@pytest.mark.parametrize("degrees", range(0, 180, 15))
def test_the_only_edge_of_a_picture_has_its_own_orientation(degrees):
    rows, columns = torch.meshgrid(torch.arange(96) - 47.5, torch.arange(96) - 47.5, indexing="ij")
    angle = math.radians(degrees)
    distance = columns * math.sin(angle) + rows * math.cos(angle)  # rows run downwards
    channel = torch.exp(-distance.square() / 8)[None]
    score, orientation = activations.edge_following([channel], [(distance > 0).float()[None]])
    assert orientation == [degrees]
    assert 0.9 < score[0] <= 1


def test_the_gradient_magnitude_follows_edges_of_every_orientation(camera):
    magnitude = torch.from_numpy(np.hypot(sobel(camera[0].numpy(), 0), sobel(camera[0].numpy(), 1)))[None]
    score, orientation = activations.edge_following([magnitude], [camera])
    assert orientation == [None]
    assert score[0] > 0.9


def test_a_map_of_noise_follows_no_edges(camera):
    noise = torch.rand(1, *camera.shape[-2:], generator=torch.Generator().manual_seed(0))
    score, _ = activations.edge_following([noise], [camera])
    assert abs(score[0]) < 0.15


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 120])
def test_a_kernels_orientation_is_read_from_its_weights(degrees):
    weight = torch.stack([edge_kernel(degrees), torch.ones(9, 9)])[:, None]
    orientation, coherence, frequency = activations.kernel_orientation(weight)
    assert orientation[0] == pytest.approx(degrees, abs=2) or orientation[0] == pytest.approx(degrees + 180, abs=2)
    assert coherence[0] > 0.45 > 0.01 > coherence[1]
    assert frequency[0] > frequency[1]


def test_a_kernel_turned_by_a_right_angle_keeps_its_coherence_and_turns_its_orientation():
    kernel = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(3)) - 0.5
    both = activations.kernel_orientation(torch.cat([kernel, kernel.rot90(1, (2, 3))]))
    orientation, coherence, frequency = (figures.tolist() for figures in both)
    assert (orientation[1] - orientation[0]) % 180 == pytest.approx(90, abs=1)
    assert coherence[0] == pytest.approx(coherence[1], abs=0.02)
    assert frequency[0] == pytest.approx(frequency[1], abs=1e-6)


def test_a_blob_detector_marks_the_drawn_subject():
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    disc = (rows - 30).hypot(columns - 34) < 14
    noise = torch.rand(64, 64, generator=torch.Generator().manual_seed(0)) - 0.5  # a pixel alone says little
    image = (0.5 + 0.1 * disc + noise)[None]
    mean = torch.ones(9, 9) / 81
    model = one_layer(mean, biases=[-0.5])
    inside = activations.describe(model, [image], "layer_1", [disc])[0]
    outside = activations.describe(one_layer(-mean, biases=[0.65]), [image], "layer_1", [disc])[0]
    assert (inside.label, outside.label) == ("subject", "background")
    assert inside.subject > 0.85 > 0.15 > outside.subject
    swapped = activations.describe(model, [image], "layer_1", [~disc])[0]
    assert swapped.subject == pytest.approx(1 - inside.subject)


def test_subject_separation_is_the_share_of_pairs_in_the_right_order():
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 4, (6, 7), generator=generator).float()  # many ties
    mask = torch.rand(6, 7, generator=generator) > 0.6
    inside, outside = values[mask][:, None], values[~mask][None]
    expected = ((inside > outside).double() + (inside == outside).double() / 2).mean()
    assert activations.subject_separation(values, mask) == pytest.approx(float(expected))


def test_a_mask_without_subject_is_refused():
    with pytest.raises(InputError, match="empty or covers"):
        activations.subject_separation(torch.rand(4, 4), torch.zeros(4, 4, dtype=torch.bool))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_guessed_subject_is_the_disc_bright_or_dark(sign):
    rows, columns = torch.meshgrid(torch.arange(80.0), torch.arange(90.0), indexing="ij")
    disc = (rows - 40).hypot(columns - 45) < 20
    image = (0.5 + sign * 0.3 * disc)[None] + 0.02 * torch.rand(1, 80, 90)
    mask = activations.subject_mask(image)
    assert (mask == disc).float().mean() > 0.97


def test_the_threshold_is_otsus(camera):
    light = activations._blur(camera[None], 200 / 32)[0, 0].numpy()
    mask = activations.subject_mask(camera).numpy()
    expected = light > threshold_otsu(light, 256)
    assert max((mask == expected).mean(), (mask != expected).mean()) > 0.99


def test_dead_flat_copied_and_bright_channels_are_told_apart(camera):
    zero, delta = torch.zeros(9, 9), torch.zeros(9, 9)
    delta[4, 4] = 1.0
    edge = edge_kernel(90)
    model = one_layer(zero, zero, edge, edge * 2, delta, -delta, biases=[-1.0, 1.0, 0.0, 0.0, 0.0, 2.0])
    reports = activations.describe(model, [camera, camera[:, :60, :90]], "layer_1")
    labels = [report.label for report in reports]
    assert labels == ["dead", "flat", "edge 90°", "copy of 2", "brightness", "negative of 4"]
    assert reports[0].active == 0
    assert reports[3].similarity == pytest.approx(1, abs=1e-4)
    assert [report.channel for report in reports] == list(range(6))


def test_darkness_is_the_negative_of_the_picture(camera):
    delta = torch.zeros(9, 9)
    delta[4, 4] = -1.0
    report = activations.describe(one_layer(delta, biases=[2.0]), [camera], "layer_1")[0]
    assert report.label == "darkness"
    assert report.brightness == pytest.approx(-1, abs=1e-4)


@pytest.mark.parametrize("layer", ["layer_1", "layer_2", "layer_3"])
def test_every_layer_of_an_rgb_network_on_a_tiny_picture_is_described(model, layer):
    reports = activations.describe(model, [torch.rand(3, 9, 7)], layer)
    assert len(reports) == getattr(model, layer).out_channels
    for report in reports:
        assert -1 <= report.edges <= 1
        assert -1 <= report.similarity <= 1
        assert 0 <= report.subject <= 1
        assert 0 <= report.active <= 1


def test_no_picture_and_a_mask_of_another_size_are_refused(model):
    with pytest.raises(InputError, match="at least one"):
        activations.describe(model, [], "layer_1")
    with pytest.raises(InputError, match="a mask is"):
        activations.describe(model, [torch.rand(3, 20, 20)], "layer_1", [torch.ones(3, 3, dtype=torch.bool)])
    with pytest.raises(InputError, match="0 masks for 1 pictures"):
        activations.describe(model, [torch.rand(3, 20, 20)], "layer_1", [])
