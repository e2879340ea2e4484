"""The look of everything that is drawn: colors, sizes of text, empty figures, and how figures are written.

Colors have the same meaning everywhere. In maps and kernels zero is dark, orange is positive and blue negative; in
curves orange is the training set and blue the validation set. Nothing here uses pyplot, so threads may draw as well.
"""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from ..errors import InputError
from ..runtime.files import write_atomically


@dataclass(frozen=True)
class Theme:
    """Colors of a figure's background (ground), text (ink, muted) and lines, as CSS writes them."""

    ground: str
    ink: str
    muted: str
    grid: str
    orange: str
    blue: str
    green: str


THEMES = {
    "light": Theme("#ffffff", "#1b1f24", "#5f6873", "#e3e6ea", "#d9650b", "#1f6fc4", "#1a8f5a"),
    "dark": Theme("#15191f", "#eceff3", "#97a1ad", "#272d36", "#ff9d4d", "#6cb2ff", "#4fd18b"),
}
# For markup inside a page whose background is unknown: text takes the page's color; the others are visible on any.
PAGE_THEME = Theme("none", "currentColor", "currentColor", "currentColor", "#e0701a", "#2f86dd", "#1f9d63")

# Zero is dark in both themes: a map then looks like a photograph and not like its negative.
COLORS = ("#e2f1ff", "#6cb2ff", "#1d4f86", "#06080b", "#8a3f0c", "#ff9d4d", "#fff0dc")
SIGNED = LinearSegmentedColormap.from_list("signed", COLORS).with_extremes(bad="#3a424d")
POSITIVE = LinearSegmentedColormap.from_list("positive", COLORS[3:])  # the upper half of SIGNED

HEADING, TEXT, SMALL = 13, 11, 9  # sizes of text in points


def get_theme(name: str) -> Theme:
    """Returns the theme of that name.

    Raises:
        InputError: for an unknown name; the message lists the valid ones.
    """
    if name not in THEMES:
        raise InputError(f"theme is {name!r}, expected one of {', '.join(THEMES)}")
    return THEMES[name]


class Figure(MatplotlibFigure):
    """A matplotlib figure that a notebook displays without a backend."""

    def _repr_png_(self) -> bytes:
        return figure_png(self)


def new_figure(width: float, height: float, theme: str) -> Figure:
    """Returns an empty figure of that size in inches, with the theme's background."""
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.02, hspace=0.02)
    return Figure(figsize=(width, height), layout=layout, facecolor=get_theme(theme).ground)


def figure_png(figure: MatplotlibFigure, dpi: float = 100) -> bytes:
    """Returns a figure as the bytes of a PNG file, for display: compressed quickly rather than well."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    with layout_frozen(figure):
        canvas.draw()  # savefig would draw everything twice
    file = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(file, "PNG", compress_level=2)
    return file.getvalue()


def draw_frames(figure: MatplotlibFigure, draw: Callable[[int], object], count: int) -> np.ndarray:
    """Draws a figure several times, as the frames of a clip; its layout is that of the first frame.

    Args:
        figure: of 100 pixels an inch.
        draw: called with the number of each frame, to change what the axes show.
        count: of the frames.

    Returns:
        (T, H, W, 3) uint8.
    """
    figure.set_dpi(100)
    canvas = FigureCanvasAgg(figure)
    frames = []
    with layout_frozen(figure):
        for number in range(count):
            draw(number)
            canvas.draw()
            frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return np.stack(frames)


def save_figure(figure: MatplotlibFigure, path: str | Path, dpi: float = 150) -> Path:
    """Writes a figure atomically; the file extension selects the format (.png, .svg, .pdf).

    Raises:
        InputError: for an extension that matplotlib does not write.
    """
    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise InputError(f"{path}: a figure is written as one of .{', .'.join(sorted(known))}")
    with write_atomically(path) as temporary, layout_frozen(figure):
        figure.savefig(temporary, dpi=dpi)
    return path


@contextlib.contextmanager
def layout_frozen(figure: MatplotlibFigure) -> Iterator[None]:
    """Lays a figure out now, and keeps that layout for the drawing inside the block."""
    engine = figure.get_layout_engine()
    if engine is not None:
        for _ in range(2):  # axes that keep their aspect move the color bars beside them
            engine.execute(figure)
        figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


def style_picture(ax: Axes, title: str, theme: str) -> Axes:
    """Removes ticks and frame from the axes of a picture, and sets the title in the theme's ink."""
    look = get_theme(theme)
    ax.set(xticks=[], yticks=[], facecolor=look.ground)
    for spine in ax.spines.values():
        spine.set_visible(False)
    # matplotlib would read a dollar sign in a file's name as the beginning of a formula.
    ax.set_title(title, color=look.ink, size=HEADING, parse_math=False)
    return ax


def style_chart(ax: Axes, title: str, theme: str, *, x_label: str = "step") -> None:
    """Gives the axes of a chart a light grid, no box, a title, and a legend if lines have labels."""
    look = get_theme(theme)
    ax.set_facecolor(look.ground)
    ax.set_title(title, color=look.ink, size=HEADING, loc="left")
    ax.set_xlabel(x_label, color=look.muted, size=TEXT)
    ax.tick_params(which="both", colors=look.muted, labelsize=SMALL, length=0)
    ax.grid(color=look.grid, lw=0.8)
    ax.set_axisbelow(True)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if ax.get_legend_handles_labels()[0]:
        # With a background, the text stays legible where lines run through every corner.
        ax.legend(facecolor=look.ground, edgecolor="none", framealpha=0.85, labelcolor=look.ink, fontsize=TEXT)
