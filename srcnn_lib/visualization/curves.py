"""Learning curves: PSNR and the loss over the steps of a run, as a matplotlib figure and as SVG for the live panel.

Both show the same series with the same labels, colors and ticks: `psnr_series` and `loss_series` choose them. Orange
is the training set and blue the validation set; a dashed line is bicubic's PSNR on the same set.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import Locator, LogLocator, MaxNLocator, NullLocator

from ..errors import InputError
from .style import HEADING, PAGE_THEME, SMALL, Figure, Theme, get_theme, new_figure, style_chart

Points = list[tuple[float, float]]  # (step, value), in order

SETS = {"train": "orange", "validation": "blue"}  # the two sets of a run and their colors in a theme
LOSS_TITLE = "Mean squared error"  # what a history's losses are, whichever loss was optimized
FAR_BELOW = 10  # dB below bicubic: a curve that begins lower is cut off
CUT = 6  # dB below bicubic: where it is cut off
DASHES = (5, 3)  # of bicubic's lines
MIN_LOSS_RANGE = 0.1  # smallest range of the SVG's loss axis, in powers of ten
MIN_PSNR_RANGE = 0.4  # smallest range of the SVG's PSNR axis, in dB
WIDTH, HEIGHT = 640, 500  # of the SVG, in its own units
LEFT, RIGHT, TOP, BOTTOM = 44, 582, 30, 470  # the axes inside it


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


def loss_series(history: Sequence[dict]) -> list[Series]:
    """Returns the mean squared error on the training and on the validation set."""
    return [Series(name, _points(history, f"{name}_loss")) for name in SETS]


def psnr_floor(series: Sequence[Series]) -> float | None:
    """Returns the dB at which a chart of PSNR is cut off if a run starts far below bicubic, else None.

    After torch's initialization, the low values of the first steps would compress all later ones into a line.
    """
    bicubic = [each.bicubic for each in series if each.bicubic is not None]
    values = [value for each in series for value in each.values]
    if bicubic and values and min(values) < min(bicubic) - FAR_BELOW:
        return min(bicubic) - CUT
    return None


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
    """Returns a figure of a run's learning curves: PSNR beside bicubic's on the left, the loss on the right.

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
    """Draws PSNR over the steps on `ax`, with bicubic's on the same set as a dashed line."""
    series = psnr_series(history, channel)
    train, validation = series
    best = f"validation, best {max(validation.values):.2f} dB" if validation.points else ""
    _draw_series(series, ax, theme, [train.label, best])
    title = f"PSNR ({'Y' if channel == 'y' else 'RGB'}), dB"
    if (floor := psnr_floor(series)) is not None:
        lowest = min(value for each in series for value in each.values)
        ax.set_ylim(bottom=floor)
        title += f" (from {lowest:.1f})"
    style_chart(ax, title, theme)


def draw_loss(history: Sequence[dict], ax: Axes, *, theme: str = "light") -> None:
    """Draws the mean squared error over the steps on `ax`, whose vertical axis is logarithmic."""
    series = loss_series(history)
    _draw_series(series, ax, theme, [each.label for each in series])
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(loss_ticks([value for each in series for value in each.values]))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    style_chart(ax, LOSS_TITLE, theme)


def _draw_series(series: Sequence[Series], ax: Axes, theme: str, labels: Sequence[str]) -> None:
    """Draws each series as a line with its label, then bicubic's dashed lines."""
    look = get_theme(theme)
    for each, label in zip(series, labels, strict=True):
        if each.points:
            marker = "o" if len(each.points) < 8 else ""
            ax.plot(*zip(*each.points, strict=True), color=each.color(look), lw=2, label=label, marker=marker)
    for each in series:
        if each.bicubic is not None:
            label = f"bicubic, {each.label}, {each.bicubic:.2f} dB"
            ax.axhline(each.bicubic, color=each.color(look), lw=1.4, ls=(0, DASHES), label=label)


