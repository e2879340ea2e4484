"""Prints and draws summaries of the machine and of a run for the notebooks."""

import torch
from PIL import Image

from ..data.images import to_rgb_pixels
from ..data.sources import split_photographs
from ..evaluation.quality import evaluate
from ..evaluation.report import print_table
from ..run import Run, weights_digest
from ..runtime.devices import describe_device, package_versions, resolve_device
from ..training.tensorboard import reconstruct_probe
from ..visualization.frames import caption, evenly_spaced, join


def print_environment() -> torch.device:
    """Prints the versions of the packages and the device; returns the device that a training would use."""
    device = resolve_device("auto")
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    print(f"{versions} on {describe_device(device)}")
    return device


def print_weights_digest(run: Run) -> None:
    """Prints the SHA-256 of the newest snapshot, by which trainings can be compared; nothing before the first one."""
    if run.snapshots():
        print("SHA-256 of the weights:", weights_digest(run)[1])


def print_scores(run: Run, photographs: int = 20) -> None:
    """Prints PSNR and SSIM of bicubic and of a run's newest network on its validation photographs.

    Args:
        run: a run with snapshots.
        photographs: how many are measured at most.

    Raises:
        InputError: a run without snapshots, or photographs that can't be read any more.
    """
    config = run.config
    _, validation = split_photographs(config.data, config.validation, config.seed, config.limit)
    validation = validation[:photographs]
    print_table(evaluate(run.model(), validation, validation.names))


def probe_strip(run: Run, snapshots: int = 6) -> Image.Image:
    """Draws the probe's four tiles as the network reconstructed them during the training.

    Args:
        run: a run with snapshots.
        snapshots: how many are shown at most, evenly spaced, from left to right; the originals are on the right.

    Raises:
        InputError: a run whose probe can't be read.
    """
    upsampled, original = run.probe()
    columns = {
        f"step {snapshot.step}": reconstruct_probe(snapshot.load(), upsampled)
        for snapshot in evenly_spaced(run.snapshots(), snapshots)
    }
    columns["original"] = original
    pictures = []
    for title, tiles in columns.items():
        pixels = to_rgb_pixels(torch.cat(list(tiles), dim=-2))  # (4 · 96, 96, 3)
        pictures.append(caption(pixels.numpy()[None], title))
    return Image.fromarray(join(pictures)[0])
