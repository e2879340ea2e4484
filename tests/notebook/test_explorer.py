"""The explorer without a browser: widgets are set as a front end would set them."""

import html
import io
import json
import re
import sys
import types
from datetime import UTC, datetime

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from skimage import data as photographs
from small_runs import STEPS, cat_picture, small_run

from srcnn_lib import InputError, degrade, psnr, save
from srcnn_lib.data.color import luminance
from srcnn_lib.data.images import Picture
from srcnn_lib.notebook.explorer_pictures import ExplorerPictures
from srcnn_lib.visualization.frames import limit_of, map_pixels
from srcnn_lib.visualization.inspector import Inspector
from srcnn_lib.visualization.layers import ChannelAddress

ipywidgets = pytest.importorskip(
    "ipywidgets", reason="the notebook extra is not installed: pip install .[notebook,dev]"
)
from srcnn_lib.notebook.explorer import Explorer, find_networks, uploaded_files  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def cat() -> Picture:
    return cat_picture()


@pytest.fixture
def explorer(run, cat, tmp_path) -> Explorer:
    return Explorer(run, cat, channel=0, runs=run.path.parent, out=tmp_path / "figures")


def pixels(widget) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(widget.value)))


# The pictures


def test_the_grid_has_a_tile_for_each_channel_and_marks_the_selected_one(run, cat):
    pictures = ExplorerPictures(Inspector(run, cat))
    grid = pictures.channel_grid("layer_1", 16)  # 3 columns, 2 rows
    height, width = grid.shape[0] // 2, grid.shape[1] // 3
    for number in range(6):
        marked = pictures.channel_grid("layer_1", 16, marked=number)
        rows, columns = np.nonzero((marked != grid).any(-1))
        assert (round(rows.mean() / height - 0.5), round(columns.mean() / width - 0.5)) == divmod(number, 3)


def test_a_color_means_the_same_value_at_every_step(run, cat):
    inspector = Inspector(run, cat)
    pictures, address = ExplorerPictures(inspector), ChannelAddress("layer_1", 3)
    height, width = cat.pixels.shape[1:]
    values_of: dict[tuple, list[float]] = {}
    for step in STEPS:
        drawing = pictures.channel(address, step, before_relu=True)
        colors = drawing[: 6 * height : 6, : 6 * width : 6].reshape(-1, 3)  # the map is enlarged 6 times
        for color, value in zip(colors, inspector.feature_map(address, step, True).flatten(), strict=True):
            values_of.setdefault(tuple(color), []).append(float(value))
    limit = inspector.channel_limit(address, True)
    inside = [values for values in values_of.values() if max(map(abs, values)) < 0.98 * limit]
    assert len(inside) > 30
    assert max(max(values) - min(values) for values in inside) <= 2.1 * limit / 192


