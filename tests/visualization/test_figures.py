"""Figures of pictures, channels, kernels and receptive fields: their contents, layout and ranges of values."""

import math

import numpy as np
import pytest
import skimage.data
import torch
from figure_checks import assert_no_text_is_clipped, pixels, texts
from matplotlib.patches import Rectangle

from srcnn_lib import InputError
from srcnn_lib.activations import feature_maps
from srcnn_lib.metrics import Scores
from srcnn_lib.model import SRCNN
from srcnn_lib.visualization.channel_analysis import describe_channels, kernel_orientation
from srcnn_lib.visualization.figures import (
    channel_figure,
    channels_figure,
    comparison_figure,
    draw_kernel,
    draw_map,
    kernels_figure,
    receptive_field_figure,
)
from srcnn_lib.visualization.layers import layer_kernels
from srcnn_lib.visualization.style import Figure

SCORES = {"bicubic": Scores(30.0, 0.9, 29.0), "srcnn": Scores(31.234, 0.91239, 30.0)}


@pytest.fixture(scope="module")
def photograph():
    return torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1).float()[:, 30:110, 180:300] / 255


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return SRCNN(3, widths=(6, 4))


def every_figure(photograph, model, theme):
    maps = feature_maps(model, photograph, before_relu=True)
    report = describe_channels(model, [photograph], "layer_2")[1]
    kernel = layer_kernels(model, "layer_2")[1]
    labels = [f"background {n}" for n in range(6)]
    yield comparison_figure(photograph, photograph, photograph, scores=SCORES, theme=theme)
    yield channels_figure(maps["layer_1"][0], title="Layer 1", labels=labels, theme=theme)
    yield channels_figure(torch.rand(65, 9, 12) * 1e-3, title="Layer 2", theme=theme)
    yield channel_figure(photograph, maps["layer_2"][0, 1], kernel, title="layer_2:1", report=report, theme=theme)
    for layer in ("layer_1", "layer_2", "layer_3"):
        yield kernels_figure(model, layer, theme=theme)
    yield receptive_field_figure(photograph, model, theme=theme)


def test_no_figure_cuts_off_a_text(photograph, model):
    for figure in every_figure(photograph, model, "light"):
        assert_no_text_is_clipped(figure)


def test_a_figure_has_the_ground_of_its_theme(photograph):
    for theme, ground in (("light", (255, 255, 255)), ("dark", (21, 25, 31))):
        figure = comparison_figure(photograph, photograph, photograph, theme=theme)
        assert tuple(pixels(figure)[0, 0]) == ground


