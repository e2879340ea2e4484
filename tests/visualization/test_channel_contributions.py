"""What channels paint and are worth: compared with networks in which channels are switched off."""

import itertools
import math

import pytest
import torch
from exact_networks import (
    any_kind,
    any_size,
    every_kind,
    random_network,
    random_picture,
    random_sample,
    some_examples,
)
from hypothesis import given

from srcnn_lib import InputError
from srcnn_lib.data.color import from_network_channels, luminance
from srcnn_lib.metrics import psnr
from srcnn_lib.visualization import exact_pass
from srcnn_lib.visualization.channel_contributions import (
    channel_pictures,
    channel_worth,
    mean_worth,
    transplants,
)


def float64(values):
    return torch.tensor(values, dtype=torch.float64)


def error_without(model, sample, removed):
    """Returns the mean squared error on Y, not clamped, where a hook switches channels of layer 2 off."""

    def switch_off(_layer, inputs):
        maps = inputs[0].clone()
        maps[:, list(removed)] = 0
        return (maps,)

    hook = model.layer_3.register_forward_pre_hook(switch_off)
    output = model(sample.network_input[None].double())[0]
    hook.remove()
    y = output if len(output) == 1 else luminance(from_network_channels(output, sample.upsampled))
    return (y - luminance(sample.original.double())).square().mean().item()


@every_kind
def test_the_pictures_of_the_channels_add_up_to_the_output(kind):
    model, picture = random_network(kind), random_picture(kind[0])
    painted = channel_pictures(model, picture)
    assert painted.parts.shape == (kind[2][1], kind[0], 13, 11)
    torch.testing.assert_close(painted.output, model(picture[None])[0], atol=1e-14, rtol=0)


@given(any_kind, any_size)
@some_examples
def test_any_network_is_the_sum_of_its_channels_on_any_size(kind, size):
    model, picture = random_network(kind), random_picture(kind[0], *size)
    expected = model(picture[None])[0]
    torch.testing.assert_close(channel_pictures(model, picture).output, expected, atol=1e-13, rtol=0)


def test_a_picture_of_many_tiles_is_painted_without_seams(monkeypatch):
    model, picture = random_network((3, (9, 5, 5), (6, 4), "zeros")), random_picture(3, 70, 45)
    monkeypatch.setattr(exact_pass, "TILE_BYTES", 1)
    assert len(exact_pass.ExactPass(model, picture).tiles()) == 15
    torch.testing.assert_close(channel_pictures(model, picture).output, model(picture[None])[0], atol=1e-14, rtol=0)


