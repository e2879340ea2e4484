"""Helpers for tests of figures and curves: pixels, texts, and a check that no text is cut off."""

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from srcnn_lib.visualization.style import figure_png, layout_frozen


def pixels(figure: Figure) -> np.ndarray:
    """Returns a figure as it is displayed, (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(figure_png(figure))).convert("RGB"))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


def assert_no_text_is_clipped(figure: Figure) -> None:
    """Checks that every text lies on the canvas, as the figure is laid out for writing."""
    with layout_frozen(figure):
        canvas = figure.bbox.padded(1)
        color_bars = [child for ax in figure.axes for child in ax.child_axes]
        titles = [figure._suptitle] if figure._suptitle else []
        for drawn in [*figure.axes, *color_bars, *titles, *(text for ax in figure.axes for text in ax.texts)]:
            box = drawn.get_window_extent() if isinstance(drawn, Text) else drawn.get_tightbbox()
            assert canvas.x0 <= box.x0 <= box.x1 <= canvas.x1, drawn
            assert canvas.y0 <= box.y0 <= box.y1 <= canvas.y1, drawn
