import io
import threading

import numpy as np
import pytest
import skimage.data
import torch
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from PIL import Image

from srcnn_lib.data import regions
from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN
from srcnn_lib.visualization import activations, figures

SCORES = {"bicubic": (30.0, 0.9), "srcnn": (31.234, 0.91239)}


@pytest.fixture(scope="module")
def photograph():
    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float()[:, 30:110, 180:300] / 255


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return SRCNN(3, widths=(6, 4))


def history(length=4, **changes):
    return [
        {"step": 100 * n, "epoch": n, "train_loss": None if n == 0 else 0.01 / n, "validation_loss": 0.02 / (n + 1)}
        | {f"train_psnr_{c}": None if n == 0 else 30.0 + n for c in ("y", "rgb")}
        | {f"validation_psnr_{c}": 31.0 + n for c in ("y", "rgb")}
        | {f"validation_bicubic_psnr_{c}": 32.5 for c in ("y", "rgb")}
        | changes
        for n in range(length)
    ]


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figures.png(figure))).convert("RGB"))


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def assert_nothing_is_clipped(figure):
    """Every text that is drawn lies on the canvas, as it is laid out for writing."""
    with figures._laid_out(figure):
        canvas = figure.bbox.padded(1)
        bars = [progress for ax in figure.axes for progress in ax.child_axes]
        titles = [figure._suptitle] if figure._suptitle else []
        for drawn in [*figure.axes, *bars, *titles, *(text for ax in figure.axes for text in ax.texts)]:
            box = drawn.get_window_extent() if isinstance(drawn, Text) else drawn.get_tightbbox()
            assert canvas.x0 <= box.x0 <= box.x1 <= canvas.x1, drawn
            assert canvas.y0 <= box.y0 <= box.y1 <= canvas.y1, drawn


def every_figure(photograph, model, theme):
    maps = activations.feature_maps(model, photograph, before_relu=True)
    report = activations.describe(model, [photograph], "layer_2")[1]
    kernel = activations.kernels(model, "layer_2")[1]
    labels = [f"background {n}" for n in range(6)]
    yield figures.comparison(photograph, photograph, photograph, scores=SCORES, theme=theme)
    yield figures.channel_sheet(maps["layer_1"][0], title="Layer 1", labels=labels, theme=theme)
    yield figures.channel_sheet(torch.rand(65, 9, 12) * 1e-3, title="Layer 2", theme=theme)
    yield figures.channel(photograph, maps["layer_2"][0, 1], kernel, title="layer_2:1", report=report, theme=theme)
    for layer in ("layer_1", "layer_2", "layer_3"):
        yield figures.kernel_sheet(model, layer, theme=theme)
    yield figures.receptive_field_figure(photograph, model, theme=theme)
    yield figures.curves(history(), title="a run called $x_1$", theme=theme)


def test_no_figure_clips_its_texts(photograph, model):
    for figure in every_figure(photograph, model, "light"):
        assert_nothing_is_clipped(figure)


def test_figures_stand_on_their_themes_ground(photograph):
    for theme, ground in (("light", (255, 255, 255)), ("dark", (21, 25, 31))):
        figure = figures.comparison(photograph, photograph, photograph, theme=theme)
        assert tuple(pixels(figure)[0, 0]) == ground


