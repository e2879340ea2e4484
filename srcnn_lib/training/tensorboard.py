"""What TensorBoard shows of a run."""

import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.color import luminance, with_luminance
from ..model import LAYERS, SRCNN

CHANNELS = 8  # of each hidden layer are shown


class TensorBoardWriter:
    """Writes the curves, the probe's strips, some channels and the weights' histograms into a run's event files.

    Args:
        folder: the run.
        step: where the training stands; what earlier event files say of later steps is hidden.
    """

    def __init__(self, folder: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        if not step:
            # Of a training that was killed before its first checkpoint. `purge_step` would hide its curves, but the
            # layout is a tensor, and of those TensorBoard's reader hides none: it would be there twice.
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
        # Readers take the files in the order of their names, which begin with the second they were made in: one made
        # in the same second as the one that it goes on from might come before it.
        while any(folder.glob(f"events.out.tfevents.{int(time.time())}.*")):
            time.sleep(0.01)
        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else 0)
        if not step:
            curves = {"PSNR": ["psnr/train", "psnr/test", "psnr/bicubic"], "MSE": ["mse/train", "mse/test"]}
            layout = {name: ["Multiline", [f"^{tag}$" for tag in tags]] for name, tags in curves.items()}
            self.writer.add_custom_scalars({"train and test": layout})
            self.writer.flush()  # a training that goes on does not write it again

    def write(self, record: dict, model: SRCNN, probe: tuple[Tensor, Tensor]) -> None:
        """The measurements of an epoch, and the network as it is then."""
        step = record["step"]
        channel = "y" if model.channels == 1 else "rgb"
        scalars = {
            "mse/train": record["train_mse"],
            "mse/test": record["validation_mse"],
            "psnr/train": record[f"train_psnr_{channel}"],
            "psnr/test": record[f"validation_psnr_{channel}"],
            "psnr/bicubic": record[f"validation_bicubic_psnr_{channel}"],
            "psnr of bicubic/train": record[f"train_bicubic_psnr_{channel}"],
            "psnr of bicubic/test": record[f"validation_bicubic_psnr_{channel}"],
            "learning rate": record["learning_rate"],
        }
        for tag, value in scalars.items():
            self.writer.add_scalar(tag, value, step)
        upsampled, original = probe
        self.writer.add_image("probe/low, high, reconstructed", strips(model, upsampled, original), step)
        for layer, sheet in channel_sheets(model, upsampled[:1]).items():
            self.writer.add_image(f"channels/{layer}", sheet, step)
        for layer in LAYERS:
            weight, bias = getattr(model, layer).weight, getattr(model, layer).bias
            self.writer.add_histogram(f"{layer}/weight", weight, step)
            self.writer.add_histogram(f"{layer}/bias", bias, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


@torch.inference_mode()
def reconstruct_probe(model: SRCNN, upsampled: Tensor) -> Tensor:
    """The probe's tiles as the network makes them now: (N, 3, 96, 96) → the same, clamped."""
    upsampled = upsampled.to(next(model.parameters()).device)
    if model.channels == 3:
        return model(upsampled).clamp(0, 1).cpu()
    return with_luminance(upsampled, model(luminance(upsampled))).clamp(0, 1).cpu()


def strips(model: SRCNN, upsampled: Tensor, original: Tensor) -> Tensor:
    """(3, 4·96, 3·96): one row a tile, low (bicubic) | high (original) | reconstructed."""
    columns = [upsampled.clamp(0, 1), original, reconstruct_probe(model, upsampled)]
    return torch.cat([torch.cat(list(column), dim=-2) for column in columns], dim=-1)


@torch.inference_mode()
def channel_sheets(model: SRCNN, upsampled: Tensor) -> dict[str, Tensor]:
    """The first channels of both hidden layers over one tile, after ReLU: black at 0, white at the sheet's largest.

    The grey between is the square root, or the one channel that carries the picture would leave the others black.
    """
    device = next(model.parameters()).device
    image = (luminance(upsampled) if model.channels == 1 else upsampled).to(device)
    image = F.pad(image, [model.halo] * 4, mode="replicate")
    first = F.relu(model.layer_1(image))
    second = F.relu(model.layer_2(first))
    sheets = {}
    for layer, maps in (("layer_1", first), ("layer_2", second)):
        row = torch.cat(list(maps[0, :CHANNELS]), dim=-1)
        sheets[layer] = (row / row.amax().clamp(min=1e-6)).sqrt()[None].cpu()
    return sheets
