"""Writes what TensorBoard shows of a run."""

import time
from pathlib import Path

import torch
from torch import Tensor

from ..activations import feature_maps
from ..data.color import from_network_channels, to_network_channels
from ..model import LAYERS, SRCNN

CHANNELS_SHOWN = 8  # of each hidden layer


class TensorBoardWriter:
    """Writes curves, the probe's pictures, feature maps and histograms of the weights into a run's event files.

    Args:
        folder: the run.
        channel: that PSNR is written for, "y" or "rgb".
        step: steps taken so far. TensorBoard hides later steps in earlier event files.
    """

    def __init__(self, folder: Path, channel: str, step: int):
        from torch.utils.tensorboard import SummaryWriter

        if not step:
            # A training that was killed before its first checkpoint left these files. `purge_step` would hide their
            # curves, but not their tensors. The layout is a tensor and would be there twice.
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
        # TensorBoard reads event files in the order of their names, which begin with the second of their creation. A
        # file of the same second as the one before it might be read first.
        while any(folder.glob(f"events.out.tfevents.{int(time.time())}.*")):
            time.sleep(0.01)
        self.channel = channel
        self.writer = SummaryWriter(str(folder), purge_step=step + 1 if step else 0)
        if not step:
            self.writer.add_custom_scalars(self._layout())
            self.writer.flush()  # a training that is resumed does not write the layout again

    def _layout(self) -> dict:
        """Returns the charts of TensorBoard's page "Custom scalars"."""
        charts = {
            f"PSNR on {self.channel.upper()} (dB)": ["psnr/train", "psnr/validation", "psnr/bicubic_validation"],
            f"MSE on {self.channel.upper()}": ["mse/train", "mse/validation"],
        }
        multiline = {title: ["Multiline", [f"^{tag}$" for tag in tags]] for title, tags in charts.items()}
        return {"train and validation": multiline}

    def write(self, record: dict, model: SRCNN, probe: tuple[Tensor, Tensor]) -> None:
        """Writes the measurements of an epoch, and pictures and histograms of the network after it.

        Args:
            record: a line of the run's history.
            model: the averaged network.
            probe: (upsampled, original), (N, 3, H, W) each, RGB.
        """
        step = record["step"]
        scalars = {"learning_rate": record["learning_rate"]}
        for part in ("train", "validation"):
            scalars[f"mse/{part}"] = record[f"{part}_mse"]
            scalars[f"psnr/{part}"] = record[f"{part}_psnr_{self.channel}"]
            scalars[f"psnr/bicubic_{part}"] = record[f"{part}_bicubic_psnr_{self.channel}"]
        for tag, value in scalars.items():
            self.writer.add_scalar(tag, value, step)
        upsampled, original = probe
        self.writer.add_image("probe/bicubic, original, SRCNN", probe_rows(model, upsampled, original), step)
        for layer, sheet in channel_sheets(model, upsampled[0]).items():
            self.writer.add_image(f"feature_maps/{layer}", sheet, step)
        for name, parameter in model.named_parameters():  # layer_1.weight, layer_1.bias, …
            self.writer.add_histogram(name.replace(".", "/"), parameter, step)
        self.writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self.writer.close()


@torch.inference_mode()
def reconstruct_probe(model: SRCNN, upsampled: Tensor) -> Tensor:
    """Returns the network's output for the probe's tiles: (N, 3, H, W) RGB → the same, clamped, on the CPU."""
    upsampled = upsampled.to(next(model.parameters()).device)
    output = model(to_network_channels(upsampled, model.channels))
    return from_network_channels(output, upsampled).clamp(0, 1).cpu()


def probe_rows(model: SRCNN, upsampled: Tensor, original: Tensor) -> Tensor:
    """Returns a picture with a row per tile: bicubic | original | SRCNN. (N, 3, H, W) twice → (3, N·H, 3·W)."""
    columns = [upsampled.clamp(0, 1), original, reconstruct_probe(model, upsampled)]
    return torch.cat([torch.cat(list(column), dim=-2) for column in columns], dim=-1)


def channel_sheets(model: SRCNN, upsampled: Tensor) -> dict[str, Tensor]:
    """Draws the first feature maps of both hidden layers side by side: 0 is black, the largest value is white.

    The brightness is the square root of the value, because one channel carries the whole picture: beside it, the others
    would be black.

    Args:
        model: the network.
        upsampled: (3, H, W) RGB in [0, 1].

    Returns:
        {layer: (1, H, W · channels shown)} in [0, 1].
    """
    maps = feature_maps(model, to_network_channels(upsampled, model.channels), LAYERS[:2])
    sheets = {}
    for layer, values in maps.items():
        row = torch.cat(list(values[0, :CHANNELS_SHOWN]), dim=-1)  # (H, W · channels shown)
        sheets[layer] = (row / row.amax().clamp(min=1e-6)).sqrt()[None]
    return sheets