@pytest.mark.parametrize("size", [(80, 120), (120, 40), (64, 64), (9, 7), (12, 90)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_comparison_takes_any_shape(size, channels):
    image = torch.rand(channels, *size)
    figure = figures.comparison(image, image * 0.9, image * 0.95, scores=SCORES)
    assert_nothing_is_clipped(figure)
    width, height = figure.get_size_inches()
    assert 4 < width < 14
    assert 2 < height < 14


def test_the_comparison_shows_the_pictures_their_zoom_and_their_scores(photograph):
    figure = figures.comparison(photograph, photograph * 0.5, photograph * 2, box=(10, 20, 15, 30), scores=SCORES)
    shown = [ax.images[0].get_array() for ax in figure.axes]
    np.testing.assert_allclose(shown[0], photograph.permute(1, 2, 0))
    np.testing.assert_allclose(shown[4], photograph[:, 10:25, 20:50].permute(1, 2, 0) * 0.5)
    assert shown[2].max() == 1  # clamped
    (outline,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert (outline.get_x(), outline.get_y(), outline.get_width(), outline.get_height()) == (19.5, 9.5, 30, 15)
    assert {"Original, 120 × 80 pixels", "the box, 30 × 15 pixels"} <= set(texts(figure))
    assert "30.00 dB · SSIM 0.9000" in texts(figure)
    assert "31.23 dB (+1.23) · SSIM 0.9124" in texts(figure)


def test_equal_pictures_have_infinitely_many_decibels(photograph):
    scores = {"bicubic": (30.0, None), "srcnn": (float("inf"), None)}
    assert "∞ dB" in texts(figures.comparison(photograph, photograph, photograph, scores=scores))


def test_the_zoom_is_where_bicubic_loses_most(photograph):
    blurred = photograph.clone()
    blurred[:, 50:58, 70:90] = 0
    top, left, height, width = regions.largest_error_region(photograph, blurred, (10, 24))
    assert top <= 50 <= 58 <= top + height
    assert left <= 70 <= 90 <= left + width


def test_the_part_in_which_most_is_lost_is_that_with_the_largest_sum():
    original, blurred = torch.rand(2, 3, 30, 40, generator=torch.Generator().manual_seed(0))
    error = (original - blurred).square().double()
    for tall, wide in ((7, 9), (30, 3), (1, 1), (99, 99)):
        top, left, height, width = regions.largest_error_region(original, blurred, (tall, wide))
        assert (height, width) == (min(tall, 30), min(wide, 40))
        sums = {(y, x): float(error[:, y : y + height, x : x + width].sum())
                for y in range(31 - height) for x in range(41 - width)}  # fmt: skip
        assert (top, left) == max(sums, key=sums.get)


def test_pictures_of_two_sizes_and_boxes_outside_are_refused(photograph):
    with pytest.raises(InputError, match="bicubic is 119 × 80 pixels, expected 120 × 80 pixels"):
        figures.comparison(photograph, photograph[..., 1:], photograph)
    with pytest.raises(InputError, match="inside 120 × 80 pixels"):
        figures.comparison(photograph, photograph, photograph, box=(75, 0, 10, 10))
    with pytest.raises(InputError, match="light, dark"):
        figures.comparison(photograph, photograph, photograph, theme="pink")


def test_a_grey_picture_is_drawn_grey():
    figure = figures.comparison(*[torch.rand(1, 30, 30)] * 3, theme="light")
    middle = pixels(figure)[60:300, 60:300].astype(int)
    assert (middle.max(2) - middle.min(2)).max() <= 1


def test_maps_after_relu_run_from_zero_to_the_limit():
    maps = torch.rand(5, 20, 30) * 3
    figure = figures.channel_sheet(maps, limit=2.5)
    assert len(figure.axes[0].images) == 5
    for image, values in zip(figure.axes[0].images, maps, strict=True):
        assert (image.norm.vmin, image.norm.vmax) == (0, 2.5)
        np.testing.assert_array_equal(image.get_array(), values)
    assert {"0", "1.25", "2.5", "activation\nsquare-root scale"} <= set(texts(figure))
    assert {str(n) for n in range(5)} <= set(texts(figure))


@pytest.mark.parametrize("root", [False, True])
def test_signed_maps_have_zero_in_the_middle_of_their_colors(root):
    values = torch.tensor([[-3.0, 0.0, 1.0]])
    image = figures.show_map(values, figures.Figure().subplots(), limit=4, signed=True, root=root)
    np.testing.assert_allclose(image.norm([-4, 0, 4]), [0, 0.5, 1])
    red, _, blue, _ = image.to_rgba(values.numpy())[0].T
    assert blue[0] > red[0]
    assert red[2] > blue[2]
    assert max(red[1], blue[1]) < 0.06


def test_zero_has_one_color_in_signed_and_positive_maps():
    np.testing.assert_allclose(figures.SIGNED(0.5), figures.POSITIVE(0.0), atol=0.02)
    np.testing.assert_allclose(figures.SIGNED(1.0), figures.POSITIVE(1.0), atol=0.02)


@pytest.mark.parametrize(
    ("largest", "limit"), [(0.123, 0.13), (4.0, 4.0), (97.1, 98.0), (0.0, 1.0), (0.000511, 0.00052)]
)
def test_the_limit_is_rounded_up_to_two_digits(largest, limit):
    assert figures.limit_of(torch.tensor([[-largest, largest / 2]]), 1) == pytest.approx(limit)


def test_the_limit_leaves_out_a_thousandth():
    values = torch.cat([torch.linspace(0, 1, 10_000), torch.tensor([50.0])])
    assert figures.limit_of(values) == pytest.approx(1.0)


def test_color_kernels_are_grey_where_they_are_zero():
    kernel = torch.zeros(3, 3, 3)
    kernel[0, 0, 0], kernel[2, 2, 2] = 0.2, -0.1
    image = figures.show_kernel(kernel, figures.Figure().subplots(), limit=0.2)
    drawn = np.asarray(image.get_array())
    np.testing.assert_allclose(drawn[1, 1], 0.5)
    np.testing.assert_allclose(drawn[0, 0], [1, 0.5, 0.5])
    np.testing.assert_allclose(drawn[2, 2], [0.5, 0.5, 0.25])


def test_kernels_of_many_inputs_stand_in_rows_with_gaps():
    kernel = torch.arange(5.0)[:, None, None].expand(5, 3, 3)
    image = figures.show_kernel(kernel, figures.Figure().subplots(), limit=5)
    drawn = image.get_array().filled(np.nan)
    assert drawn.shape == (2 * 4 - 1, 3 * 4 - 1)
    assert [drawn[1, 1], drawn[1, 5], drawn[1, 9], drawn[5, 1], drawn[5, 5]] == [0, 1, 2, 3, 4]
    assert np.isnan(drawn[3]).all()
    assert np.isnan(drawn[4:, 8:]).all()


def test_kernels_are_sorted_edges_by_orientation_first():
    model = SRCNN(1, widths=(4, 2))
    x = torch.arange(9) - 4.0
    window = torch.exp(-(x**2 + x[:, None] ** 2) / 3)
    model.layer_1.weight.data = torch.stack(
        [torch.ones(9, 9), x * window, torch.eye(9) * 0 + 1e-3 * window, x[:, None] * window + 0.1 * x * window]
    )[:, None]
    figure = figures.kernel_sheet(model, "layer_1")
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names == ["3 · 6°", "1 · 90°", "0", "2"]
    assert "edges by orientation" in figure.axes[0].get_title(loc="left")
    by_energy = figures.kernel_sheet(model, "layer_1", sort="energy")
    assert [text.get_text().split(" ")[0] for text in by_energy.axes[0].texts] == ["0", "3", "1", "2"]
    with pytest.raises(InputError, match="orientation, frequency, energy, channel"):
        figures.kernel_sheet(model, "layer_1", sort="beauty")


def test_an_edge_a_little_below_180_degrees_is_said_to_lie():
    rows, columns = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(9.0) - 4, indexing="ij")
    model = SRCNN(1, widths=(1, 2))
    model.layer_1.weight.data = ((rows - 0.005 * columns) * torch.exp(-(rows**2 + columns**2) / 3))[None, None]
    assert 179.5 < float(activations.kernel_orientation(activations.kernels(model, "layer_1"))[0]) < 180
    assert figures.kernel_sheet(model).axes[0].texts[0].get_text() == "0 · 0°"


def test_the_sheet_of_layer_3_says_that_it_shows_what_is_painted(model):
    title = figures.kernel_sheet(model, "layer_3").axes[0].get_title(loc="left")
    assert "what each of layer 2's 4 channels paints, 3 × 5 × 5" in title
    assert "paints" not in figures.kernel_sheet(model, "layer_2").axes[0].get_title(loc="left")


def test_the_receptive_fields_are_nested_boxes_around_the_pixel(photograph, model):
    figure = figures.receptive_field_figure(photograph, model, at=(40, 60))
    boxes = figure.axes[1].patches
    assert [box.get_width() for box in boxes] == [9, 13, 17, 1]
    centers = {(box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2) for box in boxes}
    assert len(centers) == 1
    zoom = figure.axes[1].images[0].get_array()
    column, row = centers.pop()
    np.testing.assert_allclose(zoom[int(row), int(column)], photograph[:, 40, 60])


@pytest.mark.parametrize("at", [(0, 0), (79, 119)])
def test_a_receptive_field_at_the_border_is_moved_inside(photograph, model, at):
    zoom = figures.receptive_field_figure(photograph, model, at=at).axes[1].images[0].get_array()
    assert zoom.shape == (35, 35, 3)


def test_curves_are_orange_for_training_and_blue_for_test_beside_bicubic():
    figure = figures.curves(history(), channel="rgb")
    train, test, bicubic = figure.axes[0].lines  # a history from before training's bicubic was recorded
    assert train.get_color() == figures.THEMES["light"].orange
    assert test.get_color() == figures.THEMES["light"].blue
    np.testing.assert_array_equal(train.get_xydata(), [[100, 31], [200, 32], [300, 33]])  # None is left out
    np.testing.assert_array_equal(test.get_ydata(), [31, 32, 33, 34])
    assert set(bicubic.get_ydata()) == {32.5}
    assert figure.axes[1].get_yscale() == "log"


def test_each_curve_has_the_bicubic_of_its_own_set_in_its_color():
    figure = figures.curves(history(train_bicubic_psnr_y=30.5))
    drawn = {line.get_label(): line for line in figure.axes[0].lines}
    look = figures.THEMES["light"]
    for label, value, color in (("train, 30.50", 30.5, look.orange), ("test, 32.50", 32.5, look.blue)):
        line = drawn[f"bicubic, {label} dB"]
        assert set(line.get_ydata()) == {value}
        assert line.get_color() == color
        assert line.is_dashed()


@pytest.mark.parametrize("records", [[], history(1), history(3, test_psnr_y=None, bicubic_psnr_y=None, test_loss=None)])
def test_a_history_with_little_in_it_is_drawn(records):
    assert_nothing_is_clipped(figures.curves(records))


def test_a_start_far_below_bicubic_is_said_and_not_drawn():
    figure = figures.curves(
        [dict(record, test_psnr_y=psnr) for record, psnr in zip(history(), [6, 30, 33, 34], strict=True)]
    )
    assert figure.axes[0].get_ylim()[0] == pytest.approx(26.5)
    assert "from 6.0" in figure.axes[0].get_title(loc="left")


def test_a_figure_shows_itself_in_a_notebook_and_is_written_whole(photograph, tmp_path):
    figure = figures.comparison(photograph, photograph, photograph)
    assert figure._repr_png_()[:4] == b"\x89PNG"
    for name in ("a.png", "a.svg"):
        assert figures.save(figure, tmp_path / name).stat().st_size > 1000
    with pytest.raises(InputError, match=r"\.png"):
        figures.save(figure, tmp_path / "a.docx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"]


def test_threads_draw_what_one_alone_draws():
    maps = torch.rand(2, 8, 8)
    alone, drawn = pixels(figures.channel_sheet(maps)), []
    threads = [threading.Thread(target=lambda: drawn.append(pixels(figures.channel_sheet(maps)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 3
    assert all((other == alone).all() for other in drawn)
