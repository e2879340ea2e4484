"""Exact attribution: complete, the limit of the usual sum in steps, and at the borders on the picture's own pixels."""

import pytest
import torch
from exact_networks import any_kind, any_size, every_kind, random_network, random_picture, some_examples
from hypothesis import given

from srcnn_lib import InputError
from srcnn_lib.data.color import output_luminance
from srcnn_lib.data.regions import Area
from srcnn_lib.visualization.attribution import attribute

PIXEL, CORNER, BOX = Area(6, 5, 7, 6), Area(0, 10, 1, 11), Area(3, 4, 6, 9)


def summed_gradients(model, first, last, target, steps):
    """Integrated gradients by the midpoint rule."""
    weights, _ = output_luminance(model.channels, model.channels)
    line = (torch.arange(steps, dtype=torch.float64) + 0.5)[:, None, None, None] / steps
    pictures = (first + line * (last - first)).requires_grad_()
    y = torch.einsum("k,nkij->nij", weights, model(pictures))
    (gradients,) = torch.autograd.grad(y[:, *target.slices].mean((1, 2)).sum(), pictures)
    return gradients.mean(0) * (last - first)


@every_kind
@pytest.mark.parametrize("target", [PIXEL, CORNER, BOX], ids=["pixel", "corner", "box"])
def test_the_map_adds_up_to_the_change_of_the_output(kind, target):
    model, picture = random_network(kind), random_picture(kind[0])
    baseline = random_picture(kind[0], seed=5)
    found = attribute(model, picture, target, baseline)
    assert abs(found.missing) < 1e-13
    weights, offset = output_luminance(kind[0], kind[0])
    for value, source in ((found.end, picture), (found.start, baseline)):
        y = torch.einsum("k,kij->ij", weights, model(source[None])[0]) + offset
        assert value == pytest.approx(y[target.slices].mean().item(), abs=1e-13)


@given(any_kind, any_size)
@some_examples
def test_any_map_of_any_network_is_complete_from_the_blurred_picture(kind, size):
    model, picture = random_network(kind), random_picture(kind[0], *size)
    found = attribute(model, picture, Area(size[0] // 2, 0, size[0] // 2 + 1, (size[1] + 1) // 2))
    assert abs(found.missing) < 1e-12
    assert found.map.shape[0] == kind[0]


@pytest.mark.parametrize("kind", [(1, (5, 3, 3), (6, 4), "replicate"), (3, (5, 3, 3), (4, 3), "zeros")], ids=str)
@pytest.mark.parametrize("target", [PIXEL, CORNER, BOX], ids=["pixel", "corner", "box"])
def test_the_sum_in_steps_converges_to_the_map(kind, target):
    model, picture = random_network(kind), random_picture(kind[0])
    baseline = random_picture(kind[0], seed=5)
    found = attribute(model, picture, target, baseline)
    exact = torch.zeros_like(picture)
    exact[:, *found.place.slices] = found.map
    errors = [
        (summed_gradients(model, baseline, picture, target, steps) - exact).abs().max() / exact.abs().max()
        for steps in (8, 400)
    ]
    assert errors[1] < 5e-3
    assert errors[1] < errors[0] / 5


def test_without_a_switch_on_the_way_one_gradient_is_the_map():
    model, picture = random_network((1, (5, 3, 3), (6, 4), "replicate")), random_picture(1)
    model.layer_1.bias.fill_(20.0)  # all ReLUs stay open
    model.layer_2.bias.fill_(500.0)
    found = attribute(model, picture, PIXEL)
    assert found.switches == 0
    baseline = picture + 0.1  # on any line: the gradient is constant
    gradient = summed_gradients(model, baseline, picture, PIXEL, 1) / (picture - baseline)
    other = attribute(model, picture, PIXEL, baseline)
    torch.testing.assert_close(other.map, (gradient * (picture - baseline))[:, *other.place.slices])


def test_a_flat_picture_has_nothing_to_attribute():
    found = attribute(random_network((1, (3, 3, 3), (3, 2), "replicate")), torch.full((1, 9, 9), 0.4), PIXEL)
    assert found.map.abs().max() < 1e-15


@pytest.mark.parametrize("target", [Area(0, 0, 14, 1), Area(3, 3, 3, 4), Area(-1, 0, 1, 1)])
def test_a_box_that_is_not_inside_the_picture_is_rejected(target):
    with pytest.raises(InputError, match="not inside the picture of 11x13"):
        attribute(random_network((1, (3, 3, 3), (3, 2), "zeros")), random_picture(1), target)
