"""Make every picture and film in this folder from two runs: `make demonstrations`.

python demonstrations/make.py RUN RUN_FROM_NOTHING

The photographs are scikit-image's astronaut, chelsea and coffee (README.md beside this file has the credits), which
neither run was trained on.
"""

import argparse
import json
from pathlib import Path

import torch

from srcnn_lib import animation, clips, datasets, evaluation, features, figures, images, inference, pages, slider
from srcnn_lib.images import Picture, luminance
from srcnn_lib.player import player
from srcnn_lib.runs import Run

HERE = Path(__file__).parent
PATCHES = {"astronaut": (60, 165), "chelsea": (90, 145)}  # top and left of a 96×96 patch with much to learn
SIDE = 96
MOST = 1.5  # MB a file
CHANNELS = 8  # of layer 2 are filmed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="from the identity")
    parser.add_argument("from_nothing", type=Path, help="from torch's initialisation")
    given = parser.parse_args()
    run, nothing = Run(given.run), Run(given.from_nothing)
    photographs = {
        name: datasets.photographs(f"samples:{name}")[0].pixels for name in ("astronaut", "chelsea", "coffee")
    }
    patches = [photographs[name][:, y : y + SIDE, x : x + SIDE] for name, (y, x) in PATCHES.items()]

    for name, patch in zip(PATCHES, patches, strict=True):
        images.write(HERE / f"patch_{name}.png", patch)
    first_20 = [snapshot for snapshot in nothing.snapshots() if snapshot.epoch <= 20]
    film("learning.gif", animation.reconstruction(first_20, patches, frames=24))
    film("kernels.gif", animation.kernels(first_20, frames=20))
    busiest = telling_channels(nothing, patches)
    film("channels.gif", animation.channels(first_20, patches[:1], busiest, frames=20))
    film("scan.gif", animation.scan(run.model(), photographs["chelsea"][:, :297, :448]), fps=15)

    model = run.model()
    chelsea = photographs["chelsea"]
    images.write(HERE / "chelsea.jpg", chelsea)
    images.write(HERE / "chelsea_upscaled.jpg", inference.upscale(chelsea, model))
    for name in ("astronaut", "coffee"):
        bicubic, srcnn, original = evaluation.restore(model, photographs[name], model.scale)
        scores = {
            method: tuple(evaluation.score(made, original, model.scale)[figure] for figure in ("psnr_y", "ssim_y"))
            for method, made in (("bicubic", bicubic), ("srcnn", srcnn))
        }
        drawn = (picture["rgb"].clamp(0, 1) for picture in (original, bicubic, srcnn))
        figures.save(figures.comparison(*drawn, scores=scores), HERE / f"comparison_{name}.png", dpi=100)

    figures.save(figures.kernel_sheet(model), HERE / "kernels.png", dpi=100)
    face = luminance(photographs["astronaut"][:, :256, 100:356])
    maps = features.feature_maps(model, face[None], ("layer_2",))["layer_2"][0]
    figures.save(figures.channel_sheet(maps, title="Layer 2, what 32 channels see"), HERE / "channels.png", dpi=100)
    draw_curves(nothing)

    page = player(run, Picture(patches[0], name="astronaut"), crop=64, frames=12, max_mb=MOST)
    pages.write(page, HERE / "player.html")
    pages.write(slider.compare(Picture(photographs["coffee"], name="coffee"), model), HERE / "slider.html")
    facts = {
        path.name: {
            "data": path.settings.data,
            "init": path.settings.init,
            "epochs": path.history()[-1]["epoch"],
            "steps": path.history()[-1]["step"],
            "test PSNR on Y": round(path.history()[-1]["test_psnr_y"], 2),
            "bicubic": round(path.history()[-1]["test_bicubic_psnr_y"], 2),
        }
        for path in (run, nothing)
    }
    print(json.dumps(facts, indent=2))
    for path in sorted(HERE.iterdir()):
        print(f"{path.stat().st_size / 2**20:5.2f} MB  {path.name}")


def film(name: str, frames, fps: float = 5) -> None:
    for note in clips.write_clip(HERE / name, frames, fps, max_mb=MOST):
        print(f"{name}: {note}")


def telling_channels(run: Run, patches: list[torch.Tensor]) -> list[str]:
    """The channels of layer 2 that vary most over the patches, in their own order."""
    model = run.model()
    seen = torch.stack([luminance(patch) for patch in patches])
    maps = features.feature_maps(model, seen, ("layer_2",))["layer_2"]  # (patches, channels, H, W)
    chosen = maps.std(dim=(0, 2, 3)).topk(CHANNELS).indices.sort().values
    return [f"layer_2:{channel}" for channel in chosen.tolist()]


def draw_curves(run: Run) -> None:
    """PSNR, MSE and bicubic's PSNR, train in orange and test in blue, as the original had them."""
    history = run.history()
    for name, draw in (("psnr", figures.draw_psnr), ("mse", figures.draw_loss)):
        figure = figures.Figure(figsize=(7, 4), layout="constrained")
        draw(history, figure.subplots())
        figures.save(figure, HERE / f"{name}.svg")
    figure = figures.Figure(figsize=(7, 4), layout="constrained")
    ax, steps = figure.subplots(), [record["step"] for record in history]
    for part, colour in (("train", figures.THEMES["light"].orange), ("test", figures.THEMES["light"].blue)):
        values = [record[f"{part}_bicubic_psnr_y"] for record in history]
        ax.plot(steps, values, color=colour, lw=2, label=f"{part}, {values[-1]:.2f} dB")
    ax.set_title("PSNR of bicubic (Y), dB: what has to be passed", loc="left")
    ax.set_xlabel("step")
    ax.margins(y=0.3)
    ax.grid(color="#e3e6ea")
    ax.spines[:].set_visible(False)
    ax.legend(frameon=False, loc="center right")
    figures.save(figure, HERE / "bicubic.svg")


if __name__ == "__main__":
    main()
