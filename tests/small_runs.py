"""A run as a training would have written it, and a photograph, for tests of what reads runs."""

from pathlib import Path

import torch
from skimage import data as photographs

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.images import Picture
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.run import Run

STEPS = (0, 1, 2, 4, 8, 16)


def small_run(path: Path, channels: int = 1, widths: tuple[int, int] = (6, 4), **config) -> Run:
    """Writes a run whose snapshots start at the identity and move away from it with each step."""
    torch.manual_seed(0)
    run = Run.create(path, TrainingConfig.of(channels=channels, widths=widths, epochs=len(STEPS) - 1, **config))
    model = start_from_identity(SRCNN(channels, widths=widths))
    direction = [0.02 * torch.randn_like(parameter) for parameter in model.parameters()]
    for epoch, step in enumerate(STEPS):
        run.write_snapshot(model, step, epoch)
        with torch.no_grad():
            for parameter, change in zip(model.parameters(), direction, strict=True):
                parameter += change
    run.write_history(
        [
            {
                "step": step, "epoch": epoch, "train_loss": 0.01 / epoch, "validation_loss": 0.012 / epoch,
                "train_mse": 650 / epoch, "validation_mse": 780 / epoch,
                "train_psnr_y": 30.0 + epoch, "train_psnr_rgb": 29.0 + epoch,
                "validation_psnr_y": 29.0 + epoch, "validation_psnr_rgb": 28.0 + epoch,
                "validation_bicubic_psnr_y": 31.0, "validation_bicubic_psnr_rgb": 30.0,
                "train_bicubic_psnr_y": 32.0, "train_bicubic_psnr_rgb": 31.0,
            }
            for epoch, step in enumerate(STEPS) if epoch
        ]
    )  # fmt: skip
    cat = torch.from_numpy(photographs.chelsea().copy()).permute(2, 0, 1) / 255
    tiles = [degrade(cat[:, top : top + 96, left : left + 96], 2.0) for top in (30, 130) for left in (100, 200)]
    run.write_probe(*(torch.stack(pictures) for pictures in zip(*tiles, strict=True)))
    return run


def cat_picture() -> Picture:
    """Returns fur and an eye of a cat, 64 × 80 pixels in color."""
    pixels = torch.from_numpy(photographs.chelsea()[40:104, 100:180].copy()).permute(2, 0, 1) / 255
    return Picture(pixels, name="cat.png")
