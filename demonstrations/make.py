"""Makes all pictures, clips and pages of this folder from two runs: `make demonstrations`.

    python demonstrations/make.py RUN RUN_FROM_RANDOM

The photographs are scikit-image's astronaut, chelsea and coffee (README.md beside this file has the credits); neither
run may have been trained on them. Runs of any network will do, on luminance or RGB.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from srcnn_lib.activations import feature_maps
from srcnn_lib.data.images import Picture, write_image
from srcnn_lib.data.sources import load_photographs
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.inference.upscaling import upscale
from srcnn_lib.model import LAYERS, SRCNN
from srcnn_lib.run import Run, Snapshot
from srcnn_lib.runtime.console import run_command
from srcnn_lib.visualization import (
    ChannelAddress,
    channel_clip,
    channels_figure,
    comparison_figure,
    draw_loss,
    draw_psnr,
    frequency_clip,
    kernel_clip,
    kernels_figure,
    layer_kernels,
    most_informative_channels,
    reconstruction_clip,
    render_laboratory,
    render_model_comparison,
    save_figure,
    scan_clip,
    worth_clip,
    write_clip,
    write_page,
)
from srcnn_lib.visualization.curves import SETS
from srcnn_lib.visualization.style import THEMES, Figure, style_chart

FOLDER = Path(__file__).parent
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
PATCHES = {"astronaut": (60, 165), "chelsea": (90, 145)}  # top and left of a patch with much detail
PATCH_SIDE = 96
MAX_MB = 1.5  # of a file
LABORATORY_MB = 4.0  # of the page that holds the weights of a whole training
# Top, left, height, width of a zoom: the spoon. Bicubic's error is largest in grain, which no method restores.
ZOOM_BOXES = {"coffee": (240, 298, 90, 120)}
EPOCHS = 20  # of the run from random weights that the clips show
CHANNELS = 8  # of layer 2 in the clips
KERNELS = 24  # of layer 1 in the clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run that started from the identity")
    parser.add_argument("from_random", type=Path, help="a run that started from torch's initialization")
    parser.add_argument("--out", type=Path, default=FOLDER, help="another folder, to look at the results first")
    arguments = parser.parse_args()
    run = Run(arguments.run)
    from_random = Run(arguments.from_random)
    out = arguments.out
    check_unseen(run, from_random)
    check_length(from_random)
    out.mkdir(parents=True, exist_ok=True)
    photographs = {name: load_photographs(f"samples:{name}")[0].pixels for name in PHOTOGRAPHS}
    patches = {
        name: photographs[name][:, top : top + PATCH_SIDE, left : left + PATCH_SIDE]
        for name, (top, left) in PATCHES.items()
    }
    for name, patch in patches.items():
        write_image(out / f"patch_{name}.png", patch)
    write_training_clips(from_random, patches, out)
    save_clip(out / "scan.gif", scan_clip(run.model(), photographs["chelsea"][:, :297, :448]), fps=15)
    write_pictures(run.model(), photographs, out)
    draw_curves(from_random.history(), out)
    write_page(render_laboratory(from_random, "samples:astronaut", max_mb=LABORATORY_MB), out / "laboratory.html")
    coffee = Picture(photographs["coffee"], name="coffee")
    write_page(render_model_comparison(coffee, run.model()), out / "comparison.html")
    print(json.dumps({path.name: describe(path) for path in (run, from_random)}, indent=2, ensure_ascii=False))
    check_sizes(out)


def check_unseen(*runs: Run) -> None:
    """Exits if a run was trained on the photographs: its results on them would say nothing."""
    for run in runs:
        if any(source.partition(":")[0] == "samples" for source in run.config.data):
            sys.exit(f"{run.path} was trained on scikit-image's photographs, which are to be shown; take other --data")


def check_length(run: Run) -> None:
    """Exits if a run is shorter than the clips; README.md states their number of epochs."""
    epochs = max((record["epoch"] for record in run.history()), default=0)
    if epochs < EPOCHS:
        sys.exit(f"{run.path} has {epochs} epochs, expected {EPOCHS} or more as the clips show; train it on")


def write_training_clips(run: Run, patches: dict[str, Tensor], out: Path) -> None:
    """Writes clips of the first epochs of a run: the patches, channels of layer 2, kernels of layer 1."""
    snapshots = [snapshot for snapshot in run.snapshots() if snapshot.epoch <= EPOCHS]
    save_clip(out / "learning.gif", reconstruction_clip(snapshots, list(patches.values()), frames=24))
    save_clip(out / "kernels.gif", kernel_clip(snapshots, channels=most_changed_kernels(snapshots)))
    model = snapshots[-1].load()
    samples = {name: Sample(patch, model) for name, patch in patches.items()}
    inputs = [sample.network_input for sample in samples.values()]
    channels = most_informative_channels(model, inputs, LAYERS[1], CHANNELS)
    addresses = [ChannelAddress(LAYERS[1], channel) for channel in channels]
    face = next(iter(samples.values()))
    save_clip(out / "frequency.gif", frequency_clip(snapshots, face))
    save_clip(out / "worth.gif", worth_clip(snapshots, face))
    for name, sample in samples.items():  # in one clip, every other frame would have to be left out
        save_clip(out / f"channels_{name}.gif", channel_clip(snapshots, sample, addresses))


def most_changed_kernels(snapshots: list[Snapshot]) -> list[int]:
    """Returns the kernels of layer 1 that change most, in their own order; many hardly change."""
    first, last = (layer_kernels(snapshot.load(), LAYERS[0]) for snapshot in (snapshots[0], snapshots[-1]))
    change = (last - first).square().sum((1, 2, 3))
    return change.topk(min(KERNELS, len(change))).indices.sort().values.tolist()


def save_clip(path: Path, frames: np.ndarray, fps: float = 5) -> None:
    for note in write_clip(path, frames, fps, max_mb=MAX_MB):
        print(note)


def write_pictures(model: SRCNN, photographs: dict[str, Tensor], out: Path) -> None:
    """Writes what a trained network makes of photographs, its kernels and its feature maps."""
    write_image(out / "chelsea.jpg", photographs["chelsea"])
    write_image(out / "chelsea_upscaled.jpg", upscale(photographs["chelsea"], model))
    for name in ("astronaut", "coffee"):
        sample = Sample(photographs[name], model)
        output = sample.reconstruct(model)
        figure = comparison_figure(
            sample.original,
            sample.upsampled.clamp(0, 1),
            sample.to_image(output),
            box=ZOOM_BOXES.get(name),
            scores={"bicubic": sample.bicubic_scores, "srcnn": sample.scores(output)},
        )
        save_figure(figure, out / f"comparison_{name}.png", dpi=100)
    save_figure(kernels_figure(model), out / "kernels.png", dpi=100)
    face = Sample(photographs["astronaut"][:, :256, 100:356], model).network_input
    maps = feature_maps(model, face, [LAYERS[1]])[LAYERS[1]][0]  # (channels, H, W)
    figure = channels_figure(maps, title=f"Layer 2: feature maps of its {len(maps)} channels")
    save_figure(figure, out / "channels.png", dpi=100)


def draw_curves(history: list[dict], out: Path) -> None:
    """Writes PSNR, MSE and bicubic's PSNR over the steps, the three curves that the original project shows."""
    for name, draw in (("psnr", draw_psnr), ("mse", draw_loss), ("bicubic", draw_bicubic)):
        figure = Figure(figsize=(7, 4), layout="constrained")
        draw(history, figure.subplots())
        save_figure(figure, out / f"{name}.svg")


