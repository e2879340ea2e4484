"""The filter of one pixel: compared with the network's output and with autograd, also at the borders."""

import pytest
import torch
from exact_networks import any_kind, any_size, every_kind, random_network, random_picture, some_examples
from hypothesis import given
from hypothesis import strategies as st

from srcnn_lib import InputError
from srcnn_lib.visualization.equivalent_filter import pixel_autopsy

PLACES = [(0, 0), (0, 10), (12, 10), (6, 5), (1, 9), (12, 0)]


@every_kind
def test_filter_and_constant_give_the_output_and_the_filter_is_autograds(kind):
    model, picture = random_network(kind), random_picture(kind[0])
    watched = picture.clone().requires_grad_()
    output = model(watched[None])[0]
    for row, column in PLACES:
        found = pixel_autopsy(model, picture, (row, column))
        pixels = picture[:, *found.area.slices]
        for channel in range(kind[0]):
            expected = torch.autograd.grad(output[channel, row, column], watched, retain_graph=True)[0]
            inside = torch.zeros_like(expected)
            inside[:, *found.area.slices] = found.filter[channel]
            torch.testing.assert_close(inside, expected, atol=1e-13, rtol=0)  # also: nothing beyond the window
        value = (found.filter * pixels).sum((1, 2, 3)) + found.constant
        torch.testing.assert_close(value, output[:, row, column].detach(), atol=1e-13, rtol=0)
        torch.testing.assert_close(found.value, value, atol=1e-13, rtol=0)


@given(any_kind, any_size, st.integers(0, 10_000))
@some_examples
def test_the_filter_of_any_pixel_of_any_network_is_autograds(kind, size, number):
    model, picture = random_network(kind), random_picture(kind[0], *size)
    at = divmod(number % (size[0] * size[1]), size[1])
    watched = picture.clone().requires_grad_()
    output = model(watched[None])[0, :, *at]
    found = pixel_autopsy(model, picture, at)
    for channel in range(kind[0]):
        expected = torch.autograd.grad(output[channel], watched, retain_graph=True)[0]
        inside = torch.zeros_like(expected)
        inside[:, *found.area.slices] = found.filter[channel]
        torch.testing.assert_close(inside, expected, atol=1e-12, rtol=0)
    value = (found.filter * picture[:, *found.area.slices]).sum((1, 2, 3)) + found.constant
    torch.testing.assert_close(value, output.detach(), atol=1e-12, rtol=0)


@every_kind
def test_the_channels_of_both_layers_add_up_to_the_output(kind):
    model, picture = random_network(kind), random_picture(kind[0])
    output = model(picture[None])[0]
    for at in PLACES:
        found = pixel_autopsy(model, picture, at)
        assert found.layer_1.shape == (kind[0], kind[2][0])
        assert found.layer_2.shape == (kind[0], kind[2][1])
        expected = output[:, *at]
        torch.testing.assert_close(found.layer_1.sum(1) + found.constant_1, expected, atol=1e-13, rtol=0)
        torch.testing.assert_close(found.layer_2.sum(1) + found.constant_2, expected, atol=1e-13, rtol=0)


def test_a_channel_adds_what_is_lost_without_it():
    model, picture = random_network((3, (9, 5, 5), (6, 4), "replicate")), random_picture(3)
    found = pixel_autopsy(model, picture, (2, 3))
    output = model(picture[None])[0, :, 2, 3]
    for channel in range(4):
        without = random_network((3, (9, 5, 5), (6, 4), "replicate"))
        without.layer_3.weight[:, channel] = 0
        lost = output - without(picture[None])[0, :, 2, 3]
        torch.testing.assert_close(found.layer_2[:, channel], lost, atol=1e-13, rtol=0)


@pytest.mark.parametrize("at", [(13, 0), (0, 11), (-1, 0), (0, -1)])
def test_a_pixel_outside_the_picture_is_rejected(at):
    with pytest.raises(InputError, match="x from 0 to 10 and y from 0 to 12"):
        pixel_autopsy(random_network((1, (3, 3, 3), (2, 2), "zeros")), random_picture(1), at)
