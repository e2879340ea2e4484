"""The inspector: cached feature maps, ranges over all steps, and figures."""

import pytest
import torch
from matplotlib.figure import Figure
from small_runs import cat_picture, small_run
from torch.nn import functional as F

from srcnn_lib import InputError, load, save
from srcnn_lib.activations import feature_maps
from srcnn_lib.data.images import Picture
from srcnn_lib.visualization.inspector import Inspector
from srcnn_lib.visualization.layers import ChannelAddress


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def cat() -> Picture:
    return cat_picture()


def test_feature_maps_are_those_of_plain_convolutions_at_every_step(run, cat):
    inspector = Inspector(run, cat)
    for step in (0, 16, 0):
        weights = load(run.snapshot(step).path).state_dict()
        padded = F.pad(inspector.sample.network_input[None], [8] * 4, mode="replicate")
        first = F.conv2d(padded, weights["layer_1.weight"], weights["layer_1.bias"])
        second = F.conv2d(first.relu(), weights["layer_2.weight"], weights["layer_2.bias"])
        for layer, values, crop in (("layer_1", first, 4), ("layer_2", second, 2)):
            values = values[0, :, crop:-crop, crop:-crop]
            torch.testing.assert_close(
                inspector.feature_maps(layer, step, before_relu=True), values, atol=1e-6, rtol=1e-6
            )
            torch.testing.assert_close(
                inspector.feature_map(f"{layer}:2", step), values[2].relu(), atol=1e-6, rtol=1e-6
            )


def test_feature_maps_are_cached_up_to_a_limit(run, cat, monkeypatch):
    inspector = Inspector(run, cat)
    computed = []
    monkeypatch.setattr("srcnn_lib.visualization.inspector.activations.feature_maps", counted(computed))
    for step in (0, 1, 0, 1):
        inspector.feature_maps("layer_1", step)
    assert len(computed) == 2
    monkeypatch.setattr("srcnn_lib.visualization.inspector.CACHE_BYTES", 1)
    for step in (2, 0, 2):
        inspector.feature_maps("layer_1", step)
    assert len(computed) == 5
    assert inspector.model(2) is inspector.model(2)


def counted(calls: list):
    """Returns `feature_maps` that also appends each of its calls to a list."""
    return lambda *arguments, **options: calls.append(arguments) or feature_maps(*arguments, **options)


def test_a_range_covers_all_steps_and_weak_channels_stay_weak(run, cat):
    inspector = Inspector(run, cat)
    layer = inspector.layer_limit("layer_1")
    for number in range(6):
        values = torch.cat([inspector.feature_map(f"layer_1:{number}", step) for step in (0, 16)])
        assert inspector.channel_limit(f"layer_1:{number}") >= max(0.02 * layer, float(values.quantile(0.99)))


def test_the_range_of_a_rarely_active_channel_reaches_its_peak(run, cat):
    inspector = Inspector(run, cat)
    for step in (0, 16):
        inspector.feature_maps("layer_1", step)
        maps = inspector._maps[step]["layer_1"]
        maps[2] = -1
        maps[2, 10, 10] = 0.1 * float(maps.max())
    assert inspector.channel_limit("layer_1:2") == pytest.approx(
        float(inspector.feature_map("layer_1:2")[10, 10]), rel=0.1
    )


def test_a_weights_file_has_one_step_and_its_name_in_the_title(run, cat, tmp_path):
    path = save(run.model(), tmp_path / "network.safetensors")
    inspector = Inspector(path, cat)
    assert inspector.steps == [0]
    assert "network.safetensors" in inspector.channels_figure("layer_2").axes[0].get_title(loc="left")
    with pytest.raises(InputError, match="only runs have a probe"):
        Inspector(path, "probe:0")


def test_every_view_returns_a_figure(run, cat):
    inspector = Inspector(run, cat)
    drawn = [
        inspector.channel_figure("layer_1:1"),
        inspector.channels_figure("layer_2", step=4),
        inspector.kernels_figure(),
        inspector.receptive_field_figure(),
        inspector.comparison_figure(step=1),
    ]
    for figure in drawn:
        assert isinstance(figure, Figure)
    assert "layer_1:1, step 16" in [ax.get_title() for ax in drawn[0].axes]


def test_an_address_can_be_a_text_or_a_channel_address(run, cat):
    inspector = Inspector(run, cat)
    address = ChannelAddress("layer_2", 1)
    torch.testing.assert_close(inspector.feature_map(address), inspector.feature_map("layer_2:1"))
    assert inspector.channel_limit(address) == inspector.channel_limit("layer_2:1")


def test_errors_list_the_valid_steps_layers_and_channels(run, cat):
    inspector = Inspector(run, cat)
    with pytest.raises(InputError, match="no snapshot of step 3, only of 0, 1, 2, 4, 8, 16"):
        inspector.feature_maps("layer_1", 3)
    with pytest.raises(InputError, match="expected one of layer_1, layer_2, layer_3"):
        inspector.feature_maps("layer_4")
    with pytest.raises(InputError, match="layer_2:0 to layer_2:3"):
        inspector.feature_map("layer_2:4")
