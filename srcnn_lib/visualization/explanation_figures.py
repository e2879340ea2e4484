"""Figures of the exact views: channels and their worth, one pixel, attribution, frequencies, kernels and seams.

Each returns a whole figure in a light or a dark theme, good enough to print. Signed values have zero in the middle of
a symmetric range of colors.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter
from torch import Tensor

from ..data.color import output_luminance
from ..data.regions import Area
from ..kernel_projection import RIDGE, PatchStatistics, project_kernels
from ..model import LAYERS, SRCNN
from .attribution import Attribution
from .channel_analysis import kernel_orientation
from .channel_contributions import ChannelWorth, Contributions, Transplants, mean_worth
from .equivalent_filter import PixelAutopsy
from .figures import ORIENTED, ColorBar, Extent, draw_box, draw_color_bar, draw_map, draw_picture, sheet_figure
from .frames import limit_of
from .layers import has_rgb_kernels, layer_kernels
from .seams import Seams
from .spectrum import FrequencyLedger
from .stimuli import Stimulus
from .style import HEADING, SIGNED, SMALL, TEXT, Figure, get_theme, new_figure, style_chart, style_picture

MINUS = "−"
SHOWN = 12  # channels, of those that are worth most
BELOW_BEST = 3.0  # dB of the PSNR with few channels that a figure shows
SMALLEST_DB = 1e-4  # a channel that is worth less is drawn with this


def _signed(value: float, digits: int = 2) -> str:
    return f"{round(value, digits) + 0.0:+.{digits}f}".replace("-", MINUS)  # + 0.0: never "-0.00"


def _luminance_of(values: Tensor, axis: int) -> Tensor:
    """Combines the network's outputs, along one axis, to Y; of one output, that is the output itself."""
    weights, _ = output_luminance(values.shape[axis], 3)
    return torch.tensordot(values.movedim(axis, -1), weights, dims=1)


# Views 1, 3 and 6: channels


def contributions_figure(
    contributions: Contributions, worth: ChannelWorth, *, count: int = SHOWN, theme: str = "light"
) -> Figure:
    """Returns a figure of what the channels of layer 2 that are worth most add to the picture's Y.

    Args:
        contributions: the network's, on a picture.
        worth: of the same network and picture; it gives the order and the dB beside each channel's number.
        count: channels that are shown.
        theme: "light" or "dark".
    """
    shown = worth.ranking[:count]
    painted = _luminance_of(contributions.parts[shown], 1)  # (n, H, W)
    # The channels that carry the picture, one for each color, are a hundred times stronger: each has its own range.
    carriers = contributions.parts.shape[1] if len(shown) > contributions.parts.shape[1] else 0
    limit = limit_of(painted[carriers:])
    limits = [limit_of(each, 1) for each in painted[:carriers]] + [limit] * len(painted[carriers:])
    figures = worth.worth_db.tolist()

    def draw(ax: Axes, number: int, extent: Extent) -> AxesImage:
        return draw_map(painted[number], ax, limit=limits[number], signed=True, root=True, theme=theme, extent=extent)

    names = [f"{channel} · {_signed(figures[channel])} dB" for channel in shown]
    for number in range(carriers):
        names[number] += f" · own range ±{limits[number]:g}"
    title = (
        f"What {len(shown)} of {len(figures)} channels of layer 2 add to the picture\n"
        "beside each, what is lost without it;\nall of them and a constant add up to the result"
    )
    bar = ColorBar(
        "added to Y\nsquare-root scale", limit, True, bool(painted[carriers:].abs().max() > limit), root=True
    )
    return sheet_figure(draw, names, painted.shape[-2] / painted.shape[-1], bar, title, theme, columns=4)