@pytest.mark.parametrize("widths", [(2, 3), (64, 5), (128, 5), (900, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_kernels_of_any_number_of_inputs_fit(tmp_path, cat, channels, widths):
    pictures = ExplorerPictures(Inspector(small_run(tmp_path / "run", channels, widths), cat))
    sizes = {pictures.channel(ChannelAddress(layer, 0)).shape for layer in ("layer_1", "layer_2", "layer_3")}
    assert len(sizes) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_layer_3_shows_the_reconstruction_and_its_errors(tmp_path, cat, channels):
    inspector = Inspector(small_run(tmp_path / "run", channels), cat)
    pictures, sample = ExplorerPictures(inspector), inspector.sample
    height, width = cat.pixels.shape[1:]
    output = sample.reconstruct(inspector.model())
    drawing = pictures.channel(ChannelAddress("layer_3", 0))
    shown = drawing[: 6 * height : 6, : 6 * width : 6].astype(int)
    assert np.abs(shown - sample.to_pixels(output)).max() <= 1  # tiles are added up in another order
    grid = pictures.channel_grid("layer_3", marked=0)
    assert grid.shape[1] == pytest.approx(640, abs=8)
    side = (grid.shape[1] - 9) // 2
    tall = round(side * height / width)
    # The upper row has the errors on luminance, whose pixels are enlarged without being mixed.
    original = luminance(sample.original)[0]
    limit = limit_of(luminance(sample.upsampled)[0] - original, 0.995)
    for left, y in ((3, sample.output_y(output)[0]), (side + 6, luminance(sample.upsampled)[0])):
        expected = Image.fromarray(map_pixels(y - original, limit, signed=True))
        expected = expected.resize((side, tall), Image.Resampling.NEAREST)
        # Rounding may choose the neighboring shade.
        assert (grid[3 : 3 + tall, left : left + side] == np.asarray(expected)).mean() > 0.99


def test_a_place_in_the_grid_belongs_to_a_channel(run, cat):
    pictures = ExplorerPictures(Inspector(run, cat))
    assert [pictures.channel_at("layer_1", 16, (0.5 + n % 3) / 3, (0.5 + n // 3) / 2) for n in range(6)] == [*range(6)]
    assert pictures.channel_at("layer_1", 16, 1.0, 1.0) == 5
    assert pictures.channel_at("layer_2", 16, 0.9, 0.9) == 3
    assert pictures.channel_at("layer_3", 16, 0.5, 0.5) is None


# The explorer


def test_it_opens_with_the_newest_snapshot(explorer, run, cat):
    assert explorer.step == 16
    assert str(explorer.address) == "layer_1:0"
    assert [label for label, _ in explorer.snapshot_slider.options] == [f"step {step}" for step in STEPS]
    upsampled, original = degrade(cat.pixels, 2.0)
    assert pixels(explorer.channel_image).shape[1] == 480
    assert pixels(explorer.grid_image).ndim == 3
    measured = psnr(upsampled, original, "y", 2).item()
    assert explorer.inspector.sample.psnr_label(explorer.inspector.sample.network_input) == f"{measured:.2f} dB (+0.00)"


def test_without_a_channel_it_opens_with_the_one_that_follows_edges_best(run, cat):
    explorer = Explorer(run, cat, runs=run.path.parent)
    reports = explorer.inspector.channel_reports("layer_1")
    assert explorer.channel_slider.value == max(reports, key=lambda report: report.edges).channel
    assert reports[explorer.channel_slider.value].active > 0.01


def test_every_control_redraws_what_it_should(explorer):
    def change(control, value) -> tuple[bool, bool]:
        large, sheet = explorer.channel_image.value, explorer.grid_image.value
        control.value = value
        return explorer.channel_image.value != large, explorer.grid_image.value != sheet

    assert change(explorer.channel_slider, 3) == (True, True)
    assert change(explorer.snapshot_slider, 1) == (True, True)
    assert change(explorer.before_relu, True) == (True, True)
    assert change(explorer.layer_buttons, "layer_2") == (True, True)
    assert explorer.channel_slider.max == 3
    assert change(explorer.picture_menu, "probe:1") == (True, True)
    assert explorer.step == 1
    assert change(explorer.figure_menu, "comparison") == (False, False)
    assert explorer.message.value == ""


def test_a_channel_number_beyond_a_layers_last_becomes_the_last(explorer):
    explorer.channel_slider.value = 5
    explorer.layer_buttons.value = "layer_3"
    assert str(explorer.address) == "layer_3:0"


def test_the_line_of_code_makes_the_figure(explorer, run):
    explorer.picture_menu.value = "probe:0"
    explorer.snapshot_slider.value, explorer.channel_slider.value = 4, 2
    line = html.unescape(re.sub("<.*?>", "", explorer.code.value))
    assert line == f'Inspector({json.dumps(str(run.path))}, "probe:0").channel_figure("layer_1:2", step=4)'
    assert isinstance(eval(line, {"Inspector": Inspector}), Figure)


def test_each_figure_is_saved_under_a_name_that_says_what_it_shows(explorer, tmp_path):
    explorer.before_relu.value = True
    for name in explorer.figure_menu.options:
        explorer.figure_menu.value = name
        explorer.save_button.click()
        assert "is written" in explorer.message.value
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {
        "channel-layer_1-0-small-cat-step-16-before_relu.png",
        "channels-layer_1-small-cat-step-16-before_relu.png",
        "kernels-layer_1-small-step-16.png",
        "receptive_field-small-cat.png",
        "comparison-small-cat-step-16.png",
    }
    explorer.save_button.click()
    assert "is written again" in explorer.message.value


def test_a_picture_that_can_not_be_opened_is_reported_and_the_old_one_stays(explorer, tmp_path):
    large = explorer.channel_image.value
    explorer.picture_path.value = str(tmp_path / "<none>.png")
    assert "&lt;none&gt;.png" in explorer.message.value
    assert explorer.picture_menu.value == "cat.png"
    assert not [name for name in dict(explorer.picture_menu.options) if "none" in name]
    assert explorer.channel_image.value == large
    explorer.channel_slider.value = 1
    assert explorer.channel_image.value != large


def test_uploads_work_with_ipywidgets_7_and_8(explorer, cat):
    file = io.BytesIO()
    Image.fromarray(photographs.coffee()[:50, :60]).save(file, "PNG")
    content = file.getvalue()
    facts = {"type": "image/png", "size": len(content), "last_modified": datetime.now(UTC)}
    eight = ({"name": "cup.png", "content": memoryview(content), **facts},)
    seven = {"cup.png": {"metadata": {"name": "cup.png"}, "content": content}}
    assert uploaded_files(eight) == uploaded_files(seven) == [("cup.png", content)]
    explorer.upload.set_trait("value", eight if ipywidgets.__version__ >= "8" else seven)
    assert explorer.picture_menu.label == "uploads/cup.png"
    assert explorer.inspector.picture.pixels.shape == (3, 50, 60)
    line = html.unescape(re.sub("<.*?>", "", explorer.code.value))
    assert isinstance(eval(line, {"Inspector": Inspector}), Figure)  # an upload is a file, which can be opened again


def test_two_uploads_of_one_name_are_two_files(explorer):
    first, second = (_png(photographs.coffee()[:50, : 60 + n]) for n in range(2))
    for content in (first, second, first):
        explorer._open_content("cup.png", content)
    assert sorted(path.name for path in (explorer.out / "uploads").iterdir()) == ["cup-2.png", "cup.png"]
    assert explorer.inspector.picture.pixels.shape == (3, 50, 60)
    with pytest.raises(InputError):
        explorer._open_content("../notes.txt", b"no picture")
    assert explorer.inspector.picture.pixels.shape == (3, 50, 60)


def _png(pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_on_colab_files_are_uploaded_by_colabs_own_function(run, cat, tmp_path, monkeypatch):
    content = _png(np.random.default_rng(0).integers(0, 255, (700, 800, 3), np.uint8))
    assert len(content) > 1_000_000
    files = types.SimpleNamespace(upload=lambda: {"large.png": content})
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(files=files))
    monkeypatch.setattr("srcnn_lib.notebook.explorer.is_colab", lambda: True)
    explorer = Explorer(run, cat, runs=run.path.parent, out=tmp_path)
    explorer.upload.click()
    assert explorer.inspector.photograph.pixels.shape == (3, 700, 800)
    files.upload = lambda: exec("raise TypeError('_files is undefined')")
    explorer.upload.click()
    assert "_files is undefined" in explorer.message.value
    assert "run explorer.open_upload() in a cell" in explorer.message.value


def test_a_click_selects_a_channel(explorer):
    explorer.click.value = f"grid {1.5 / 3} {1.5 / 2} 123.4"  # 3 columns, 2 rows
    assert explorer.channel_slider.value == 4
    explorer.click.value = ""
    explorer.layer_buttons.value = "layer_3"
    explorer.click.value = "grid 0.9 0.9 125"
    assert explorer.channel_slider.value == 0


def test_a_photograph_as_narrow_as_a_line_has_an_overview(run, tmp_path):
    line = Picture(torch.rand(3, 20, 2000), name="line.png")
    explorer = Explorer(run, line, runs=run.path.parent, out=tmp_path)
    assert pixels(explorer.overview_image).shape[1] == 260


def test_the_square_that_is_shown_can_be_moved_and_resized(run, tmp_path):
    explorer = Explorer(run, "samples:astronaut", runs=run.path.parent, out=tmp_path)
    top, left, height, width = explorer.inspector.region
    assert (height, width) == (256, 256)
    explorer.crop_menu.value = 128
    explorer.click.value = "overview 0.5 0.25 1"
    assert explorer.inspector.region == (64, 192, 128, 128)
    assert "x = 192, y = 64" in explorer.message.value
    line = html.unescape(re.sub("<.*?>", "", explorer.code.value))
    assert "crop=128, at=(64, 192)" in line
    np.testing.assert_array_equal(
        eval(line.rpartition(").")[0] + ")", {"Inspector": Inspector}).picture.pixels, explorer.inspector.picture.pixels
    )
    explorer.click.value = "overview 1 1 2"
    assert explorer.inspector.region == (384, 384, 128, 128)
    explorer.largest_error_button.click()
    assert "where bicubic errs most" in explorer.message.value
    assert "at=" not in explorer.code.value
    explorer.picture_menu.value = "probe:0"
    assert explorer.overview_image.layout.display == "none"


def test_a_channel_that_the_layer_does_not_have_is_refused(run, cat):
    with pytest.raises(InputError, match="channel is 999, expected 0 to 5, the channels of layer_1"):
        Explorer(run, cat, channel=999, runs=run.path.parent)


def test_it_is_displayed_with_a_still_picture_for_pages_without_widgets(explorer, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    explorer._ipython_display_()
    view, still = shown
    assert view["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.model_id
    assert view["text/plain"] == still["text/plain"] == ""
    assert still["text/html"].count("data:image/png;base64,") == 2
    assert "layer_1:0 of " in still["text/html"]


def test_the_menu_also_lists_released_networks(run, cat, tmp_path, monkeypatch):
    path = save(run.model(), tmp_path / "released.safetensors")
    monkeypatch.setattr("srcnn_lib.notebook.explorer.saved_folder", lambda: tmp_path)
    assert find_networks(run.path.parent) == [run.path, path]
    explorer = Explorer(None, cat, runs=run.path.parent)
    assert explorer.inspector.run
    explorer.network_menu.value = str(path)
    assert explorer.snapshot_slider.disabled
    assert explorer.snapshot_slider.label == "as released"
    assert "probe:0" not in dict(explorer.picture_menu.options)
    assert "step" not in explorer.code.value


def test_without_any_network_the_error_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("srcnn_lib.notebook.explorer.saved_folder", lambda: tmp_path)
    with pytest.raises(InputError, match="nothing to look at"):
        Explorer(runs=tmp_path)
