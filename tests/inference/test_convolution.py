"""The faster convolutions of layers 1 and 3 against torch's."""

import copy

import pytest
import torch

from srcnn_lib.inference.convolution import RearrangedConvolution, rearrange
from srcnn_lib.model import SRCNN


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize(
    ("inputs", "outputs", "size"), [(1, 6, 9), (1, 1, 3), (6, 1, 5), (6, 3, 5), (6, 3, 1), (3, 6, 9)]
)
def test_a_convolution_by_rows_equals_torchs_and_so_do_its_gradients(inputs, outputs, size, padding):
    torch.manual_seed(0)
    theirs = torch.nn.Conv2d(inputs, outputs, size, padding=padding).double()
    ours = RearrangedConvolution(theirs)
    image = torch.rand(2, inputs, 13, 11, dtype=torch.float64, requires_grad=True)
    result, expected = ours(image), theirs(image)
    weights = torch.rand_like(expected)
    gradients = [
        torch.autograd.grad((output * weights).sum(), [image, *layer.parameters()])
        for output, layer in ((result, ours), (expected, theirs))
    ]
    for one, other in zip([result, *gradients[0]], [expected, *gradients[1]], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_a_rearranged_network_keeps_its_parameters_their_names_and_its_output():
    model = SRCNN(1, widths=(6, 5))
    plain = copy.deepcopy(model)
    parameters = dict(model.named_parameters())
    random_numbers = torch.get_rng_state()
    assert rearrange(model) is model
    assert torch.equal(torch.get_rng_state(), random_numbers)
    assert all(parameter is parameters[name] for name, parameter in model.named_parameters())
    assert list(model.state_dict()) == list(plain.state_dict())
    image = torch.rand(1, 1, 20, 24)
    torch.testing.assert_close(model(image), plain(image), rtol=0, atol=1e-6)


def test_the_network_itself_is_three_ordinary_convolutions():
    assert {type(layer) for layer in SRCNN().layers()} == {torch.nn.Conv2d}
