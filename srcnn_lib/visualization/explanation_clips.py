"""Clips of the exact views over a training: the gain by frequency, and which channels matter most."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator

from ..errors import InputError
from ..evaluation.sample import Sample
from ..run import Snapshot
from ..runtime.console import Progress
from .channel_contributions import channel_worth
from .frames import caption, evenly_spaced, grouped, step_text
from .spectrum import frequency_film
from .style import draw_frames, get_theme, new_figure, style_chart

RANKS = 10  # places that the rank plot shows
GAIN_FLOOR = -6.0  # dB; a network from random weights starts far below


def frequency_clip(
    snapshots: Sequence[Snapshot], sample: Sample, *, theme: str = "dark", progress: Progress | None = None
) -> np.ndarray:
    """Shows the gain over bicubic in each band of spatial frequencies, snapshot by snapshot.

    Args:
        snapshots: of one run, in order; a frame for each.
        sample: the photograph.
        theme: "dark" or "light".
        progress: called as progress(done, total), in frames.

    Returns:
        (T, H, W, 3) uint8; the caption states the step and the PSNR on Y. Gains below −6 dB are cut off.

    Raises:
        InputError: for no snapshots.
    """
    _check(snapshots)
    film = frequency_film({each.step: each.load() for each in snapshots}, sample, progress)
    gains = film.gain_db.clamp_min(GAIN_FLOOR).numpy()  # (T, bands)
    labels = [f"{low:.2f}" for low in film.edges[:-1].tolist()]
    figure = new_figure(7.2, 3.6, theme)
    ax = figure.subplots()
    look = get_theme(theme)
    bars = ax.bar(range(len(labels)), gains[0], 0.8, color=look.orange)
    ax.axhline(0, color=look.muted, lw=1)
    low, high = min(0.0, np.nanmin(gains)), max(1.0, np.nanmax(gains))
    ax.set_ylim(low - 0.3, high + 0.5)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.xaxis.set_major_locator(FixedLocator(range(len(labels))))
    ax.xaxis.set_major_formatter(FixedFormatter(labels))
    title = "Gain over bicubic by frequency, dB"
    style_chart(ax, title, theme, x_label="from this spatial frequency on, cycles per pixel")

    def draw(frame: int) -> None:
        for bar, gain in zip(bars, gains[frame], strict=True):
            bar.set_height(0 if np.isnan(gain) else gain)
            bar.set_color(look.orange if gain >= 0 else look.blue)

    frames = draw_frames(figure, draw, len(snapshots))
    psnr = [f"{value:.2f} dB ({value - film.bicubic_psnr:+.2f})".replace("-", "−") for value in film.psnr.tolist()]
    return caption(frames, [step_text(each.step) for each in snapshots], psnr, theme)


def worth_clip(
    snapshots: Sequence[Snapshot], sample: Sample, *, theme: str = "dark", progress: Progress | None = None
) -> np.ndarray:
    """Shows which channels of layer 2 are worth most, as a rank plot whose lines grow snapshot by snapshot.

    A channel's worth is what the picture loses without it, in dB (see `channel_worth`). The ten highest places are
    shown; the number at the end of a line is the channel, with its worth.

    Args, Returns, Raises: as in `frequency_clip`.
    """
    _check(snapshots)
    worth = []
    for done, snapshot in enumerate(snapshots, start=1):
        worth.append(channel_worth(snapshot.load(), sample).worth_db.numpy())
        if progress:
            progress(done, len(snapshots))
    table = np.stack(worth)  # (T, channels)
    ranks = (-table).argsort(1, kind="stable").argsort(1, kind="stable") + 1  # 1 for the most valuable channel
    places = min(RANKS, table.shape[1])
    figure = new_figure(7.2, 4.4, theme)
    ax = figure.subplots()
    _style_rank_axes(ax, [each.step for each in snapshots], places, theme)
    palette = colormaps["tab10"].colors if theme == "light" else colormaps["Set3"].colors  # type: ignore[attr-defined]
    shown = [channel for channel in range(table.shape[1]) if (ranks[:, channel] <= places).any()]
    shown.sort(key=lambda channel: ranks[-1, channel])
    lines, texts = {}, {}
    for number, channel in enumerate(shown):
        color = palette[number % len(palette)]
        (lines[channel],) = ax.plot([], [], color=color, lw=2.5, solid_capstyle="round", marker="o", markevery=[-1])
        texts[channel] = ax.text(0, 0, "", color=color, size=9, va="center", clip_on=True)

    def draw(frame: int) -> None:
        for channel in shown:
            path = ranks[: frame + 1, channel].astype(float)
            lines[channel].set_data(range(frame + 1), np.where(path <= places, path, places + 1))
            visible = path[-1] <= places
            texts[channel].set_text(f"  {channel}: {table[frame, channel]:.2f} dB" if visible else "")
            texts[channel].set_position((frame, path[-1]))

    frames = draw_frames(figure, draw, len(snapshots))
    return caption(frames, [step_text(each.step) for each in snapshots], "channel: worth", theme)


def _check(snapshots: Sequence[Snapshot]) -> None:
    if not snapshots:
        raise InputError("there are no snapshots to animate; train the run first")


def _style_rank_axes(ax: Axes, steps: Sequence[int], places: int, theme: str) -> None:
    last = max(1, len(steps) - 1)
    ax.set_xlim(-0.2, last * 1.22)  # room for the text at the end of the lines
    ax.set_ylim(places + 0.7, 0.5)
    ax.yaxis.set_major_locator(FixedLocator(range(1, places + 1)))
    chosen = evenly_spaced(range(len(steps)), min(6, len(steps)))
    ax.xaxis.set_major_locator(FixedLocator(chosen))
    ax.xaxis.set_major_formatter(FixedFormatter([grouped(steps[place]) for place in chosen]))
    style_chart(ax, "Which channels of layer 2 are worth most", theme)
