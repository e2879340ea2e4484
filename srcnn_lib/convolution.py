"""A convolution that is faster on a CPU for layers with one or three channels; results agree within rounding."""

from torch import Tensor, channels_last, nn
from torch.nn import functional as F


class Convolution(nn.Conv2d):
    """torch.nn.Conv2d (square filter, stride 1), faster on a CPU for a layer with few input or output channels.

    A CPU's convolutions are made for many channels. A layer with one input channel therefore turns the filter's rows
    into input channels: row r sees the image moved up by r rows. A layer with up to three output channels turns the
    filter's rows into output channels, which are moved and added up. Both are the same sums in another order: four
    times as fast from one channel, twice as fast to one.
    """

    def forward(self, images: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H + 2·padding − size + 1, W + 2·padding − size + 1)."""
        outputs, inputs, rows, _ = self.weight.shape
        if images.device.type != "cpu" or rows == 1 or (inputs > 1 and outputs > 3):
            return super().forward(images)
        padding = int(self.padding[0])
        images = F.pad(images, [padding] * 4)
        if inputs == 1:
            return self._rows_as_inputs(images, rows)
        return self._rows_as_outputs(images, rows)

    def _rows_as_inputs(self, images: Tensor, rows: int) -> Tensor:
        moved = images.unfold(2, rows, 1)[:, 0].permute(0, 3, 1, 2)  # (N, rows, height, W)
        moved = moved.contiguous(memory_format=channels_last)
        weight = self.weight.transpose(1, 2).contiguous(memory_format=channels_last)  # (outputs, rows, 1, columns)
        return F.conv2d(moved, weight, self.bias)

    def _rows_as_outputs(self, images: Tensor, rows: int) -> Tensor:
        outputs, inputs = self.weight.shape[:2]
        height = images.shape[2] - rows + 1
        weight = self.weight.transpose(1, 2).reshape(outputs * rows, inputs, 1, -1)
        parts = F.conv2d(images, weight).unflatten(1, (outputs, rows))  # (N, outputs, rows, H, width)
        total = parts[:, :, 0, :height]
        for row in range(1, rows):
            total = total + parts[:, :, row, row : row + height]  # (N, outputs, height, width)
        return total if self.bias is None else total + self.bias.view(-1, 1, 1)
