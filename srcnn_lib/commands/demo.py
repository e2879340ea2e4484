"""The main job: train a small network on photographs that come with the package, and show what it learned."""

import time
from pathlib import Path

from ..config import TrainingConfig
from ..data import named_sets, regions, sources, training_data
from ..data.images import write_image
from ..errors import InputError
from ..evaluation import quality
from ..inference.upscaling import upscale
from ..pretrained import open_weights, released_for
from ..run import Run
from ..runtime.console import follow, print_table
from ..training import trainer
from ..visualization import animation, figures

KEPT_OUT = "astronaut"


def demonstrate(out: Path, minutes: float = 1.5) -> None:
    """Train, measure on the photograph kept out, and write the run, two pictures and a GIF into the folder `out`.

    Raises:
        InputError: where `out` holds a run already.
    """
    began = time.monotonic()
    config = TrainingConfig.of(
        data=("samples",),
        validation=(f"samples:{KEPT_OUT}",),
        channels=1,
        widths=(64, 32),
        minutes=minutes,
        validation_patches=128,
    )
    path = unused(out / "run")
    names = [name for name in named_sets.SAMPLES if name != KEPT_OUT]
    print(f"A 9-5-5 network of 64-32 channels learns to enlarge photographs (luminance, ×{config.scale:g}).")
    print(f"It trains on {', '.join(names)}; {KEPT_OUT} is kept out to measure it on.\n")
    data = training_data.load_training_data(config)
    run = Run.create(path, config)
    follow(trainer.fit(config, run, data), run)

    model, photograph = run.model(), sources.load_photographs(f"samples:{KEPT_OUT}")
    print(f"\n{KEPT_OUT}, which it never saw: reduced to a half, and brought back")
    table = quality.evaluate(model, photograph, photograph.names)
    print_table(table)

    original = photograph[0].pixels
    bicubic, srcnn, original = (made["rgb"].clamp(0, 1) for made in quality.restore(model, original, model.scale))
    scores = {method: (table[method]["psnr_y"], table[method]["ssim_y"]) for method in ("bicubic", "srcnn")}
    written = {
        "the run: settings, curves, snapshots, checkpoints": run.path,
        "the photograph itself, twice as large": out / f"{KEPT_OUT}_upscaled.png",
        "original, bicubic and SRCNN side by side": out / "comparison.png",
        "the network learning, from step 0": out / "learning.gif",
    }
    _, enlarged, compared, learning = written.values()
    write_image(enlarged, upscale(original, model))
    figures.save(figures.comparison(original, bicubic, srcnn, scores=scores), compared)
    frames = animation.reconstruction(run.snapshots(), _telling_part(original, bicubic))
    animation.write_clip(learning, frames, fps=5)

    gain = table["srcnn"]["psnr_y"] - table["bicubic"]["psnr_y"]
    print(f"\n{gain:+.2f} dB over bicubic on Y, {time.monotonic() - began:.0f} s in all")
    print(released_line(photograph, table))
    print("\nWritten:")
    for what, where in written.items():
        print(f"  {where}  {what}")
    print("\nNext:")
    print(f"  tensorboard --logdir {run.path}    the curves and the probe, step by step")
    print(f"  srcnn upscale PICTURE --weights {run.path}    your own picture")
    print("  srcnn train --help    every setting; make notebook    the same in a notebook")


def released_line(photograph, table: dict) -> str:
    """What the network that `srcnn upscale` takes reaches on the same photograph: what a longer training brings."""
    path, _ = released_for(table["scale"])
    model, _ = open_weights(path)
    reached = quality.compare(model, photograph[0].pixels, table["scale"])
    gain = reached["srcnn"]["psnr_y"] - table["bicubic"]["psnr_y"]
    trained = f", {model.metadata['steps']:,} steps on more photographs" if "steps" in model.metadata else ""
    return f"{gain:+.2f} dB: the network that comes along ({path.name}{trained}), which never saw it either"


def _telling_part(original, bicubic, side: int = 192):
    """The square in which bicubic loses most: (C, side, side) of the original."""
    top, left, tall, wide = regions.largest_error_region(original, bicubic, (side, side))
    return original[:, top : top + tall, left : left + wide]


def unused(path: Path) -> Path:
    """The path, or with -2, -3 … behind it where there is something already: no run is ever overwritten."""
    for number in range(1, 1000):
        candidate = path if number == 1 else path.with_name(f"{path.name}-{number}")
        if not candidate.exists():
            return candidate
    raise InputError(f"{path} and 998 more exist; name another folder with --out")
