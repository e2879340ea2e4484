"""Which filter the network is for one pixel: exact, since it is affine wherever its ReLUs stand still.

An output pixel is y = ⟨k, x⟩ + β: with the ReLUs as they are for this picture, the three layers are one filter k of
17×17 weights (for 9-5-5) on the bicubic picture x, and a constant β. All values are float64.

Reference: Mohan, Kadkhodaie, Simoncelli, Fernandez-Granda, Robust and Interpretable Blind Image Denoising via Bias-Free
Convolutional Neural Networks, arXiv 1906.05478, section 5, for the locally linear view of a network.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.regions import Area
from ..errors import InputError
from ..model import SRCNN
from .exact_pass import ExactPass


@dataclass(frozen=True)
class PixelAutopsy:
    """How one output pixel comes about. C outputs: 1 for a Y network, 3 for an RGB one.

    Attributes:
        at: row and column.
        value: (C,), the output, not clamped.
        bicubic: (C,), the network's input at this pixel.
        filter: (C outputs, C inputs, h, w), the weights on the picture's own pixels. A pixel that is repeated beyond
            the border has the sum of its weights.
        area: the place of these h×w pixels in the picture; up to 17×17 for 9-5-5, less near the border.
        window: (C outputs, C inputs, 17, 17), the weights before that: on the pixels around this one, and beyond the
            border on the repeated ones.
        constant: (C,), the biases pushed through the same filter: value = Σ filter · picture + constant.
        layer_1: (C, C₁), what each channel of layer 1 adds to the value.
        constant_1: (C,), what the biases of layers 2 and 3 add: value = Σ layer_1 + constant_1.
        layer_2: (C, C₂), what each channel of layer 2 adds.
        constant_2: (C,), the bias of layer 3: value = Σ layer_2 + constant_2.
    """

    at: tuple[int, int]
    value: Tensor
    bicubic: Tensor
    filter: Tensor
    area: Area
    window: Tensor
    constant: Tensor
    layer_1: Tensor
    constant_1: Tensor
    layer_2: Tensor
    constant_2: Tensor

    @property
    def weight_sum(self) -> Tensor:
        """The sum of each filter's weights over pixels and inputs, (C,): 1 for a filter that keeps the brightness."""
        return self.filter.sum((1, 2, 3))


def pixel_autopsy(model: SRCNN, picture: Tensor, at: tuple[int, int]) -> PixelAutopsy:
    """Returns the filter, the constant and the channels that make one output pixel. It takes milliseconds.

    Args:
        model: the network.
        picture: (C, H, W), its input: `Sample.network_input`.
        at: row and column of the pixel.

    Raises:
        InputError: a pixel outside the picture, or a picture with another number of channels than the network's.
    """
    exact = ExactPass(model, picture)
    area = pixel_area(exact, at)
    values = exact.run(area)
    weight_1, weight_2, weight_3 = exact.weights
    bias_1, bias_2, bias_3 = exact.biases

    # 1. From the pixel backwards: the weight of each value of layer 2, then of layer 1, then of each pixel.
    on_layer_2 = weight_3 * values.active_2  # (C, C₂, size₃, size₃)
    on_layer_1 = F.conv_transpose2d(on_layer_2, weight_2) * values.active_1  # (C, C₁, …)
    window = F.conv_transpose2d(on_layer_1, weight_1)  # (C, C, 17, 17)
    if exact.pads_with_zeros:
        window = window * exact.inside(area, 0)
    folded, place = exact.fold(window, area)

    # 2. The biases, pushed through the same, and what each channel adds.
    constant_1 = bias_3 + torch.einsum("kcij,c->k", on_layer_2, bias_2)
    constant = constant_1 + torch.einsum("kcij,c->k", on_layer_1, bias_1)
    layer_2 = torch.einsum("kcij,cij->kc", on_layer_2, values.before_2)
    layer_1 = torch.einsum("kcij,cij->kc", on_layer_1, values.before_1)
    return PixelAutopsy(
        at=at,
        value=bias_3 + layer_2.sum(1),
        bicubic=picture[:, at[0], at[1]].detach().cpu().double(),
        filter=folded,
        area=place,
        window=window,
        constant=constant,
        layer_1=layer_1,
        constant_1=constant_1,
        layer_2=layer_2,
        constant_2=bias_3,
    )


def pixel_area(exact: ExactPass, at: tuple[int, int]) -> Area:
    """Returns the area of one pixel.

    Raises:
        InputError: it is outside the picture.
    """
    row, column = at
    height, width = exact.size
    if not (0 <= row < height and 0 <= column < width):
        raise InputError(
            f"the pixel x={column}, y={row} is outside the picture, expected x from 0 to {width - 1} and "
            f"y from 0 to {height - 1}"
        )
    return Area(row, column, row + 1, column + 1)
