"""Feature maps: values, alignment with the picture, and hooks."""

import pytest
import torch
from torch.nn import functional as F

from srcnn_lib.activations import capture, feature_maps
from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SRCNN(3, widths=(6, 4))


@pytest.fixture
def image():
    return torch.rand(1, 3, 20, 26, generator=torch.Generator().manual_seed(1))


def convolved(model, image):
    """Returns the values of every layer before its ReLU: functional convolutions over a replicated border, cropped."""
    x = F.pad(image, [8] * 4, mode="replicate")
    one = F.conv2d(x, model.layer_1.weight, model.layer_1.bias)
    two = F.conv2d(F.relu(one), model.layer_2.weight, model.layer_2.bias)
    three = F.conv2d(F.relu(two), model.layer_3.weight, model.layer_3.bias)
    return {"layer_1": one[..., 4:-4, 4:-4], "layer_2": two[..., 2:-2, 2:-2], "layer_3": three}


def test_feature_maps_equal_functional_convolutions(model, image):
    expected = convolved(model, image)
    signed = feature_maps(model, image, before_relu=True)
    maps = feature_maps(model, image)
    for layer, values in expected.items():
        assert signed[layer].shape[-2:] == image.shape[-2:]
        torch.testing.assert_close(signed[layer], values, atol=1e-6, rtol=0)
        torch.testing.assert_close(maps[layer], values if layer == "layer_3" else values.relu(), atol=1e-6, rtol=0)


def test_feature_maps_of_a_zero_padded_network_equal_functional_convolutions(image):
    model = SRCNN(3, widths=(6, 4), padding_mode="zeros")
    one = F.relu(F.conv2d(image, model.layer_1.weight, model.layer_1.bias, padding=4))
    two = F.relu(F.conv2d(one, model.layer_2.weight, model.layer_2.bias, padding=2))
    maps = feature_maps(model, image[0])
    torch.testing.assert_close(maps["layer_1"], one, atol=1e-6, rtol=0)
    torch.testing.assert_close(maps["layer_2"], two, atol=1e-6, rtol=0)


def test_feature_maps_are_aligned_with_the_picture():
    model = SRCNN(1, widths=(1, 1))
    for layer in model.layers():
        layer.weight.data.zero_()
        layer.weight.data[0, 0, layer.kernel_size[0] // 2, layer.kernel_size[0] // 2] = 1
        layer.bias.data.zero_()
    picture = torch.rand(1, 11, 14)
    for values in feature_maps(model, picture).values():
        torch.testing.assert_close(values[0], picture)


def test_feature_maps_of_a_pass_without_padding_are_cropped_to_its_output(model, image):
    with capture(model, ["layer_1"]) as maps, torch.no_grad():
        output = model.run_layers(image)
    assert maps["layer_1"].shape[-2:] == output.shape[-2:]
    inner = convolved(model, image)["layer_1"][..., 8:-8, 8:-8].relu()
    torch.testing.assert_close(maps["layer_1"], inner, atol=1e-6, rtol=0)


def test_feature_maps_are_detached_and_on_the_cpu(model, image):
    with capture(model) as maps:
        model(image)
    assert list(maps) == ["layer_1", "layer_2", "layer_3"]
    assert not any(values.requires_grad or values.is_cuda for values in maps.values())


def test_hooks_are_removed_even_after_an_error(model, image):
    with capture(model):
        model(image)
    with pytest.raises(RuntimeError), capture(model):
        model(torch.zeros(1, 5, 20, 20))
    assert not any(layer._forward_hooks for layer in model.layers())


def test_an_unknown_layer_registers_no_hook_and_the_message_lists_the_valid_layers(model):
    with (
        pytest.raises(InputError, match="layer_1, layer_2, layer_3"),
        capture(model, ["layer_1", "layer_9"]),
    ):
        pass
    assert not any(layer._forward_hooks for layer in model.layers())


def test_a_picture_with_another_number_of_channels_is_rejected(model):
    with pytest.raises(InputError, match="1 channels, expected 3"):
        feature_maps(model, torch.zeros(1, 20, 20))
