"""Learning curves: the gain over bicubic and the error over the steps of a run, as a figure and as the panel's SVG.

Both show the same series with the same labels, colors and ticks: `gain_series` and `loss_series` choose them. Orange
is the training set and blue the validation set. The patches of the two sets differ in difficulty, by several dB, so
each set's PSNR is drawn as its gain over bicubic's PSNR on the same set; zero is bicubic for both.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from ..errors import InputError
from .style import HEADING, PAGE_THEME, SMALL, TEXT, Figure, Theme, get_theme, new_figure, style_chart

Points = list[tuple[float, float]]  # (step, value), in order

SETS = {"train": "orange", "validation": "blue"}  # the two sets of a run and their colors in a theme
LEVELS = 255.0**2  # squared errors of pixels from 0 to 255, as TensorBoard shows them, over those from 0 to 1
LOSS_TITLE = "Mean squared error, pixels from 0 to 255"
LINEAR_LOSS = 2.0  # dB below bicubic from which the axis of the gain is compressed
FAR = -5.0  # dB: a chart that reaches below has the ticks FAR_TICKS and whole numbers above them
FAR_TICKS = (-30, -20, -10, -5, -2, -1)
DASHES = (5, 3)  # of bicubic's line
WORTH_NAMING = 0.05  # dB by which an earlier gain must exceed the newest one to be named
MIN_LOSS_RANGE = 0.1  # smallest range of the SVG's loss axis, in powers of ten
MIN_GAIN_RANGE = 0.4  # smallest range of the SVG's gain axis, in dB
SMOOTHED_SHARE = 0.05  # of the loss's points, over which each is averaged
WIDTH, HEIGHT = 640, 500  # of the SVG, in its own units
LEFT, RIGHT = 48, 628  # the axes inside it
GAIN_TOP, GAIN_BOTTOM = 30, 330
LOSS_TOP, LOSS_BOTTOM = 382, 470


@dataclass(frozen=True)
class Series:
    """One measurement of a run on one of its sets.

    label: the set's name, "train" or "validation".
    points: (step, value) of the records that hold a finite value.
    bicubic: bicubic's PSNR on the same set, in dB; None where it is unknown or not defined.
    """

    label: str
    points: Points
    bicubic: float | None = None

    @property
    def values(self) -> list[float]:
        return [value for _, value in self.points]

    def color(self, theme: Theme) -> str:
        return getattr(theme, SETS[self.label])


def psnr_series(history: Sequence[dict], channel: str = "y") -> list[Series]:
    """Returns PSNR on the training and on the validation set, each with bicubic's.

    Args:
        history: records of a run, in order; values may be None.
        channel: "y" or "rgb", what PSNR is measured on.

    Raises:
        InputError: for another channel.
    """
    if channel not in ("y", "rgb"):
        raise InputError(f"channel is {channel!r}, expected 'y' or 'rgb'")
    series = []
    for name in SETS:
        bicubic = _points(history, f"{name}_bicubic_psnr_{channel}")
        points = _points(history, f"{name}_psnr_{channel}")
        series.append(Series(name, points, bicubic[-1][1] if bicubic else None))
    return series


def gain_series(history: Sequence[dict], channel: str = "y") -> list[Series]:
    """Returns PSNR minus bicubic's on the same set, in dB; no points where bicubic's is unknown. Args as above."""
    return [
        replace(each, points=[(step, value - each.bicubic) for step, value in each.points if each.bicubic is not None])
        for each in psnr_series(history, channel)
    ]


def loss_series(history: Sequence[dict]) -> list[Series]:
    """Returns the mean squared error, of pixels from 0 to 255, on the training and on the validation set."""
    return [Series(name, _points(history, f"{name}_mse")) for name in SETS]


def compress_loss(gain: ArrayLike) -> np.ndarray:
    """Returns positions on the axis of the gain: linear above −2 dB, logarithmic below, without a kink.

    After torch's initialization a run starts some 25 dB below bicubic, and all that follows happens within 3 dB.
    """
    gain = np.asarray(gain, float)
    below = np.maximum(-gain / LINEAR_LOSS, 1)
    return np.where(gain < -LINEAR_LOSS, -LINEAR_LOSS * (1 + np.log(below)), gain)


def expand_loss(position: ArrayLike) -> np.ndarray:
    """Returns the gains at these positions; the inverse of `compress_loss`."""
    position = np.asarray(position, float)
    beyond = np.maximum(-position / LINEAR_LOSS - 1, 0)
    return np.where(position < -LINEAR_LOSS, -LINEAR_LOSS * np.exp(np.minimum(beyond, 700)), position)


def gain_ticks(low: float, high: float) -> list[float]:
    """Returns the ticks of an axis of the gain that reaches from `low` to `high` dB."""
    if low < FAR:
        top = math.ceil(high)  # of a history from somebody else it may be any number
        ticks: Sequence[float] = [*FAR_TICKS, *range(0, top + 1, max(1, top // 20))]
    else:
        ticks = MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)
    shown = sorted(round(float(tick), 9) for tick in ticks if low <= tick <= high)
    apart = 0.05 * float(compress_loss(high) - compress_loss(low))
    kept: list[float] = []
    for tick in reversed(shown):  # from above: where it is crowded, the lower ones are left out
        if not kept or compress_loss(kept[-1]) - compress_loss(tick) >= apart:
            kept.append(tick)
    return kept[::-1]


def signed(value: float, digits: int | None = None) -> str:
    """Returns a gain with its sign: "+1.5", "−20", "0"; with two digits "+1.50"."""
    text = f"{value:+.{digits}f}" if digits is not None else f"{value:+g}"
    return text.replace("-", "−") if value else text.lstrip("+-")


def loss_ticks(values: Sequence[float]) -> Locator:
    """Returns the ticks of a logarithmic axis for these losses; evenly spaced if the losses are close together."""
    if values and max(values) > 20 * min(values):
        return LogLocator(subs=(1, 2, 5))
    return MaxNLocator(6)


def _points(history: Sequence[dict], key: str) -> Points:
    return [
        (record["step"], record[key])
        for record in history
        if record.get(key) is not None and math.isfinite(record[key])
    ]


# As a matplotlib figure


def learning_curves_figure(
    history: Sequence[dict], *, channel: str = "y", title: str = "", theme: str = "light"
) -> Figure:
    """Returns a figure of a run's learning curves: the gain over bicubic on the left, the error on the right.

    Args:
        history: records of a run, in order; values may be None.
        channel: "y" or "rgb", what PSNR is measured on.
        title: text above both charts, such as the run's name.
        theme: "light" or "dark".

    Raises:
        InputError: for another channel or theme.
    """
    figure = new_figure(11, 4.4, theme)
    psnr, loss = figure.subplots(1, 2)
    draw_psnr(history, psnr, channel=channel, theme=theme)
    draw_loss(history, loss, theme=theme)
    if title:
        figure.suptitle(title, color=get_theme(theme).ink, size=HEADING, parse_math=False)
    return figure


def draw_psnr(history: Sequence[dict], ax: Axes, *, channel: str = "y", theme: str = "light") -> None:
    """Draws PSNR over the steps on `ax`, as the gain over bicubic's on the same set; the legend has both in dB."""
    series = gain_series(history, channel)
    if any(each.points for each in series):
        look = get_theme(theme)
        ax.axhline(0, color=look.muted, lw=1.4, ls=(0, DASHES), label="bicubic")
        _draw_series(series, ax, theme, [_gain_label(each) for each in series])
        values = [value for each in series for value in each.values]
        ax.set_yscale("function", functions=(compress_loss, expand_loss))
        axis = _Axis.around([0.0, *compress_loss(values)], MIN_GAIN_RANGE)
        low, high = (float(expand_loss(end)) for end in (axis.low, axis.high))
        ax.set_ylim(low, high)
        ax.set_yticks(gain_ticks(low, high))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: signed(value)))
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        _say(ax, "PSNR is measured after each epoch;\nnone has ended yet", theme)
    style_chart(ax, f"Gain over bicubic in PSNR ({channel.upper()}), dB", theme)


