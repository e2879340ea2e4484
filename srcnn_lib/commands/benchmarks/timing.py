"""Times the implementations that a benchmark compares, and measures the machine's rate of matrix products.

On a shared machine a single time means little: contestants run in turn, several times, and the best time counts.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ...data.color import luminance
from ...data.sources import load_photographs
from ...model import SRCNN, start_from_identity
from ...runtime.devices import processor_name

SIDE = 2048  # of the matrices that are multiplied
CUDA_SIDE = 8192
SMALL_SIDE = 256  # if the product of the large ones would take too long
LONGEST_PRODUCT = 2.0  # seconds


@dataclass(frozen=True)
class Contestant:
    """An implementation of the work that a benchmark times.

    Args:
        name: the key of its result.
        run: does the work, or a part of it.
        part: the fraction of the work that `run` does; times are scaled to the whole.
    """

    name: str
    run: Callable[[], object]
    part: float = 1.0


def time_in_turn(contestants: Sequence[Contestant], turns: int, device: torch.device) -> dict[str, float]:
    """Returns the seconds that each contestant takes for the whole work: its best of `turns` turns.

    An extra turn comes first to warm up, unless there is only one turn.
    """
    best = {contestant.name: math.inf for contestant in contestants}
    warmup = 1 if turns > 1 else 0
    for turn in range(warmup + turns):
        for contestant in contestants:
            began = time.perf_counter()
            contestant.run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            seconds = time.perf_counter() - began
            if turn >= warmup:
                best[contestant.name] = min(best[contestant.name], seconds)
    return {contestant.name: best[contestant.name] / contestant.part for contestant in contestants}


def matrix_rates(device: torch.device, turns: int = 5) -> dict[str, float]:
    """Measures the multiply-adds per second of large matrix products: an upper bound for convolutions.

    Returns:
        {"float32": rate, "bfloat16": rate}.
    """
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        side = CUDA_SIDE if device.type == "cuda" else SIDE
        small = min(SMALL_SIDE, side)
        # Without instructions for it, bfloat16 is so slow that the large product would take minutes.
        if seconds_of_product(small, dtype, 2, device) * (side / small) ** 3 > LONGEST_PRODUCT:
            side = small
        rates[str(dtype).removeprefix("torch.")] = side**3 / seconds_of_product(side, dtype, turns, device)
    return rates


def seconds_of_product(side: int, dtype: torch.dtype, turns: int, device: torch.device) -> float:
    """Times the product of two square matrices."""
    left = torch.ones(side, side, dtype=dtype, device=device)
    right = torch.ones(side, side, dtype=dtype, device=device)
    return time_in_turn([Contestant("product", lambda: left @ right)], turns, device)["product"]


def rate_of(rates: dict[str, float], arithmetic: str) -> float:
    """Returns the matrix rate of a number type; float16's is taken to be bfloat16's."""
    return rates.get(arithmetic, rates["bfloat16"])


def heading(device: torch.device, rates: dict[str, float]) -> list[str]:
    """Returns two lines: the machine, and its matrix rates just measured."""
    gigaflops = " and ".join(f"{2 * rate / 1e9:.0f} GFLOPS in {name}" for name, rate in rates.items())
    return [machine(device), f"a matrix product: {gigaflops}"]


def machine(device: torch.device) -> str:
    """Describes the machine in one line."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"{processor_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def counted_multiply_adds(work: Callable[[], object]) -> float:
    """Counts the multiply-adds of all convolutions and matrix products in some work."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() / 2


def example_image(size: int, channels: int) -> Tensor:
    """Returns a square of the astronaut, (channels, size, size), repeated where the photograph is smaller."""
    image = load_photographs("samples:astronaut")[0].pixels
    repeats = -(-size // min(image.shape[-2:]))
    image = image.repeat(1, repeats, repeats)[:, :size, :size]
    return luminance(image) if channels == 1 else image.contiguous()


def example_network(channels: int, widths: Sequence[int], device: torch.device) -> SRCNN:
    """Returns a network to time: from the identity, the same in every call."""
    torch.manual_seed(0)
    return start_from_identity(SRCNN(channels, widths=tuple(widths))).to(device).eval()
