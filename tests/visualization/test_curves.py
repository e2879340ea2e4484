"""Learning curves, as a matplotlib figure and as the live panel's SVG, which show the same series."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from figure_checks import assert_no_text_is_clipped, texts

from srcnn_lib import InputError
from srcnn_lib.visualization import curves
from srcnn_lib.visualization.curves import (
    compress_loss,
    expand_loss,
    gain_series,
    gain_ticks,
    learning_curves_figure,
    loss_series,
    loss_ticks,
    psnr_series,
    quality_over_time_figure,
    scientific,
    smooth,
    svg_chart,
)
from srcnn_lib.visualization.style import PAGE_THEME, THEMES

LIGHT = THEMES["light"]


def history(length: int = 4, **changes) -> list[dict]:
    """Returns records of a run whose first one knows the validation set only."""
    return [
        {"step": 100 * n, "epoch": n, "train_loss": None if n == 0 else 0.01 / n, "validation_loss": 0.02 / (n + 1)}
        | {"train_mse": None if n == 0 else 600 / n, "validation_mse": 1200 / (n + 1)}
        | {f"train_psnr_{c}": None if n == 0 else 30.0 + n for c in ("y", "rgb")}
        | {f"train_bicubic_psnr_{c}": None if n == 0 else 30.5 for c in ("y", "rgb")}
        | {f"validation_psnr_{c}": 31.0 + n for c in ("y", "rgb")}
        | {f"validation_bicubic_psnr_{c}": 32.5 for c in ("y", "rgb")}
        | changes
        for n in range(length)
    ]


def validated(*values: float, bicubic: float | None = 30.0) -> list[dict]:
    """Returns records, 50 steps apart, with this PSNR on the validation set and nothing else."""
    return [
        {"step": 50 * n, "epoch": n, "validation_psnr_y": value, "validation_bicubic_psnr_y": bicubic}
        for n, value in enumerate(values)
    ]


# Series


def test_values_that_are_missing_or_not_finite_are_left_out():
    train, validation = psnr_series(history(validation_psnr_y=float("nan")))
    assert train.points == [(100, 31), (200, 32), (300, 33)]
    assert validation.points == []
    assert (train.bicubic, validation.bicubic) == (30.5, 32.5)


def test_the_gain_of_each_set_is_over_its_own_bicubic():
    train, validation = gain_series(history())
    assert train.points == [(100, 0.5), (200, 1.5), (300, 2.5)]
    assert validation.points == [(0, -1.5), (100, -0.5), (200, 0.5), (300, 1.5)]
    assert gain_series(validated(30.0, bicubic=None))[1].points == []


def test_the_error_is_that_of_tensorboard():
    assert [each.values[-1] for each in loss_series(history())] == [200, 300]


def test_another_channel_than_y_or_rgb_is_rejected():
    with pytest.raises(InputError, match="channel is 'cb', expected 'y' or 'rgb'"):
        learning_curves_figure(history(), channel="cb")


# The axis of the gain


def test_the_axis_of_the_gain_is_compressed_without_a_kink_and_can_be_undone():
    gains = np.linspace(-40, 5, 4501)
    positions = compress_loss(gains)
    np.testing.assert_allclose(expand_loss(positions), gains, atol=1e-9)
    np.testing.assert_array_equal(positions[gains >= -2], gains[gains >= -2])
    slopes = np.diff(positions) / np.diff(gains)
    assert np.abs(np.diff(slopes)).max() < 0.006
    assert compress_loss(-25.0) > -8


def test_ticks_of_the_gain_are_few_and_apart():
    assert gain_ticks(-0.1, 2.4) == [0, 0.5, 1, 1.5, 2]
    assert gain_ticks(-26, 1.7) == [-20, -10, -5, -2, -1, 0, 1]
    for low, high in ((-60, 0.3), (-3, 8), (-0.05, 0.05), (-26, 3)):
        positions = compress_loss(gain_ticks(low, high))
        assert np.diff(positions).min() >= 0.05 * (compress_loss(high) - compress_loss(low))


# The figure


@pytest.mark.parametrize("value", [1e9, 9e18, -9e18])
def test_a_history_with_an_absurd_value_is_drawn_in_little_memory(value):
    """A number of ticks in proportion to 1e9 dB took 16 GB."""
    assert len(gain_ticks(min(-10, value), max(1, value))) < 50
    history = [
        {"step": step, "validation_psnr_y": psnr, "validation_bicubic_psnr_y": 30.0, "validation_mse": mse}
        for step, psnr, mse in ((1, 10.0, 50.0), (2, value, abs(value)))
    ]
    learning_curves_figure(history)
    assert len(svg_chart(history, [])) < 100_000


def test_training_is_orange_and_validation_blue_with_bicubic_dashed_at_zero():
    figure = learning_curves_figure(history(), channel="rgb")
    bicubic, train, validation = figure.axes[0].lines
    assert train.get_color() == LIGHT.orange
    assert validation.get_color() == LIGHT.blue
    np.testing.assert_array_equal(train.get_xydata(), [[100, 0.5], [200, 1.5], [300, 2.5]])
    np.testing.assert_array_equal(validation.get_ydata(), [-1.5, -0.5, 0.5, 1.5])
    assert set(bicubic.get_ydata()) == {0}
    assert bicubic.is_dashed()
    assert figure.axes[1].get_yscale() == "log"
    assert {
        "train +2.50 dB (33.00, bicubic 30.50)", "validation +1.50 dB (34.00, bicubic 32.50)", "train, 200",
        "validation, 300", "Mean squared error, pixels from 0 to 255", "Gain over bicubic in PSNR (RGB), dB",
    } <= set(texts(figure))  # fmt: skip


def test_an_earlier_best_is_named_where_the_last_is_worse():
    assert "validation +1.00 dB (31.00, bicubic 30.00; best +2.00)" in texts(learning_curves_figure(validated(32, 31)))
    assert "validation +1.98 dB (31.98, bicubic 30.00)" in texts(learning_curves_figure(validated(32, 31.98)))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "records",
    [[], history(1), history(3, validation_psnr_y=None, validation_bicubic_psnr_y=None, validation_mse=None)],
)
def test_a_history_with_few_values_is_drawn(records, theme):
    assert_no_text_is_clipped(learning_curves_figure(records, title="a run called $x_1$", theme=theme))


def test_without_a_measurement_the_figure_says_when_it_comes():
    shown = " ".join(texts(learning_curves_figure([])))
    assert "PSNR is measured after each epoch;\nnone has ended yet" in shown


def test_a_climb_from_far_below_bicubic_is_shown_whole():
    figure = learning_curves_figure(validated(5.0, 25.0, 30.0, 31.5))
    low, high = figure.axes[0].get_ylim()
    assert low < -25 < 1.5 < high
    figure.draw_without_rendering()
    heights = figure.axes[0].transData.transform([(0, gain) for gain in (low, -25, -5, 0, 1.5, high)])[:, 1]
    parts = np.diff(heights) / (heights[-1] - heights[0])
    assert parts[1] > 0.25  # the climb to −5 dB
    assert parts[3] > 0.12  # the last 1.5 dB


def test_losses_over_decades_have_ticks_at_1_2_and_5():
    ticks = loss_ticks([1e-4, 1e-2]).tick_values(1e-4, 1e-2)
    assert {round(tick / 10 ** np.floor(np.log10(tick) + 1e-9)) for tick in ticks} == {1, 2, 5}
    steps = np.diff(loss_ticks([0.010, 0.012]).tick_values(0.010, 0.012))
    assert steps == pytest.approx([steps[0]] * len(steps))


def test_quality_over_time_is_labelled_at_the_ends_of_its_lines():
    curves_by_name = {
        "SRCNN": [[(1.0, 36.5), (12.0, 36.88)], [(1.0, 36.4), (12.0, 36.91)]],
        "late": [[(1.0, 18.0), (12.0, 31.0)]],
    }
    figure = quality_over_time_figure(curves_by_name, {"bicubic": 33.66, "the paper": 36.49}, title="Set5")
    (axes,) = figure.axes
    shown = {text.get_text(): text.xy[1] for text in axes.texts}
    assert set(shown) == {"SRCNN, 36.88 to 36.91", "late, 31.00", "bicubic, 33.66", "the paper, 36.49"}
    heights = sorted(shown.values())
    assert min(np.diff(heights)) >= 0.049
    assert_no_text_is_clipped(figure)


def test_quality_over_time_shows_every_curve_whole_and_the_last_dB_at_a_size_to_read():
    figure = quality_over_time_figure(
        {"late": [[(1.0, 9.0), (12.0, 32.3)]], "early": [[(1.0, 36.0), (12.0, 36.9)]]}, {"bicubic": 33.69}
    )
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert low < 9
    assert high > 36.9
    to_axes = axes.transScale.transform
    bottom, last, top = (to_axes((1, value))[1] for value in (low, 35.9, high))
    assert (top - last) / (top - bottom) > 0.1
    assert list(axes.get_yticks()) == [10, 15, 20, 25, 30, 32, 33, 34, 35, 36, 37]


# The SVG


def svg(records: list[dict], losses=()) -> ElementTree.Element:
    """Returns the chart without its legend, parsed."""
    markup = svg_chart(records, losses)
    return ElementTree.fromstring(markup[markup.index("<svg") :])


def curve(chart: ElementTree.Element, color: str) -> list[tuple[float, float]]:
    """Returns the points of the curve of that color."""
    (path,) = [
        path for path in chart.iter("path")
        if path.get("stroke") == color and path.get("stroke-linejoin")
    ]  # fmt: skip
    return [tuple(map(float, point.split())) for point in path.get("d").removeprefix("M").split("L")]


def test_a_rising_curve_is_drawn_in_proportion():
    records = [record for record in validated(30.0, 31.0, 32.0, 33.0) if record["step"] != 100]
    (x0, y0), (x1, y1), (x2, y2) = curve(svg(records), PAGE_THEME.blue)
    assert x2 - x1 == pytest.approx(2 * (x1 - x0), abs=0.2)
    assert y1 - y2 == pytest.approx(2 * (y0 - y1), abs=0.2)
    assert x0 == curves.LEFT
    assert x2 == curves.RIGHT


def test_both_sets_begin_on_bicubics_line_where_they_are_bicubic():
    records = [
        {"step": 0, "train_psnr_y": 35.0, "validation_psnr_y": 30.0},
        {"step": 9, "train_psnr_y": 36.0, "validation_psnr_y": 31.5}
        | {"train_bicubic_psnr_y": 35.0, "validation_bicubic_psnr_y": 30.0},
    ]
    chart = svg(records)
    train, validation = curve(chart, PAGE_THEME.orange), curve(chart, PAGE_THEME.blue)
    assert train[0] == validation[0]
    (dashed,) = [path.get("d") for path in chart.iter("path") if path.get("stroke-dasharray")]
    assert float(re.match(rf"M{curves.LEFT} ([\d.]+)H{curves.RIGHT}", dashed)[1]) == train[0][1]


def test_a_start_far_below_bicubic_does_not_compress_the_curves():
    (_, first), (_, second), (_, third) = curve(svg(validated(5.0, 30.0, 32.0, bicubic=31.0)), PAGE_THEME.blue)
    assert first > second > third
    assert first - second > 100
    assert second - third > 50


def test_gain_and_error_do_not_overlap():
    chart = svg(validated(5.0, 30.0, 32.0), [(step, 1e-3 * step) for step in range(1, 100)])
    gain, error = curve(chart, PAGE_THEME.blue), curve(chart, PAGE_THEME.ink)
    assert max(y for _, y in gain) < min(y for _, y in error)


def test_losses_of_earlier_sessions_are_taken_from_the_history():
    records = [{"step": step, "epoch": step / 10, "train_loss": 0.01} for step in (10, 15, 20, 30)]
    points = curve(svg(records, [(25, 0.001), (30, 0.001)]), PAGE_THEME.ink)
    assert len(points) == 4  # steps 10 and 20 of the history, whole epochs, then 25 and 30
    assert points[1][1] < points[2][1]


def test_smoothing_calms_a_noisy_curve_and_keeps_its_ends():
    noise = np.random.default_rng(0).normal(0, 0.3, 400)
    points = [(step, float(np.exp(4 - step / 200 + noise[step]))) for step in range(400)]
    smoothed = smooth(points)
    assert smoothed[0] == pytest.approx(points[0])
    assert smoothed[-1] == pytest.approx(points[-1])
    rough, calm = (np.diff(np.log([value for _, value in each[20:-20]])).std() for each in (points, smoothed))
    assert calm < 0.1 * rough
    assert smooth([(1, 2.0)]) == [(1, 2.0)]
    assert smooth([]) == []


@pytest.mark.parametrize("losses", [[], [(3, 1e-3)], [(1, 1e-3), (2, 0.0)], [(n, 10.0**-n) for n in range(1, 9)]])
@pytest.mark.parametrize("psnr", [[], [30.0], [30.0, 30.0]])
def test_every_chart_can_be_drawn(psnr, losses):
    svg(validated(*psnr, bicubic=30.0), losses)


def test_before_the_first_measurement_the_chart_says_when_it_comes():
    chart = svg_chart([], [(1, 0.1)], first_measurement=1250)
    assert "PSNR appears after the first epoch (step 1\u2009250)" in chart
    assert "PSNR appears" not in svg_chart(validated(30.0))


def test_the_legend_names_each_set_with_its_newest_gain_and_the_figures_behind_it():
    legend = svg_chart(history(), [(400, 0.00123)]).partition("<svg")[0]
    shown = re.findall(r">([^<]+)</span>", legend)
    assert shown == [
        "train +2.50 dB (33.00, bicubic 30.50)",
        "validation +1.50 dB (34.00, bicubic 32.50)",
        "bicubic",
    ]


def test_small_numbers_are_written_with_a_power_of_ten():
    assert scientific(5e-4) == "5e−4"
    assert scientific(4e-4, 1) == "4.0e−4"
