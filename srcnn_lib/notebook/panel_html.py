"""What the live panel draws: a training as it stands, in HTML that takes on the colors of the page around it.

Text and lines have the page's own color; the curves' two colors can be told apart on light and on dark ground. Orange
is the training set and blue the test set, as in figures. Nothing here knows of notebooks: text goes in, text comes out.
"""

import base64
import html
import io
import math
from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from ..data.augmentation import TILE

TRAIN, TEST = "#e0701a", "#2f86dd"
WIDTH, HEIGHT = 640, 500  # of the chart, in its own units
LEFT, RIGHT, TOP, BOTTOM = 44, 582, 30, 470  # the axes inside it
Points = Sequence[tuple[float, float]]  # (step, value)

STYLE = """<style>
.srcnn-live { container-type: inline-size; max-width: 1080px; margin: .3em 0; line-height: 1.4;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-size: 13px;
  font-variant-numeric: tabular-nums }
.srcnn-live .row { display: flex; flex-wrap: wrap; gap: .2em 1.6em; align-items: baseline }
.srcnn-live .state { font-weight: 600; font-size: 15px }
.srcnn-live .end { margin-left: auto }
.srcnn-live .dim { opacity: .66 }
.srcnn-live .bar { position: relative; height: 3px; margin: .5em 0 1em; border-radius: 2px; overflow: hidden }
.srcnn-live .bar::before { content: ""; position: absolute; inset: 0; background: currentColor; opacity: .14 }
.srcnn-live .bar span { position: absolute; inset: 0 auto 0 0; background: #2f86dd }
.srcnn-live .body { display: grid; grid-template-columns: minmax(0, 1.45fr) minmax(0, 1fr); gap: 1.2em 2em }
@container (max-width: 640px) { .srcnn-live .body { grid-template-columns: minmax(0, 1fr) } }
.srcnn-live .figure { font-size: 19px; font-weight: 600; line-height: 1.25 }
.srcnn-live .lead { font-size: 26px }
.srcnn-live .figures { align-items: end; margin-bottom: .8em; gap: .4em 2.2em }
.srcnn-live svg { display: block; width: 100%; height: auto; overflow: visible }
.srcnn-live svg text { fill: currentColor; font-size: 13px }
.srcnn-live .probe { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 4px; align-self: start }
.srcnn-live .probe img { display: block; width: 100%; height: auto; max-width: none; margin: 0 0 4px }
.srcnn-live .legend { gap: .2em 1.3em; margin-bottom: .3em }
.srcnn-live .key::before { content: ""; display: inline-block; width: 1.3em; margin-right: .45em; vertical-align: .25em;
  border-top: 2.5px solid var(--c, currentColor) }
.srcnn-live .dashed::before { border-top: 1.5px dashed }
.srcnn-live .thin::before { border-top-width: 1px; opacity: .75 }
</style>"""


def panel(
    *,
    state: str,
    place: str,
    left: str,
    share: float,
    figures: Sequence[tuple[str, str]],
    chart: str,
    probe: Sequence[tuple[str, Sequence[str]]],
    notes: Sequence[str],
) -> str:
    """The whole panel.

    Args:
        state, place, left: one word; where the training is; how long it will take.
        share: of the training that is done, from 0 to 1.
        figures: (value, what it is) each, the most telling first.
        chart: as `chart` draws it.
        probe: (title, its pictures as `png` makes them) of each column.
        notes: a line each below.
    """
    shown = "".join(
        f'<div><div class="figure{"" if number else " lead"}">{html.escape(value)}</div>'
        f'<div class="dim">{html.escape(name)}</div></div>'
        for number, (value, name) in enumerate(figures)
    )
    columns = "".join(
        f'<div><div class="dim">{html.escape(title)}</div>'
        + "".join(f'<img alt="" decoding="sync" width="{TILE}" height="{TILE}" src="{source}">' for source in pictures)
        + "</div>"
        for title, pictures in probe
    )
    lines = "".join(f"<span>{html.escape(note)}</span>" for note in notes if note)
    return (
        f'<div class="srcnn-live">{STYLE}'
        f'<div class="row"><span class="state">{html.escape(state)}</span><span>{html.escape(place)}</span>'
        f'<span class="end">{html.escape(left)}</span></div>'
        f'<div class="bar"><span style="width:{100 * share:.1f}%"></span></div>'
        f'<div class="body"><div><div class="row figures">{shown}</div>{chart}</div>'
        f'<div class="probe">{columns}</div></div>'
        f'<div class="row dim" style="margin-top:.8em">{lines}</div></div>'
    )


