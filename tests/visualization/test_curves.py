"""Learning curves, as a matplotlib figure and as the live panel's SVG, which show the same series."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from figure_checks import assert_no_text_is_clipped, texts

from srcnn_lib import InputError
from srcnn_lib.visualization import curves
from srcnn_lib.visualization.curves import (
    learning_curves_figure,
    loss_ticks,
    psnr_series,
    quality_over_time_figure,
    scientific,
    svg_chart,
)
from srcnn_lib.visualization.style import PAGE_THEME, THEMES

LIGHT = THEMES["light"]


def history(length: int = 4, **changes) -> list[dict]:
    """Returns records of a run whose first one knows the validation set only."""
    return [
        {"step": 100 * n, "epoch": n, "train_loss": None if n == 0 else 0.01 / n, "validation_loss": 0.02 / (n + 1)}
        | {f"train_psnr_{c}": None if n == 0 else 30.0 + n for c in ("y", "rgb")}
        | {f"validation_psnr_{c}": 31.0 + n for c in ("y", "rgb")}
        | {f"validation_bicubic_psnr_{c}": 32.5 for c in ("y", "rgb")}
        | changes
        for n in range(length)
    ]


def validated(*values: float, bicubic: float | None = None) -> list[dict]:
    """Returns records, 50 steps apart, with this PSNR on the validation set and nothing else."""
    return [
        {"step": 50 * n, "validation_psnr_y": value, "validation_bicubic_psnr_y": bicubic}
        for n, value in enumerate(values)
    ]


# Series


def test_values_that_are_missing_or_not_finite_are_left_out():
    train, validation = psnr_series(history(validation_psnr_y=float("nan")))
    assert train.points == [(100, 31), (200, 32), (300, 33)]
    assert validation.points == []
    assert (train.bicubic, validation.bicubic) == (None, 32.5)


def test_another_channel_than_y_or_rgb_is_rejected():
    with pytest.raises(InputError, match="channel is 'cb', expected 'y' or 'rgb'"):
        learning_curves_figure(history(), channel="cb")


# The figure


def test_training_is_orange_and_validation_blue_with_bicubic_dashed():
    figure = learning_curves_figure(history(), channel="rgb")
    train, validation, bicubic = figure.axes[0].lines
    assert train.get_color() == LIGHT.orange
    assert validation.get_color() == LIGHT.blue
    np.testing.assert_array_equal(train.get_xydata(), [[100, 31], [200, 32], [300, 33]])
    np.testing.assert_array_equal(validation.get_ydata(), [31, 32, 33, 34])
    assert set(bicubic.get_ydata()) == {32.5}
    assert figure.axes[1].get_yscale() == "log"
    assert {"train", "validation", "validation, best 34.00 dB", "Mean squared error", "PSNR (RGB), dB"} <= set(
        texts(figure)
    )


def test_each_curve_has_the_bicubic_of_its_own_set_in_its_color():
    figure = learning_curves_figure(history(train_bicubic_psnr_y=30.5))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    for label, value, color in (("train, 30.50", 30.5, LIGHT.orange), ("validation, 32.50", 32.5, LIGHT.blue)):
        line = lines[f"bicubic, {label} dB"]
        assert set(line.get_ydata()) == {value}
        assert line.get_color() == color
        assert line.is_dashed()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "records",
    [[], history(1), history(3, validation_psnr_y=None, validation_bicubic_psnr_y=None, validation_loss=None)],
)
def test_a_history_with_few_values_is_drawn(records, theme):
    assert_no_text_is_clipped(learning_curves_figure(records, title="a run called $x_1$", theme=theme))


def test_a_start_far_below_bicubic_is_cut_off_and_written_in_the_title():
    records = [dict(record, validation_psnr_y=psnr) for record, psnr in zip(history(), [6, 30, 33, 34], strict=True)]
    figure = learning_curves_figure(records)
    assert figure.axes[0].get_ylim()[0] == pytest.approx(26.5)
    assert "from 6.0" in figure.axes[0].get_title(loc="left")


def test_losses_over_decades_have_ticks_at_1_2_and_5():
    ticks = loss_ticks([1e-4, 1e-2]).tick_values(1e-4, 1e-2)
    assert {round(tick / 10 ** np.floor(np.log10(tick) + 1e-9)) for tick in ticks} == {1, 2, 5}
    steps = np.diff(loss_ticks([0.010, 0.012]).tick_values(0.010, 0.012))
    assert steps == pytest.approx([steps[0]] * len(steps))


def test_quality_over_time_is_labelled_at_the_ends_of_its_lines():
    curves_by_name = {"SRCNN": [(1.0, 36.5), (12.0, 36.88)], "late": [(1.0, 30.0), (12.0, 31.0)]}
    figure = quality_over_time_figure(curves_by_name, {"bicubic": 33.66, "the paper": 36.49}, title="Set5")
    shown = {text.get_text(): text.xy[1] for text in figure.axes[0].texts}
    assert set(shown) == {"SRCNN, 36.88", "late, 31.00 (below)", "bicubic, 33.66", "the paper, 36.49"}
    heights = sorted(shown.values())
    assert min(np.diff(heights)) >= 0.049
    assert_no_text_is_clipped(figure)


# The SVG


def svg(records: list[dict], losses=()) -> ElementTree.Element:
    """Returns the chart without its legend, parsed."""
    markup = svg_chart(records, losses)
    return ElementTree.fromstring(markup[markup.index("<svg") :])


def curve(chart: ElementTree.Element, color: str) -> list[tuple[float, float]]:
    """Returns the points of the curve of that color."""
    (path,) = [path for path in chart.iter("path") if path.get("stroke") == color and not path.get("stroke-dasharray")]
    return [tuple(map(float, point.split())) for point in path.get("d").removeprefix("M").split("L")]


def test_a_rising_curve_is_drawn_in_proportion():
    records = [record for record in validated(30.0, 31.0, 32.0, 33.0) if record["step"] != 100]
    (x0, y0), (x1, y1), (x2, y2) = curve(svg(records), PAGE_THEME.blue)
    assert x2 - x1 == pytest.approx(2 * (x1 - x0), abs=0.2)
    assert y1 - y2 == pytest.approx(2 * (y0 - y1), abs=0.2)
    assert x0 == curves.LEFT
    assert x2 == curves.RIGHT


def test_both_sets_and_their_bicubic_share_an_axis():
    records = [
        {"step": 0, "train_psnr_y": 30.0, "validation_psnr_y": 30.0},
        {"step": 9, "train_psnr_y": 32.0, "validation_psnr_y": 31.0}
        | {"train_bicubic_psnr_y": 30.0, "validation_bicubic_psnr_y": 31.0},
    ]
    chart = svg(records)
    train, validation = curve(chart, PAGE_THEME.orange), curve(chart, PAGE_THEME.blue)
    assert train[0] == validation[0]
    dashed = {path.get("stroke"): path.get("d") for path in chart.iter("path") if path.get("stroke-dasharray")}
    heights = {color: float(re.match(r"M44 ([\d.]+)H582", line)[1]) for color, line in dashed.items()}
    assert heights == {PAGE_THEME.orange: train[0][1], PAGE_THEME.blue: validation[1][1]}


def test_a_start_far_below_bicubic_does_not_compress_the_curves():
    (_, first), (_, second), (_, third) = curve(svg(validated(5.0, 30.0, 32.0, bicubic=31.0)), PAGE_THEME.blue)
    assert first > second > third
    assert second - third > 50


def test_losses_of_earlier_sessions_are_taken_from_the_history():
    records = [{"step": step, "train_loss": 0.01} for step in (10, 20, 30)]
    points = curve(svg(records, [(25, 0.001), (30, 0.001)]), PAGE_THEME.ink)
    assert len(points) == 4  # steps 10 and 20 of the history, then 25 and 30
    assert points[1][1] < points[2][1]


@pytest.mark.parametrize("losses", [[], [(3, 1e-3)], [(1, 1e-3), (2, 0.0)], [(n, 10.0**-n) for n in range(1, 9)]])
@pytest.mark.parametrize("psnr", [[], [30.0], [30.0, 30.0]])
def test_every_chart_can_be_drawn(psnr, losses):
    svg(validated(*psnr, bicubic=30.0), losses)


def test_before_the_first_measurement_the_chart_says_when_it_comes():
    assert "PSNR: at the epoch’s end" in svg_chart([], [(1, 0.1)])
    assert "PSNR: at the epoch’s end" not in svg_chart(validated(30.0))


def test_the_legend_names_each_series_with_its_newest_value():
    legend = svg_chart(history(train_bicubic_psnr_y=30.5), [(400, 0.00123)]).partition("<svg")[0]
    shown = re.findall(r">([^<]+)</span>", legend)
    assert shown == [
        "train 33.00",
        "validation 34.00",
        "bicubic, train 30.50",
        "bicubic, validation 32.50",
        "MSE 1.23e−3",
    ]


def test_small_numbers_are_written_with_a_power_of_ten():
    assert scientific(5e-4) == "5e−4"
    assert scientific(4e-4, 1) == "4.0e−4"