@every_kind
@pytest.mark.parametrize("gray", [False, True])
def test_the_worth_of_any_set_equals_a_network_without_the_other_channels(kind, gray):
    model = random_network(kind)
    sample = random_sample(model, 1 if gray else 3)
    worth = channel_worth(model, sample)
    count = kind[2][1]
    sets = list(itertools.product((False, True), repeat=count))[:: max(1, 2**count // 16)]
    measured = [error_without(model, sample, [c for c in range(count) if not kept[c]]) for kept in sets]
    torch.testing.assert_close(worth.mse(torch.tensor(sets)), float64(measured), atol=1e-12, rtol=1e-12)
    full = error_without(model, sample, [])
    lost = [10 * math.log10(error_without(model, sample, [c]) / full) for c in range(count)]
    torch.testing.assert_close(worth.worth_db, float64(lost), atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", [(1, (5, 3, 3), (4, 5), "replicate"), (3, (3, 3, 5), (4, 6), "zeros")], ids=str)
def test_shapley_values_are_the_mean_over_all_orders(kind):
    model = random_network(kind)
    worth = channel_worth(model, random_sample(model))
    count = kind[2][1]
    values = {kept: worth.mse(torch.tensor(kept)).item() for kept in itertools.product((False, True), repeat=count)}
    expected = torch.zeros(count, dtype=torch.float64)
    for order in itertools.permutations(range(count)):
        kept = [False] * count
        for channel in order:
            before = values[tuple(kept)]
            kept[channel] = True
            expected[channel] += (before - values[tuple(kept)]) / math.factorial(count)
    torch.testing.assert_close(worth.shapley, expected, atol=1e-13, rtol=0)
    assert worth.shapley.sum().item() == pytest.approx(worth.constant - worth.error, abs=1e-13)


def test_the_psnr_is_that_of_metrics_where_nothing_is_clamped():
    model = random_network((1, (9, 5, 5), (6, 4), "replicate"))
    model.layer_3.weight *= 0.05
    model.layer_3.bias.fill_(0.5)
    sample = random_sample(model)
    output = model(sample.network_input[None].double())[0]
    assert 0 <= output.min() <= output.max() <= 1
    expected = psnr(output, luminance(sample.original.double()))
    assert channel_worth(model, sample).psnr().item() == pytest.approx(expected.item(), abs=1e-10)


def test_the_json_of_a_worth_has_a_row_for_each_channel():
    model = random_network((1, (3, 3, 3), (3, 4), "replicate"))
    worth = channel_worth(model, random_sample(model))
    plain = worth.to_dict()
    assert list(plain) == ["psnr", "channels"]
    assert [row["channel"] for row in plain["channels"]] == [0, 1, 2, 3]
    assert plain["channels"][2]["worth_db"] == worth.worth_db[2].item()
    best = max(plain["channels"], key=lambda row: row["worth_db"])
    assert worth.ranking[0] == best["channel"]


def test_the_mean_worth_is_the_mean_of_the_decibels():
    model = random_network((1, (3, 3, 3), (3, 4), "replicate"))
    worths = [channel_worth(model, random_sample(model, seed=seed)) for seed in (1, 2)]
    mean = mean_worth(worths)
    assert mean.psnr == pytest.approx(sum(float(worth.psnr()) for worth in worths) / 2)
    torch.testing.assert_close(mean.worth_db, (worths[0].worth_db + worths[1].worth_db) / 2)


@pytest.mark.parametrize("kind", [(1, (5, 3, 3), (4, 5), "replicate"), (3, (3, 3, 5), (4, 3), "zeros")], ids=str)
def test_a_transplant_equals_a_forward_pass_with_that_channel_replaced(kind):
    model, early = random_network(kind), random_network(kind, seed=7)
    sample = random_sample(model)
    found = transplants(model, {3: early, 9: model}, sample)
    assert found.steps == (3, 9)
    torch.testing.assert_close(found.change[1], torch.zeros_like(found.change[1]), atol=1e-10, rtol=0)
    donated = {}
    hook = early.layer_3.register_forward_pre_hook(lambda _layer, inputs: donated.update(maps=inputs[0]))
    early(sample.network_input[None].double())
    hook.remove()
    for channel in range(kind[2][1]):
        replacement = donated["maps"][:, channel]

        def patch(_layer, inputs, channel=channel, replacement=replacement):
            maps = inputs[0].clone()
            maps[:, channel] = replacement
            return (maps,)

        patched = random_network(kind)
        patched.layer_3.weight[:, channel] = early.layer_3.weight[:, channel]
        patched.layer_3.register_forward_pre_hook(patch)
        expected = -10 * math.log10(error_without(patched, sample, []))
        assert found.transplanted[0, channel].item() == pytest.approx(expected, abs=1e-9)


def test_pictures_and_snapshots_that_do_not_fit_are_rejected():
    model = random_network((1, (3, 3, 3), (3, 4), "replicate"))
    with pytest.raises(InputError, match=r"the picture is \(3, 13, 11\), expected \(1, H, W\)"):
        channel_pictures(model, random_picture(3))
    with pytest.raises(InputError, match="snapshot of step 5 has 2 channels"):
        transplants(model, {5: random_network((1, (3, 3, 3), (3, 2), "replicate"))}, random_sample(model))
    with pytest.raises(InputError, match="no snapshot"):
        transplants(model, {}, random_sample(model))
