"""The network and its start as the identity, against passes written out."""

import pytest
import torch
from skimage.data import astronaut
from torch.nn import functional as F

from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN, start_from_identity


def _network(channels=3, filters=(9, 5, 5), widths=(8, 6), **more):
    torch.manual_seed(0)
    return SRCNN(channels, filters, widths, **more)


def _image(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


CONFIGURATIONS = [(3, (9, 5, 5)), (1, (9, 1, 5)), (1, (3, 7, 1))]


@pytest.mark.parametrize(("channels", "filters"), CONFIGURATIONS)
@pytest.mark.parametrize("padding_mode", ["replicate", "zeros"])
def test_forward_equals_a_pass_written_out(channels, filters, padding_mode):
    model, image = _network(channels, filters, padding_mode=padding_mode), _image(2, channels, 13, 9)
    halo = sum(size // 2 for size in filters)
    weights = model.state_dict()
    if padding_mode == "zeros":
        x, padding = image, [size // 2 for size in filters]
    else:
        rows, columns = (torch.arange(-halo, length + halo).clamp(0, length - 1) for length in (13, 9))
        x, padding = image[:, :, rows][:, :, :, columns], [0, 0, 0]
    x = F.conv2d(x, weights["layer_1.weight"], weights["layer_1.bias"], padding=padding[0]).clamp(min=0)
    x = F.conv2d(x, weights["layer_2.weight"], weights["layer_2.bias"], padding=padding[1]).clamp(min=0)
    x = F.conv2d(x, weights["layer_3.weight"], weights["layer_3.bias"], padding=padding[2])
    result = model(image)
    assert result.shape == image.shape
    assert (result - x).abs().max() <= 1e-6
    assert model.halo == halo


def test_the_layers_without_padding_give_the_inside_of_the_whole_pass():
    model, image = _network(), _image(2, 3, 30, 25)
    assert model.run_layers(image).shape == (2, 3, 14, 9)
    assert (model.run_layers(image) - model(image)[..., 8:-8, 8:-8]).abs().max() <= 1e-6


@pytest.mark.parametrize("padding_mode", ["replicate", "zeros"])
def test_the_layers_crop_the_margin_that_padding_adds(padding_mode):
    model, image = _network(padding_mode=padding_mode), _image(1, 3, 20, 21)
    assert model.margin == (8 if padding_mode == "replicate" else 0)
    assert model.surplus == ((4, 2, 0) if padding_mode == "replicate" else (0, 0, 0))
    padded = model.pad(image)
    assert padded.shape == (1, 3, 20 + 2 * model.margin, 21 + 2 * model.margin)
    assert torch.equal(model.run_layers(padded), model(image))
    one_side = model.pad(image, (0, 3, 1, 0))
    assert one_side.shape == (1, 3, 21, 24)
    assert torch.equal(one_side[..., -1], one_side[..., -4])


def test_the_last_layer_stays_in_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert _network()(_image(1, 3, 12, 12)).dtype == torch.float32


@pytest.mark.parametrize(("channels", "widths"), [(1, (64, 32)), (3, (64, 32)), (3, (128, 64)), (1, (1, 1))])
def test_a_network_that_starts_from_the_identity_nearly_copies_its_input(channels, widths):
    image = torch.from_numpy(astronaut()[60:120, 180:240]).permute(2, 0, 1)[None, :channels] / 255
    with torch.no_grad():
        difference = start_from_identity(_network(channels, widths=widths))(image) - image
        untrained = _network(channels, widths=widths)(image) - image
    assert difference.square().mean().sqrt() < 0.02
    assert difference.square().mean() < 0.01 * untrained.square().mean()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"channels": 2}, "channels is 2"),
        ({"filters": (9, 4, 5)}, "three odd sizes"),
        ({"filters": (9, 5)}, "three odd sizes"),
        ({"widths": (64, 0)}, "two positive numbers"),
        ({"padding_mode": "reflect"}, "'replicate' or 'zeros'"),
    ],
)
def test_invalid_settings_are_refused(config, words):
    with pytest.raises(InputError, match=words):
        SRCNN(**config)
