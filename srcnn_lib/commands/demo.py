"""The command `srcnn demo`: trains a small network on photographs of the package, and shows what it has learned."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import TrainingConfig
from ..errors import InputError

if TYPE_CHECKING:
    from ..evaluation.sample import Sample
    from ..run import Run

HELD_OUT = "astronaut"  # the photograph that the network is measured on
GIF_SIDE = 192  # of the square that the GIF shows, in pixels


def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run and the pictures.")] = Path("results/demo"),
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 1.5,
) -> None:
    """Train a small network on photographs that come with the package, and show what it has learned."""
    from ..data.sources import load_photographs
    from ..evaluation.quality import evaluate
    from ..evaluation.report import print_table
    from ..evaluation.sample import Sample

    began = time.monotonic()
    run = _train(unused_path(out / "run"), minutes)

    print(f"\n{HELD_OUT}, which is not in the training data: downscaled to half its size and upscaled again")
    model = run.model()
    photographs = load_photographs(f"samples:{HELD_OUT}")
    evaluation = evaluate(model, photographs, photographs.names)
    print_table(evaluation)
    sample = Sample(photographs[0].pixels, model)
    written = {run.path: "the run: settings, history, snapshots, checkpoints", **_write_pictures(out, run, sample)}

    gain = evaluation.srcnn.psnr_y - evaluation.bicubic.psnr_y
    print(f"\n{gain:+.2f} dB over bicubic on Y, {time.monotonic() - began:.0f} s in all")
    print(released_network_line(sample))
    print("\nWritten:")
    for path, what in written.items():
        print(f"  {path}  {what}")
    print("\nNext:")
    print(f"  tensorboard --logdir {run.path}    the curves and the probe, step by step")
    print(f"  srcnn upscale PICTURE --weights {run.path}    your own picture")
    print("  srcnn train --help    every setting; make notebook    the same in a notebook")


def _train(path: Path, minutes: float) -> "Run":
    """Trains a small Y network into a new run, with a progress bar."""
    from ..data.named_sets import SAMPLES
    from ..data.training_data import load_training_data
    from ..run import Run
    from ..training.progress import train_with_progress
    from ..training.trainer import fit

    config = TrainingConfig.of(
        data=("samples",),
        validation=(f"samples:{HELD_OUT}",),
        channels=1,
        widths=(64, 32),
        minutes=minutes,
        validation_patches=128,
    )
    names = ", ".join(name for name in SAMPLES if name != HELD_OUT)
    print(f"A 9-5-5 network of widths 64-32 learns to upscale photographs (luminance, ×{config.scale:g}).")
    print(f"It trains on {names}; {HELD_OUT} is held out to measure it on.\n")
    data = load_training_data(config)
    run = Run.create(path, config)
    train_with_progress(fit(config, run, data), run)
    return run


def _write_pictures(out: Path, run: "Run", sample: "Sample") -> dict[Path, str]:
    """Writes two pictures and a GIF of the held-out photograph; returns a description of each file."""
    from ..data.images import write_image
    from ..data.regions import largest_error_region
    from ..inference.upscaling import upscale
    from ..visualization.animation import reconstruction_clip
    from ..visualization.figures import comparison_figure
    from ..visualization.style import save_figure
    from ..visualization.video import write_clip

    model = run.model()
    upscaled = out / f"{HELD_OUT}_upscaled.png"
    comparison = out / "comparison.png"
    animation = out / "learning.gif"

    write_image(upscaled, upscale(sample.original, model))

    output = sample.reconstruct(model)
    bicubic = sample.upsampled.clamp(0, 1)
    scores = {"bicubic": sample.bicubic_scores, "srcnn": sample.scores(output)}
    figure = comparison_figure(sample.original, bicubic, sample.to_image(output), scores=scores)
    save_figure(figure, comparison)

    top, left, height, width = largest_error_region(sample.original, bicubic, (GIF_SIDE, GIF_SIDE))
    part = sample.original[:, top : top + height, left : left + width]  # (3, 192, 192)
    write_clip(animation, reconstruction_clip(run.snapshots(), part), fps=5)
    return {
        upscaled: "the photograph itself, twice as large",
        comparison: "original, bicubic and SRCNN side by side",
        animation: "the network learning, from step 0",
    }


def released_network_line(sample: "Sample") -> str:
    """Returns a line with the released network's gain on the photograph, to show the effect of longer training."""
    from ..pretrained import open_weights, released_for

    path, _ = released_for(sample.scale)
    model, _ = open_weights(path)
    gain = sample.scores(sample.reconstruct(model)).psnr_y - sample.bicubic_scores.psnr_y
    training = f", {model.metadata['steps']:,} steps on more photographs" if "steps" in model.metadata else ""
    return f"{gain:+.2f} dB: the released network ({path.name}{training}), which was not trained on it either"


def unused_path(path: Path) -> Path:
    """Returns the path, with -2, -3 … appended if it exists already, so that no run is overwritten.

    Raises:
        InputError: after 999 attempts.
    """
    for number in range(1, 1000):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        if not candidate.exists():
            return candidate
    raise InputError(f"{path} and 998 more exist; name another folder with --out")
