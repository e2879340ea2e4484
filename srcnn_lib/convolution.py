"""A convolution that is faster on a CPU for layers with one or three channels; results agree within rounding."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Convolution(nn.Conv2d):
    """torch.nn.Conv2d, with the work of a layer from or to few channels done by rows on a CPU.

    A CPU's convolutions are made for many channels. From one channel, the rows of the filter become channels of the
    input, moved up by one row each; to few channels, the rows become channels of the output, which are moved and
    added up. The same sums in another order: four times as fast from one channel, twice as fast to one.
    """

    def _conv_forward(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        outputs, inputs, rows, _ = weight.shape
        if images.device.type != "cpu" or rows == 1 or (inputs > 1 and outputs > 3):
            return super()._conv_forward(images, weight, bias)
        images = F.pad(images, [self.padding[1]] * 2 + [self.padding[0]] * 2)
        height = images.shape[2] - rows + 1
        if inputs == 1:
            moved = images.unfold(2, rows, 1)[:, 0].permute(0, 3, 1, 2)  # (N, rows, height, W)
            moved = moved.contiguous(memory_format=torch.channels_last)
            return F.conv2d(moved, weight.transpose(1, 2).contiguous(memory_format=torch.channels_last), bias)
        by_rows = weight.transpose(1, 2).reshape(outputs * rows, inputs, 1, -1)
        parts = F.conv2d(images, by_rows).unflatten(1, (outputs, rows))  # (N, outputs, rows, H, width)
        total = sum(parts[:, :, row, row : row + height] for row in range(rows))
        return total if bias is None else total + bias.view(-1, 1, 1)
