"""The commands `srcnn animate`, `srcnn laboratory` and `srcnn compare`: write GIFs, videos and web pages."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..runtime.console import ProgressBar
from ..runtime.files import printable
from .options import Scale, Weights, Which


def animate(
    run: Annotated[
        list[Path], typer.Argument(help="The run whose training is shown; two to four are shown side by side, in step.")
    ],
    what: Annotated[
        str, typer.Option(help="reconstruction, channel, kernels, frequency, worth or scan.")
    ] = "reconstruction",
    image: Annotated[
        list[str] | None,
        typer.Option(
            help="A photograph: a file, an address or a name such as samples:chelsea. May be repeated, to show several "
            "side by side (default: the run's probe, four tiles of validation photographs)."
        ),
    ] = None,
    layer: Annotated[str, typer.Option(help="layer_1, layer_2 or layer_3.")] = "layer_2",
    channel: Annotated[
        str | None,
        typer.Option(
            help="A channel's number, several such as 0,5,8, or all; or informative, for up to eight that differ most "
            "(default: 0; for kernels all)."
        ),
    ] = None,
    before_relu: Annotated[
        bool, typer.Option("--before-relu", help="Show channels before ReLU, with negative values.")
    ] = False,
    excited: Annotated[
        bool, typer.Option("--excited", help="Show the kernels of layer 1 without what the photographs cannot excite.")
    ] = False,
    mode: Annotated[str, typer.Option(help="Patches of a scan: non-overlapping or overlapping.")] = "non-overlapping",
    stride: Annotated[int, typer.Option(help="Distance in pixels between the patches of an overlapping scan.")] = 11,
    crop: Annotated[
        int | None,
        typer.Option(help="Show a square of this many pixels of each photograph, where bicubic's error is largest."),
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Number of frames (default: 20; for a scan 60).")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second (default: 5; for a scan as many as take 4 seconds).")
    ] = None,
    hold: Annotated[float, typer.Option(help="Additional seconds for which the last frame is shown.")] = 1.5,
    max_mb: Annotated[
        float | None, typer.Option(help="Largest size of the file in MB; colors, frames and pixels are reduced to fit.")
    ] = None,
    theme: Annotated[str, typer.Option(help="dark or light, to match the page that shows the animation.")] = "dark",
    out: Annotated[
        Path | None,
        typer.Option(help="A .gif, .mp4 or .webp file (default: WHAT.gif in the current folder)."),
    ] = None,
) -> None:
    """Animate a training: the reconstruction, channels, kernels, frequencies, or a scan patch by patch."""
    from ..visualization.animation import ClipOptions
    from ..visualization.animation import animate as write_animation

    options = ClipOptions(
        layer=layer, channel=channel, before_relu=before_relu, excited=excited, mode=mode, stride=stride, crop=crop,
        frames=frames, fps=fps, hold=hold, max_mb=max_mb, theme=theme,
    )  # fmt: skip
    with ProgressBar("frames") as progress:
        path, notes = write_animation(run, what, image or (), options, out=out, progress=progress)
    print(printable(path))
    for note in notes:
        print(f"  {printable(note)}")


def laboratory(
    runs: Annotated[
        list[Path], typer.Argument(help="The run, or weights file, that is looked into; several share one page.")
    ],
    image: Annotated[
        str | None,
        typer.Option(
            help="A photograph: a file, an address or a name such as samples:chelsea (default: the first tile of the "
            "run's probe). Others can be dropped onto the page."
        ),
    ] = None,
    crop: Annotated[
        int, typer.Option(help="Side in pixels of the square that is worked on; a click in the page moves it.")
    ] = 96,
    frames: Annotated[int, typer.Option(help="Largest number of snapshots.")] = 60,
    max_mb: Annotated[
        float, typer.Option(help="Largest size of the page in MB; weights are rounded or snapshots left out to fit.")
    ] = 8,
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("laboratory.html"),
) -> None:
    """Write an HTML page in which the network runs: its training, channels, pixels, worth; it works offline."""
    from ..visualization.html import render_laboratory, write_page

    with ProgressBar("snapshots") as progress:
        text = render_laboratory(runs, image, crop=crop, frames=frames, max_mb=max_mb, progress=progress)
        write_page(text, out)
    _print_size(out)


def compare(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="[NETWORK]... IMAGE",
            help="Weights files or runs to compare (default: a released network), and last a photograph: a file, an "
            "address or a name such as samples:chelsea.",
        ),
    ],
    original: Annotated[
        bool,
        typer.Option(
            "--original",
            help="Reduce the photograph, restore it, and compare with the original, in dB; else enlarge it.",
        ),
    ] = False,
    scale: Scale = None,
    weights: Weights = None,
    which: Which = "newest",
    out: Annotated[Path, typer.Option(help="The HTML file.")] = Path("compare.html"),
) -> None:
    """Write an HTML page with a draggable divider between bicubic, networks and, with --original, the original."""
    from ..pretrained import network_labels, open_weights, released_for
    from ..visualization.html import render_model_comparison, write_page

    *sources, image = arguments
    if not weights and Path(image).suffix in (".pth", ".safetensors"):
        raise InputError(f"{image} is a weights file; name the photograph last")
    if weights and sources:
        raise InputError("name the networks before the picture, or one with --weights, not both")
    if len({str(source) for source in sources}) < len(sources):
        raise InputError("a network is named twice; name different ones")
    if not sources:
        sources = [weights or str(released_for(scale)[0])]
    opened = [open_weights(source, which)[0] for source in sources]
    models = opened[0] if len(opened) == 1 else dict(zip(network_labels(sources), opened, strict=True))
    write_page(render_model_comparison(image, models, scale, original=original), out)
    _print_size(out)


def _print_size(path: Path) -> None:
    print(f"{printable(path)}  {path.stat().st_size / 1e6:.1f} MB")
