"""Make every picture and film in this folder from two runs: `make demonstrations`.

python demonstrations/make.py RUN RUN_FROM_NOTHING

The photographs are scikit-image's astronaut, chelsea and coffee (README.md beside this file has the credits), which
neither run may have been trained on. Runs of any network will do, on luminance or RGB.
"""

import argparse
import json
import sys
from pathlib import Path

import torch

from srcnn_lib.data import images, sources
from srcnn_lib.data.images import Picture
from srcnn_lib.evaluation import quality
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.inference import upscaling
from srcnn_lib.model import LAYERS, SRCNN
from srcnn_lib.run import Run, Snapshot
from srcnn_lib.runtime.console import guarded
from srcnn_lib.visualization import activations, animation, figures, video
from srcnn_lib.visualization.html import comparison
from srcnn_lib.visualization.html.page import write_page
from srcnn_lib.visualization.html.player import player

HERE = Path(__file__).parent
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")
PATCHES = {"astronaut": (60, 165), "chelsea": (90, 145)}  # top and left of a 96×96 patch with much to learn
SIDE = 96
MOST = 1.5  # MB a file
BOXES = {"coffee": (240, 298, 90, 120)}  # the spoon: bicubic loses most in grain that no method brings back
EPOCHS = 20  # of the run from nothing that are filmed
CHANNELS, KERNELS = 8, 24  # of layer 2 and of layer 1 in the films


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="from the identity")
    parser.add_argument("from_nothing", type=Path, help="from torch's initialisation")
    parser.add_argument("--out", type=Path, default=HERE, help="another folder, to look at first")
    given = parser.parse_args()
    run, nothing, out = Run(given.run), Run(given.from_nothing), given.out
    refuse_seen(run, nothing)
    refuse_short(nothing)
    out.mkdir(parents=True, exist_ok=True)
    photographs = {name: sources.load_photographs(f"samples:{name}")[0].pixels for name in PHOTOGRAPHS}
    patches = [photographs[name][:, y : y + SIDE, x : x + SIDE] for name, (y, x) in PATCHES.items()]
    for name, patch in zip(PATCHES, patches, strict=True):
        images.write_image(out / f"patch_{name}.png", patch)
    films(nothing, patches, out)
    film(out / "scan.gif", animation.scan(run.model(), photographs["chelsea"][:, :297, :448]), fps=15)
    pictures(run.model(), photographs, out)
    draw_curves(nothing.history(), out)
    page = player(nothing, Picture(photographs["astronaut"], name="astronaut"), crop=64, frames=12, max_mb=MOST)
    write_page(page, out / "player.html")
    write_page(comparison.compare(Picture(photographs["coffee"], name="coffee"), run.model()), out / "slider.html")
    print(json.dumps({path.name: facts(path) for path in (run, nothing)}, indent=2, ensure_ascii=False))
    check_sizes(out)


def refuse_seen(*runs: Run) -> None:
    """What a network was trained on says nothing of what it can do."""
    for run in runs:
        if any(source.partition(":")[0] == "samples" for source in run.config.data):
            sys.exit(f"{run.path} was trained on scikit-image's photographs, which are to be shown; take other --data")


def refuse_short(nothing: Run) -> None:
    """The films' captions and README.md say so many epochs."""
    done = max((record["epoch"] for record in nothing.history()), default=0)
    if done < EPOCHS:
        sys.exit(f"{nothing.path} has {done} epochs, expected {EPOCHS} or more as the films show; train it on")


def films(run: Run, patches: list[torch.Tensor], out: Path) -> None:
    """What a network learns from nothing: two patches, channels, kernels over the first epochs."""
    early = [snapshot for snapshot in run.snapshots() if snapshot.epoch <= EPOCHS]
    film(out / "learning.gif", animation.reconstruction(early, patches, frames=24))
    film(out / "kernels.gif", animation.kernels(early, only=moving_kernels(early)))
    model, layer = early[-1].load(), LAYERS[1]
    telling = activations.telling(model, [Sample(patch, model).seen for patch in patches], layer, CHANNELS)
    for name, patch in zip(PATCHES, patches, strict=True):  # in one, every other frame would have to go
        addresses = [f"{layer}:{channel}" for channel in telling]
        film(out / f"channels_{name}.gif", animation.channels(early, patch, addresses))


