"""Figures of pictures, channels and kernels, good enough to print, in a light or a dark theme.

A function named `…_figure` returns a whole figure; one named `draw_…` draws on given axes. Pictures are (C, H, W), RGB
or gray, and clamped to [0, 1] where they are drawn. The range of values is an argument: if each picture had a range of
its own, equal values would look different.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor
from torch.nn import functional as F

from ..data.regions import Box, largest_error_region
from ..errors import InputError
from ..metrics import Scores, psnr_text
from ..model import LAYERS, SRCNN
from .channel_analysis import ChannelReport, kernel_orientation
from .frames import limit_of
from .layers import LAYER_NAMES, has_rgb_kernels, layer_kernels, receptive_field
from .style import HEADING, POSITIVE, SIGNED, SMALL, TEXT, Figure, get_theme, new_figure, style_picture

ORIENTED = 0.4  # coherence from which on a kernel has an orientation; a Sobel filter has 0.54, 1 % of random ones 0.38
Extent = tuple[float, float, float, float]  # left, right, bottom, top of a tile in a figure of many, in inches
ORDERS = {
    "orientation": "edges by orientation, then the others from smooth to fine",
    "frequency": "from smooth to fine",
    "energy": "strongest first",
    "channel": "by number",
}


# Parts of figures, drawn on given axes


def draw_picture(image: Tensor, ax: Axes, title: str = "", *, zoomed: bool = False, theme: str = "light") -> Axes:
    """Draws a picture (C, H, W) on `ax` without ticks; `zoomed` keeps its pixels as squares."""
    pixels = image.detach().float().cpu().clamp(0, 1)
    pixels = pixels[0] if len(pixels) == 1 else pixels.permute(1, 2, 0)  # (H, W) or (H, W, 3)
    ax.imshow(pixels.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest" if zoomed else "auto")
    return style_picture(ax, title, theme)


def draw_map(
    values: Tensor, ax: Axes, *, limit: float, signed: bool, root: bool = False, theme: str = "light", **options
) -> AxesImage:
    """Draws a feature map (H, W) on `ax`.

    Args:
        values: (H, W).
        ax: the axes.
        limit: colors run from 0 to `limit`, or from −`limit` to `limit` where `signed`.
        signed: whether values below zero are drawn.
        root: whether colors run over the (signed) square root, which spreads the small values.
        theme: "light" or "dark".
        options: passed on to `ax.imshow`.
    """
    low = -limit if signed else 0
    norm = FuncNorm((_signed_root, _signed_square), low, limit) if root else Normalize(low, limit)
    pixels = values.detach().float().cpu().numpy()
    image = ax.imshow(pixels, cmap=SIGNED if signed else POSITIVE, norm=norm, **options)
    style_picture(ax, "", theme)
    return image


def _signed_root(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.sqrt(np.abs(values))


def _signed_square(values: np.ndarray) -> np.ndarray:
    return np.sign(values) * np.square(values)


def draw_kernel(
    kernel: Tensor, ax: Axes, *, limit: float, rgb: bool | None = None, theme: str = "light", **options
) -> AxesImage:
    """Draws a kernel on `ax`, in colors from −`limit` to `limit`.

    Args:
        kernel: (inputs, size, size). One input is drawn in the signed colors; of several, all are drawn in rows.
        ax: the axes.
        limit: the weight at the end of the color range.
        rgb: whether three inputs are the colors of one picture, in which gray is zero; None: where there are three.
        theme: "light" or "dark".
        options: passed on to `ax.imshow`.
    """
    inputs, size = kernel.shape[:2]
    is_rgb = inputs == 3 and rgb is not False
    if is_rgb:
        pixels = (0.5 + kernel / (2 * limit)).clamp(0, 1).permute(1, 2, 0)
    else:
        columns = math.ceil(math.sqrt(inputs))
        rows = math.ceil(inputs / columns)
        blank = kernel.new_full((rows * columns - inputs, size, size), math.nan)
        tiles = F.pad(torch.cat([kernel, blank]), [0, inputs > 1] * 2, value=math.nan)  # a gap between neighbors
        tiles = tiles.unflatten(0, (rows, columns))  # (rows, columns, size + 1, size + 1)
        pixels = tiles.transpose(1, 2).flatten(2).flatten(0, 1)
        pixels = pixels[:-1, :-1] if inputs > 1 else pixels
    cmap = "gray" if is_rgb else SIGNED
    image = ax.imshow(pixels.numpy(), cmap=cmap, vmin=-limit, vmax=limit, interpolation="nearest", **options)
    style_picture(ax, "", theme)
    return image


@dataclass(frozen=True)
class ColorBar:
    """The label and the range of a color bar.

    is_exceeded: whether values lie beyond the limit; the bar then has pointed ends.
    """

    label: str
    limit: float
    signed: bool
    is_exceeded: bool
    root: bool = False


def draw_color_bar(figure: Figure, image: AxesImage, ax: Axes, bar: ColorBar, theme: str) -> None:
    """Draws the color bar of an image on `ax`, with the limits as ticks."""
    look = get_theme(theme)
    extend = ("both" if bar.signed else "max") if bar.is_exceeded else "neither"
    color_bar = figure.colorbar(image, cax=ax, extend=extend, extendfrac=0.02)
    color_bar.set_label(bar.label, color=look.muted, size=SMALL)
    color_bar.ax.tick_params(colors=look.muted, labelsize=SMALL)
    color_bar.outline.set_edgecolor(look.grid)
    shares = [0, 0.1, 0.5, 1] if bar.root else [0, 0.5, 1]
    if bar.signed:
        shares = [-share for share in shares[:0:-1]] + shares
    ticks = [share * bar.limit for share in shares]
    color_bar.set_ticks(ticks, labels=[f"{tick:.3g}".replace("-", "−") for tick in ticks])
    color_bar.ax.minorticks_off()


def draw_box(ax: Axes, box: Box, color: str, label: str = "") -> None:
    """Draws a box of pixels with a white edge, so that it shows on any picture."""
    top, left, height, width = box
    corner = (left - 0.5, top - 0.5)
    outline = Rectangle(corner, width, height, fill=False, ec=color, lw=1.8, clip_on=False, label=label)
    outline.set_path_effects([withStroke(linewidth=3.6, foreground="white")])
    ax.add_patch(outline)


# The comparison with bicubic


def comparison_figure(
    original: Tensor,
    bicubic: Tensor,
    srcnn: Tensor,
    *,
    box: Box | None = None,
    scores: Mapping[str, Scores] | None = None,
    theme: str = "light",
) -> Figure:
    """Returns a figure of original, bicubic and SRCNN side by side, with a zoomed box and the scores of each below.

    Args:
        original, bicubic, srcnn: (C, H, W) of one size, RGB or gray.
        box: top, left, height, width of the zoom in pixels; without, the box in which bicubic's error is largest.
        scores: of "bicubic" and "srcnn"; PSNR and SSIM on Y are shown, SSIM only if it is not nan.
        theme: "light" or "dark".

    Raises:
        InputError: for pictures of different sizes, or a box that is not inside them.
    """
    look = get_theme(theme)
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
    figure = new_figure(3 * column + 0.3, sum(heights) + 0.8, theme)
    axes = figure.subplots(2, 3, height_ratios=heights)
    titles = {"original": f"Original, {_size(original)}", "bicubic": "Bicubic", "srcnn": "SRCNN"}
    captions = {"original": f"the box, {wide} × {tall} pixels"} | _score_captions(scores or {})
    for (name, picture), whole, zoom in zip(pictures.items(), *axes, strict=True):
        draw_picture(picture, whole, titles[name], theme=theme)
        draw_box(whole, box, look.orange)
        draw_picture(picture[:, top : top + tall, left : left + wide], zoom, zoomed=True, theme=theme)
        for spine in zoom.spines.values():
            spine.set(visible=True, color=look.orange, linewidth=1.8)
        is_result = name == "srcnn"
        zoom.set_xlabel(captions.get(name, ""), color=look.ink if is_result else look.muted, size=TEXT, labelpad=8)
        zoom.xaxis.label.set_weight("bold" if is_result else "normal")
    return figure


def enlargement_figure(photograph: Tensor, bicubic: Tensor, srcnn: Tensor, *, box: Box, theme: str = "light") -> Figure:
    """Returns a figure of a photograph beside a zoomed box of its bicubic and its SRCNN enlargement.

    Args:
        photograph: (C, h, w), RGB or gray, which was enlarged.
        bicubic, srcnn: (C, H, W) of one size.
        box: top, left, height, width of the zoom in pixels of the enlargements.
        theme: "light" or "dark".

    Raises:
        InputError: for enlargements of different sizes, or a box that is not inside them.
    """
    if srcnn.shape[-2:] != bicubic.shape[-2:]:
        raise InputError(f"srcnn is {_size(srcnn)}, expected {_size(bicubic)} as bicubic")
    height, width = bicubic.shape[-2:]
    top, left, tall, wide = box
    if min(top, left) < 0 or min(tall, wide) < 1 or top + tall > height or left + wide > width:
        raise InputError(f"box is {tuple(box)}, expected top, left, height, width inside {_size(bicubic)}")
    look = get_theme(theme)
    column = 4.0  # inches
    sides = [min(max(width / height, 0.6), 1.8), wide / tall, wide / tall]
    figure = new_figure(column * sum(sides) + 0.3, column + 0.9, theme)
    whole, *zooms = figure.subplots(1, 3, width_ratios=sides)
    draw_picture(photograph, whole, f"Photograph, {_size(photograph)}", theme=theme)
    down, across = photograph.shape[-2] / height, photograph.shape[-1] / width
    in_photograph = (round(top * down), round(left * across), round(tall * down), round(wide * across))
    draw_box(whole, in_photograph, look.orange)
    for name, picture, zoom in zip(("Bicubic", "SRCNN"), (bicubic, srcnn), zooms, strict=True):
        draw_picture(picture[:, top : top + tall, left : left + wide], zoom, name, zoomed=True, theme=theme)
        for spine in zoom.spines.values():
            spine.set(visible=True, color=look.orange, linewidth=1.8)
        zoom.set_xlabel(f"the box, {wide} × {tall} pixels", color=look.muted, size=TEXT, labelpad=8)
    return figure


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]} × {image.shape[-2]} pixels"


def _score_captions(scores: Mapping[str, Scores]) -> dict[str, str]:
    """Returns captions such as "33.69 dB · SSIM 0.9299", with SRCNN's gain over bicubic."""
    captions = {}
    for name, score in scores.items():
        bicubic = scores["bicubic"].psnr_y if name == "srcnn" and "bicubic" in scores else math.nan
        text = psnr_text(score.psnr_y, bicubic)
        captions[name] = text if math.isnan(score.ssim_y) else f"{text} · SSIM {score.ssim_y:.4f}"
    return captions


