"""What excites a channel: a bar is found where it lies, and the averages equal those of brute force."""

import pytest
import torch
from exact_networks import every_kind, random_network, random_picture
from torch.nn import functional as F

from srcnn_lib import InputError
from srcnn_lib.model import SRCNN
from srcnn_lib.visualization.layers import receptive_field
from srcnn_lib.visualization.stimuli import channel_stimuli


def brute_force(model, picture, layer):
    """All patches (pixels, C, s, s) of a picture, and the activations (pixels, channels) that they cause."""
    size = receptive_field(model, layer)
    mode = "constant" if model.padding_mode == "zeros" else "replicate"
    surrounded = F.pad(picture[None], [size // 2] * 4, mode=mode)
    patches = F.unfold(surrounded, size)[0].T.unflatten(1, (model.channels, size, size))
    maps = {}
    hooks = [
        getattr(model, name).register_forward_hook(lambda _l, _i, out, name=name: maps.update({name: out[0].relu()}))
        for name in ("layer_1", "layer_2")
    ]
    model(picture[None])
    for hook in hooks:
        hook.remove()
    surplus = model.surplus[int(layer[-1]) - 1]
    height, width = picture.shape[-2:]
    values = maps[layer][:, surplus : surplus + height, surplus : surplus + width]
    return patches, values.flatten(1).T


@every_kind
@pytest.mark.parametrize("layer", ["layer_1", "layer_2"])
def test_patches_and_averages_equal_those_of_brute_force(kind, layer):
    model = random_network(kind)
    pictures = [random_picture(kind[0]), random_picture(kind[0], 7, 15, seed=3)]
    found = channel_stimuli(model, pictures, layer, count=4)
    patches, values = (
        torch.cat(parts) for parts in zip(*(brute_force(model, p, layer) for p in pictures), strict=True)
    )
    for channel, stimulus in enumerate(found):
        row = values[:, channel]
        assert stimulus.active == pytest.approx((row > 0).double().mean().item())
        average = torch.einsum("p,pcij->cij", row, patches) / row.sum() if row.sum() > 0 else patches.mean(0)
        torch.testing.assert_close(stimulus.average, average, atol=1e-12, rtol=0)
        torch.testing.assert_close(stimulus.mean, patches.mean(0), atol=1e-12, rtol=0)
        if len(stimulus.values):
            assert stimulus.values[0].item() == pytest.approx(row.max().item(), abs=1e-12)
            torch.testing.assert_close(stimulus.patches[0], patches[row.argmax()], atol=1e-12, rtol=0)
        assert stimulus.values.tolist() == sorted(stimulus.values.tolist(), reverse=True)
        assert len(set(stimulus.places)) == len(stimulus.places)


def test_a_bar_is_found_where_it_lies():
    model = SRCNN(1, widths=(2, 2))
    kernel = torch.full((9, 9), -1.0 / 8)
    kernel[:, 4] = 1.0
    model.layer_1.weight.data = torch.stack([kernel, kernel.T])[:, None]
    model.layer_1.bias.data.zero_()
    picture = torch.zeros(1, 60, 70)
    picture[0, 20:35, 40] = 1.0  # a vertical bar
    picture[0, 50, 10:30] = 0.7  # a horizontal one
    upright, flat = channel_stimuli(model, [picture.new_zeros(1, 30, 30), picture], "layer_1", count=3)
    index, row, column = upright.places[0]
    assert (index, column) == (1, 40)
    assert 24 <= row <= 30
    assert torch.equal(upright.patches[0][0], (torch.arange(9) == 4).double().expand(9, 9))
    index, row, column = flat.places[0]
    assert (index, row) == (1, 50)
    assert 14 <= column <= 25
    assert upright.average[0, 4, 4] > 5 * upright.average[0, 4, 0]


def test_places_are_apart_and_a_dead_channel_has_none():
    model = random_network((1, (5, 3, 3), (3, 2), "replicate"))
    model.layer_1.weight[0] = 0
    model.layer_1.bias[0] = -1
    dead, *others = channel_stimuli(model, [random_picture(1, 30, 30)], "layer_1", count=6)
    assert (dead.active, len(dead.values), dead.patches.shape) == (0, 0, (0, 1, 5, 5))
    torch.testing.assert_close(dead.average, dead.mean)
    for stimulus in others:
        for number, (_, row, column) in enumerate(stimulus.places):
            for _, other_row, other_column in stimulus.places[:number]:
                assert max(abs(row - other_row), abs(column - other_column)) > 2


def test_one_channel_is_found_as_among_all():
    model, picture = random_network((3, (5, 3, 3), (4, 3), "zeros")), random_picture(3)
    (one,) = channel_stimuli(model, [picture], "layer_1", [2])
    expected = channel_stimuli(model, [picture], "layer_1")[2]
    assert str(one.address) == "layer_1:2"
    torch.testing.assert_close(one.patches, expected.patches)


def test_other_layers_and_channels_and_no_picture_are_rejected():
    model, picture = random_network((1, (3, 3, 3), (3, 2), "zeros")), random_picture(1)
    with pytest.raises(InputError, match="expected layer_1 or layer_2"):
        channel_stimuli(model, [picture], "layer_3")
    with pytest.raises(InputError, match="'layer_2:2' is no channel"):
        channel_stimuli(model, [picture], "layer_2", [2])
    with pytest.raises(InputError, match="no picture"):
        channel_stimuli(model, [], "layer_1")
