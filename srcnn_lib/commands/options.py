"""Options that several commands share, with the same spelling and the same help text."""

from typing import Annotated

import typer

from ..errors import InputError


def check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    """Checks the value of an option that takes one of a few words.

    Raises:
        InputError: with the valid choices.
    """
    if value not in choices:
        raise InputError(f"--{option} is {value}, expected one of {', '.join(choices)}")


def _check_which(which: str) -> str:
    check_choice("which", which, ("newest", "best"))
    return which


Scale = Annotated[
    float | None,
    typer.Option(help="Upscaling factor from 1.1 to 8 (default: the network's own)."),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="A weights file, the folder of a run, or jpeg for the network for compressed photographs (default: the "
        "released network for the scale)."
    ),
]
Which = Annotated[
    str,
    typer.Option(
        callback=_check_which, help="The snapshot of a run: newest, or best (the highest validation PSNR on Y)."
    ),
]
Mode = Annotated[
    str,
    typer.Option(help="whole (the picture in one pass), or patches of 33×33 pixels: non-overlapping or overlapping."),
]
Patch = Annotated[int, typer.Option(help="Side of a patch in pixels, for the two patch modes.")]
Stride = Annotated[int, typer.Option(help="Distance in pixels between overlapping patches.")]
Arithmetic = Annotated[
    str,
    typer.Option(help="float32; exact: float32 by plain convolutions; bfloat16: 16 bits for the first two layers."),
]
Ensemble = Annotated[
    bool, typer.Option("--ensemble", help="Average the results for all eight flips and rotations; eight times as slow.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
