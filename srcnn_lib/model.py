"""The network, SRCNN: three convolutions, the border rule, and initializations."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import halo_of
from .errors import InputError

LAYERS = ("layer_1", "layer_2", "layer_3")


class SRCNN(nn.Module):
    """Restores detail in a picture that was enlarged by bicubic interpolation.

    Patch extraction, non-linear mapping, reconstruction: convolution, ReLU, convolution, ReLU, convolution.

    **The border rule.** Near the border of its input a convolution needs pixels beyond it: the three layers together
    need `halo` pixels, 8 for filters of 9, 5 and 5. With padding_mode "replicate" the picture is padded once, with its
    edge pixels (`pad`), and no layer pads its own input: each makes the picture smaller. With "zeros" each layer pads
    its own input with zeros, as in the original project, and `pad` does nothing.

    Args:
        channels: 1 (Y) or 3 (RGB).
        filters: the three filter sizes, odd.
        widths: channels after the first and the second layer.
        padding_mode: "replicate" or "zeros".
        scale: the enlargement that the network is trained for; the default of `upscale`.

    Attributes:
        metadata: the metadata of the weights file that the network was loaded from; {} for a new network.

    Raises:
        InputError: an argument outside these values.

    Reference: Dong, Loy, He, Tang, arXiv 1501.00092, section 3.1.
    """

    def __init__(
        self,
        channels: int = 3,
        filters: Sequence[int] = (9, 5, 5),
        widths: Sequence[int] = (128, 64),
        padding_mode: str = "replicate",
        scale: float = 2.0,
    ):
        super().__init__()
        if channels not in (1, 3):
            raise InputError(f"channels is {channels}, expected 1 (Y) or 3 (RGB)")
        if len(filters) != 3 or any(size < 1 or size % 2 == 0 for size in filters):
            raise InputError(f"filters are {tuple(filters)}, expected three odd sizes such as (9, 5, 5)")
        if len(widths) != 2 or any(width < 1 for width in widths):
            raise InputError(f"widths are {tuple(widths)}, expected two positive numbers such as (128, 64)")
        if padding_mode not in ("replicate", "zeros"):
            raise InputError(f"padding_mode is {padding_mode!r}, expected 'replicate' or 'zeros'")
        self.channels = channels
        self.filters = tuple(filters)
        self.widths = tuple(widths)
        self.padding_mode = padding_mode
        self.scale = float(scale)
        self.metadata: dict = {}
        padding = [size // 2 if padding_mode == "zeros" else 0 for size in filters]
        self.layer_1 = nn.Conv2d(channels, widths[0], filters[0], padding=padding[0])  # patch extraction
        self.layer_2 = nn.Conv2d(widths[0], widths[1], filters[1], padding=padding[1])  # non-linear mapping
        self.layer_3 = nn.Conv2d(widths[1], channels, filters[2], padding=padding[2])  # reconstruction

    def forward(self, upsampled: Tensor) -> Tensor:
        """Restores a bicubic picture: (N, C, H, W) in [0, 1] → the same shape, not clamped."""
        return self.run_layers(self.pad(upsampled))

    def run_layers(self, images: Tensor) -> Tensor:
        """Runs the three layers without `pad`: (N, C, H, W) → (N, C, H − 2·margin, W − 2·margin).

        For inputs that already include their surround, such as training crops and the tiles of a large picture.
        """
        features = F.relu(self.layer_1(images))  # (N, widths[0], …)
        features = F.relu(self.layer_2(features))  # (N, widths[1], …)
        # The last layer writes pixels: it stays in float32 where autocast runs the others in 16 bits.
        with torch.autocast(features.device.type, enabled=False):
            return self.layer_3(features.to(self.layer_3.weight.dtype))

    @property
    def halo(self) -> int:
        """Reach of the receptive field on each side, in pixels: 8 for 9-5-5."""
        return halo_of(self.filters)

    @property
    def margin(self) -> int:
        """Pixels that `pad` adds to each side and `run_layers` removes: `halo` with "replicate", 0 with "zeros"."""
        return self.halo if self.padding_mode == "replicate" else 0

    @property
    def surplus(self) -> tuple[int, ...]:
        """Pixels by which each layer's output exceeds the network's, on each side: 4, 2 and 0 for 9-5-5.

        With padding_mode "zeros" all have the same size.
        """
        return tuple(halo_of(self.filters[number:]) if self.padding_mode == "replicate" else 0 for number in (1, 2, 3))

    def pad(self, images: Tensor, sides: tuple[int, int, int, int] | None = None) -> Tensor:
        """Repeats the edge pixels: (N, C, H, W) → (N, C, H + 2·margin, W + 2·margin), which `run_layers` crops again.

        Args:
            images: (N, C, H, W).
            sides: pixels to add at the left, right, top and bottom; None for `margin` on each side.
        """
        sides = sides or (self.margin,) * 4
        return F.pad(images, sides, mode="replicate") if any(sides) else images

    def layers(self) -> tuple[nn.Conv2d, nn.Conv2d, nn.Conv2d]:
        """Returns the three convolutions, in order."""
        return self.layer_1, self.layer_2, self.layer_3

    def biases(self) -> tuple[Tensor, ...]:
        """Returns the biases of the three convolutions, in order."""
        return tuple(layer.bias for layer in self.layers() if layer.bias is not None)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, padding_mode={self.padding_mode!r}, scale={self.scale:g}"


def with_padding(model: SRCNN, padding_mode: str) -> SRCNN:
    """Returns a network with the same weights and another border rule, "replicate" or "zeros"."""
    other = SRCNN(model.channels, model.filters, model.widths, padding_mode, model.scale)
    other.load_state_dict(model.state_dict())
    other.metadata = model.metadata
    return other.eval()


@torch.no_grad()
def start_from_identity(model: SRCNN) -> SRCNN:
    """Initializes a network so that it nearly copies its input (in [0, 1]); changes it in place and returns it.

    One channel per color copies the input: its filter is 1 at the center and 0 elsewhere, in every layer. The other
    channels stay as torch initialized them, except that the last layer's weights on them are multiplied by 0.1: small
    enough to start near bicubic, large enough to learn from. Architecture and file format are the same.
    """
    copied = min(model.channels, *model.widths)
    for layer, bias in zip(model.layers(), model.biases(), strict=True):
        bias[: model.channels] = 0
        if layer is model.layer_3:
            layer.weight *= 0.1
            layer.weight[:, :copied] = 0
        else:
            layer.weight[:copied] = 0
        center = layer.kernel_size[0] // 2
        for channel in range(copied):
            layer.weight[channel, channel, center, center] = 1
    return model
