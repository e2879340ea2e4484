"""The convolution by minimal filtering that training uses, against torch's in float64."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.inference.convolution import RearrangedConvolution
from srcnn_lib.training import TrainingState
from srcnn_lib.training.filtered_convolution import FilteredConvolution, pays


def gradients(layer, images, weights):
    output = layer(images)
    return [output, *torch.autograd.grad((output * weights).sum(), [images, *layer.parameters()])]


def largest_error(one, other):
    return ((one - other).abs().max() / other.abs().max()).item()


@settings(max_examples=25, deadline=None)
@given(
    taps=st.sampled_from([3, 5, 7]), padding=st.integers(0, 2), count=st.integers(1, 5),
    height=st.integers(9, 30), width=st.integers(9, 30), channels=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)  # fmt: skip
def test_its_output_and_gradients_are_those_of_the_direct_convolution(taps, padding, count, height, width, channels):
    torch.manual_seed(0)
    plain = torch.nn.Conv2d(*channels, taps, padding=padding)
    images = torch.rand(count, channels[0], height, width, requires_grad=True)
    exact, exact_images = torch.nn.Conv2d(*channels, taps, padding=padding).double(), images.detach().double()
    exact.load_state_dict(plain.state_dict())
    expected = exact(exact_images.requires_grad_())
    weights = torch.randn_like(expected)
    expected = gradients(exact, exact_images, weights)
    result = gradients(FilteredConvolution(plain), images, weights.float())
    for one, other in zip(result, expected, strict=True):
        assert one.shape == other.shape
        assert largest_error(one, other) < 3e-5


def test_two_runs_give_the_same_bits():
    torch.manual_seed(0)
    layer = FilteredConvolution(torch.nn.Conv2d(64, 32, 5))
    images, weights = torch.rand(5, 64, 41, 41, requires_grad=True), torch.randn(5, 32, 37, 37)
    for one, other in zip(gradients(layer, images, weights), gradients(layer, images, weights), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("widths", "filters", "expected"), [((64, 32), 5, True), ((64, 32), 1, False), ((32, 16), 5, False)]
)
def test_it_is_used_where_it_pays(widths, filters, expected):
    assert pays(torch.nn.Conv2d(*widths, filters)) is expected


def test_in_16_bits_torch_convolves():
    layer = torch.nn.Conv2d(64, 32, 5)
    images = torch.rand(1, 64, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(FilteredConvolution(layer)(images), layer(images))


@pytest.mark.parametrize("padding", ["valid", "padded"])
def test_a_step_of_training_has_the_gradients_of_the_direct_one(small, padding):
    config = dataclasses.replace(small, filters=(5, 5, 3), widths=(64, 32), padding=padding, arithmetic="float32")
    data = load_training_data(config)
    found = []
    for direct in (False, True):
        state = TrainingState(config, data)
        assert type(state.model.layer_2) is FilteredConvolution
        if direct:
            state.model.layer_2 = RearrangedConvolution(state.model.layer_2)
        state.steps = 1
        state.take_step(*data.train.batch(0, 0, 8))
        found.append([parameter.grad for parameter in state.model.parameters()])
    for one, other in zip(*found, strict=True):
        assert largest_error(one, other) < 3e-5