def worth_figure(
    worths: ChannelWorth | Sequence[ChannelWorth],
    *,
    bicubic: Sequence[float] = (),
    title: str = "",
    theme: str = "light",
) -> Figure:
    """Returns a figure of what each channel is worth, and of the PSNR with only the channels that are worth most.

    Args:
        worths: the measurements on one photograph, or on several, of which the mean dB are drawn.
        bicubic: PSNR on Y of each bicubic picture; their mean is drawn as a line.
        title: such as the photograph's name.
        theme: "light" or "dark".
    """
    worths = [worths] if isinstance(worths, ChannelWorth) else worths
    mean = mean_worth(worths)
    look = get_theme(theme)
    order = mean.ranking
    lost = mean.worth_db[order]
    figure = new_figure(11.0, 5.0, theme)
    bars, curve = figure.subplots(1, 2, width_ratios=[1.25, 1])

    # 1. What each is worth, on a logarithmic scale: one channel carries the picture, and most add a little.
    height = lost.abs().clamp_min(SMALLEST_DB).nan_to_num(SMALLEST_DB, SMALLEST_DB, SMALLEST_DB)
    colors = [look.orange if value >= 0 else look.blue for value in lost.tolist()]
    places = range(len(order))
    bars.bar(places, (height - SMALLEST_DB / 2).numpy(), bottom=SMALLEST_DB / 2, color=colors, width=0.75)
    bars.set_yscale("log")
    bars.set_ylim(SMALLEST_DB / 2, max(10.0, float(height.max()) * 2))
    bars.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    every = math.ceil(len(order) / 34)
    bars.set_xticks(list(places)[::every], labels=[str(channel) for channel in order][::every])
    if len(order) > 12:
        bars.tick_params(axis="x", labelrotation=90)
    if bool((lost < 0).any()):
        bars.plot([], [], "s", color=look.orange, label="lost without it")
        bars.plot([], [], "s", color=look.blue, label="gained without it")
    style_chart(bars, "What is lost without a channel alone, dB", theme, x_label="channel of layer 2")

    # 2. The best of them together.
    kept = torch.zeros(len(order) + 1, len(order), dtype=torch.bool)
    for count, channel in enumerate(order, start=1):
        kept[count:, channel] = True
    psnr = torch.stack([worth.psnr(kept) for worth in worths]).mean(0)
    curve.plot(range(len(psnr)), psnr.numpy(), color=look.orange, lw=2, marker="o", ms=3, label="SRCNN")
    level = sum(bicubic) / len(bicubic) if bicubic else math.inf
    if math.isfinite(level):
        curve.axhline(level, color=look.muted, lw=1.2, ls="--", label=f"bicubic {level:.2f} dB")
    # Without the channels that carry the picture the PSNR is that of a flat one; the rest would be a flat line.
    if bool(psnr.isfinite().any()):
        top = float(psnr[psnr.isfinite()].max())
        curve.set_ylim(min(level, top - BELOW_BEST) - 0.3, top + 0.3)
    label = "channels that are kept, those worth most first"
    style_chart(curve, "PSNR on Y with only the best channels, dB", theme, x_label=label)
    figure.suptitle(
        f"{title}{': ' if title else ''}{mean.psnr:.2f} dB with all {len(order)} channels",
        color=look.ink, size=HEADING, parse_math=False,
    )  # fmt: skip
    return figure


def transplants_figure(found: Transplants, *, title: str = "", theme: str = "light") -> Figure:
    """Returns a figure of when each channel became useful: channels × steps, the change in dB by a transplant.

    The channels are in the order of how much is lost with their earliest version.
    """
    look = get_theme(theme)
    change = found.change.nan_to_num(0.0)  # (steps, n)
    order = change[0].argsort().tolist()
    limit = limit_of(change, 0.98)
    figure = new_figure(max(6.5, 2.8 + 0.32 * len(found.steps)), max(3.4, 2.2 + 0.19 * len(order)), theme)
    ax, scale = figure.subplots(1, 2, width_ratios=[1, 0.03])
    image = draw_map(change[:, order].T, ax, limit=limit, signed=True, root=True, theme=theme, aspect="auto")
    every = math.ceil(len(found.steps) / 24)
    ax.set_xticks(range(0, len(found.steps), every), labels=[f"{step}" for step in found.steps[::every]], rotation=90)
    ax.set_yticks(range(len(order)), labels=[str(channel) for channel in order])
    ax.tick_params(colors=look.muted, labelsize=SMALL, length=0)
    ax.set_xlabel("step that the channel is taken from", color=look.muted, size=TEXT)
    ax.set_ylabel("channel of layer 2", color=look.muted, size=TEXT)
    heading = f"{title}{': ' if title else ''}one channel of an earlier step in the final network"
    ax.set_title(heading, color=look.ink, size=HEADING, loc="left", parse_math=False)
    bar = ColorBar("change of PSNR on Y, dB\nsquare-root scale", limit, True, bool(change.abs().max() > limit), True)
    draw_color_bar(figure, image, scale, bar, theme)
    return figure


# Views 2 and 4: one pixel