def draw_loss(history: Sequence[dict], ax: Axes, *, theme: str = "light") -> None:
    """Draws the mean squared error over the steps on `ax`, whose vertical axis is logarithmic."""
    series = loss_series(history)
    if any(each.points for each in series):
        _draw_series(
            series, ax, theme, [f"{each.label}, {each.values[-1]:.3g}" if each.points else "" for each in series]
        )
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(loss_ticks([value for each in series for value in each.values]))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_locator(NullLocator())
    else:
        _say(ax, "The error is measured after each epoch;\nnone has ended yet", theme)
    style_chart(ax, LOSS_TITLE, theme)


def _gain_label(series: Series) -> str:
    """Returns a set's name, its newest gain and the figures behind it."""
    if not series.points or series.bicubic is None:
        return series.label
    gain = series.values[-1]
    best = max(series.values)
    earlier = f"; best {signed(best, 2)}" if best > gain + WORTH_NAMING else ""
    return f"{series.label} {signed(gain, 2)} dB ({series.bicubic + gain:.2f}, bicubic {series.bicubic:.2f}{earlier})"


def _say(ax: Axes, text: str, theme: str) -> None:
    """Writes a remark into an empty chart."""
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, text, color=get_theme(theme).muted, size=TEXT, ha="center", va="center", transform=ax.transAxes)


