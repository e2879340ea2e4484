"""Which pixels of the bicubic picture an output pixel owes its detail to: integrated gradients, without an integral.

The gradients of an output are integrated along the straight line from a blurred picture to the picture. The network is
piecewise linear on that line, so the integral is a finite sum: every value of layer 1 changes its sign at most once,
between these places every value of layer 2 is linear, and the length on which both are positive is all that is needed.
No step size, no approximation: the map adds up to the change of the output.

Reference: Sundararajan, Taly, Yan, Axiomatic Attribution for Deep Networks, ICML 2017, for integrated gradients and
completeness; Gu, Dong, Interpreting Super-Resolution Networks with Local Attribution Maps, CVPR 2021, for the blurred
picture as the baseline. Its path blurs less and less, and is summed in steps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..data.color import output_luminance
from ..data.regions import Area
from ..errors import InputError
from ..model import SRCNN
from .channel_analysis import blur
from .exact_pass import ExactPass, LayerValues

BLUR = 1.2  # of the baseline: sigma in pixels of the low-resolution picture, as Gu and Dong's code has it


@dataclass(frozen=True)
class Attribution:
    """The share of each pixel of the bicubic picture in what the network makes of one pixel, or of a box.

    Attributes:
        map: (C, rows, columns) float64, for each of the network's input channels. Its sum is `end − start`.
        place: of the map in the picture.
        target: the pixels whose mean Y (for a Y network its output) is explained.
        start, end: this mean for the blurred picture and for the picture itself.
        switches: how often a ReLU opens or closes on the way.
    """

    map: Tensor
    place: Area
    target: Area
    start: float
    end: float
    switches: int

    @property
    def pixels(self) -> Tensor:
        """The sum over the input channels, (rows, columns)."""
        return self.map.sum(0)

    @property
    def missing(self) -> float:
        """What the map lacks to the change of the output: a rounding error."""
        return self.end - self.start - float(self.map.sum())


def attribute(model: SRCNN, picture: Tensor, target: Area, baseline: Tensor | None = None) -> Attribution:
    """Returns the exact integrated gradients of the mean Y of an output pixel, or of a box.

    Args:
        model: the network.
        picture: (C, H, W), its input: `Sample.network_input`.
        target: the pixels that are explained, such as Area(y, x, y + 1, x + 1). A box of n×n pixels takes (n + 4)²
            times some milliseconds.
        baseline: (C, H, W), where the line begins; None for the picture blurred by a Gaussian of 1.2 pixels of the
            low-resolution picture.

    Raises:
        InputError: a target that is not inside the picture, or a picture that does not fit the network.
    """
    exact = ExactPass(model, picture)
    height, width = exact.size
    if not (0 <= target.top < target.bottom <= height and 0 <= target.left < target.right <= width):
        raise InputError(
            f"the box from x={target.left}, y={target.top} to below x={target.right}, y={target.bottom} is not inside "
            f"the picture of {width}x{height}"
        )
    last = picture.detach().cpu().double()
    first = blur(last[None], BLUR * model.scale)[0] if baseline is None else baseline.detach().cpu().double()
    start_pass = ExactPass(model, first)
    start, end = start_pass.run(target), exact.run(target)

    # 1. The weight of each value of layer 2 in the target: constant on the whole line.
    weights, offset = output_luminance(model.channels, model.channels)
    mean = torch.ones(1, 1, target.height, target.width, dtype=torch.float64) / (target.height * target.width)
    on_layer_2 = F.conv_transpose2d(mean * weights[:, None, None], exact.weights[2])[0]  # (C₂, …)
    constant = float(weights @ exact.biases[2]) + offset

    # 2. The weight of each value of layer 1, integrated; of each pixel; and of those that the surround repeats.
    on_layer_1, switches = _integrate(exact, start, end, target, on_layer_2)
    window = F.conv_transpose2d(on_layer_1[None], exact.weights[0])[0]  # (C, …)
    gradient, place = exact.fold(window, target)
    return Attribution(
        map=gradient * (last - first)[:, *place.slices],
        place=place,
        target=target,
        start=float((on_layer_2 * start.after_2).sum()) + constant,
        end=float((on_layer_2 * end.after_2).sum()) + constant,
        switches=switches,
    )


def _integrate(
    exact: ExactPass, start: LayerValues, end: LayerValues, target: Area, on_layer_2: Tensor
) -> tuple[Tensor, int]:
    """Returns the gradient of the target with respect to layer 1 before its ReLU, integrated; and the switches.

    The gradient with respect to a value of layer 1 is the sum, over the values of layer 2 that it feeds, of products
    of weights, as long as both are positive. So its integral needs for each pair the length on which both are.

    Returns:
        (C₁, …) shaped like `start.before_1`, and how often a value of either layer changes its sign.
    """
    kernel, bias = exact.weights[1], exact.biases[1]
    outputs, inputs, size, _ = kernel.shape
    flat = kernel.flatten(1)  # (C₂, n), n = C₁ · size²
    inside_1, inside_2 = exact.inside(target, 1), exact.inside(target, 2)
    opens, closes = _positive_span(start.before_1, end.before_1, inside_1)
    switches = int((start.active_1 != end.active_1).sum())
    total = torch.zeros_like(start.before_1)
    for row, column in inside_2.nonzero().tolist():
        field = (slice(None), slice(row, row + size), slice(column, column + size))
        first, last = start.before_1[field].flatten(), end.before_1[field].flatten()  # (n,)
        exists = inside_1[field[1:]].expand(inputs, -1, -1).flatten()
        lower, upper = (ends[field].flatten().contiguous() for ends in (opens, closes))

        # 1. The places on the line where a value of this field switches, and layer 2 there: linear in between.
        places = torch.cat([lower, upper, lower.new_tensor([0.0, 1.0])]).unique()  # (K,), sorted
        maps = (first[:, None] + places * (last - first)[:, None]).relu() * exists[:, None]  # (n, K)
        values = flat @ maps + bias[:, None]  # (C₂, K)

        # 2. The length up to each place on which layer 2 is positive.
        positive = values.relu()
        share = (positive[:, :-1] + positive[:, 1:]) / (values[:, :-1].abs() + values[:, 1:].abs()).clamp_min(1e-300)
        length = F.pad((share * places.diff()).cumsum(1), [1, 0])  # (C₂, K)
        switches += int((values[:, :-1].gt(0) != values[:, 1:].gt(0)).sum())

        # 3. The length on which both are positive, for each pair.
        both = length[:, torch.searchsorted(places, upper)] - length[:, torch.searchsorted(places, lower)]  # (C₂, n)
        gradient = (on_layer_2[:, row, column, None] * flat * both).sum(0)
        total[field] += gradient.view(inputs, size, size)
    return total, switches


def _positive_span(first: Tensor, last: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
    """Returns where on the line from `first` to `last` a linear value is positive: from, to; both in [0, 1]."""
    crossing = (first / (first - last)).nan_to_num(0.0).clamp(0, 1)
    begin = torch.where(first > 0, 0.0, crossing)
    finish = torch.where(last > 0, 1.0, crossing)
    never = ~(exists & ((first > 0) | (last > 0)))
    return begin.masked_fill(never, 0.0), finish.masked_fill(never, 0.0)