def png(tile: Tensor) -> str:
    """A picture (3, H, W) as the address of a PNG image."""
    pixels = tile.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)  # (H, W, 3)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "png", compress_level=1)  # quick rather than small
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def chart(train: Points, test: Points, bicubic: float | None, loss: Points) -> str:
    """PSNR of both sets with bicubic's line (left axis, dB), and the loss (right axis, logarithmic), over the steps."""
    last = max([step for points in (train, test, loss) for step, _ in points], default=0) or 1
    decibels = [value for points in (train, test) for _, value in points]
    if bicubic is not None:
        # From torch's initialisation the first epochs would press everything that matters into a line.
        decibels = [max(value, bicubic - 6) for value in decibels] + [bicubic]
    low, high = _span(decibels, 0.4) if decibels else (0, 1)
    parts = [_steps(last)]
    if loss:
        logarithms = [(step, math.log10(value)) for step, value in loss if value > 0]
        span = _span([value for _, value in logarithms], 0.1)
        parts += [_loss_axis(*span), _curve(logarithms, last, *span, 'stroke="currentColor" opacity=".5"')]
    if decibels:
        parts += [_decibel_axis(low, high)]
        if bicubic is not None:
            y = _y(bicubic, low, high)
            parts.append(
                f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="currentColor" stroke-width="1.5" stroke-dasharray="5 4"/>'
            )
        parts += [
            _curve(points, last, low, high, f'stroke="{color}" stroke-width="2.5"')
            for points, color in ((train, TRAIN), (test, TEST))
        ]
    else:
        middle = (LEFT + RIGHT) / 2
        parts.append(
            f'<text x="{middle}" y="{TOP + 12}" text-anchor="middle" opacity=".66">PSNR: at the epoch’s end</text>'
        )
    drawn = "".join(parts)
    return f'{_legend(train, test, bicubic, loss)}<svg viewBox="0 0 {WIDTH} {HEIGHT}" fill="none">{drawn}</svg>'


def _legend(train: Points, test: Points, bicubic: float | None, loss: Points) -> str:
    keys = [
        ("key", TEST, "test", f"{test[-1][1]:.2f}" if test else ""),
        ("key", TRAIN, "train", f"{train[-1][1]:.2f}" if train else ""),
        ("key dashed", "currentColor", "bicubic", f"{bicubic:.2f}" if bicubic is not None else ""),
        ("key thin", "currentColor", "loss", scientific(loss[-1][1], 2) if loss else ""),
    ]
    shown = [
        f'<span class="{kind}" style="--c:{color}">{name} {value}</span>' for kind, color, name, value in keys if value
    ]
    return f'<div class="row legend">{"".join(shown)}</div>'


def _curve(points: Points, last: float, low: float, high: float, look: str) -> str:
    places = [(_x(step, last), _y(max(value, low), low, high)) for step, value in points]
    if len(places) == 1:
        (x, y), color = places[0], look.split()[0].replace("stroke", "fill")
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" {color}/>'
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return f'<path d="M{path}" stroke-linejoin="round" {look}/>' if places else ""


def _steps(last: float) -> str:
    parts = []
    for step in _ticks(0, last, 6, 1):
        x = _x(step, last)
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 20}" text-anchor="middle" opacity=".66">{step:,.0f}</text>')
    parts.append(f'<text x="{WIDTH}" y="{BOTTOM + 20}" text-anchor="end" opacity=".66">step</text>')
    return "".join(parts).replace(",", "\u2009")  # a thin space between thousands


def _decibel_axis(low: float, high: float) -> str:
    parts = []
    for value in _ticks(low, high, 5):
        y = _y(value, low, high)
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{RIGHT}" stroke="currentColor" opacity=".13"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" opacity=".66">{value:g}</text>'
        )
    return "".join(parts) + f'<text x="{LEFT - 8}" y="{TOP - 14}" text-anchor="end" opacity=".66">dB</text>'


def _loss_axis(low: float, high: float) -> str:
    """Ticks at 1, 2 and 5 times powers of ten, as many as there is room for."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 3, 4, 5, 6, 8)]
    values = [value for value in values if low <= math.log10(value) <= high]
    values = values[:: math.ceil(len(values) / 6) or 1]
    labels = [
        f'<text x="{RIGHT + 8}" y="{_y(math.log10(value), low, high) + 4:.1f}" opacity=".66">{scientific(value)}</text>'
        for value in values
    ]
    return "".join(labels) + f'<text x="{RIGHT + 8}" y="{TOP - 14}" opacity=".66">loss</text>'


def _x(step: float, last: float) -> float:
    return LEFT + (RIGHT - LEFT) * step / last


def _y(value: float, low: float, high: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low)


def _span(values: Sequence[float], least: float) -> tuple[float, float]:
    """From a little below the smallest to a little above the largest, `least` apart at the least."""
    low, high = min(values), max(values)
    margin = max(0.06 * (high - low), (least - (high - low)) / 2)
    return low - margin, high + margin


def _ticks(low: float, high: float, most: int, least: float = 0) -> list[float]:
    """At most so many round numbers from `low` to `high`, `least` apart at the least."""
    rough = max((high - low) / most, least)
    unit = 10.0 ** math.floor(math.log10(rough))
    unit *= next(factor for factor in (1, 2, 5, 10) if factor * unit >= rough)
    return [round(number * unit, 10) for number in range(math.ceil(low / unit), math.floor(high / unit) + 1)]


def scientific(value: float, digits: int = 0) -> str:
    """5e−4, or 5.0e−4 with one digit."""
    mantissa, exponent = f"{value:.{digits}e}".split("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")


def duration(seconds: float) -> str:
    """2 h 05 min, 3 min 20 s or 8 s; a dash where it isn't known."""
    if not math.isfinite(seconds):
        return "–"
    seconds = round(seconds)
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
    return f"{seconds // 60} min {seconds % 60:02} s" if seconds >= 60 else f"{seconds} s"
