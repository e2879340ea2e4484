"""SRCNN: three convolutions, and the identity start."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .convolution import Convolution
from .errors import InputError

LAYERS = ("layer_1", "layer_2", "layer_3")


class SRCNN(nn.Module):
    """Patch extraction, non-linear mapping, reconstruction: convolution, ReLU, convolution, ReLU, convolution.

    Args:
        channels: 1 (Y) or 3 (RGB).
        filters: the three filter sizes, odd.
        widths: channels after the first and the second layer.
        padding_mode: what the network sees beyond the border of what it is given. "replicate": valid convolutions
            over an edge-replicated surround of `halo` pixels. "zeros": every layer padded with zeros, as the
            original's were.
        scale: the enlargement it is trained for; what `upscale` takes when it is told none.

    Reference: Dong, Loy, He, Tang, arXiv 1501.00092, section 3.1.
    """

    def __init__(self, channels=3, filters=(9, 5, 5), widths=(128, 64), padding_mode="replicate", scale=2.0):
        super().__init__()
        if channels not in (1, 3):
            raise InputError(f"channels is {channels}, expected 1 (Y) or 3 (RGB)")
        if len(filters) != 3 or any(size < 1 or size % 2 == 0 for size in filters):
            raise InputError(f"filters are {tuple(filters)}, expected three odd sizes such as (9, 5, 5)")
        if len(widths) != 2 or any(width < 1 for width in widths):
            raise InputError(f"widths are {tuple(widths)}, expected two positive numbers such as (128, 64)")
        if padding_mode not in ("replicate", "zeros"):
            raise InputError(f"padding_mode is {padding_mode!r}, expected 'replicate' or 'zeros'")
        self.channels, self.filters, self.widths = channels, tuple(filters), tuple(widths)
        self.padding_mode, self.scale = padding_mode, float(scale)
        self.metadata = {}  # what a file said of it beside its tensors
        padding = [size // 2 if padding_mode == "zeros" else 0 for size in filters]
        self.layer_1 = Convolution(channels, widths[0], filters[0], padding=padding[0])  # patch extraction
        self.layer_2 = Convolution(widths[0], widths[1], filters[1], padding=padding[1])  # non-linear mapping
        self.layer_3 = Convolution(widths[1], channels, filters[2], padding=padding[2])  # reconstruction

    @property
    def halo(self) -> int:
        """How far, in pixels, an output pixel looks to each side: 8 for 9-5-5."""
        return sum(size // 2 for size in self.filters)

    def layers(self) -> tuple[Convolution, Convolution, Convolution]:
        """The three convolutions, in order."""
        return self.layer_1, self.layer_2, self.layer_3

    def valid(self, upsampled: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H − 2·halo, W − 2·halo): nothing is made up beyond the border."""
        if self.padding_mode == "zeros":
            raise InputError("a network with padding_mode='zeros' has no valid pass; call it as it is")
        return self._layers(upsampled)

    def forward(self, upsampled: Tensor) -> Tensor:
        """(N, C, H, W) bicubic picture in [0, 1] → the same shape, not clamped."""
        if self.padding_mode == "replicate":
            upsampled = F.pad(upsampled, [self.halo] * 4, mode="replicate")  # (N, C, H + 2·halo, W + 2·halo)
        return self._layers(upsampled)

    def _layers(self, upsampled: Tensor) -> Tensor:
        features = F.relu(self.layer_1(upsampled))
        features = F.relu(self.layer_2(features))
        # The last layer writes pixels: it stays in float32 where autocast takes the others to 16 bits.
        with torch.autocast(features.device.type, enabled=False):
            return self.layer_3(features.to(self.layer_3.weight.dtype))

    def extra_repr(self) -> str:
        return f"channels={self.channels}, padding_mode={self.padding_mode!r}, scale={self.scale:g}"


@torch.no_grad()
def start_from_identity(model: SRCNN) -> SRCNN:
    """Make an untrained network nearly copy its input (for inputs in [0, 1]); returns the network.

    One channel a color carries the picture through a centered delta in every layer. The other channels stay as torch
    drew them, but for the last layer's weights on them, which are a tenth: small enough to start near bicubic, large
    enough to learn from. Same architecture, same file format: only the starting point differs.
    """
    for layer in model.layers():
        layer.bias[: model.channels] = 0
    carried = min(model.channels, *model.widths)
    for number, layer in enumerate(model.layers()):
        center = layer.kernel_size[0] // 2
        if number == 2:
            layer.weight *= 0.1
            layer.weight[:, :carried] = 0
        else:
            layer.weight[:carried] = 0
        for channel in range(carried):
            layer.weight[channel, channel, center, center] = 1
    return model
