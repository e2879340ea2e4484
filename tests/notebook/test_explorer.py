"""The lens and the explorer, without a browser: widgets are set as a front end would set them."""

import html
import io
import json
import re
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from skimage import data as photographs
from small_runs import STEPS, small_run
from srcnn_lib.notebook.explorer_views import Views
from torch.nn import functional as F

from srcnn_lib import metrics
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.notebook import explorer_views
from srcnn_lib.notebook.quickstart import run_or_practice
from srcnn_lib.visualization.inspector import Inspector
from srcnn_lib.visualization.layers import ChannelAddress
from srcnn_lib.visualization.pictures import crop_to_largest_error, open_picture
from srcnn_lib.weights import load, save

ipywidgets = pytest.importorskip(
    "ipywidgets", reason="the notebook extra is not installed: pip install .[notebook,dev]"
)
from srcnn_lib.notebook.explorer import Explorer, networks, uploaded  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def cat() -> Picture:
    pixels = torch.from_numpy(photographs.chelsea()[40:104, 100:180].copy()).permute(2, 0, 1) / 255
    return Picture(pixels, name="cat.png")


@pytest.fixture
def explorer(run, cat, tmp_path) -> Explorer:
    return Explorer(run, cat, channel=0, runs=run.path.parent, out=tmp_path / "views")


def pixels(widget) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(widget.value)))


# The lens


def test_maps_are_those_of_functional_convolutions_at_every_step(run, cat):
    lens = Inspector(run, cat)
    for step in (0, 16, 0):
        weights = load(run.snapshot(step).path).state_dict()
        padded = F.pad(lens.sample.network_input[None], [8] * 4, mode="replicate")
        first = F.conv2d(padded, weights["layer_1.weight"], weights["layer_1.bias"])
        second = F.conv2d(first.relu(), weights["layer_2.weight"], weights["layer_2.bias"])
        for layer, values, crop in (("layer_1", first, 4), ("layer_2", second, 2)):
            values = values[0, :, crop:-crop, crop:-crop]
            torch.testing.assert_close(lens.feature_maps(layer, step, before_relu=True), values, atol=1e-6, rtol=1e-6)
            torch.testing.assert_close(lens.feature_map(f"{layer}:2", step), values[2].relu(), atol=1e-6, rtol=1e-6)


def test_maps_are_kept_until_there_are_too_many(run, cat, monkeypatch):
    lens, computed = Inspector(run, cat), []
    original = lens.model
    monkeypatch.setattr("srcnn_lib.visualization.inspector.activations.feature_maps", counted(computed))
    for step in (0, 1, 0, 1):
        lens.feature_maps("layer_1", step)
    assert len(computed) == 2
    monkeypatch.setattr("srcnn_lib.visualization.inspector.CACHE_BYTES", 1)
    for step in (2, 0, 2):
        lens.feature_maps("layer_1", step)
    assert len(computed) == 5
    assert original(2) is original(2)


def counted(calls: list):
    from srcnn_lib.activations import feature_maps

    return lambda *given, **named: calls.append(given) or feature_maps(*given, **named)


def test_a_range_is_one_for_all_steps_and_no_channel_is_blown_up(run, cat):
    lens = Inspector(run, cat)
    layer = lens.layer_limit("layer_1")
    for number in range(6):
        values = torch.cat([lens.feature_map(f"layer_1:{number}", step) for step in (0, 16)])
        assert lens.channel_limit(f"layer_1:{number}") >= max(0.02 * layer, float(values.quantile(0.99)))


def test_a_channel_that_is_hardly_ever_active_is_drawn_to_its_own_peak(run, cat):
    lens = Inspector(run, cat)
    for step in (0, 16):
        lens.feature_maps("layer_1", step)
        maps = lens._maps[step]["layer_1"]
        maps[2] = -1
        maps[2, 10, 10] = 0.1 * float(maps.max())
    assert lens.channel_limit("layer_1:2") == pytest.approx(float(lens.feature_map("layer_1:2")[10, 10]), rel=0.1)


def test_transparency_is_left_out_and_that_is_said(run, cat, tmp_path):
    opened = open_picture(Picture(cat.pixels, alpha=torch.ones_like(cat.pixels[:1]), name="glass.png"))
    assert opened.alpha is None
    assert opened.notes == ("glass.png: transparency is left out",)
    with pytest.raises(InputError, match=r"none\.png doesn't exist; check the path"):
        open_picture(tmp_path / "none.png")


def test_a_released_file_has_one_step_and_says_its_name(run, cat, tmp_path):
    path = save(run.model(), tmp_path / "network.safetensors")
    lens = Inspector(path, cat)
    assert lens.steps == [0]
    assert "network.safetensors" in lens.channels_figure("layer_2").axes[0].get_title(loc="left")
    with pytest.raises(InputError, match="only runs have a probe"):
        Inspector(path, "probe:0")


