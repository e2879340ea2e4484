"""Several runs in step: for each frame the snapshot that every run had reached by then, side by side."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullFormatter

from ..errors import InputError
from ..evaluation.sample import Sample
from ..run import Run, Snapshot
from ..runtime.console import Progress
from ..runtime.files import distinct_names
from .curves import compress_loss, expand_loss, gain_ticks, signed
from .frames import caption, enlarge, evenly_spaced, grouped, heading, join, pad
from .style import THEMES, draw_frames, get_theme, new_figure, style_chart

COLORS = ("orange", "blue", "green", "muted")  # of the runs in the chart, in a theme
MAX_RUNS = len(COLORS)
CHART_HEIGHT = 220  # pixels


def align_snapshots(runs: Sequence[Run], frames: int) -> list[list[Snapshot]]:
    """Returns for each run a list of snapshots, one for each frame, so that equal positions mean equal steps.

    The frames' steps are evenly spaced over all steps at which some run has a snapshot: early ones are as dense as the
    runs have them. A run shows its newest snapshot up to that step, and its first one before; a shorter run keeps
    showing its last.

    Args:
        runs: two or more.
        frames: at most this many.

    Raises:
        InputError: for more runs than there are colors for, a run without snapshots, or fewer than one frame.
    """
    if len(runs) > MAX_RUNS:
        raise InputError(f"{len(runs)} runs are too many to compare, expected up to {MAX_RUNS}")
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more")
    snapshots = [run.snapshots() for run in runs]
    for run, found in zip(runs, snapshots, strict=True):
        if not found:
            raise InputError(f"{run.path} has no snapshots to animate; train the run first")
    steps = sorted({snapshot.step for found in snapshots for snapshot in found})
    chosen = evenly_spaced(steps, frames)
    return [[_newest(found, step) for step in chosen] for found in snapshots]


def _newest(snapshots: Sequence[Snapshot], step: int) -> Snapshot:
    reached = [snapshot for snapshot in snapshots if snapshot.step <= step]
    return reached[-1] if reached else snapshots[0]


def run_names(runs: Sequence[Run]) -> list[str]:
    """Returns the runs' folder names; whole paths where two are the same."""
    return distinct_names([run.name for run in runs], [str(run.path) for run in runs])


def side_by_side(clips: Sequence[np.ndarray], names: Sequence[str], theme: str) -> np.ndarray:
    """Joins the clips of several runs, each with the run's name above it: (T, H, W, 3)."""
    return join([heading(clip, name, theme) for clip, name in zip(clips, names, strict=True)], theme=theme)


def compare_reconstructions_clip(
    runs: Sequence[Run],
    samples: Sequence[Sample],
    *,
    frames: int = 20,
    theme: str = "dark",
    progress: Progress | None = None,
) -> np.ndarray:
    """Shows how several runs restore a photograph, side by side, above a chart of their gains over bicubic.

    Args:
        runs: two to four.
        samples: the same photograph for each run's network.
        frames: as in `align_snapshots`.
        theme: "dark" or "light".
        progress: called as progress(done, total), in frames of all runs.

    Returns:
        (T, H, W, 3) uint8.

    Raises:
        InputError: as in `align_snapshots`, or for an unknown theme.
    """
    aligned = align_snapshots(runs, frames)
    names = run_names(runs)
    total = sum(map(len, aligned))
    done = 0
    clips = []
    gains: list[list[float]] = []
    for snapshots, sample in zip(aligned, samples, strict=True):
        pictures, labels = [], []
        gains.append([])
        for frame, snapshot in enumerate(snapshots):
            if frame == 0 or snapshot != snapshots[frame - 1]:  # a run may keep its snapshot for several frames
                output = sample.reconstruct(snapshot.load())
            pictures.append(sample.to_pixels(output))
            labels.append(sample.psnr_label(output))
            gains[-1].append(sample.psnr_y(output) - sample.bicubic_scores.psnr_y)
            done += 1
            if progress:
                progress(done, total)
        clips.append(caption(enlarge(np.stack(pictures)), labels, theme=theme))
    sheet = side_by_side(clips, names, theme)
    steps = [max(snapshots[frame].step for snapshots in aligned) for frame in range(len(aligned[0]))]
    charts = _charts(gains, steps, names, sheet.shape[2], theme)
    return np.concatenate([sheet, pad(charts, charts.shape[1], sheet.shape[2], theme)], axis=1)


def _charts(
    gains: Sequence[Sequence[float]], steps: Sequence[int], names: Sequence[str], width: int, theme: str
) -> np.ndarray:
    """Draws the gains up to each frame, one line for each run, on axes that stay the same: (T, height, width, 3)."""
    figure = new_figure(width / 100, CHART_HEIGHT / 100, theme)
    ax = figure.subplots()
    lines = [
        ax.plot([], [], color=getattr(THEMES[theme], color), lw=2, label=name.replace("$", r"\$"))[0]
        for name, color in zip(names, COLORS, strict=False)
    ]
    _style_axes(ax, gains, steps, theme)

    def draw(frame: int) -> None:
        for line, values in zip(lines, gains, strict=True):
            line.set_data(range(frame + 1), values[: frame + 1])
            line.set_marker("" if frame else "o")  # a line of one point is invisible

    return draw_frames(figure, draw, len(steps))


def _style_axes(ax: Axes, gains: Sequence[Sequence[float]], steps: Sequence[int], theme: str) -> None:
    low, high = min(0.0, *map(min, gains)), max(0.2, *map(max, gains))
    margin = 0.08 * (high - low) if low > -1 else 0.3
    ax.set_yscale("function", functions=(compress_loss, expand_loss))
    ax.set_ylim(low - (margin if low < 0 else 0), high + margin)
    ticks = gain_ticks(low, high)
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter(FixedFormatter([signed(tick) for tick in ticks]))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_xlim(0, max(1, len(steps) - 1))
    places = evenly_spaced(range(len(steps)), min(7, len(steps)))
    ax.xaxis.set_major_locator(FixedLocator(places))
    ax.xaxis.set_major_formatter(FixedFormatter([grouped(steps[place]) for place in places]))
    style_chart(ax, "Gain over bicubic (PSNR on Y), dB", theme)
    ax.axhline(0, color=get_theme(theme).muted, lw=1, ls=(0, (5, 3)))
    if legend := ax.get_legend():
        legend.set_loc("lower right")
