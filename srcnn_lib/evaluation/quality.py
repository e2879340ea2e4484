"""Measures a network on photographs as the papers do, with bicubic interpolation beside it."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..config import Artifact
from ..data.images import Picture
from ..data.low_resolution import LowResolutionPictures
from ..inference.options import InferenceOptions
from ..metrics import Scores
from ..model import SRCNN
from ..runtime import memory
from ..runtime.console import Progress
from .sample import Sample, mean_scores

# Options that change the scores, with their default values. Where one is not the default, its effect is measured too.
MEASURED_OPTIONS: dict[str, Any] = {"ensemble": False, "arithmetic": "float32"}
PIXEL_BYTES = 210  # of memory, measured: the picture, its versions, and SSIM in double precision


@dataclass(frozen=True)
class Evaluation:
    """The scores of bicubic interpolation and of a network on photographs.

    Args:
        scale: the enlargement that was measured.
        images: how many photographs.
        bicubic, srcnn: the mean of the scores (so also the mean of the dB, not the dB of the mean).
        per_image: {name: {"bicubic": Scores, "srcnn": Scores}}.
        options: the options in MEASURED_OPTIONS that are not at their default, such as {"ensemble": True}.
        without: for each of these options, the scores with its default and the other options unchanged.
    """

    scale: float
    images: int
    bicubic: Scores
    srcnn: Scores
    per_image: dict[str, dict[str, Scores]]
    options: dict[str, bool | str] = dataclasses.field(default_factory=dict)
    without: dict[str, Scores] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict:
        """Returns plain values for JSON; options stand beside the other names, and only where there are any."""
        values = dataclasses.asdict(self)
        options, without = values.pop("options"), values.pop("without")
        return {**values, **options, "without": without} if options else values


def evaluate(
    model: SRCNN,
    photographs: Sequence[Picture],
    names: Sequence[str],
    scale: float | None = None,
    options: InferenceOptions = InferenceOptions(),
    progress: Progress | None = None,
    artifacts: Sequence[Artifact] = (),
    low_resolution: LowResolutionPictures | None = None,
) -> Evaluation:
    """Degrades each photograph, restores it by bicubic interpolation and by the network, and scores both results.

    Args:
        photographs: read one by one.
        names: one for each photograph.
        scale: None for the network's own.
        options: how the network is run. For each of ensemble and arithmetic that is not at its default, the network is
            measured once more with the default.
        progress: called as progress(done, total), in photographs.
        artifacts: compression and noise that are added to the low-resolution pictures.
        low_resolution: the photographs' own low-resolution pictures; None to reduce the photographs.

    Raises:
        InputError: options that do not fit together, a scale outside 1.1 to 8, or a photograph that is too large for
            the memory.

    Reference: arXiv 1501.00092, section 4.
    """
    changed = {
        name: getattr(options, name) for name, plain in MEASURED_OPTIONS.items() if getattr(options, name) != plain
    }
    per_image: dict[str, dict[str, Scores]] = {}
    without: dict[str, list[Scores]] = {name: [] for name in changed}
    for done, (name, photograph) in enumerate(zip(names, photographs, strict=True), start=1):
        check_memory(name, photograph.pixels)
        pair = functools.partial(low_resolution.pair, name) if low_resolution else None
        sample = Sample(photograph.pixels, model, scale, max_pixels=None, artifacts=artifacts, pair=pair)
        per_image[name] = compare(sample, model, options)
        for option, scores in without.items():
            plainer = dataclasses.replace(options, **{option: MEASURED_OPTIONS[option]})
            scores.append(sample.scores(sample.reconstruct(model, plainer)))
        if progress:
            progress(done, len(names))
    return Evaluation(
        scale=model.scale if scale is None else scale,
        images=len(names),
        bicubic=mean_scores([scores["bicubic"] for scores in per_image.values()]),
        srcnn=mean_scores([scores["srcnn"] for scores in per_image.values()]),
        per_image=per_image,
        options=changed,
        without={name: mean_scores(scores) for name, scores in without.items()},
    )


def compare(sample: Sample, model: SRCNN, options: InferenceOptions = InferenceOptions()) -> dict[str, Scores]:
    """Measures one photograph: {"bicubic": Scores, "srcnn": Scores}."""
    return {"bicubic": sample.bicubic_scores, "srcnn": sample.scores(sample.reconstruct(model, options))}


def check_memory(name: str, photograph: Tensor) -> None:
    """Refuses a photograph (C, H, W) whose evaluation would not fit into memory.

    Raises:
        InputError: with the memory that is needed and what is available.
    """
    height, width = photograph.shape[-2:]
    what = f"{name}: to measure {width}×{height} pixels"
    memory.check(what, PIXEL_BYTES * height * width, "cut the picture")