def autopsy_figure(autopsy: PixelAutopsy, picture: Tensor, *, theme: str = "light") -> Figure:
    """Returns a figure of one pixel: where it is, its equivalent filter, and what each channel adds.

    Of an RGB network, the figure shows the Y of the output, and its filter's response to gray.

    Args:
        autopsy: of the pixel.
        picture: (C, H, W), the network's input.
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    weights, offset = output_luminance(len(autopsy.value), 3)
    row, column = autopsy.at
    figure = new_figure(14.0, 4.7, theme)
    place, kernel, steps = figure.subplots(1, 3, width_ratios=[1.25, 1.25, 1.2])

    # 1. The picture around the pixel.
    around, corner = _zoom(picture, autopsy.area, 41)
    draw_picture(around, place, f"Bicubic, at x={column}, y={row}", zoomed=True, theme=theme)
    area = autopsy.area
    draw_box(place, area.relative_to(*corner), look.orange)
    draw_box(place, (row - corner[0], column - corner[1], 1, 1), look.blue)
    place.set_xlabel(f"box: the {area.width} × {area.height} pixels that count", color=look.muted, size=TEXT)

    # 2. Its filter.
    filters = torch.einsum("k,kcij->ij", weights, autopsy.filter)
    limit = limit_of(filters, 1)
    image = draw_map(filters, kernel, limit=limit, signed=True, root=True, theme=theme)
    style_picture(kernel, "Equivalent filter", theme)
    total, constant = float(filters.sum()), float(weights @ autopsy.constant) + offset
    note = f"weights add up to {total:.3f}; constant {_signed(constant, 3)}"
    kernel.set_xlabel(note, color=look.muted, size=TEXT)
    bar = ColorBar("weight, square-root scale", limit, True, False, root=True)
    draw_color_bar(figure, image, kernel.inset_axes((1.03, 0, 0.04, 1)), bar, theme)

    # 3. From bicubic to the result.
    bicubic, value = (float(weights @ part) + offset for part in (autopsy.bicubic, autopsy.value))
    added = torch.einsum("k,kc->c", weights, autopsy.layer_2)
    base = float(weights @ autopsy.constant_2) + offset
    _draw_waterfall(steps, added, bicubic, base, value, len(autopsy.value), theme)
    return figure


def _draw_waterfall(
    ax: Axes, added: Tensor, bicubic: float, base: float, value: float, carriers: int, theme: str
) -> None:
    """Draws how the channels of layer 2 lead from the bicubic value to the result, the largest steps first.

    The channels that carry the picture, one for each color, are one step together with the constant.
    """
    look = get_theme(theme)
    order = added.abs().argsort(descending=True, stable=True).tolist()
    carrying, others = order[:carriers], order[carriers:]
    shown, rest = others[:9], others[9:]
    numbers = " + ".join(map(str, carrying))
    changes = [(f"channel {numbers}, constant", float(added[carrying].sum()) + base - bicubic)]
    changes += [(f"channel {channel}", float(added[channel])) for channel in shown]
    if rest:
        changes.append((f"{len(rest)} others", float(added[rest].sum())))
    at = bicubic
    for line, (_, change) in enumerate(changes, start=1):
        ax.barh(line, change, left=at, color=look.orange if change >= 0 else look.blue, height=0.7)
        ax.plot([at + change] * 2, [line - 0.35, line + 1.35], color=look.muted, lw=0.8)
        at += change
    ax.plot([bicubic] * 2, [-0.35, 1.35], color=look.muted, lw=0.8)
    names = ["bicubic", *(name for name, _ in changes), "result"]
    texts = [f"{bicubic:.4f}", *(_signed(change, 4) for _, change in changes), f"{value:.4f}"]
    ax.plot([bicubic, value], [0, len(names) - 1], "o", color=look.ink, ms=5)
    ax.set_yticks(range(len(names)), labels=[f"{name}  {text}" for name, text in zip(names, texts, strict=True)])
    ax.set_ylim(len(names) - 0.4, -0.6)
    style_chart(ax, "From bicubic to the result", theme, x_label="Y")
    low, high = ax.dataLim.x0, ax.dataLim.x1
    room = 0.06 * max(high - low, 1e-6)
    ax.set_xlim(low - room, high + room)
    ax.locator_params(axis="x", nbins=5)
    ax.tick_params(axis="y", labelcolor=look.ink)


def _zoom(picture: Tensor, area: Area, side: int) -> tuple[Tensor, tuple[int, int]]:
    """Returns the part of a picture around an area, `side` pixels or more where it has them, and its corner."""
    spans = []
    for first, last, length in (
        (area.top, area.bottom, picture.shape[-2]),
        (area.left, area.right, picture.shape[-1]),
    ):
        wanted = min(max(side, last - first + 8), length)
        start = min(max((first + last - wanted) // 2, 0), length - wanted)
        spans.append((start, start + wanted))
    (top, bottom), (left, right) = spans
    return picture[:, top:bottom, left:right], (top, left)


def attribution_figure(attribution: Attribution, picture: Tensor, *, theme: str = "light") -> Figure:
    """Returns a figure of the pixels that an output pixel, or a box, owes its change to.

    Args:
        attribution: of the pixel or box.
        picture: (C, H, W), the network's input.
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    target, place = attribution.target, attribution.place
    figure = new_figure(10.0, 4.9, theme)
    shown, colors = figure.subplots(1, 2, width_ratios=[1, 1.12])
    around, (top, left) = _zoom(picture, place, 25)
    one = target.height == target.width == 1
    name = f"x={target.left}, y={target.top}" + ("" if one else f", {target.width} × {target.height}")
    draw_picture(around, shown, f"Bicubic, at {name}", zoomed=True, theme=theme)
    values = torch.full(around.shape[-2:], 0.0, dtype=torch.float64)
    rows, columns = slice(place.top - top, place.bottom - top), slice(place.left - left, place.right - left)
    values[rows, columns] = attribution.pixels
    limit = limit_of(values, 1)
    image = draw_map(values, colors, limit=limit, signed=True, root=True, theme=theme)
    style_picture(colors, "What each pixel adds on the way from blurred", theme)
    for ax in (shown, colors):
        draw_box(ax, target.relative_to(top, left), look.green)
    shown.set_xlabel("box: the output that is explained", color=look.muted, size=TEXT)
    change = f"Y from {attribution.start:.4f} to {attribution.end:.4f}: the map's sum, {attribution.switches} switches"
    colors.set_xlabel(change, color=look.muted, size=TEXT)
    bar = ColorBar("change of Y, square-root scale", limit, True, False, root=True)
    draw_color_bar(figure, image, colors.inset_axes((1.03, 0, 0.04, 1)), bar, theme)
    return figure