def film(path: Path, frames, fps: float = 5) -> None:
    for note in video.write_clip(path, frames, fps, max_mb=MOST):
        print(note)


def moving_kernels(snapshots: list[Snapshot]) -> list[int]:
    """The kernels of layer 1 that change most, in their own order: many of a network's hardly do."""
    first, last = (activations.kernels(snapshot.load(), LAYERS[0]) for snapshot in (snapshots[0], snapshots[-1]))
    change = (last - first).square().sum((1, 2, 3))
    return change.topk(min(KERNELS, len(change))).indices.sort().values.tolist()


def pictures(model: SRCNN, photographs: dict[str, torch.Tensor], out: Path) -> None:
    """What a trained network makes, and what it is made of."""
    images.write_image(out / "chelsea.jpg", photographs["chelsea"])
    images.write_image(out / "chelsea_upscaled.jpg", upscaling.upscale(photographs["chelsea"], model))
    for name in ("astronaut", "coffee"):
        bicubic, srcnn, original = quality.restore(model, photographs[name], model.scale)
        scores = {
            method: tuple(quality.score(made, original, model.scale)[figure] for figure in ("psnr_y", "ssim_y"))
            for method, made in (("bicubic", bicubic), ("srcnn", srcnn))
        }
        drawn = (picture["rgb"].clamp(0, 1) for picture in (original, bicubic, srcnn))
        figure = figures.comparison(*drawn, box=BOXES.get(name), scores=scores)
        figures.save(figure, out / f"comparison_{name}.png", dpi=100)
    figures.save(figures.kernel_sheet(model), out / "kernels.png", dpi=100)
    face = Sample(photographs["astronaut"][:, :256, 100:356], model).seen
    maps = activations.feature_maps(model, face, LAYERS[1:2])[LAYERS[1]][0]
    title = f"Layer 2, what {len(maps)} channels see"
    figures.save(figures.channel_sheet(maps, title=title), out / "channels.png", dpi=100)


def draw_curves(history: list[dict], out: Path) -> None:
    """PSNR, MSE and bicubic's PSNR, train in orange and test in blue, as the original had them."""
    for name, draw in (("psnr", figures.draw_psnr), ("mse", figures.draw_loss), ("bicubic", draw_bicubic)):
        figure = figures.Figure(figsize=(7, 4), layout="constrained")
        draw(history, figure.subplots())
        figures.save(figure, out / f"{name}.svg")


def draw_bicubic(history: list[dict], ax) -> None:
    look = figures.THEMES["light"]
    for part, color in (("train", look.orange), ("test", look.blue)):
        name = f"{part}_bicubic_psnr_y"
        points = [(record["step"], record[name]) for record in history if record.get(name) is not None]
        if points:
            ax.plot(*zip(*points, strict=True), color=color, lw=2, label=f"{part}, {points[-1][1]:.2f} dB")
    ax.margins(y=0.3)
    figures.plain(ax, "PSNR of bicubic (Y), dB: what has to be passed", look)


def facts(run: Run) -> dict:
    """What README.md beside this file has to say of a run."""
    config, last = run.config, run.history()[-1]
    return {
        "data": config.data,
        "init": config.init,
        "network": f"{config.channels} channels, {config.filters}, {config.widths}, ×{config.scale:g}",
        **{name: last.get(name) for name in ("epoch", "step", "validation_psnr_y", "validation_bicubic_psnr_y")},
    }


def check_sizes(out: Path) -> None:
    sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(out.iterdir()) if path.is_file()}
    print(*(f"{size:5.2f} MB  {name}" for name, size in sizes.items()), sep="\n")
    if large := [name for name, size in sizes.items() if size > MOST]:
        sys.exit(f"larger than {MOST} MB: {', '.join(large)}")


if __name__ == "__main__":
    guarded(main)