def quality_over_time_figure(
    curves: dict[str, Points], references: dict[str, float], *, title: str = "", theme: str = "light"
) -> Figure:
    """Returns a figure of quality over the minutes of training, on a logarithmic axis.

    Args:
        curves: (minutes, dB) in order, by name; up to three.
        references: known values in dB, by name, which are drawn as dashed lines.
        title: text above the chart; if empty, "PSNR on Y, dB".
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    figure = new_figure(9, 5, theme)
    ax = figure.subplots()
    lowest = min(references.values())
    highest = max(*references.values(), *(points[-1][1] for points in curves.values()))
    low = lowest - 0.15 * (highest - lowest)
    high = highest + 0.1 * (highest - lowest)

    labels = [(value, f"{name}, {value:.2f}", look.muted) for name, value in references.items()]
    for (name, points), color in zip(curves.items(), (look.blue, look.orange, look.green), strict=False):
        ax.plot(*zip(*points, strict=True), color=color, lw=2.4)
        reached = points[-1][1]
        below = " (below)" if reached < low else ""
        labels.append((max(reached, low), f"{name}, {reached:.2f}{below}", color))
    ax.set_ylim(low, high)
    ax.set_xscale("log")
    ax.margins(x=0.02)
    for value in references.values():
        ax.axhline(value, color=look.muted, lw=1.2, ls=(0, DASHES))

    height = -math.inf
    for value, text, color in sorted(labels):
        height = max((value - low) / (high - low), height + 0.05)  # at least one line of text apart
        ax.annotate(text, (1.01, height), xycoords="axes fraction", color=color, size=SMALL, va="center")
    style_chart(ax, title or "PSNR on Y, dB", theme, x_label="minutes of training")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    return figure


# As SVG in a page, with the page's text color and background


@dataclass(frozen=True)
class _Axis:
    """Maps values to vertical positions in the SVG."""

    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float], min_range: float) -> "_Axis":
        """Returns an axis that covers the values with a margin, and a range of at least `min_range`."""
        low, high = min(values), max(values)
        margin = max(0.06 * (high - low), (min_range - (high - low)) / 2)
        return cls(low - margin, high + margin)

    def y(self, value: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * (max(value, self.low) - self.low) / (self.high - self.low)


def svg_chart(history: Sequence[dict], losses: Sequence[tuple[float, float]] = (), *, channel: str = "y") -> str:
    """Returns the learning curves of a run that is being trained as markup: a legend in HTML and a chart in SVG.

    The left axis belongs to PSNR, of both sets and bicubic; the right one, logarithmic, to the training loss.

    Args:
        history: records of a run, in order; values may be None.
        losses: (step, training loss), more closely spaced than the records; for earlier steps, the records' losses are
            drawn.
        channel: "y" or "rgb", what PSNR is measured on.
    """
    psnr = psnr_series(history, channel)
    first = losses[0][0] if losses else math.inf
    earlier = [(step, loss) for step, loss in loss_series(history)[0].points if step < first]
    losses = [(step, loss) for step, loss in (*earlier, *losses) if loss > 0]
    drawn = [*(each.points for each in psnr), losses]
    last = max((step for points in drawn for step, _ in points), default=0) or 1

    parts = [_step_axis(last)]
    if losses:
        curve = [(step, math.log10(loss)) for step, loss in losses]
        axis = _Axis.around([value for _, value in curve], MIN_LOSS_RANGE)
        parts.append(_loss_axis(axis))
        parts.append(_svg_curve(curve, last, axis, PAGE_THEME.ink, 'opacity=".5"'))
    floor = psnr_floor(psnr)
    decibels = [value if floor is None else max(value, floor) for each in psnr for value in each.values]
    if decibels:
        axis = _Axis.around(decibels + [each.bicubic for each in psnr if each.bicubic is not None], MIN_PSNR_RANGE)
        parts.append(_psnr_axis(axis))
        dashes = f'stroke-width="1.5" stroke-dasharray="{" ".join(map(str, DASHES))}"'
        for each in psnr:
            if each.bicubic is not None:
                line = f"M{LEFT} {axis.y(each.bicubic):.1f}H{RIGHT}"
                parts.append(f'<path d="{line}" stroke="{each.color(PAGE_THEME)}" {dashes}/>')
        parts += [_svg_curve(each.points, last, axis, each.color(PAGE_THEME), 'stroke-width="2.5"') for each in psnr]
    else:
        middle = (LEFT + RIGHT) / 2
        parts.append(_svg_text(middle, TOP + 12, "PSNR: at the epoch’s end", "middle"))
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" fill="none">{"".join(parts)}</svg>'
    return _svg_legend(psnr, losses[-1][1] if losses else None) + svg


def _svg_legend(psnr: Sequence[Series], loss: float | None) -> str:
    """Returns the names of the curves and their newest values; the panel styles the classes."""
    keys = []
    for each in psnr:
        if each.points:
            keys.append(("key", each.color(PAGE_THEME), f"{each.label} {each.values[-1]:.2f}"))
    for each in psnr:
        if each.bicubic is not None:
            keys.append(("key dashed", each.color(PAGE_THEME), f"bicubic, {each.label} {each.bicubic:.2f}"))
    if loss is not None:
        keys.append(("key thin", PAGE_THEME.ink, f"MSE {scientific(loss, 2)}"))
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
        _svg_text(_x(step, last), BOTTOM + 20, f"{step:,.0f}", "middle")
        for step in MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]).tick_values(0, last)
        if step <= last
    ]
    # A thin space between thousands.
    return "".join([*ticks, _svg_text(WIDTH, BOTTOM + 20, "step", "end")]).replace(",", "\u2009")


def _psnr_axis(axis: _Axis) -> str:
    parts = []
    for value in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(axis.low, axis.high):
        if axis.low <= value <= axis.high:
            y = axis.y(value)
            parts.append(f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="{PAGE_THEME.grid}" opacity=".13"/>')
            parts.append(_svg_text(LEFT - 8, y + 4, f"{round(value, 9):g}", "end"))
    return "".join([*parts, _svg_text(LEFT - 8, TOP - 14, "dB", "end")])


def _loss_axis(axis: _Axis) -> str:
    low, high = 10**axis.low, 10**axis.high
    values = [value for value in loss_ticks([low, high]).tick_values(low, high) if low <= value <= high]
    values = values[:: math.ceil(len(values) / 6) or 1]  # no more than there is room for
    ticks = [_svg_text(RIGHT + 8, axis.y(math.log10(value)) + 4, _tick_label(value), "start") for value in values]
    return "".join([*ticks, _svg_text(RIGHT + 8, TOP - 14, "MSE", "start")])


def _tick_label(value: float) -> str:
    """Returns a tick's value with as few digits as it needs: 5e−4 or 2.5e−4."""
    digits = next((digits for digits in range(4) if math.isclose(float(f"{value:.{digits}e}"), value)), 4)
    return scientific(value, digits)


def _svg_text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" opacity=".66">{text}</text>'


def _x(step: float, last: float) -> float:
    return LEFT + (RIGHT - LEFT) * step / last


def scientific(value: float, digits: int = 0) -> str:
    """Returns a number such as 5e−4, or 5.0e−4 with one digit."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")
