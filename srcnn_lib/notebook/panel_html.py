"""The HTML of the training panel. It takes its colors from the page around it, light or dark."""

import base64
import html
import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from ..data.augmentation import TILE
from ..data.images import to_rgb_pixels
from ..visualization.frames import encode_png

STYLE = """<style>
.srcnn-live { container-type: inline-size; max-width: 1080px; margin: .5em 0; line-height: 1.4;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-size: 13px;
  font-variant-numeric: tabular-nums }
.srcnn-live .row { display: flex; flex-wrap: wrap; gap: .2em 1.6em; align-items: baseline }
.srcnn-live .state { font-weight: 600; font-size: 15px }
.srcnn-live .end { margin-left: auto }
.srcnn-live .feedback { color: #2f86dd }
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
.srcnn-live .probe .tile { display: block; width: 100%; height: auto; aspect-ratio: 1; max-width: none; margin: 0 0 4px;
  background-size: 100% 100% }
.srcnn-live .title { opacity: .66; height: 2.8em; white-space: pre-line; overflow: hidden }
.srcnn-live .legend { gap: .2em 1.3em; margin-bottom: .3em }
.srcnn-live .key::before { content: ""; display: inline-block; width: 1.3em; margin-right: .45em; vertical-align: .25em;
  border-top: 2.5px solid var(--c, currentColor) }
.srcnn-live .dashed::before { border-top: 1.5px dashed var(--c, currentColor) }
.srcnn-live .thin::before { border-top-width: 1px; opacity: .75 }
</style>"""


def render_panel(
    *,
    state: str,
    position: str,
    time_left: str,
    share: float,
    figures: Sequence[tuple[str, str]],
    chart: str,
    probe: Sequence[tuple[str, Sequence[str]]],
    notes: Sequence[str],
    feedback: str = "",
) -> str:
    """Returns the whole panel.

    Args:
        state: such as "Training" or "Paused".
        position: epoch and step.
        time_left: until the training ends.
        share: of the steps that are done, from 0 to 1.
        figures: (value, label) each, the most important first.
        chart: SVG of the learning curves, with its legend.
        probe: (title, pictures) of each column; pictures are markup, as `tile_image` or `tile_place` returns it.
        notes: a line each, below.
        feedback: what the last press of a button did.
    """
    values = "".join(
        f'<div><div class="figure{"" if number else " lead"}">{html.escape(value)}</div>'
        f'<div class="dim">{html.escape(label)}</div></div>'
        for number, (value, label) in enumerate(figures)
    )
    columns = "".join(
        f'<div><div class="title">{html.escape(title)}</div>{"".join(pictures)}</div>' for title, pictures in probe
    )
    lines = "".join(f"<span>{html.escape(note)}</span>" for note in notes if note)
    return (
        f'<div class="srcnn-live">{STYLE}'
        f'<div class="row"><span class="state">{html.escape(state)}</span><span>{html.escape(position)}</span>'
        f'<span class="feedback">{html.escape(feedback)}</span>'
        f'<span class="end">{html.escape(time_left)}</span></div>'
        f'<div class="bar"><span style="width:{100 * share:.1f}%"></span></div>'
        f'<div class="body"><div><div class="row figures">{values}</div>{chart}</div>'
        f'<div class="probe">{columns}</div></div>'
        f'<div class="row dim" style="margin-top:.8em">{lines}</div></div>'
    )


def png_address(tile: Tensor) -> str:
    """Returns a picture (3, H, W) as a `data:` address of a PNG image."""
    return "data:image/png;base64," + base64.b64encode(encode_png(to_rgb_pixels(tile).numpy())).decode()


def tile_image(address: str) -> str:
    """Returns the markup of a picture."""
    return f'<img class="tile" alt="" decoding="sync" width="{TILE}" height="{TILE}" src="{address}">'


def tile_place(name: str) -> str:
    """Returns the markup of a place for a picture, which `tile_style` of the same name fills from elsewhere."""
    return f'<div class="tile {name}"></div>'


def tile_style(addresses: Mapping[str, str]) -> str:
    """Returns the style that puts pictures in their places; {name: address}.

    The panel is drawn once a second, its pictures change with a snapshot: apart from it, they are not sent each time.
    """
    rules = "".join(
        f".srcnn-live .{name} {{ background-image: url({address}) }}" for name, address in addresses.items()
    )
    return f"<style>{rules}</style>"


def duration(seconds: float) -> str:
    """Returns "2 h 05 min", "3 min 20 s" or "8 s"; a dash if the duration is not known."""
    if not math.isfinite(seconds):
        return "–"
    seconds = round(seconds)
    if seconds >= 3600:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"
    return f"{seconds // 60} min {seconds % 60:02} s" if seconds >= 60 else f"{seconds} s"