# View 5: frequencies


def frequency_figure(ledger: FrequencyLedger, *, title: str = "", theme: str = "light") -> Figure:
    """Returns a figure of the gain over bicubic, and of the remaining error, by spatial frequency.

    Args:
        ledger: of one network; of a film, the last step is shown.
        title: such as the photograph's name.
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    network = ledger.network if ledger.network.ndim == 1 else ledger.network[-1]
    gain = 10 * torch.log10(ledger.bicubic / network)
    bands = range(len(network))
    figure = new_figure(11.0, 4.6, theme)
    gains, errors = figure.subplots(1, 2)
    colors = [look.orange if value >= 0 else look.blue for value in gain.tolist()]
    gains.bar(bands, gain.nan_to_num(0.0, 0.0, 0.0).numpy(), color=colors, width=0.8)
    gains.axhline(0, color=look.muted, lw=0.8)
    style_chart(gains, "Gain over bicubic, dB", theme, x_label="spatial frequency, cycles per pixel")
    errors.plot(bands, ledger.bicubic.numpy(), color=look.muted, lw=2, marker="o", ms=4, label="bicubic")
    errors.plot(bands, network.numpy(), color=look.orange, lw=2, marker="o", ms=4, label="SRCNN")
    if bool((network > 0).any()):
        errors.set_yscale("log")
    style_chart(errors, "Mean squared error on Y, by band", theme, x_label="spatial frequency, cycles per pixel")
    for ax in (gains, errors):
        _label_bands(ax, ledger.edges)
    psnr = -10 * math.log10(float(network.sum())) if network.sum() > 0 else math.inf
    heading = f"{title}{': ' if title else ''}{psnr:.2f} dB, bicubic {ledger.bicubic_psnr:.2f}"
    figure.suptitle(heading, color=look.ink, size=HEADING, parse_math=False)
    return figure


def _label_bands(ax: Axes, edges: Tensor) -> None:
    """Puts the limits of the bands between them."""
    texts = [f"{edge:.2g}" for edge in edges.tolist()]
    ax.set_xticks(np.arange(len(texts)) - 0.5, labels=texts)


def frequency_film_figure(film: FrequencyLedger, *, title: str = "", theme: str = "light") -> Figure:
    """Returns a figure of the gain over bicubic by frequency and step: what is learned first, and what last.

    Args:
        film: of `frequency_film`.
        title: such as the photograph's name.
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    gain = film.gain_db.nan_to_num(0.0, 0.0, 0.0)  # (steps, bands)
    limit = limit_of(gain[-1], 1)  # a network that begins with random weights loses up to 70 dB at first
    steps = film.steps or ()
    figure = new_figure(max(7.0, 2.6 + 0.3 * len(steps)), 4.8, theme)
    ax, scale = figure.subplots(1, 2, width_ratios=[1, 0.03])
    image = draw_map(gain.T, ax, limit=limit, signed=True, theme=theme, aspect="auto", origin="lower")
    every = math.ceil(len(steps) / 24)
    ax.set_xticks(range(0, len(steps), every), labels=[str(step) for step in steps[::every]], rotation=90)
    ax.set_yticks(np.arange(len(film.edges)) - 0.5, labels=[f"{edge:.2g}" for edge in film.edges.tolist()])
    ax.tick_params(colors=look.muted, labelsize=SMALL, length=0)
    ax.set_xlabel("step", color=look.muted, size=TEXT)
    ax.set_ylabel("spatial frequency, cycles per pixel", color=look.muted, size=TEXT)
    heading = f"{title}{': ' if title else ''}gain over bicubic while the network learns"
    ax.set_title(heading, color=look.ink, size=HEADING, loc="left", parse_math=False)
    bar = ColorBar("gain, dB", limit, True, bool(gain.abs().max() > limit))
    draw_color_bar(figure, image, scale, bar, theme)
    return figure