@pytest.mark.parametrize("size", [(80, 120), (120, 40), (64, 64), (9, 7), (12, 90)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_comparison_is_drawn_for_any_shape(size, channels):
    image = torch.rand(channels, *size)
    figure = comparison_figure(image, image * 0.9, image * 0.95, scores=SCORES)
    assert_no_text_is_clipped(figure)
    width, height = figure.get_size_inches()
    assert 4 < width < 14
    assert 2 < height < 14


def test_a_comparison_shows_the_pictures_with_zoom_and_scores(photograph):
    figure = comparison_figure(photograph, photograph * 0.5, photograph * 2, box=(10, 20, 15, 30), scores=SCORES)
    shown = [ax.images[0].get_array() for ax in figure.axes]
    np.testing.assert_allclose(shown[0], photograph.permute(1, 2, 0))
    np.testing.assert_allclose(shown[4], photograph[:, 10:25, 20:50].permute(1, 2, 0) * 0.5)
    assert shown[2].max() == 1  # clamped
    (outline,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert (outline.get_x(), outline.get_y(), outline.get_width(), outline.get_height()) == (19.5, 9.5, 30, 15)
    assert {"Original, 120 × 80 pixels", "the box, 30 × 15 pixels"} <= set(texts(figure))
    assert "30.00 dB · SSIM 0.9000" in texts(figure)
    assert "31.23 dB (+1.23) · SSIM 0.9124" in texts(figure)


def test_scores_may_be_infinite_or_without_ssim(photograph):
    scores = {"bicubic": Scores(30.0, math.nan, 30.0), "srcnn": Scores(math.inf, math.nan, math.inf)}
    shown = texts(comparison_figure(photograph, photograph, photograph, scores=scores))
    assert {"30.00 dB", "∞ dB"} <= set(shown)  # a nan is a picture too small for SSIM's window


def test_pictures_of_different_sizes_and_boxes_outside_them_are_rejected(photograph):
    with pytest.raises(InputError, match="bicubic is 119 × 80 pixels, expected 120 × 80 pixels"):
        comparison_figure(photograph, photograph[..., 1:], photograph)
    with pytest.raises(InputError, match="inside 120 × 80 pixels"):
        comparison_figure(photograph, photograph, photograph, box=(75, 0, 10, 10))
    with pytest.raises(InputError, match="light, dark"):
        comparison_figure(photograph, photograph, photograph, theme="pink")


def test_a_gray_picture_is_drawn_in_gray():
    figure = comparison_figure(*[torch.rand(1, 30, 30)] * 3, theme="light")
    middle = pixels(figure)[60:300, 60:300].astype(int)
    assert (middle.max(2) - middle.min(2)).max() <= 1


def test_the_colors_of_maps_after_relu_run_from_zero_to_the_limit():
    maps = torch.rand(5, 20, 30) * 3
    figure = channels_figure(maps, limit=2.5)
    assert len(figure.axes[0].images) == 5
    for image, values in zip(figure.axes[0].images, maps, strict=True):
        assert (image.norm.vmin, image.norm.vmax) == (0, 2.5)
        np.testing.assert_array_equal(image.get_array(), values)
    assert {"0", "1.25", "2.5", "activation\nsquare-root scale"} <= set(texts(figure))
    assert {str(n) for n in range(5)} <= set(texts(figure))


@pytest.mark.parametrize("root", [False, True])
def test_the_colors_of_signed_maps_have_zero_in_the_middle(root):
    values = torch.tensor([[-3.0, 0.0, 1.0]])
    image = draw_map(values, Figure().subplots(), limit=4, signed=True, root=root)
    np.testing.assert_allclose(image.norm([-4, 0, 4]), [0, 0.5, 1])
    red, _, blue, _ = image.to_rgba(values.numpy())[0].T
    assert blue[0] > red[0]
    assert red[2] > blue[2]
    assert max(red[1], blue[1]) < 0.06


def test_rgb_kernels_are_gray_where_they_are_zero():
    kernel = torch.zeros(3, 3, 3)
    kernel[0, 0, 0], kernel[2, 2, 2] = 0.2, -0.1
    image = draw_kernel(kernel, Figure().subplots(), limit=0.2)
    drawn = np.asarray(image.get_array())
    np.testing.assert_allclose(drawn[1, 1], 0.5)
    np.testing.assert_allclose(drawn[0, 0], [1, 0.5, 0.5])
    np.testing.assert_allclose(drawn[2, 2], [0.5, 0.5, 0.25])


def test_kernels_of_many_inputs_are_drawn_in_rows_with_gaps():
    kernel = torch.arange(5.0)[:, None, None].expand(5, 3, 3)
    image = draw_kernel(kernel, Figure().subplots(), limit=5)
    drawn = image.get_array().filled(np.nan)
    assert drawn.shape == (2 * 4 - 1, 3 * 4 - 1)
    assert [drawn[1, 1], drawn[1, 5], drawn[1, 9], drawn[5, 1], drawn[5, 5]] == [0, 1, 2, 3, 4]
    assert np.isnan(drawn[3]).all()
    assert np.isnan(drawn[4:, 8:]).all()


def test_kernels_are_sorted_with_edges_by_orientation_first():
    model = SRCNN(1, widths=(4, 2))
    x = torch.arange(9) - 4.0
    window = torch.exp(-(x**2 + x[:, None] ** 2) / 3)
    model.layer_1.weight.data = torch.stack(
        [torch.ones(9, 9), x * window, torch.eye(9) * 0 + 1e-3 * window, x[:, None] * window + 0.1 * x * window]
    )[:, None]
    figure = kernels_figure(model, "layer_1")
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names == ["3 · 6°", "1 · 90°", "0", "2"]
    assert "edges by orientation" in figure.axes[0].get_title(loc="left")
    by_energy = kernels_figure(model, "layer_1", sort="energy")
    assert [text.get_text().split(" ")[0] for text in by_energy.axes[0].texts] == ["0", "3", "1", "2"]
    with pytest.raises(InputError, match="orientation, frequency, energy, channel"):
        kernels_figure(model, "layer_1", sort="beauty")


def test_an_edge_slightly_below_180_degrees_is_labelled_0_degrees():
    rows, columns = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(9.0) - 4, indexing="ij")
    model = SRCNN(1, widths=(1, 2))
    model.layer_1.weight.data = ((rows - 0.005 * columns) * torch.exp(-(rows**2 + columns**2) / 3))[None, None]
    assert 179.5 < float(kernel_orientation(layer_kernels(model, "layer_1"))[0]) < 180
    assert kernels_figure(model).axes[0].texts[0].get_text() == "0 · 0°"


def test_the_title_of_layer_3_says_that_its_kernels_are_what_layer_2_paints(model):
    title = kernels_figure(model, "layer_3").axes[0].get_title(loc="left")
    assert "what each of layer 2's 4 channels paints, 3 × 5 × 5" in title
    assert "paints" not in kernels_figure(model, "layer_2").axes[0].get_title(loc="left")


def test_receptive_fields_are_nested_boxes_around_the_pixel(photograph, model):
    figure = receptive_field_figure(photograph, model, at=(40, 60))
    boxes = figure.axes[1].patches
    assert [box.get_width() for box in boxes] == [9, 13, 17, 1]
    centers = {(box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2) for box in boxes}
    assert len(centers) == 1
    zoom = figure.axes[1].images[0].get_array()
    column, row = centers.pop()
    np.testing.assert_allclose(zoom[int(row), int(column)], photograph[:, 40, 60])


@pytest.mark.parametrize("at", [(0, 0), (79, 119)])
def test_receptive_fields_near_the_border_are_moved_inside(photograph, model, at):
    zoom = receptive_field_figure(photograph, model, at=at).axes[1].images[0].get_array()
    assert zoom.shape == (35, 35, 3)
