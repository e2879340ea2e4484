"""The command `srcnn benchmark`: times implementations of inference and training."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..runtime.console import ProgressBar
from .options import Device, check_choice

BENCHMARKS = ("inference", "overlap", "strides", "train", "quality")


def benchmark(
    what: Annotated[
        str, typer.Argument(help="inference, overlap, strides, train or quality.", metavar="|".join(BENCHMARKS))
    ],
    size: Annotated[int, typer.Option(help="inference, overlap: side of the test picture in pixels.")] = 256,
    channels: Annotated[int | None, typer.Option(help="1 or 3 (default: 3 for overlap, 1 for the others).")] = None,
    widths: Annotated[
        str | None, typer.Option(help="Widths of the network (default: 128,64 for overlap, 64,32 for the others).")
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="inference: turns of each contestant.")] = 7,
    only: Annotated[
        str | None, typer.Option(help="inference: contestants besides ours, such as onnxruntime,openvino.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="quality: minutes that each recipe trains.")] = 12,
    seeds: Annotated[int, typer.Option(min=1, help="quality: trainings of each recipe, with different seeds.")] = 1,
    steps: Annotated[int, typer.Option(help="train: steps of 1,280 crops for each implementation.")] = 3,
    weights: Annotated[
        str | None,
        typer.Option(help="strides: a weights file or the folder of a run (default: a released network)."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="quality: also write a plot, .svg or .png.")] = None,
    device: Device = "auto",
) -> None:
    """Time several implementations in turn on the same input, relative to the machine's matrix multiplication rate.

    inference: a pass over a picture, compared with PyTorch, ONNX Runtime and OpenVINO where these are installed; on as
    many threads as OMP_NUM_THREADS says. overlap: overlapping patches, compared with other ways to compute them.
    strides: time and quality of patches at several strides. train: training, compared with plain PyTorch. quality: PSNR
    over training time for both recipes.
    """
    check_choice("what", what, BENCHMARKS)
    channels = channels or (3 if what == "overlap" else 1)
    sizes = _widths(widths or ("128,64" if what == "overlap" else "64,32"))
    if what == "inference":
        from .benchmarks.inference import benchmark_inference

        lines = benchmark_inference((size,), channels, sizes, turns, device, None if only is None else only.split(","))
    elif what == "overlap":
        from .benchmarks.overlapping import benchmark_overlap

        lines = benchmark_overlap(size, channels, sizes, device=device)
    elif what == "strides":
        from ..pretrained import open_weights, released_for
        from ..runtime.devices import resolve_device
        from .benchmarks.strides import benchmark_strides

        model, _ = open_weights(weights or released_for(None)[0])
        lines = benchmark_strides(model.to(resolve_device(device)))
    elif what == "train":
        from .benchmarks.training import benchmark_train

        lines = benchmark_train(steps, device, channels, sizes)
    else:
        from .benchmarks.quality import benchmark_quality

        with ProgressBar("training") as progress:
            lines = benchmark_quality(
                minutes, out=out, progress=progress, seeds=seeds, channels=channels, widths=sizes, device=device
            )
    print("\n".join(lines))


def _widths(text: str) -> tuple[int, int]:
    try:
        first, second = (int(width) for width in text.split(","))
    except ValueError as error:
        raise InputError(f"--widths is {text}, expected two numbers such as 64,32") from error
    return first, second