# Views 7 and 8: what channels and kernels respond to


def stimuli_figure(stimuli: Sequence[Stimulus], *, title: str = "", theme: str = "light") -> Figure:
    """Returns a figure with a row for each channel: its average stimulus, and the patches that excite it most.

    Args:
        stimuli: of `channel_stimuli`, of one layer.
        title: text above.
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    columns = max(1, *(len(stimulus.values) for stimulus in stimuli))
    size = 0.95  # inches of a tile
    figure = new_figure(max(5.4, (columns + 1) * (size + 0.1) + 2.0), len(stimuli) * (size + 0.25) + 1.5, theme)
    grid = figure.subplots(len(stimuli), columns + 1, squeeze=False)
    deviations = [(stimulus.average - stimulus.mean).mean(0) for stimulus in stimuli]  # (s, s)
    for row, (stimulus, deviation) in enumerate(zip(stimuli, deviations, strict=True)):
        for ax in grid[row]:
            style_picture(ax, "", theme)
        limit = limit_of(deviation, 1)
        draw_map(deviation, grid[row, 0], limit=limit, signed=True, theme=theme)
        percent = 100 * stimulus.active
        active = f"active {percent:.0f}%" if percent >= 1 else f"active {percent:.1g}%" if percent else "never active"
        label = f"{stimulus.address.channel}\n{active}"
        grid[row, 0].set_ylabel(label, color=look.ink, size=SMALL, rotation=0, ha="right", va="center")
        grid[row, 0].set_xlabel(f"±{limit:.2g}", color=look.muted, size=SMALL, labelpad=2)
        for ax, patch, value in zip(grid[row, 1:], stimulus.patches, stimulus.values.tolist(), strict=False):
            draw_picture(patch, ax, zoomed=True, theme=theme)
            ax.set_xlabel(f"{value:.3g}", color=look.muted, size=SMALL, labelpad=2)
    grid[0, 0].set_title("average", color=look.muted, size=TEXT)
    if columns:
        grid[0, 1].set_title("strongest", color=look.muted, size=TEXT, loc="left")
    side = stimuli[0].mean.shape[-1]
    heading = title or f"What excites channels of {stimuli[0].address.layer.replace('_', ' ')}"
    note = f"{side} × {side} pixels: all that a value depends on\naverage: minus the mean of all patches"
    figure.suptitle(f"{heading}\n{note}", color=look.ink, size=TEXT, parse_math=False)
    return figure


def photographic_kernels_figure(
    model: SRCNN, statistics: PatchStatistics, ridge: float = RIDGE, *, theme: str = "light"
) -> Figure:
    """Returns a figure of the first layer's kernels, each beside its ridge projection.

    The projection keeps what photographs can excite; the rest is noise that no training corrects. Each pair is drawn
    with the range of its raw kernel.

    Args:
        model: the network.
        statistics: of bicubic pictures in the network's channels (`patch_statistics`).
        ridge: λ in squared pixel values.
        theme: "light" or "dark".
    """
    raw = layer_kernels(model, LAYERS[0])
    projected = layer_kernels(project_kernels(model, statistics, ridge), LAYERS[0])
    rgb = has_rgb_kernels(model, LAYERS[0])
    orientation, coherence, frequency = kernel_orientation(projected, rgb)
    is_oriented = coherence >= ORIENTED
    order = torch.where(is_oriented, orientation, 1000 + frequency).argsort(stable=True).tolist()
    limits = [limit_of(projected[channel], 1) for channel in range(len(raw))]

    def draw(ax: Axes, number: int, extent: Extent) -> AxesImage:
        channel = order[number]
        left, right, bottom, top = extent
        middle = (left + right) / 2
        for kernel, begin, end in (
            (raw[channel], left, middle - 0.02),
            (projected[channel], middle + 0.02, right),
        ):
            scaled = kernel / limits[channel]
            pixels = (0.5 + scaled / 2).clamp(0, 1).permute(1, 2, 0).numpy() if rgb else scaled[0].numpy()
            place = (begin, end, bottom, top)
            norm = Normalize(-1, 1)
            image = ax.imshow(pixels, cmap="gray" if rgb else SIGNED, norm=norm, interpolation="nearest", extent=place)
        style_picture(ax, "", theme)
        return image

    degrees = [round(angle) % 180 for angle in orientation.tolist()]
    names = [f"{number} · {degrees[number]}°" if is_oriented[number] else f"{number}" for number in order]
    norms = [float(weight.norm()) for weight in (raw, projected)]
    low = [statistics.low_variance_energy(weight) for weight in (raw, projected)]
    title = (
        "Kernels of layer 1: raw, and as photographs excite them\n"
        f"λ = {ridge:g}; norm {norms[0]:.1f} → {norms[1]:.1f};\n"
        f"energy where pictures hardly vary {low[0]:.2%} → {low[1]:.2%}"
    )
    label = "share of the largest\nweight on the right" + ("\n(gray: zero)" if rgb else "")
    bar = ColorBar(label, 1, True, True)
    return sheet_figure(draw, names, 0.5, bar, title, theme, columns=8 if len(raw) <= 64 else 12, width=1.5)


# View 9: seams


def seams_figure(seams: Seams, *, title: str = "", theme: str = "light") -> Figure:
    """Returns a figure of where a picture in patches differs from one in a single pass, and how deep.

    Args:
        seams: of `find_seams`.
        title: such as the photograph's name.
        theme: "light" or "dark".
    """
    look = get_theme(theme)
    difference = _luminance_of(seams.difference, 0)
    limit = limit_of(difference, 0.995)
    tall = 4.6
    wide = min(7.5, tall * difference.shape[1] / difference.shape[0])
    with_depth = seams.rms is not None and seams.excess is not None
    figure = new_figure(wide + 1.6 + (4.6 if with_depth else 0), tall + 0.9, theme)
    axes = figure.subplots(1, 2 if with_depth else 1, squeeze=False, width_ratios=[wide, 3.6][: 1 + with_depth])[0]
    image = draw_map(difference, axes[0], limit=limit, signed=True, root=True, theme=theme)
    style_picture(axes[0], "In patches minus in one pass", theme)
    bar = ColorBar("difference of Y, square-root scale", limit, True, bool(difference.abs().max() > limit), root=True)
    draw_color_bar(figure, image, axes[0].inset_axes((1.02, 0, 0.03, 1)), bar, theme)
    if with_depth:
        assert seams.rms is not None
        axes[1].bar(range(len(seams.rms)), seams.rms.numpy(), color=look.orange, width=0.8)
        labels = [*map(str, range(len(seams.rms) - 1)), f"{len(seams.rms) - 1}+"]
        axes[1].set_xticks(range(len(labels)), labels=labels)
        label = "distance to the patch's border, pixels"
        style_chart(axes[1], "Root mean square difference of Y", theme, x_label=label)
    lost = f"{seams.psnr_patches:.2f} dB in patches, {seams.psnr_whole:.2f} in one pass: {seams.lost_db:.2f} dB lost"
    figure.suptitle(f"{title}{': ' if title else ''}{lost}", color=look.ink, size=HEADING, parse_math=False)
    return figure
