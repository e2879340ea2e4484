"""Figures that a paper could print, on light or dark ground; none of them touches pyplot, so threads may draw too.

One palette says the same thing everywhere: in maps and kernels zero is dark, orange is positive and blue negative; in
curves orange is the training set and blue the test set. Pictures are (C, H, W), RGB or grey, clamped to [0, 1] where
they are drawn.
"""

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import FuncNorm, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..data.regions import Box, largest_error_region
from ..errors import InputError
from ..model import SRCNN
from ..runtime.files import write_whole
from .activations import ChannelReport, in_color, kernel_orientation, kernels, receptive_field


@dataclass(frozen=True)
class Theme:
    """Colors of a figure's ground, text and lines."""

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
# Zero is dark on both grounds: a map then looks like a photograph and not like its negative.
COLORS = ("#e2f1ff", "#6cb2ff", "#1d4f86", "#06080b", "#8a3f0c", "#ff9d4d", "#fff0dc")
SIGNED = LinearSegmentedColormap.from_list("signed", COLORS).with_extremes(bad="#3a424d")
POSITIVE = LinearSegmentedColormap.from_list("positive", COLORS[3:])  # the upper half of SIGNED
HEADING, TEXT, SMALL = 13, 11, 9  # points
STEPS = {"layer_1": "Patch extraction", "layer_2": "Non-linear mapping", "layer_3": "Reconstruction"}


class Figure(MatplotlibFigure):
    """A matplotlib figure that a notebook shows as it is, whatever backend is at work."""

    def _repr_png_(self) -> bytes:
        return png(self)


def png(figure: MatplotlibFigure, dpi: float = 100) -> bytes:
    """The figure as a PNG file's bytes, for a screen: quick rather than small."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    with _laid_out(figure):
        canvas.draw()  # savefig would draw everything twice
    file = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(file, "PNG", compress_level=2)
    return file.getvalue()


def save(figure: MatplotlibFigure, path: str | Path, dpi: float = 150) -> Path:
    """Write a figure, whole or not at all; the extension says how (.png, .svg, .pdf)."""
    path = Path(path)
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise InputError(f"{path}: a figure is written as one of .{', .'.join(sorted(known))}")
    with write_whole(path) as temporary, _laid_out(figure):
        figure.savefig(temporary, dpi=dpi)
    return path


@contextlib.contextmanager
def _laid_out(figure: MatplotlibFigure) -> Iterator[None]:
    """Place everything before the drawing, and not again during it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        for _ in range(2):  # axes that keep their aspect move the color bars beside them
            engine.execute(figure)
        figure.set_layout_engine("none")
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


def show(image: Tensor, ax: Axes, title: str = "", *, zoomed: bool = False, theme: str = "light") -> Axes:
    """Draw a picture (C, H, W) on `ax` without ticks; `zoomed` keeps its pixels as squares."""
    pixels = image.detach().float().cpu().clamp(0, 1)
    pixels = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)  # (H, W) or (H, W, 3)
    ax.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest" if zoomed else "auto")
    return _bare(ax, title, theme)