def test_every_view_is_a_figure_made_by_one_line(run, cat):
    lens = Inspector(run, cat)
    made = [
        lens.channel_figure("layer_1:1"),
        lens.channels_figure("layer_2", step=4),
        lens.kernels_figure(),
        lens.receptive_field_figure(),
    ]
    for figure in [*made, lens.comparison_figure(step=1)]:
        assert isinstance(figure, Figure)
    assert "layer_1:1, step 16" in [ax.get_title() for ax in made[0].axes]


def test_pictures_are_found_wherever_they_are(run, web, tmp_path):
    astronaut = Image.fromarray(photographs.astronaut()[:40, :50])
    astronaut.save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", web.put("a.png", (tmp_path / "a.png").read_bytes())):
        assert open_picture(source).pixels.shape == (3, 40, 50)
    assert open_picture("samples:chelsea").pixels.shape == (3, 300, 451)
    torch.testing.assert_close(open_picture("probe:2", run).pixels, run.probe()[1][2])
    for source in ("probe:4", "samples:nobody", str(tmp_path / "none.png")):
        with pytest.raises(InputError):
            open_picture(source, run)


def test_of_a_large_picture_the_part_is_taken_where_bicubic_loses_most():
    plain = torch.full((3, 100, 120), 0.5)
    plain[:, 60:80, 20:40] = torch.rand(3, 20, 20)
    part = crop_to_largest_error(Picture(plain, name="a.png"), 30, 2.0)
    assert part.pixels.shape == (3, 30, 30)
    assert "Of 120 × 100 pixels 30 × 30 are shown" in part.notes[0]
    assert part.pixels.std() > 0.1
    small = Picture(plain, name="a.png")
    assert crop_to_largest_error(small, 120, 2.0) is small


def test_unknown_steps_layers_and_channels_are_named_with_what_there_is(run, cat):
    lens = Inspector(run, cat)
    with pytest.raises(InputError, match="no snapshot of step 3, only of 0, 1, 2, 4, 8, 16"):
        lens.feature_maps("layer_1", 3)
    with pytest.raises(InputError, match="expected one of layer_1, layer_2, layer_3"):
        lens.feature_maps("layer_4")
    with pytest.raises(InputError, match="layer_2:0 to layer_2:3"):
        lens.feature_map("layer_2:4")


# What is drawn


def test_the_sheet_has_a_tile_for_each_channel_and_the_mark_is_on_the_right_one(run, cat):
    lens = Inspector(run, cat)
    sheet = Views(lens).sheet("layer_1", 16)
    marked = [explorer_views.marked(sheet, 6, number) for number in range(6)]  # 3 columns, 2 rows
    height, width = sheet.shape[0] // 2, sheet.shape[1] // 3
    for number, picture in enumerate(marked):
        rows, columns = np.nonzero((picture != sheet).any(-1))
        assert (round(rows.mean() / height - 0.5), round(columns.mean() / width - 0.5)) == divmod(number, 3)


def test_the_same_color_means_the_same_value_at_every_step(run, cat):
    lens, meant = Inspector(run, cat), {}
    height, width = cat.pixels.shape[1:]
    for step in STEPS:
        large = Views(lens).channel(ChannelAddress("layer_1", 3), step, before_relu=True)[
            : 6 * height : 6, : 6 * width : 6
        ]
        for color, value in zip(large.reshape(-1, 3), lens.feature_map("layer_1:3", step, True).flatten(), strict=True):
            meant.setdefault(tuple(color), []).append(float(value))
    limit = lens.channel_limit("layer_1:3", True)
    inside = [values for values in meant.values() if max(map(abs, values)) < 0.98 * limit]
    assert len(inside) > 30
    assert max(max(values) - min(values) for values in inside) <= 2.1 * limit / 192


def test_three_inputs_or_sixty_four_make_a_kernel_that_fits():
    for inputs, size in ((1, 9), (3, 9), (64, 5), (128, 5), (900, 5)):
        assert explorer_views._kernel(torch.randn(inputs, size, size), 150, inputs == 3).shape == (150, 150, 3)


# The explorer


def test_it_opens_with_the_newest_snapshot_and_says_what_it_shows(explorer, run, cat):
    assert explorer.step == 16
    assert explorer.address == "layer_1:0"
    assert [label for label, _ in explorer.snapshot.options] == [f"step {step}" for step in STEPS]
    upsampled, original = degrade(cat.pixels, 2.0)
    assert pixels(explorer.large).shape[1] == 480
    assert pixels(explorer.sheet).ndim == 3
    psnr = metrics.psnr(upsampled, original, "y", 2).item()
    assert explorer.lens.sample.psnr_label(explorer.lens.sample.network_input) == f"{psnr:.2f} dB (+0.00)"


def test_without_a_channel_it_opens_with_the_one_that_follows_edges_best(run, cat):
    explorer = Explorer(run, cat, runs=run.path.parent)
    reports = explorer.lens.channel_reports("layer_1")
    assert explorer.channel.value == max(reports, key=lambda report: report.edges).channel
    assert reports[explorer.channel.value].active > 0.01