def _draw_series(series: Sequence[Series], ax: Axes, theme: str, labels: Sequence[str]) -> None:
    """Draws each series as a line with its label."""
    look = get_theme(theme)
    for each, label in zip(series, labels, strict=True):
        if each.points:
            marker = "o" if len(each.points) < 8 else ""
            ax.plot(*zip(*each.points, strict=True), color=each.color(look), lw=2, label=label, marker=marker)
    ax.set_xlim(0, 1.03 * max(step for each in series for step, _ in each.points) or 1)


def quality_over_time_figure(
    curves: Mapping[str, Sequence[Points]], references: dict[str, float], *, title: str = "", theme: str = "light"
) -> Figure:
    """Returns a figure of quality over the minutes of training, on a logarithmic axis.

    From 2 dB below the lowest reference on, the vertical axis is compressed, so that a curve that begins far below is
    seen as well.

    Args:
        curves: by name, up to three; each has a curve of (minutes, dB) in order for each seed.
        references: known values in dB, by name, which are drawn as dashed lines.
        title: text above the chart; if empty, "PSNR on Y, dB".
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    figure = new_figure(9, 5, theme)
    ax = figure.subplots()
    base = min(references.values())
    ax.set_yscale(
        "function", functions=(lambda level: compress_loss(level - base), lambda place: expand_loss(place) + base)
    )
    labels = [(value, f"{name}, {value:.2f}", look.muted) for name, value in references.items()]
    for (name, seeds), color in zip(curves.items(), (look.blue, look.orange, look.green), strict=False):
        for points in seeds:
            ax.plot(*zip(*points, strict=True), color=color, lw=2.4 if len(seeds) == 1 else 1.4)
        ends = [points[-1][1] for points in seeds]
        labels.append((sum(ends) / len(ends), f"{name}, {_range(ends)}", color))
    every = [value for seeds in curves.values() for points in seeds for _, value in points]
    lowest, highest = (extreme([*references.values(), *every]) for extreme in (min, max))
    low, high = (
        float(expand_loss(compress_loss(value - base) + margin)) + base
        for value, margin in ((lowest, -0.3), (highest, 0.3))
    )
    ax.set_ylim(low, high)
    ax.set_yticks(quality_ticks(low, high, base))
    ax.set_xscale("log")
    ax.margins(x=0.02)
    for value in references.values():
        ax.axhline(value, color=look.muted, lw=1.2, ls=(0, DASHES))

    bottom, top = (float(compress_loss(value - base)) for value in (low, high))
    height = -math.inf
    for value, text, color in sorted(labels):
        place = (float(compress_loss(value - base)) - bottom) / (top - bottom)
        height = max(place, height + 0.05)  # at least one line of text apart
        ax.annotate(text, (1.01, height), xycoords="axes fraction", color=color, size=SMALL, va="center")
    style_chart(ax, title or "PSNR on Y, dB", theme, x_label="minutes of training")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    return figure


def quality_ticks(low: float, high: float, base: float) -> list[float]:
    """Returns whole dB where the axis is linear, and multiples of five where it is compressed."""
    linear = base - LINEAR_LOSS
    far = range(5 * math.ceil(low / 5), math.ceil(linear - 1), 5)
    return [*map(float, far), *map(float, range(math.ceil(max(low, linear)), math.floor(high) + 1))]


def _range(values: Sequence[float]) -> str:
    """Returns a value in dB, or the lowest and the highest of several."""
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


# As SVG in a page, with the page's text color and background


@dataclass(frozen=True)
class _Axis:
    """Maps values to vertical positions in the SVG."""

    low: float
    high: float
    top: float = GAIN_TOP
    bottom: float = GAIN_BOTTOM

    @classmethod
    def around(
        cls, values: Sequence[float], min_range: float, top: float = GAIN_TOP, bottom: float = GAIN_BOTTOM
    ) -> "_Axis":
        """Returns an axis that covers the values with a margin, and a range of at least `min_range`."""
        low, high = float(min(values)), float(max(values))
        margin = max(0.06 * (high - low), (min_range - (high - low)) / 2)
        return cls(low - margin, high + margin, top, bottom)

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * (value - self.low) / (self.high - self.low)


def svg_chart(
    history: Sequence[dict],
    losses: Sequence[tuple[float, float]] = (),
    *,
    channel: str = "y",
    first_measurement: int | None = None,
) -> str:
    """Returns the learning curves of a run that is being trained as markup: a legend in HTML and a chart in SVG.

    Above, the gain over bicubic of both sets; below, with an axis of its own, the error on the training's crops.

    Args:
        history: records of a run, in order; values may be None.
        losses: (step, mean squared error of pixels from 0 to 1) on the training's crops, more closely spaced than the
            records; for earlier steps, the records' losses are drawn.
        channel: "y" or "rgb", what PSNR is measured on.
        first_measurement: the step that ends the first epoch, if it is known.
    """
    gains = gain_series(history, channel)
    errors = smooth(_crop_errors(history, losses))
    last = max((step for points in (*(each.points for each in gains), errors) for step, _ in points), default=0) or 1

    parts = [_step_axis(last)]
    if values := [value for each in gains for value in each.values]:
        axis = _Axis.around([0.0, *compress_loss(values)], MIN_GAIN_RANGE)
        parts.append(_gain_axis(axis))
        dashes = f'stroke-width="1.5" stroke-dasharray="{" ".join(map(str, DASHES))}" opacity=".75"'
        parts.append(f'<path d="M{LEFT} {axis.y(0):.1f}H{RIGHT}" stroke="{PAGE_THEME.ink}" {dashes}/>')
        for each in gains:
            curve = [(step, float(compress_loss(value))) for step, value in each.points]
            parts.append(_svg_curve(curve, last, axis, each.color(PAGE_THEME), 'stroke-width="2.5"'))
    else:
        when = f" (step {first_measurement:,})".replace(",", "\u2009") if first_measurement else ""
        text = f"PSNR appears after the first epoch{when}"
        parts.append(_svg_text((LEFT + RIGHT) / 2, (GAIN_TOP + GAIN_BOTTOM) / 2, text, "middle"))
    if errors:
        curve = [(step, math.log10(error)) for step, error in errors]
        axis = _Axis.around([value for _, value in curve], MIN_LOSS_RANGE, LOSS_TOP, LOSS_BOTTOM)
        parts.append(_loss_axis(axis))
        parts.append(_svg_curve(curve, last, axis, PAGE_THEME.ink, 'stroke-width="1.5" opacity=".7"'))
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" fill="none">{"".join(parts)}</svg>'
    return _svg_legend(gains) + svg


def _crop_errors(history: Sequence[dict], losses: Sequence[tuple[float, float]]) -> Points:
    """Returns (step, error on the training's crops, of pixels from 0 to 255).

    The record of a part of an epoch is left out: the mean of a few crops would be a kink at the end of the curve.
    """
    first = losses[0][0] if losses else math.inf
    whole = [record for record in history if float(record.get("epoch", 0)).is_integer() and record["step"] < first]
    return [(step, LEVELS * loss) for step, loss in (*_points(whole, "train_loss"), *losses) if loss > 0]


def smooth(points: Points) -> Points:
    """Averages each value (its logarithm) with its neighbors: the crops of a step are easy or hard by chance."""
    reach = round(SMOOTHED_SHARE * len(points) / 2)
    logs = np.log([value for _, value in points])
    sums = np.concatenate([[0.0], np.cumsum(logs)])
    smoothed = []
    for number, (step, _) in enumerate(points):
        near = min(reach, number, len(points) - 1 - number)  # as far to both sides, so that the ends stay in place
        mean = (sums[number + near + 1] - sums[number - near]) / (2 * near + 1)
        smoothed.append((step, float(np.exp(mean))))
    return smoothed


def _svg_legend(gains: Sequence[Series]) -> str:
    """Returns the names of the curves and their newest values; the panel styles the classes."""
    keys = [("key", each.color(PAGE_THEME), _gain_label(each)) for each in gains if each.points]
    if keys:
        keys.append(("key dashed", PAGE_THEME.ink, "bicubic"))
    shown = [f'<span class="{kind}" style="--c:{color}">{text}</span>' for kind, color, text in keys]
    return f'<div class="row legend">{"".join(shown)}</div>'


def _svg_curve(points: Sequence[tuple[float, float]], last: float, axis: _Axis, color: str, style: str) -> str:
    """Returns a line through the points, or a dot where there is one."""
    places = [(_x(step, last), axis.y(value)) for step, value in points]
    if len(places) == 1:
        x, y = places[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>'
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return f'<path d="M{path}" stroke-linejoin="round" stroke="{color}" {style}/>' if places else ""


def _step_axis(last: float) -> str:
    ticks = [
        _svg_text(_x(step, last), LOSS_BOTTOM + 20, f"{step:,.0f}", "middle")
        for step in MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]).tick_values(0, last)
        if step <= 0.94 * last
    ]
    # A thin space between thousands.
    return "".join([*ticks, _svg_text(RIGHT, LOSS_BOTTOM + 20, "step", "end")]).replace(",", "\u2009")


def _gain_axis(axis: _Axis) -> str:
    low, high = (float(expand_loss(end)) for end in (axis.low, axis.high))
    lines = [_svg_tick(axis.y(float(compress_loss(gain))), signed(gain)) for gain in gain_ticks(low, high)]
    return "".join([*lines, _svg_text(LEFT - 8, GAIN_TOP - 14, "dB", "end")])


def _loss_axis(axis: _Axis) -> str:
    low, high = 10**axis.low, 10**axis.high
    values = [value for value in loss_ticks([low, high]).tick_values(low, high) if low <= value <= high]
    values = values[:: math.ceil(len(values) / 4) or 1]  # no more than there is room for
    lines = [_svg_tick(axis.y(math.log10(value)), f"{round(value, 9):g}") for value in values]
    title = "Error on the training’s crops (MSE, pixels from 0 to 255)"
    return "".join([*lines, _svg_text(LEFT, LOSS_TOP - 14, title, "start")])


def _svg_tick(y: float, text: str) -> str:
    line = f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="{PAGE_THEME.grid}" opacity=".13"/>'
    return line + _svg_text(LEFT - 8, y + 4, text, "end")


def _svg_text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" opacity=".66">{text}</text>'


def _x(step: float, last: float) -> float:
    return LEFT + (RIGHT - LEFT) * step / last


def scientific(value: float, digits: int = 0) -> str:
    """Returns a number such as 5e−4, or 5.0e−4 with one digit."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")