# Channels


def channel_figure(
    image: Tensor,
    values: Tensor,
    kernel: Tensor,
    *,
    rgb: bool | None = None,
    limit: float | None = None,
    title: str = "",
    report: ChannelReport | None = None,
    theme: str = "light",
) -> Figure:
    """Returns a figure of one channel's map, large, beside the network's input and the channel's kernel.

    Args:
        image: (C, H, W), the network's input.
        values: (H, W), the channel's map; signed where it has values below zero.
        kernel: (inputs, size, size), as `layer_kernels(model, layer)[channel]`.
        rgb: whether three inputs of the kernel are colors, as in `draw_kernel`.
        limit: the value at the end of the color range; None for `limit_of(values)`.
        title: text above the map.
        report: measurements of the channel, to be written below the map.
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    height, width = values.shape
    tall = min(6.0 * height / width, 8.0)  # inches
    wide = tall * width / height
    figure = new_figure(wide + 4.4, max(tall, 4.6) + 1.0, theme)
    axes = figure.subplot_mosaic([["input", "map"], ["kernel", "map"]], width_ratios=[2.6, wide])
    draw_picture(image, axes["input"], "Input", theme=theme)
    axes["input"].set_anchor("N")

    kernel_limit = limit_of(kernel, 1)
    draw_kernel(kernel, axes["kernel"], limit=kernel_limit, rgb=rgb, theme=theme)
    style_picture(axes["kernel"], f"Kernel, ±{kernel_limit:g}", theme)
    axes["kernel"].set_xlabel(" × ".join(map(str, kernel.shape)) + " weights", color=look.muted, size=TEXT)
    axes["kernel"].set_anchor("S")

    limit = limit or limit_of(values)
    signed = bool((values < 0).any())
    drawn = draw_map(values, axes["map"], limit=limit, signed=signed, theme=theme)
    style_picture(axes["map"], title, theme)
    bar = ColorBar("value" if signed else "activation", limit, signed, is_exceeded=bool(values.abs().max() > limit))
    draw_color_bar(figure, drawn, axes["map"].inset_axes((1.015, 0, 0.02, 1)), bar, theme)
    if report:
        active = f"{report.active:.0%}" if report.active >= 0.01 else f"{100 * report.active:.2g}%"
        measured = (
            f"{report.label}:  follows edges {report.edges:.2f},  separates the subject {report.subject:.2f},  "
            f"active {active}"
        )
        axes["map"].set_xlabel(measured, color=look.muted, size=TEXT, labelpad=8)
    return figure


def channels_figure(
    maps: Tensor,
    *,
    limit: float | None = None,
    labels: Sequence[str] | None = None,
    title: str = "",
    theme: str = "light",
) -> Figure:
    """Returns a figure of all channels of a layer, each below its number, in one range and on a square-root scale.

    Args:
        maps: (channels, H, W); with values below zero, the colors are signed and have zero in the middle.
        limit: the value at the end of the color range of all channels; None for `limit_of(maps)`.
        labels: text beside each number, such as the label of its ChannelReport.
        title: text above the channels.
        theme: "light" or "dark".
    """
    limit = limit or limit_of(maps)
    signed = bool((maps < 0).any())

    def draw(ax: Axes, channel: int, extent: Extent) -> AxesImage:
        return draw_map(maps[channel], ax, limit=limit, signed=signed, root=True, theme=theme, extent=extent)

    names = [f"{channel} · {labels[channel]}" if labels else f"{channel}" for channel in range(len(maps))]
    label = f"{'value' if signed else 'activation'}\nsquare-root scale"
    bar = ColorBar(label, limit, signed, is_exceeded=bool(maps.abs().max() > limit), root=True)
    return sheet_figure(draw, names, maps.shape[-2] / maps.shape[-1], bar, title, theme)


def sheet_figure(
    draw: Callable[[Axes, int, Extent], AxesImage],
    names: Sequence[str],
    aspect: float,
    bar: ColorBar,
    title: str,
    theme: str,
    *,
    columns: int | None = None,
    width: float | None = None,
) -> Figure:
    """Returns a figure of tiles in rows, with a name above each and one color bar for all.

    All tiles are drawn on the same axes, in inches: separate axes for 128 tiles would take seconds.

    Args:
        draw: draws the tile of a number on the axes.
        names: one for each tile.
        aspect: height of a tile / its width.
        bar: the color bar.
        title: text above the tiles.
        theme: "light" or "dark".
        columns: tiles in a row; None for 8, or 16 for more than 64 tiles.
        width: of a tile in inches; None for one that suits the columns.
    """
    look = get_theme(theme)
    # 1. Places, in inches.
    columns = min(len(names), columns or (8 if len(names) <= 64 else 16))
    rows = math.ceil(len(names) / columns)
    width = width or (1.15 if columns > 4 else 2.3)
    step_x = width + 0.08
    step_y = width * aspect + 0.24
    wide = columns * step_x - 0.08
    tall = rows * step_y
    heading = 0.2 + 0.25 * (title.count("\n") + 1)
    total_x = max(wide + 1.5, 6.5)
    total_y = heading + max(tall, 1.6) + 0.12
    figure = new_figure(total_x, total_y, theme)
    figure.set_layout_engine("none")  # every place is known

    # 2. The tiles.
    ax = figure.add_axes((0.1 / total_x, 1 - (heading + tall) / total_y, wide / total_x, tall / total_y))
    for number, name in enumerate(names):
        left = number % columns * step_x
        top = number // columns * step_y
        image = draw(ax, number, (left, left + width, top + width * aspect, top))
        ax.text(left, top - 0.04, name, size=SMALL, color=look.ink, parse_math=False)
    ax.set_title(title, color=look.ink, size=HEADING, loc="left", parse_math=False)
    ax.set(xlim=(0, wide), ylim=(tall - 0.24, -0.24))

    # 3. The color bar.
    high = max(tall - 0.24, 1.3)
    place = ((wide + 0.2) / total_x, 1 - (heading + 0.24 + high) / total_y, 0.16 / total_x, high / total_y)
    draw_color_bar(figure, image, figure.add_axes(place), bar, theme)
    return figure


# Kernels and receptive fields


def kernels_figure(
    model: SRCNN,
    layer: str = LAYERS[0],
    *,
    sort: str = "orientation",
    limit: float | None = None,
    theme: str = "light",
) -> Figure:
    """Returns a figure of all kernels of a layer in one range, in an order that the title names.

    Layer 3 is transposed: its tiles show what each channel of layer 2 adds to the picture.

    Args:
        model: the network.
        layer: "layer_1", "layer_2" or "layer_3".
        sort: "orientation", "frequency" (mean spatial frequency), "energy" (sum of squares) or "channel".
        limit: the weight at the end of the color range; None for one that 99.5 % of the weights do not exceed.
        theme: "light" or "dark".

    Raises:
        InputError: for another layer, order or theme.
    """
    if sort not in ORDERS:
        raise InputError(f"sort is {sort!r}, expected one of {', '.join(ORDERS)}")
    weight = layer_kernels(model, layer)
    weight = weight.transpose(0, 1) if layer == LAYERS[2] else weight
    limit = limit or limit_of(weight, 0.995)
    rgb = has_rgb_kernels(model, layer)
    orientation, coherence, frequency = kernel_orientation(weight, rgb)
    is_oriented = coherence >= ORIENTED
    keys = {
        "orientation": torch.where(is_oriented, orientation, 1000 + frequency),
        "frequency": frequency,
        "energy": -weight.square().sum((1, 2, 3)),
        "channel": torch.arange(len(weight)),
    }
    order = keys[sort].argsort(stable=True).tolist()

    def draw(ax: Axes, place: int, extent: Extent) -> AxesImage:
        return draw_kernel(weight[order[place]], ax, limit=limit, rgb=rgb, theme=theme, extent=extent)

    degrees = [round(angle) % 180 for angle in orientation.tolist()]  # a line at 179.6° is horizontal, as one at 0°
    names = [f"{number} · {degrees[number]}°" if is_oriented[number] else f"{number}" for number in order]
    size = " × ".join(map(str, weight.shape[1:]))
    shown = f"{len(weight)} kernels of {size}"
    if layer == LAYERS[2]:
        shown = f"what each of layer 2's {len(weight)} channels paints, {size}"
    title = f"{LAYER_NAMES[layer]}: {shown}\n{ORDERS[sort]}"
    label = "weight (gray: zero)" if rgb else "weight"
    bar = ColorBar(label, limit, signed=True, is_exceeded=bool(weight.abs().max() > limit))
    return sheet_figure(draw, names, 1.0, bar, title, theme)


def receptive_field_figure(
    image: Tensor, model: SRCNN, *, at: tuple[int, int] | None = None, theme: str = "light"
) -> Figure:
    """Returns a figure of the receptive fields: the part of a picture that one value of each layer depends on.

    They are nested boxes, 9, 13 and 17 pixels wide for a 9-5-5 network.

    Args:
        image: (C, H, W).
        model: the network.
        at: row and column of the pixel; None for the picture's center. Near a border it is moved inside.
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    sizes = {layer: receptive_field(model, layer) for layer in LAYERS}
    # 1. The part to zoom into: twice as wide as the largest box, and inside the picture.
    height, width = image.shape[-2:]
    side = min(2 * sizes[LAYERS[-1]] + 1, height, width)
    at = at or (height // 2, width // 2)
    row, column = (
        min(max(place, side // 2), length - (side + 1) // 2) for place, length in zip(at, (height, width), strict=True)
    )
    top, left = row - side // 2, column - side // 2

    # 2. The whole picture and the zoom.
    tall = min(4.2, 6.3 * height / width)  # inches
    wide = tall * width / height + tall + 0.3
    figure = new_figure(wide, tall + 1.1, theme)
    whole, zoom = figure.subplots(1, 2, width_ratios=[width / height, 1])
    draw_picture(image, whole, f"{width} × {height} pixels", theme=theme)
    part = image[:, top : top + side, left : left + side]
    draw_picture(part, zoom, f"{side} × {side} pixels", zoomed=True, theme=theme)
    draw_box(whole, (top, left, side, side), "black")

    # 3. A box for each layer.
    for (layer, size), color in zip(sizes.items(), (look.blue, look.green, look.orange), strict=True):
        corner = side // 2 - size // 2
        draw_box(zoom, (corner, corner, size, size), color, label=f"{LAYER_NAMES[layer]}: {size} × {size}")
    draw_box(zoom, (side // 2, side // 2, 1, 1), "black", label="the pixel")
    columns = 4 if wide > 9.5 else 2
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, labelcolor=look.ink, fontsize=TEXT)
    return figure
