"""Writes what TensorBoard shows of a run."""

import io
import os
import re
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..activations import feature_maps
from ..data.color import from_network_channels, to_network_channels
from ..model import LAYERS, SRCNN

CHANNELS_SHOWN = 8  # of each hidden layer
STEPS_BETWEEN_SCALARS = 20  # the loss is read from the device, which waits for its steps
LEVELS = 255**2  # squared errors of pixels from 0 to 255, over those from 0 to 1
EVENT_FILE_NAME = re.compile(r"events\.out\.tfevents\.\d{10}\.")
# The limits of the histograms' bins, as TensorBoard's own: 1e-12 · 1.1ⁿ on both sides of zero.
POSITIVE_BINS = 1e-12 * 1.1 ** np.arange(774)
HISTOGRAM_BINS = [*-POSITIVE_BINS[::-1], 0, *POSITIVE_BINS]


class TensorBoardWriter:
    """Writes curves, the probe's pictures, feature maps and histograms of the weights into a run's event files.

    Args:
        folder: the run.
        channel: that PSNR is written for, "y" or "rgb".
        step: steps taken so far. TensorBoard hides later steps in earlier event files.
    """

    def __init__(self, folder: Path, channel: str, step: int):
        self.channel = channel
        if not step:
            # A training that was killed before its first checkpoint left these files. A purge would hide their
            # curves, but not their tensors. The layout is a tensor and would be there twice.
            for old in event_files(folder):
                old.unlink()
        self.file = EventFile(folder, purge_step=step + 1 if step else 0)
        if not step:  # a training that is resumed does not write the layout again
            from torch.utils.tensorboard.summary import custom_scalars

            self.file.add(custom_scalars(self._layout()), 0)
            self.file.flush()

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
        from torch.utils.tensorboard import summary

        self._add_scalars(scalars, step)
        upsampled, original = probe
        rows = probe_rows(model, upsampled, original)
        self.file.add(summary.image("probe/bicubic, original, SRCNN", rows, dataformats="CHW"), step)
        for layer, sheet in channel_sheets(model, upsampled[0]).items():
            self.file.add(summary.image(f"feature_maps/{layer}", sheet, dataformats="CHW"), step)
        for name, parameter in model.named_parameters():  # layer_1.weight, layer_1.bias, …
            values = parameter.detach().cpu().numpy()
            self.file.add(summary.histogram(name.replace(".", "/"), values, HISTOGRAM_BINS), step)
        self.file.flush()

    def write_step(self, step: int, loss: Tensor, learning_rate: float) -> None:
        """Writes the loss and the learning rate, at every 20th step, so that a long epoch can be followed.

        Args:
            step: steps taken.
            loss: (), mean squared error of the step's crops, of values in [0, 1].
            learning_rate: of the step.
        """
        if step % STEPS_BETWEEN_SCALARS == 0:
            self._add_scalars({"mse/step": loss.item() * LEVELS, "learning_rate": learning_rate}, step)
            self.file.flush()

    def _add_scalars(self, scalars: dict[str, float], step: int) -> None:
        from torch.utils.tensorboard import summary

        for tag, value in scalars.items():
            self.file.add(summary.scalar(tag, value), step)


class EventFile:
    """A new event file of TensorBoard. Each `flush` appends all new events or none.

    SummaryWriter writes in a thread, where a full disk or a deleted folder ends in a traceback.

    Args:
        folder: of the run.
        purge_step: TensorBoard hides this step and later ones in earlier files; 0 hides none.
    """

    def __init__(self, folder: Path, purge_step: int):
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        # TensorBoard reads event files in the order of their names, which begin with the second of their creation. The
        # number must grow, also within a second and after the clock was set back.
        earlier = (int(path.name.split(".")[3]) for path in event_files(folder))
        second = max(int(time.time()), 1 + max(earlier, default=0))
        self.path = folder / f"events.out.tfevents.{second:010}.{socket.gethostname()}.{os.getpid()}.0"
        self._content = io.BytesIO()
        self._records = RecordWriter(self._content)
        self._size = 0
        self._write(Event(step=purge_step, file_version="brain.Event:2"))
        if purge_step:
            self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))
        self.path.touch(exist_ok=False)
        self.flush()

    def add(self, summary: Any, step: int) -> None:
        """Adds a summary, which `flush` writes."""
        from tensorboard.compat.proto.event_pb2 import Event

        self._write(Event(step=step, summary=summary))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())

    def flush(self) -> None:
        """Appends the events since the last call to the file.

        Raises:
            OSError: they can't be written; the file is as long as before.
        """
        content = self._content.getvalue()
        self._content.seek(0)
        self._content.truncate()
        with open(self.path, "r+b", buffering=0) as file:  # a file that was deleted is not made again
            file.truncate(self._size)
            file.seek(self._size)
            try:
                append(file, content)
            except BaseException:
                file.truncate(self._size)
                raise
        self._size += len(content)


def append(file: io.FileIO, content: bytes) -> None:
    """Writes all of the content, which a full disk may take in part."""
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def event_files(folder: Path) -> list[Path]:
    """Returns the event files of a run."""
    return [path for path in folder.iterdir() if EVENT_FILE_NAME.match(path.name)]


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
