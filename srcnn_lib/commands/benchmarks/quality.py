"""Quality against training time: what each recipe reaches on validation photographs and on Set5."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ...config import TrainingConfig
from ...data.sources import Photographs, load_photographs
from ...data.training_data import TrainingData, load_training_data
from ...evaluation.quality import evaluate
from ...model import SRCNN
from ...runtime.console import Progress
from ...runtime.devices import cpu_threads, resolve_device
from ...training.budget import plan_steps
from ...training.state import TrainingState
from ...training.validation import validate
from ...visualization.curves import quality_over_time_figure
from ...visualization.style import save_figure
from .timing import heading, matrix_rates

# PSNR on Y of Set5 ×2 in dB, lines of the plot: bicubic as measured here, SRCNN as published.
PUBLISHED = {"bicubic": 33.69, "the paper's 9-1-5 (91 images)": 36.28, "the paper's 9-5-5 (ImageNet)": 36.66}
FIRST_MEASUREMENT = 4.0  # seconds of training
INTERVAL_GROWTH = 1.25  # from each measurement to the next
Curve = list[tuple[float, float]]  # (minutes, dB), in order


@dataclass(frozen=True)
class Point:
    """What a training has reached at some time: PSNR on Y of the validation patches in dB, and its weights."""

    seconds: float
    psnr_y: float
    weights: dict[str, Tensor]


def benchmark_quality(
    minutes: float = 12, recipes: Sequence[str] = ("best", "original"), out: str | Path | None = None,
    progress: Progress | None = None, seeds: int = 1, **settings: Any,
) -> list[str]:  # fmt: skip
    """Trains with each recipe for the same time, and measures on the way.

    Recipes compete on validation photographs. Set5 is measured after all training, with the weights that were kept,
    and nothing is chosen by it.

    Args:
        minutes: of each training.
        recipes: to compare.
        out: file of the plot; no plot without.
        progress: called as progress(done, total) in each training, in steps.
        seeds: trainings of each recipe, with the seeds 0, 1, …
        settings: fields of TrainingConfig in place of the benchmark's own.

    Returns:
        The lines to print.
    """
    usual = {"data": ("t91", "bsds500"), "validation": ("bsds500:validation",), "channels": 1, "widths": (64, 32)}
    device = resolve_device(settings.get("device", "auto"))
    lines = heading(device, matrix_rates(device))
    trained: dict[str, list[tuple[SRCNN, list[Point]]]] = {recipe: [] for recipe in recipes}
    # One seed after the other: a machine that becomes slower then does so for every recipe.
    for seed, recipe in itertools.product(range(seeds), recipes):
        config = TrainingConfig.of(recipe, **{**usual, "minutes": minutes, "seed": seed, **settings})
        model, points = train_against_time(config, load_training_data(config), progress)
        trained[recipe].append((model, points))
        title = f"recipe {recipe}, seed {seed}:" if seeds > 1 else f"recipe {recipe}:"
        lines += ["", f"{title} {'minutes':>8} {'validation':>11}   PSNR on Y in dB, ×2"]
        lines += [f"{'':{len(title)}} {point.seconds / 60:8.2f} {point.psnr_y:11.2f}" for point in points]

    set5 = load_photographs("set5")
    lines += ["", "Set5, measured after all training, of the last weights of each recipe; it chose nothing:"]
    set5_curves = {}
    for recipe, trainings in trained.items():
        # Only the plot needs all points.
        curves = [measure_on(set5, model, points if out else points[-1:]) for model, points in trainings]
        set5_curves[recipe] = curves
        ends = ", ".join(f"{curve[-1][1]:.2f}" for curve in curves)
        lines.append(f"recipe {recipe}: {ends} dB on Y, ×2")
        if out:
            lines += [f"  {name}: {_times(curves, level)}" for name, level in PUBLISHED.items()]
    if out:
        lines.append(f"{out} shows Set5 at each of these times: computed afterwards as well, and it chose nothing")
        figure = quality_over_time_figure(set5_curves, PUBLISHED, title="Set5 ×2, PSNR on Y, dB")
        save_figure(figure, out)
    return lines


def _times(curves: Sequence[Curve], level: float) -> str:
    """Returns after how many minutes each curve was first measured at a level or above, as text."""
    firsts = [next((minutes for minutes, value in curve if value >= level), None) for curve in curves]
    return ", ".join("not reached" if first is None else f"after {first:.2f} minutes" for first in firsts)


def train_against_time(
    config: TrainingConfig, data: TrainingData, progress: Progress | None = None
) -> tuple[SRCNN, list[Point]]:
    """Trains for `config.minutes` and measures at times that grow by a quarter; measuring does not count as time.

    Returns:
        The averaged network, and what it had reached at each of the times.
    """
    began = time.perf_counter()
    state = TrainingState(config, data)
    plan_steps(state, 60 * config.minutes)
    seconds = time.perf_counter() - began
    due = FIRST_MEASUREMENT
    points = []
    with cpu_threads(state.threads):
        while state.step < state.steps:
            began = time.perf_counter()
            state.take_step(*state.next_batch()).item()  # .item() waits for the device
            seconds += time.perf_counter() - began
            if seconds >= due or state.step == state.steps:
                psnr_y = validate(state.averaged, data.validation_patches)["psnr_y"]
                weights = {name: tensor.clone() for name, tensor in state.averaged.state_dict().items()}
                points.append(Point(seconds, psnr_y, weights))
                due = max(due, seconds) * INTERVAL_GROWTH
            if progress:
                progress(state.step, state.steps)
    return state.averaged, points


def measure_on(photographs: Photographs, model: SRCNN, points: Sequence[Point]) -> Curve:
    """Returns (minutes, PSNR on Y of the photographs in dB) of the weights at each point."""
    curve = []
    for point in points:
        model.load_state_dict(point.weights)
        scores = evaluate(model, photographs, photographs.names).srcnn
        curve.append((point.seconds / 60, scores.psnr_y))
    return curve
