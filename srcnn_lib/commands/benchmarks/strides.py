"""Time and quality of a network run over whole pictures and in patches at several strides."""

from collections.abc import Sequence

from torch import Tensor

from ...data.sources import load_photographs
from ...evaluation.sample import Sample, mean_scores
from ...inference.options import InferenceOptions
from ...model import SRCNN
from .timing import Contestant, heading, matrix_rates, time_in_turn


class SetReconstruction:
    """Runs a network over a set of photographs with certain options, and keeps the outputs."""

    def __init__(self, name: str, samples: Sequence[Sample], model: SRCNN, options: InferenceOptions):
        self.name = name
        self.samples = samples
        self.model = model
        self.options = options
        self.outputs: list[Tensor] = []

    def run(self) -> None:
        self.outputs = [sample.reconstruct(self.model, self.options) for sample in self.samples]

    def row(self, seconds: float, seconds_whole: float) -> str:
        """Returns the line of the table: time and mean scores."""
        scores = mean_scores([sample.scores(output) for sample, output in zip(self.samples, self.outputs, strict=True)])
        return f"{self.name:24} {seconds:9.2f} {seconds / seconds_whole:9.2f} {scores.psnr_y:8.2f} {scores.ssim_y:8.4f}"


def benchmark_strides(model: SRCNN, source: str = "set5", strides: Sequence[int] = (16, 8, 4, 1)) -> list[str]:
    """Times and measures a network on a set of photographs; only the network itself is timed.

    Args:
        model: on the device to time.
        source: photographs, as for `load_photographs`.
        strides: of overlapping patches.

    Returns:
        The lines to print.
    """
    device = model.layer_1.weight.device
    samples = [Sample(photograph.pixels, model, max_pixels=None) for photograph in load_photographs(source)]
    quick = [
        SetReconstruction("whole", samples, model, InferenceOptions()),
        SetReconstruction("non-overlapping", samples, model, InferenceOptions("non-overlapping")),
    ]
    slow = []
    for stride in strides:
        options = InferenceOptions("overlapping", stride=stride)
        slow.append(SetReconstruction(f"overlapping, stride {stride}", samples, model, options))
    seconds = time_in_turn([Contestant(way.name, way.run) for way in quick], 3, device)
    seconds |= time_in_turn([Contestant(way.name, way.run) for way in slow], 1, device)
    return [
        *heading(device, matrix_rates(device)),
        f"the network alone; whole and non-overlapping: best of 3 turns, overlapping: one; {source}, ×{model.scale:g}",
        "",
        f"{'':24} {'seconds':>9} {'× whole':>9} {'PSNR Y':>8} {'SSIM Y':>8}",
        *(way.row(seconds[way.name], seconds["whole"]) for way in (*quick, *slow)),
    ]
