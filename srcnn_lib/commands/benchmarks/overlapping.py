"""Overlapping patches: our way to average the outputs of all patches, compared with running every patch."""

import functools
import gc
from collections.abc import Sequence

import torch
from torch import Tensor

from ...inference.options import InferenceOptions
from ...inference.upscaling import reconstruct
from ...model import SRCNN
from ...runtime.devices import resolve_device
from .timing import (
    Contestant,
    counted_multiply_adds,
    example_image,
    example_network,
    heading,
    matrix_rates,
    time_in_turn,
)

OURS = "overlapping, exact"
ORIGINAL = "the original's loop"


class EveryPatch:
    """Runs the patches of a picture as other implementations do: in batches, or one by one like the original.

    Only some patches are run, evenly spread over the picture; their time is scaled to `count`, the number of all.

    Args:
        model: the network.
        image: (C, H, W) on the network's device.
        patch: side of a patch in pixels.
        patches: how many patches are run in batches; a 32nd of them is run one by one.
    """

    def __init__(self, model: SRCNN, image: Tensor, patch: int, patches: int):
        windows = image.unfold(1, patch, 1).unfold(2, patch, 1)  # (C, rows, columns, patch, patch)
        windows = windows.permute(1, 2, 0, 3, 4).flatten(0, 1)  # (rows · columns, C, patch, patch)
        self.model = model
        self.count = len(windows)
        self.chosen = windows[torch.linspace(0, self.count - 1, patches).long()]
        self.alone = self.chosen[: max(1, patches // 32)]

    def contestants(self) -> list[Contestant]:
        """Returns batches of several sizes, and the original's loop."""
        part = len(self.chosen) / self.count
        batches = [
            Contestant(f"batches of {size}", functools.partial(self.run_batches, size), part)
            for size in (4, 8, 16, 32, 64)
        ]
        return [*batches, Contestant(ORIGINAL, self.run_one_by_one, len(self.alone) / self.count)]

    @torch.inference_mode()
    def run_batches(self, size: int) -> None:
        for batch in self.chosen.split(size):
            self.model(batch)

    def run_one_by_one(self) -> None:
        """Runs one patch per pass, with gradients and a garbage collection after each, as the original did."""
        for patch in self.alone:
            self.model(patch[None])
            gc.collect()


def benchmark_overlap(
    size: int = 256, channels: int = 3, widths: Sequence[int] = (128, 64), patch: int = 33, patches: int = 256,
    turns: int = 3, device: str = "auto",
) -> list[str]:  # fmt: skip
    """Times overlapping patches of stride 1 in several ways, beside the other two modes.

    Args:
        size: side of the picture in pixels.
        channels, widths: of the network.
        patch: side of a patch in pixels.
        patches: how many of the picture's patches the other implementations are timed on.
        turns: of each contestant; the best one counts.
        device: as in TrainingConfig.

    Returns:
        The lines to print.
    """
    torch_device = resolve_device(device)
    model = example_network(channels, widths, torch_device)
    image = example_image(size, channels)
    rates = matrix_rates(torch_device)
    every_patch = EveryPatch(model, image.to(torch_device), patch, patches)
    ours = InferenceOptions("overlapping", patch)
    contestants = [
        Contestant(OURS, lambda: reconstruct(image, model, ours)),
        Contestant("whole", lambda: reconstruct(image, model)),
        Contestant("non-overlapping", lambda: reconstruct(image, model, InferenceOptions("non-overlapping", patch))),
        *every_patch.contestants(),
    ]
    seconds = time_in_turn(contestants, turns, torch_device)
    batches = min((name for name in seconds if name.startswith("batches")), key=lambda name: seconds[name])
    labels = {
        OURS: OURS,
        batches: f"every patch, {batches}",
        ORIGINAL: f"every patch, {ORIGINAL}",
        "whole": "whole",
        "non-overlapping": "non-overlapping",
    }
    needed_alone = every_patch.count * counted_multiply_adds(lambda: model(every_patch.chosen[:1]))
    needed = counted_multiply_adds(lambda: reconstruct(image, model, ours))
    return [
        *heading(torch_device, rates),
        f"{size}×{size}, {channels} channel{'s' if channels > 1 else ''}, {widths[0]}-{widths[1]}, "
        f"{every_patch.count:,} patches of {patch}×{patch}; float32; best of {turns} turns",
        "",
        f"{'':34} {'seconds':>9} {'× ours':>9}",
        *(f"{label:34} {seconds[name]:9.2f} {seconds[name] / seconds[OURS]:9.2f}" for name, label in labels.items()),
        "",
        f"multiply-adds: {needed_alone / 1e9:,.0f} G for every patch alone, {needed / 1e9:,.0f} G here "
        f"({needed_alone / needed:.1f} times fewer); here at {needed / seconds[OURS] / rates['float32']:.0%} of the "
        f"matrix rate, the batches at {needed_alone / seconds[batches] / rates['float32']:.0%}",
        f"the batches' and the loop's time is that of {patches} and {len(every_patch.alone)} patches, scaled by their "
        "count",
    ]