def test_every_control_redraws_what_it_should(explorer):
    def change(control, value) -> tuple[bool, bool]:
        large, sheet = explorer.large.value, explorer.sheet.value
        control.value = value
        return explorer.large.value != large, explorer.sheet.value != sheet

    assert change(explorer.channel, 3) == (True, True)
    assert change(explorer.snapshot, 1) == (True, True)
    assert change(explorer.signed, True) == (True, True)
    assert change(explorer.layers, "layer_2") == (True, True)
    assert explorer.channel.max == 3
    assert change(explorer.picture, "probe:1") == (True, True)
    assert explorer.step == 1
    assert change(explorer.view, "comparison") == (False, False)
    assert explorer.said.value == ""


def test_a_channel_that_another_layer_has_not_becomes_its_last(explorer):
    explorer.channel.value = 5
    explorer.layers.value = "layer_3"
    assert explorer.address == "layer_3:0"


def test_it_shows_what_the_line_of_code_would(explorer, run):
    explorer.picture.value = "probe:0"
    explorer.snapshot.value, explorer.channel.value = 4, 2
    line = html.unescape(re.sub("<.*?>", "", explorer.code.value))
    assert line == f'Inspector({json.dumps(str(run.path))}, "probe:0").channel_figure("layer_1:2", step=4)'
    assert isinstance(eval(line, {"Inspector": Inspector}), Figure)


def test_each_view_is_saved_under_a_name_that_says_what_it_is(explorer, tmp_path):
    explorer.signed.value = True
    for view in explorer.view.options:
        explorer.view.value = view
        explorer.save.click()
        assert "is written" in explorer.said.value
    assert {path.name for path in (tmp_path / "views").iterdir()} == {
        "channel-layer_1-0-step-16-before_relu.png",
        "sheet-layer_1-step-16-before_relu.png",
        "kernels-layer_1-step-16.png",
        "receptive_field.png",
        "comparison-step-16.png",
    }


def test_what_cannot_be_opened_is_said_and_the_picture_stays(explorer, tmp_path):
    large = explorer.large.value
    explorer.typed.value = str(tmp_path / "<none>.png")
    assert "&lt;none&gt;.png" in explorer.said.value
    assert explorer.picture.value == "cat.png"
    assert not [name for name in dict(explorer.picture.options) if "none" in name]
    assert explorer.large.value == large
    explorer.channel.value = 1
    assert explorer.large.value != large


def test_uploads_of_both_ipywidgets_are_understood(explorer, cat):
    file = io.BytesIO()
    Image.fromarray(photographs.coffee()[:50, :60]).save(file, "PNG")
    content = file.getvalue()
    facts = {"type": "image/png", "size": len(content), "last_modified": datetime.now(UTC)}
    eight = ({"name": "cup.png", "content": memoryview(content), **facts},)
    seven = {"cup.png": {"metadata": {"name": "cup.png"}, "content": content}}
    assert uploaded(eight) == uploaded(seven) == [("cup.png", content)]
    explorer.upload.set_trait("value", eight if ipywidgets.__version__ >= "8" else seven)
    assert explorer.picture.value == "cup.png"
    assert explorer.lens.picture.pixels.shape == (3, 50, 60)


def test_another_network_may_be_a_released_one(run, cat, tmp_path, monkeypatch):
    path = save(run.model(), tmp_path / "released.safetensors")
    monkeypatch.setattr("srcnn_lib.notebook.explorer.saved_folder", lambda: tmp_path)
    assert networks(run.path.parent) == [run.path, path]
    explorer = Explorer(None, cat, runs=run.path.parent)
    assert explorer.lens.run
    explorer.network.value = str(path)
    assert explorer.snapshot.disabled
    assert explorer.snapshot.label == "as released"
    assert "probe:0" not in dict(explorer.picture.options)
    assert "step" not in explorer.code.value


def test_with_nothing_to_look_at_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("srcnn_lib.notebook.explorer.saved_folder", lambda: tmp_path)
    with pytest.raises(InputError, match="nothing to look at"):
        Explorer(runs=tmp_path)


# A run for whoever has none


def test_where_there_is_no_run_a_short_one_is_made_once(tmp_path, capsys):
    small = {"steps": 2, "widths": (2, 2), "filters": (3, 1, 3), "batch": 8, "test_patches": 8}
    run = run_or_practice(tmp_path / "first", **small)
    assert run.path == tmp_path / "practice"
    assert run.snapshots()[-1].step == 2
    assert "There is no run at" in capsys.readouterr().out
    assert "epoch" not in (run_or_practice(tmp_path / "first", **small), capsys.readouterr().out)[1]
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "config.json").write_bytes((run.path / "config.json").read_bytes())
    assert run_or_practice(tmp_path / "first").path == run.path  # a training that was interrupted before it began
    (tmp_path / "first" / "config.json").unlink()
    own = small_run(tmp_path / "first")
    assert run_or_practice(tmp_path / "first").path == own.path