def comparison(
    original: Tensor,
    bicubic: Tensor,
    srcnn: Tensor,
    *,
    box: Box | None = None,
    scores: dict[str, tuple[float, float | None]] | None = None,
    theme: str = "light",
) -> Figure:
    """Original, bicubic and SRCNN side by side, a zoomed box of each below, dB and SSIM under it.

    Args:
        original, bicubic, srcnn: (C, H, W) of one size, RGB or grey.
        box: top, left, height, width of the zoom in pixels; where bicubic loses most without.
        scores: {"bicubic": (PSNR in dB, SSIM or None), "srcnn": …}, as metrics measures them.

    Raises:
        InputError: pictures of different sizes, or a box that is not inside them.
    """
    look = _theme(theme)
    pictures = {"original": original, "bicubic": bicubic, "srcnn": srcnn}
    height, width = original.shape[-2:]
    for name, picture in pictures.items():
        if picture.shape[-2:] != original.shape[-2:]:
            raise InputError(f"{name} is {_size(picture)}, expected {_size(original)} as the original")
    side = max(24, min(height, width, 480) // 5)
    top, left, tall, wide = box = box or largest_error_region(original, bicubic, (side, side * 4 // 3))
    if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
        raise InputError(f"box is {tuple(box)}, expected top, left, height, width inside {_size(original)}")

    column = 4.0  # inches
    heights = [min(column * height / width, 1.5 * column), min(column * tall / wide, 1.5 * column)]
    figure = _figure(3 * column + 0.3, sum(heights) + 0.8, look)
    axes = figure.subplots(2, 3, height_ratios=heights)
    titles = {"original": "Original", "bicubic": "Bicubic", "srcnn": "SRCNN"}
    for (name, picture), whole, zoom in zip(pictures.items(), *axes, strict=True):
        title = f"{titles[name]}, {_size(picture)}" if name == "original" else titles[name]
        show(picture, whole, title, theme=theme)
        _outline(whole, box, look.orange)
        show(picture[:, top : top + tall, left : left + wide], zoom, zoomed=True, theme=theme)
        for spine in zoom.spines.values():
            spine.set(visible=True, color=look.orange, linewidth=1.8)
        best = name == "srcnn"
        caption = _score(name, scores) if name != "original" else f"the box, {wide} × {tall} pixels"
        zoom.set_xlabel(caption, color=look.ink if best else look.muted, size=TEXT, labelpad=8)
        zoom.xaxis.label.set_weight("bold" if best else "normal")
    return figure


def _score(name: str, scores: dict | None) -> str:
    """33.69 dB · SSIM 0.9299, and for SRCNN its gain over bicubic."""
    if not scores or name not in scores:
        return ""
    psnr, ssim = scores[name]
    text = "∞ dB" if math.isinf(psnr) else f"{psnr:.2f} dB"
    if name == "srcnn" and "bicubic" in scores and math.isfinite(gain := psnr - scores["bicubic"][0]):
        text += f" ({round(gain, 2) + 0.0:+.2f})".replace("-", "−")
    return text if ssim is None else f"{text} · SSIM {ssim:.4f}"


def limit_of(values: Tensor, share: float = 0.999) -> float:
    """A value that `share` of the absolute values do not exceed, rounded up to two digits: the range to draw them in.

    Take it once over all frames of an animation: a range of its own for each frame fakes motion.
    """
    flat = values.abs().flatten()
    flat = flat[:: max(1, len(flat) // 1_000_000)].sort().values
    value = float(flat[min(len(flat) - 1, int(share * len(flat)))])
    if value < 1e-12:
        return 1.0
    unit = 10 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.6g}")


def show_map(
    values: Tensor, ax: Axes, *, limit: float, signed: bool, root: bool = False, theme: str = "light", **options
) -> AxesImage:
    """Draw one map (H, W) on `ax`: from 0 to `limit`, or from −`limit` to `limit` where `signed`.

    `root` spreads the small values: the colors run over the (signed) square root.
    """
    low = -limit if signed else 0
    norm = FuncNorm((_root, _square), low, limit) if root else Normalize(low, limit)
    pixels = values.detach().float().cpu().numpy()
    image = ax.imshow(pixels, cmap=SIGNED if signed else POSITIVE, norm=norm, **options)
    _bare(ax, "", theme)
    return image


def _root(values):
    return np.sign(values) * np.sqrt(np.abs(values))


def _square(values):
    return np.sign(values) * np.square(values)


def channel_sheet(
    maps: Tensor,
    *,
    limit: float | None = None,
    labels: Sequence[str] | None = None,
    title: str = "",
    theme: str = "light",
) -> Figure:
    """All channels of a layer on one sheet, each under its number; one range for all, colors over its square root.

    Args:
        maps: (channels, H, W); values below zero make the sheet signed, with zero in the middle of its colors.
        limit: the largest value that is told apart, for all channels alike; `limit_of(maps)` without.
        labels: what stands beside each number, such as the label of its ChannelReport.
    """
    limit, signed = limit or limit_of(maps), bool((maps < 0).any())

    def draw(ax: Axes, channel: int, extent):
        return show_map(maps[channel], ax, limit=limit, signed=signed, root=True, theme=theme, extent=extent)

    names = [f"{n}" if not labels else f"{n} · {labels[n]}" for n in range(len(maps))]
    what = f"{'value' if signed else 'activation'}\nsquare-root scale"
    return _sheet(draw, names, maps.shape[-2] / maps.shape[-1], what, maps.abs().max() > limit, title, theme)


def _sheet(draw: Callable, names: list[str], aspect: float, what: str, beyond: bool, title: str, theme: str) -> Figure:
    """Tiles drawn by `draw(ax, number, extent)`, a name above each, and one color bar for all; lengths in inches."""
    look = _theme(theme)
    columns = min(len(names), 8 if len(names) <= 64 else 16)
    rows = math.ceil(len(names) / columns)
    width = 1.15 if columns > 4 else 2.3
    step_x, step_y = width + 0.08, width * aspect + 0.24
    wide, tall = columns * step_x - 0.08, rows * step_y
    heading = 0.2 + 0.25 * (title.count("\n") + 1)
    total_x, total_y = max(wide + 1.5, 6.5), heading + max(tall, 1.6) + 0.12
    figure = _figure(total_x, total_y, look)
    figure.set_layout_engine("none")  # every place is known
    ax = figure.add_axes((0.1 / total_x, 1 - (heading + tall) / total_y, wide / total_x, tall / total_y))
    for number, name in enumerate(names):
        left, top = number % columns * step_x, number // columns * step_y
        image = draw(ax, number, (left, left + width, top + width * aspect, top))
        ax.text(left, top - 0.04, name, size=SMALL, color=look.ink, parse_math=False)
    ax.set_title(title, color=look.ink, size=HEADING, loc="left", parse_math=False)
    ax.set(xlim=(0, wide), ylim=(tall - 0.24, -0.24))
    high = max(tall - 0.24, 1.3)
    color_bar = figure.add_axes(
        ((wide + 0.2) / total_x, 1 - (heading + 0.24 + high) / total_y, 0.16 / total_x, high / total_y)
    )
    _bar(figure, image, color_bar, what, beyond, look)
    return figure


def _bar(figure: Figure, image: AxesImage, ax: Axes, what: str, beyond: bool, look: Theme) -> None:
    """A color bar on `ax` with the range in figures; pointed where values lie beyond it."""
    signed = image.norm.vmin < 0
    extend = ("both" if signed else "max") if beyond else "neither"
    color_bar = figure.colorbar(image, cax=ax, extend=extend, extendfrac=0.02)
    color_bar.set_label(what, color=look.muted, size=SMALL)
    color_bar.ax.tick_params(colors=look.muted, labelsize=SMALL)
    color_bar.outline.set_edgecolor(look.grid)
    shares = [0, 0.1, 0.5, 1] if isinstance(image.norm, FuncNorm) else [0, 0.5, 1]
    shares = [-share for share in shares[:0:-1]] + shares if signed else shares
    ticks = [share * image.norm.vmax for share in shares]
    color_bar.set_ticks(ticks, labels=[f"{tick:.3g}".replace("-", "−") for tick in ticks])
    color_bar.ax.minorticks_off()


def channel(
    image: Tensor,
    values: Tensor,
    kernel: Tensor,
    *,
    colors: bool | None = None,
    limit: float | None = None,
    title: str = "",
    report: ChannelReport | None = None,
    theme: str = "light",
) -> Figure:
    """One channel large, beside the picture it saw and the kernel it was seen with.

    Args:
        image: (C, H, W), what the network was given.
        values: (H, W), the channel's map; signed where it has values below zero.
        kernel: (inputs, size, size), as `features.kernels(model, layer)[channel]`.
        colors: as in `show_kernel`.
        limit: the largest value that is told apart; `limit_of(values)` without.
    """
    look = _theme(theme)
    height, width = values.shape
    tall = min(6.0 * height / width, 8.0)  # inches
    figure = _figure(tall * width / height + 4.4, max(tall, 4.6) + 1.0, look)
    axes = figure.subplot_mosaic([["input", "map"], ["kernel", "map"]], width_ratios=[2.6, tall * width / height])
    show(image, axes["input"], "Input", theme=theme)
    reach = limit_of(kernel, 1)
    show_kernel(kernel, axes["kernel"], limit=reach, colors=colors, theme=theme)
    _bare(axes["kernel"], f"Kernel, ±{reach:g}", theme)
    axes["kernel"].set_xlabel(" × ".join(map(str, kernel.shape)) + " weights", color=look.muted, size=TEXT)
    limit, signed = limit or limit_of(values), bool((values < 0).any())
    drawn = show_map(values, axes["map"], limit=limit, signed=signed, theme=theme)
    _bare(axes["map"], title, theme)
    color_bar = axes["map"].inset_axes([1.015, 0, 0.02, 1])
    _bar(figure, drawn, color_bar, "value" if signed else "activation", values.abs().max() > limit, look)
    axes["input"].set_anchor("N")
    axes["kernel"].set_anchor("S")
    if report:
        axes["map"].set_xlabel(_findings(report), color=look.muted, size=TEXT, labelpad=8)
    return figure


def _findings(report: ChannelReport) -> str:
    active = f"{report.active:.0%}" if report.active >= 0.01 else f"{100 * report.active:.2g}%"
    return (
        f"{report.label}:  follows edges {report.edges:.2f},  separates the subject {report.subject:.2f},  "
        f"active {active}"
    )


def show_kernel(
    kernel: Tensor, ax: Axes, *, limit: float, colors: bool | None = None, theme: str = "light", **options
) -> AxesImage:
    """Draw one kernel (inputs, size, size) on `ax`, from −`limit` to `limit`.

    One input is drawn in the signed colors; of more, all are drawn in rows. Three inputs are the colors of one
    picture, in which grey is zero, unless `colors` is False.
    """
    inputs, size = kernel.shape[:2]
    in_rgb = inputs == 3 and colors is not False
    if in_rgb:
        pixels = (0.5 + kernel / (2 * limit)).clamp(0, 1).permute(1, 2, 0)
    else:
        columns = math.ceil(math.sqrt(inputs))
        rows = math.ceil(inputs / columns)
        blank = kernel.new_full((rows * columns - inputs, size, size), math.nan)
        tiles = F.pad(torch.cat([kernel, blank]), [0, inputs > 1] * 2, value=math.nan)  # a gap between neighbours
        tiles = tiles.unflatten(0, (rows, columns))  # (rows, columns, size + 1, size + 1)
        pixels = tiles.transpose(1, 2).flatten(2).flatten(0, 1)
        pixels = pixels[:-1, :-1] if inputs > 1 else pixels
    cmap = "gray" if in_rgb else SIGNED
    image = ax.imshow(pixels.numpy(), cmap=cmap, vmin=-limit, vmax=limit, interpolation="nearest", **options)
    _bare(ax, "", theme)
    return image


ORDERS = {
    "orientation": "edges by orientation, then the others from smooth to fine",
    "frequency": "from smooth to fine",
    "energy": "strongest first",
    "channel": "by number",
}


def kernel_sheet(
    model: SRCNN, layer: str = "layer_1", *, sort: str = "orientation", limit: float | None = None, theme: str = "light"
) -> Figure:
    """All kernels of a layer in one fixed range, sorted by what they do; the title says the order.

    Layer 3 is drawn the other way round: what each channel of layer 2 paints.

    Args:
        sort: "orientation", "frequency" (mean spatial frequency), "energy" (sum of squares) or "channel".
        limit: weights from −limit to limit are told apart; most of them (99.5 %) without.
    """
    if sort not in ORDERS:
        raise InputError(f"sort is {sort!r}, expected one of {', '.join(ORDERS)}")
    weight = kernels(model, layer)
    weight = weight.transpose(0, 1) if layer == "layer_3" else weight
    limit = limit or limit_of(weight, 0.995)
    colors = in_color(model, layer)
    orientation, coherence, frequency = kernel_orientation(weight, colors)
    oriented = coherence >= 0.4  # a Sobel filter has 0.54, one kernel in a hundred drawn at random 0.38
    keys = {
        "orientation": torch.where(oriented, orientation, 1000 + frequency),
        "frequency": frequency,
        "energy": -weight.square().sum((1, 2, 3)),
        "channel": torch.arange(len(weight)),
    }
    order = keys[sort].argsort(stable=True).tolist()

    def draw(ax: Axes, place: int, extent):
        return show_kernel(weight[order[place]], ax, limit=limit, colors=colors, theme=theme, extent=extent)

    degrees = [round(angle) % 180 for angle in orientation.tolist()]  # 179.6° lies as 0° does
    names = [f"{n} · {degrees[n]}°" if oriented[n] else f"{n}" for n in order]
    step = STEPS[layer]
    size = " × ".join(map(str, weight.shape[1:]))
    painted = f"what each of layer 2's {len(weight)} channels paints, {size}" if layer == "layer_3" else ""
    title = f"{step}: {painted or f'{len(weight)} kernels of {size}'}\n{ORDERS[sort]}"
    what = "weight (grey: zero)" if colors else "weight"
    return _sheet(draw, names, 1.0, what, weight.abs().max() > limit, title, theme)


def receptive_field_figure(
    image: Tensor, model: SRCNN, *, at: tuple[int, int] | None = None, theme: str = "light"
) -> Figure:
    """How much of the picture one value of each layer depends on: nested boxes, 9, 13 and 17 pixels wide for 9-5-5.

    Args:
        image: (C, H, W).
        at: row and column of the pixel; the picture's center without. Near a border it is moved inside.
    """
    look = _theme(theme)
    sizes = {layer: receptive_field(model, layer) for layer in STEPS}
    height, width = image.shape[-2:]
    side = min(2 * sizes["layer_3"] + 1, height, width)
    at = at or (height // 2, width // 2)
    row, column = (
        min(max(place, side // 2), length - (side + 1) // 2) for place, length in zip(at, (height, width), strict=True)
    )
    top, left = row - side // 2, column - side // 2
    tall = min(4.2, 6.3 * height / width)  # inches
    wide = tall * width / height + tall + 0.3
    figure = _figure(wide, tall + 1.1, look)
    whole, zoom = figure.subplots(1, 2, width_ratios=[width / height, 1])
    show(image, whole, f"{width} × {height} pixels", theme=theme)
    show(image[:, top : top + side, left : left + side], zoom, f"{side} × {side} pixels", zoomed=True, theme=theme)
    _outline(whole, (top, left, side, side), "black")
    for (layer, size), color in zip(sizes.items(), (look.blue, look.green, look.orange), strict=True):
        corner = side // 2 - size // 2
        _outline(zoom, (corner, corner, size, size), color, label=f"{STEPS[layer]}: {size} × {size}")
    _outline(zoom, (side // 2, side // 2, 1, 1), "black", label="the pixel")
    figure.legend(
        loc="outside lower center", ncols=4 if wide > 9.5 else 2, frameon=False, labelcolor=look.ink, fontsize=TEXT
    )
    return figure


def curves(history: Sequence[dict], *, channel: str = "y", title: str = "", theme: str = "light") -> Figure:
    """How a run learned: PSNR beside bicubic's, and the loss; train orange, test blue.

    Args:
        history: records of a run, in order; values may be None.
        channel: "y" or "rgb", what PSNR is measured on.
    """
    look = _theme(theme)
    figure = _figure(11, 4.4, look)
    psnr, loss = figure.subplots(1, 2)
    draw_psnr(history, psnr, channel=channel, theme=theme)
    draw_loss(history, loss, theme=theme)
    if title:
        figure.suptitle(title, color=look.ink, size=HEADING, parse_math=False)
    return figure


def draw_psnr(history: Sequence[dict], ax: Axes, *, channel: str = "y", theme: str = "light") -> None:
    """PSNR over the steps, with bicubic's on the same set as the dashed line that is to be passed."""
    look = _theme(theme)
    if channel not in ("y", "rgb"):
        raise InputError(f"channel is {channel!r}, expected 'y' or 'rgb'")
    _plot(history, ax, f"train_psnr_{channel}", look.orange, "train")
    values = _plot(history, ax, f"validation_psnr_{channel}", look.blue, "test")
    if values:
        ax.lines[-1].set_label(f"test, best {max(values):.2f} dB")
    # The two sets differ in what bicubic leaves to do: each curve has its own line to pass.
    bicubic = []
    for part, color in (("train", look.orange), ("test", look.blue)):
        name = f"{part}_bicubic_psnr_{channel}"
        if known := [record[name] for record in history if record.get(name) is not None]:
            bicubic.append(known[-1])
            ax.axhline(known[-1], color=color, lw=1.4, ls=(0, (5, 3)), label=f"bicubic, {part}, {known[-1]:.2f} dB")
    heading = f"PSNR ({'Y' if channel == 'y' else 'RGB'}), dB"
    if bicubic and (start := ax.dataLim.y0) < min(bicubic) - 10:
        # From torch's initialisation the first steps would press everything that matters into a line.
        ax.set_ylim(bottom=min(bicubic) - 6)
        heading += f" (from {start:.1f})"
    plain(ax, heading, look)


def draw_loss(history: Sequence[dict], ax: Axes, *, theme: str = "light") -> None:
    """Mean squared error over the steps, on a logarithmic axis."""
    look = _theme(theme)
    values = _plot(history, ax, "train_loss", look.orange, "train") + _plot(
        history, ax, "validation_loss", look.blue, "test"
    )
    ax.set_yscale("log")
    decades = values and max(values) > 20 * min(values)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if decades else MaxNLocator(6))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_locator(NullLocator())
    plain(ax, "Mean squared error (the loss)", look)


def against_time(
    curves: dict[str, Sequence[tuple[float, float]]], lines: dict[str, float], *, title: str = "", theme: str = "light"
) -> Figure:
    """Quality against the minutes of training, on a logarithmic axis; known figures as dashed lines.

    Args:
        curves: (minutes, dB) in order, by name.
        lines: dB, by name.
    """
    look = _theme(theme)
    figure = _figure(9, 5, look)
    ax = figure.subplots()
    lowest, highest = min(lines.values()), max(*lines.values(), *(points[-1][1] for points in curves.values()))
    low, high = lowest - 0.15 * (highest - lowest), highest + 0.1 * (highest - lowest)
    labels = [(value, f"{name}, {value:.2f}", look.muted) for name, value in lines.items()]
    for (name, points), color in zip(curves.items(), (look.blue, look.orange, look.green), strict=False):
        ax.plot(*zip(*points, strict=True), color=color, lw=2.4)
        reached = points[-1][1]
        below = " (below)" if reached < low else ""
        labels.append((max(reached, low), f"{name}, {reached:.2f}{below}", color))
    ax.set_ylim(low, high)
    ax.set_xscale("log")
    ax.margins(x=0.02)
    for value in lines.values():
        ax.axhline(value, color=look.muted, lw=1.2, ls=(0, (5, 3)))
    place = -math.inf
    for value, text, color in sorted(labels):
        place = max((value - low) / (high - low), place + 0.05)  # one line of text apart at the least
        ax.annotate(text, (1.01, place), xycoords="axes fraction", color=color, size=SMALL, va="center")
    plain(ax, title or "PSNR on Y, dB", look)
    ax.set_xlabel("minutes of training", color=look.muted, size=TEXT)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_locator(NullLocator())
    return figure


def _plot(history: Sequence[dict], ax: Axes, name: str, color: str, label: str) -> list[float]:
    """Draw the records that have a finite value; returns these values."""
    points = [(r["step"], r[name]) for r in history if r.get(name) is not None and math.isfinite(r[name])]
    if points:
        ax.plot(*zip(*points, strict=True), color=color, lw=2, label=label, marker="o" if len(points) < 8 else "")
    return [value for _, value in points]


def plain(ax: Axes, title: str, look: Theme) -> None:
    """Axes of a chart: a light grid, no box, the title says what is drawn."""
    ax.set_facecolor(look.ground)
    ax.set_title(title, color=look.ink, size=HEADING, loc="left")
    ax.set_xlabel("step", color=look.muted, size=TEXT)
    ax.tick_params(which="both", colors=look.muted, labelsize=SMALL, length=0)
    ax.grid(color=look.grid, lw=0.8)
    ax.set_axisbelow(True)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if ax.get_legend_handles_labels()[0]:
        # On a ground of its own: where every corner has a line, the text stays legible on it.
        ax.legend(facecolor=look.ground, edgecolor="none", framealpha=0.85, labelcolor=look.ink, fontsize=TEXT)


def _outline(ax: Axes, box: Box, color: str, label: str = "") -> None:
    """A box of pixels, with a white edge so that it shows on any picture."""
    top, left, height, width = box
    corner = (left - 0.5, top - 0.5)
    outline = Rectangle(corner, width, height, fill=False, ec=color, lw=1.8, clip_on=False, label=label)
    outline.set_path_effects([withStroke(linewidth=3.6, foreground="white")])
    ax.add_patch(outline)


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]} × {image.shape[-2]} pixels"


def _theme(name: str) -> Theme:
    if name not in THEMES:
        raise InputError(f"theme is {name!r}, expected one of {', '.join(THEMES)}")
    return THEMES[name]


def _figure(width: float, height: float, look: Theme) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor=look.ground)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08, wspace=0.02, hspace=0.02)
    return figure


def _bare(ax: Axes, title: str, theme: str) -> Axes:
    """An axes without ticks and frame, its title in the theme's ink."""
    look = _theme(theme)
    ax.set(xticks=[], yticks=[], facecolor=look.ground)
    for spine in ax.spines.values():
        spine.set_visible(False)
    # A file's name may hold a dollar sign, which matplotlib would take for a formula.
    ax.set_title(title, color=look.ink, size=HEADING, parse_math=False)
    return ax