def draw_bicubic(history: list[dict], ax: Axes) -> None:
    for name, color in SETS.items():
        key = f"{name}_bicubic_psnr_y"
        points = [(record["step"], record[key]) for record in history if record.get(key) is not None]
        if points:
            label = f"{name}, {points[-1][1]:.2f} dB"
            ax.plot(*zip(*points, strict=True), color=getattr(THEMES["light"], color), lw=2, label=label)
    ax.margins(y=0.3)
    style_chart(ax, "PSNR of bicubic (Y), dB", "light")


def describe(run: Run) -> dict:
    """Returns what README.md beside this file says about a run."""
    config = run.config
    last = run.history()[-1]
    return {
        "data": config.data,
        "init": config.init,
        "network": f"{config.channels} channels, {config.filters}, {config.widths}, ×{config.scale:g}",
        **{name: last.get(name) for name in ("epoch", "step", "validation_psnr_y", "validation_bicubic_psnr_y")},
    }


def check_sizes(out: Path) -> None:
    """Prints the size of each file, and exits if one is too large."""
    sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(out.iterdir()) if path.is_file()}
    for name, size in sizes.items():
        print(f"{size:5.2f} MB  {name}")
    limits = {"laboratory.html": LABORATORY_MB}
    if large := [name for name, size in sizes.items() if size > limits.get(name, MAX_MB)]:
        sys.exit(f"larger than {MAX_MB} MB (the laboratory {LABORATORY_MB} MB): {', '.join(large)}")


if __name__ == "__main__":
    run_command(main)
