"""Addresses of channels, kernels and receptive fields."""

import pytest
import torch

from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN
from srcnn_lib.visualization.layers import ChannelAddress, has_rgb_kernels, layer_kernels, receptive_field


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SRCNN(3, widths=(6, 4))


def test_an_address_is_parsed_from_its_text_and_written_back(model):
    address = ChannelAddress.parse("layer_2:3", model)
    assert address == ChannelAddress("layer_2", 3)
    assert str(address) == "layer_2:3"
    assert ChannelAddress.parse(address, model) == address


@pytest.mark.parametrize("address", ["layer_2:4", "layer_2", "layer_2:", "layer_4:0", "layer_2:-1", "layer_2:x", ""])
def test_the_error_for_a_wrong_address_lists_the_valid_ones(model, address):
    with pytest.raises(InputError, match="layer_1:0 to layer_1:5, layer_2:0 to layer_2:3, layer_3:0 to layer_3:2"):
        ChannelAddress.parse(address, model)
    with pytest.raises(InputError, match="'layer_2:4' is no channel"):
        ChannelAddress.parse(ChannelAddress("layer_2", 4), model)


def test_layer_kernels_are_a_copy_of_the_weights(model):
    copied = layer_kernels(model, "layer_2")
    assert copied.shape == (4, 6, 5, 5)
    torch.testing.assert_close(copied, model.layer_2.weight.detach())
    copied.zero_()
    assert model.layer_2.weight.abs().sum() > 0


@pytest.mark.parametrize("layer", ["layer_1", "layer_2", "layer_3"])
def test_the_receptive_field_is_the_part_of_the_input_with_a_gradient(layer):
    model = SRCNN(1, widths=(2, 2))
    for convolution in model.layers():
        convolution.weight.data.fill_(1.0)  # nothing cancels, no ReLU cuts
        convolution.bias.data.zero_()
    image = torch.ones(1, 1, 41, 41, requires_grad=True)
    reached = {}
    hook = getattr(model, layer).register_forward_hook(lambda _module, _inputs, output: reached.update(output=output))
    model.run_layers(image)
    hook.remove()
    side = reached["output"].shape[-1]
    (gradient,) = torch.autograd.grad(reached["output"][0, 0, side // 2, side // 2], image)
    touched = (gradient[0, 0] != 0).any(0).sum()
    assert receptive_field(model, layer) == touched
    assert receptive_field(model) == 17


def test_only_the_first_and_the_last_layer_of_an_rgb_network_have_rgb_kernels():
    widths = (3, 3)  # three inputs alone do not make a kernel a color picture
    assert [has_rgb_kernels(SRCNN(3, widths=widths), layer) for layer in ("layer_1", "layer_2", "layer_3")] == [
        True,
        False,
        True,
    ]
    assert not has_rgb_kernels(SRCNN(1, widths=widths), "layer_3")
