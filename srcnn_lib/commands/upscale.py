"""The command `srcnn upscale`: upscales picture files."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InputError, error_reason
from ..inference.options import InferenceOptions
from ..runtime.console import ProgressBar
from ..runtime.files import printable
from .options import Arithmetic, Device, Ensemble, Mode, Patch, Scale, Stride, Weights, Which

if TYPE_CHECKING:
    from ..inference.upscale_files import Outcome
    from ..runtime.distributed import ProcessGroup


def upscale(
    images: Annotated[list[str], typer.Argument(help="Picture files, globs, folders or http(s) addresses.")],
    scale: Scale = None,
    weights: Weights = None,
    out: Annotated[
        str | None, typer.Option(help="A file for a single picture, or a folder (default: beside each picture).")
    ] = None,
    mode: Mode = "whole",
    patch: Patch = 33,
    stride: Stride = 1,
    which: Which = "newest",
    arithmetic: Arithmetic = "float32",
    ensemble: Ensemble = False,
    device: Device = "auto",
) -> None:
    """Upscale pictures; each result is written to <name>_upscaled beside the picture, or to --out.

    A picture that cannot be read is reported, and the others are still upscaled. `accelerate launch` divides the
    pictures among several processes.
    """
    from ..data.degradation import check_scale
    from ..inference.jobs import plan
    from ..inference.upscale_files import upscale_files
    from ..pretrained import open_weights, released_for
    from ..runtime import distributed
    from ..runtime.devices import resolve_device

    options = InferenceOptions(mode, patch, stride, arithmetic=arithmetic, ensemble=ensemble)
    if scale is not None:
        check_scale(scale)
    source, note = released_for(scale) if weights is None else (weights, None)
    group = distributed.process_group()
    model = group.run_on_all(lambda: open_weights(source, which)[0].to(resolve_device(device)))
    if scale is None:
        scale = model.scale
    elif scale != model.scale and note is None:
        note = f"the picture is enlarged ×{scale:g}; the network was trained for ×{model.scale:g}"
    jobs, missing = group.run_on_main(lambda: plan(images, out))
    with ProgressBar("upscaling", quiet=not group.is_main) as progress:
        if group.is_main:
            for line in filter(None, (group.note, note)):
                print(line)
            for failure in missing:
                print_outcome(progress, failure)
        failed = upscale_files(
            jobs[group.rank :: group.size],
            model,
            scale,
            lambda outcome: print_outcome(progress, outcome),
            options,
            progress,
        )
    _finish(group, len(missing) + sum(group.gather(len(failed))))


def print_outcome(progress: ProgressBar, outcome: "Outcome") -> None:
    """Prints one line for a picture: its new file, size and time, or why it could not be upscaled."""
    progress.clear()
    if isinstance(outcome, tuple):
        job, error = outcome
        place = getattr(error, "filename", None) or job.source  # of a full disk, the file that it has no room for
        reason = str(error) if isinstance(error, InputError) else f"{place}: {error_reason(error)}"
        print("srcnn:", printable(reason), file=sys.stderr)
        return
    height, width, _ = outcome.size
    print(f"{printable(outcome.job.target)}  {width}×{height}  {outcome.seconds:.1f} s")
    for note in outcome.notes:
        print(f"  {printable(note)}")


def _finish(group: "ProcessGroup", failed: int) -> None:
    """Ends all processes together, with status 2 if any picture failed.

    A launcher kills all processes as soon as one exits with an error.
    """
    if failed > 1 and group.is_main:
        print(f"srcnn: {failed} could not be upscaled", file=sys.stderr)
    sys.stdout.flush()
    group.gather(None)  # every process has printed its lines
    group.shutdown()
    if failed:
        raise typer.Exit(2)
