"""The command `srcnn explain`: exact views of what a network does, as text, JSON or a figure."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from ..errors import InputError
from ..runtime.console import ProgressBar
from ..runtime.files import json_text, printable
from .options import Scale, Which, check_choice

if TYPE_CHECKING:
    from ..evaluation.sample import Sample
    from ..model import SRCNN
    from ..run import Run
    from ..visualization.style import Figure


class _Question(NamedTuple):
    """What is asked: the network, where it comes from, and the options of the command."""

    model: "SRCNN"
    run: "Run | None"
    images: list[str]
    scale: float | None
    crop: int | None
    pixel: tuple[int, int] | None  # x, y
    box: tuple[int, int]  # width, height
    layer: str
    channels: list[int] | None
    mode: str
    ridge: float
    progress: ProgressBar


class _Answer(NamedTuple):
    """Plain values for JSON, lines for the terminal, and the figure in a theme."""

    values: dict[str, Any]
    lines: list[str]
    figure: Callable[[str], "Figure"]


def explain(
    source: Annotated[str, typer.Argument(metavar="RUN_OR_WEIGHTS", help="A weights file or the folder of a run.")],
    what: Annotated[
        str,
        typer.Option(
            help="worth (of each channel, in dB), channels (what each adds to the picture), pixel (the filter that "
            "the network is for it), attribution (the pixels that one owes its detail to), frequency, film (frequency "
            "while a run learns), transplants (channels of earlier snapshots in the final network), stimuli (the "
            "patches that excite a channel), kernels (without what photographs cannot excite) or seams (of patches)."
        ),
    ] = "worth",
    image: Annotated[
        list[str] | None,
        typer.Option(
            help="A photograph: a file, an address or a name such as samples:chelsea. worth, stimuli and kernels also "
            "take folders, and the option several times (default: samples:chelsea; for stimuli and kernels samples)."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write a figure: a .png, .svg or .pdf file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    pixel: Annotated[
        str | None,
        typer.Option(
            help="For pixel and attribution: X,Y, from the top left, which is 0,0 (default: where bicubic's error is "
            "largest)."
        ),
    ] = None,
    box: Annotated[
        str, typer.Option(help="For attribution: WIDTH,HEIGHT of a box whose top left corner is the pixel.")
    ] = "1,1",
    layer: Annotated[str, typer.Option(help="For stimuli: layer_1 or layer_2.")] = "layer_2",
    channel: Annotated[
        str | None,
        typer.Option(help="For stimuli: numbers such as 0,5,8 (default: the eight that are most informative)."),
    ] = None,
    mode: Annotated[str, typer.Option(help="For seams: non-overlapping or overlapping.")] = "non-overlapping",
    ridge: Annotated[float, typer.Option(help="For kernels: λ of the projection, in squared pixel values.")] = 1e-5,
    crop: Annotated[
        int | None,
        typer.Option(help="Use a square of this many pixels of each photograph, where bicubic's error is largest."),
    ] = None,
    scale: Scale = None,
    which: Which = "newest",
    theme: Annotated[str, typer.Option(help="Of the figure: light or dark.")] = "light",
) -> None:
    """Explain exactly what a network does with a photograph: which channels, pixels and frequencies matter.

    PSNR is on Y of the whole picture as the network made it: not clamped, and no border left out.
    """
    check_choice("what", what, tuple(_VIEWS))
    check_choice("theme", theme, ("light", "dark"))
    if crop is not None and crop < 16:
        raise InputError(f"--crop is {crop}, expected 16 or more pixels")
    if not ridge > 0:
        raise InputError(f"--ridge is {ridge:g}, expected a number above 0 such as 1e-5")
    position = None if pixel is None else _pair("pixel", pixel, "X,Y such as 120,80")
    size = _pair("box", box, "WIDTH,HEIGHT such as 16,16")
    channels = None if channel is None else _numbers("channel", channel, "numbers such as 0,5,8")
    if out is not None:
        _check_figure_path(out)

    from ..pretrained import open_weights
    from ..run import Run

    model, _ = open_weights(source, which)
    run = Run(source) if (Path(source) / "config.json").exists() else None
    default = ["samples"] if what in ("stimuli", "kernels") else ["samples:chelsea"]
    with ProgressBar(what, quiet=as_json) as progress:
        question = _Question(
            model, run, image or default, scale, crop, position, size,
            layer, channels, mode, ridge, progress,
        )  # fmt: skip
        answer = _VIEWS[what](question)
        if out is not None:
            from ..visualization.style import save_figure

            save_figure(answer.figure(theme), out)
    if as_json:
        print(json_text(answer.values))
        return
    print("\n".join(answer.lines))
    if out is not None:
        print(printable(out))


def _numbers(option: str, text: str, expected: str) -> list[int]:
    """Parses whole numbers that are separated by commas.

    Raises:
        InputError: for anything else.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"--{option} is {text}, expected {expected}")
    return [int(part) for part in parts]


def _pair(option: str, text: str, expected: str) -> tuple[int, int]:
    """Parses two numbers; raises as `_numbers`."""
    numbers = _numbers(option, text, expected)
    if len(numbers) != 2:
        raise InputError(f"--{option} is {text}, expected {expected}")
    return numbers[0], numbers[1]


def _check_figure_path(out: Path) -> None:
    """Refuses a figure's path before anything is computed."""
    if out.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise InputError(f"--out is {out}, expected a .png, .svg or .pdf file")
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out is {out}: there is no folder {out.parent}; make it first")


# Photographs


def _samples(question: _Question, max_pixels: int | None) -> Iterator[tuple[str, "Sample"]]:
    """Yields the name and the sample of each photograph, opened one by one."""
    from ..evaluation.quality import check_memory
    from ..evaluation.sample import Sample
    from ..visualization.pictures import crop_to_largest_error, open_pictures

    scale = question.model.scale if question.scale is None else question.scale
    for picture in open_pictures(question.images, question.run):
        if question.crop is not None:
            picture = crop_to_largest_error(picture, question.crop, scale)
        check_memory(picture.name, picture.pixels)
        yield printable(picture.name), Sample(picture.pixels, question.model, scale, max_pixels)


def _sample(question: _Question, what: str, whole: bool = False) -> tuple[str, "Sample"]:
    """Returns the one photograph of a view that shows one.

    Args:
        question: what is asked.
        what: the view's name, for the message.
        whole: whether a picture of any size is taken; otherwise up to `sample.MAX_PIXELS`.

    Raises:
        InputError: for several photographs.
    """
    from ..evaluation.sample import MAX_PIXELS

    if len(question.images) > 1:
        raise InputError(f"{what} shows one photograph; give --image once")
    return next(_samples(question, None if whole else MAX_PIXELS))


def _position(question: _Question, sample: "Sample") -> tuple[int, int]:
    """Returns the column and row that are asked for, or the pixel in the middle of where bicubic's error is largest."""
    from ..data.regions import largest_error_region

    if question.pixel is not None:
        return question.pixel
    top, left, height, width = largest_error_region(sample.original, sample.upsampled, (9, 9))
    return left + width // 2, top + height // 2


def _networks(question: _Question, what: str) -> dict[int, "SRCNN"]:
    """Returns the networks of all snapshots of the run by their steps.

    Raises:
        InputError: for a weights file, or a run with one snapshot.
    """
    if question.run is None:
        raise InputError(f"{what} needs the snapshots of a run; name the folder of a run in place of a weights file")
    snapshots = question.run.snapshots()
    if len(snapshots) < 2:
        raise InputError(f"{question.run.path} has one snapshot; {what} compares at least two: train it further")
    return {snapshot.step: snapshot.load() for snapshot in snapshots}


# The views


def _worth(question: _Question) -> _Answer:
    from ..visualization import explanation_figures as figures
    from ..visualization.channel_contributions import channel_worth, mean_worth

    names, worths, bicubic = [], [], []
    for name, sample in _samples(question, None):
        names.append(name)
        worths.append(channel_worth(question.model, sample, question.progress))
        bicubic.append(-10 * float(sample.luminance_error(sample.network_input).square().mean().log10()))
    mean = mean_worth(worths)
    values = worths[0].to_dict()
    title = names[0]
    if len(worths) > 1:
        rows = [{"image": name, **worth.to_dict()} for name, worth in zip(names, worths, strict=True)]
        values = {"images": rows, "mean": mean.to_dict()}
        title = f"mean of {len(worths)} photographs"
    lines = [f"{title}: {mean.psnr:.2f} dB with all channels of layer 2", "channel  lost without it, dB   Shapley, MSE"]
    for channel in mean.ranking:
        lines.append(f"{channel:7}  {mean.worth_db[channel]:+19.4f}  {mean.shapley[channel]:+13.3e}")
    return _Answer(values, lines, lambda theme: figures.worth_figure(worths, bicubic=bicubic, title=title, theme=theme))


def _channels(question: _Question) -> _Answer:
    from ..visualization import explanation_figures as figures
    from ..visualization.channel_contributions import channel_pictures, channel_worth

    name, sample = _sample(question, "channels")
    painted = channel_pictures(question.model, sample.network_input)
    worth = channel_worth(question.model, sample, question.progress)
    values = worth.to_dict()
    mean, spread = painted.parts.mean((1, 2, 3)).tolist(), painted.parts.std((1, 2, 3), correction=0).tolist()
    for row in values["channels"]:
        row |= {"mean": mean[row["channel"]], "std": spread[row["channel"]]}
    lines = [f"{name}: what each channel of layer 2 adds to the picture", "channel      mean       std   worth, dB"]
    for channel in worth.ranking:
        lines.append(f"{channel:7}  {mean[channel]:+.5f}  {spread[channel]:.5f}  {worth.worth_db[channel]:+10.4f}")
    return _Answer(values, lines, lambda theme: figures.contributions_figure(painted, worth, theme=theme))


def _pixel(question: _Question) -> _Answer:
    from ..visualization import explanation_figures as figures
    from ..visualization.equivalent_filter import pixel_autopsy

    name, sample = _sample(question, "pixel", whole=True)
    x, y = _position(question, sample)
    found = pixel_autopsy(question.model, sample.network_input, (y, x))
    values = {
        "x": x, "y": y, "bicubic": found.bicubic.tolist(), "value": found.value.tolist(),
        "constant": found.constant.tolist(), "weight_sum": found.weight_sum.tolist(),
        "filter": {"left": found.area.left, "top": found.area.top, "weights": found.filter.tolist()},
        "layer_1": {"channels": found.layer_1.tolist(), "constant": found.constant_1.tolist()},
        "layer_2": {"channels": found.layer_2.tolist(), "constant": found.constant_2.tolist()},
    }  # fmt: skip
    lines = [f"{name}, x={x}, y={y}: {found.area.width} × {found.area.height} pixels and a constant"]
    for number, color in enumerate(("Y",) if len(found.value) == 1 else ("R", "G", "B")):
        lines.append(
            f"{color}: bicubic {found.bicubic[number]:.4f}, result {found.value[number]:.4f}; the weights add up to "
            f"{found.weight_sum[number]:.4f}, the constant is {found.constant[number]:+.4f}"
        )
        strongest = found.layer_2[number].abs().argsort(descending=True)[:5].tolist()
        added = ", ".join(f"{channel}: {found.layer_2[number, channel]:+.4f}" for channel in strongest)
        lines.append(f"   the five channels of layer 2 that add most: {added}")
    return _Answer(values, lines, lambda theme: figures.autopsy_figure(found, sample.network_input, theme=theme))


def _attribution(question: _Question) -> _Answer:
    from ..data.regions import Area
    from ..visualization import explanation_figures as figures
    from ..visualization.attribution import attribute

    name, sample = _sample(question, "attribution", whole=True)
    x, y = _position(question, sample)
    width, height = question.box
    if width * height > 64 * 64:
        raise InputError(f"--box is {width},{height}, expected up to 4096 pixels such as 64,64")
    target = Area(y, x, y + height, x + width)
    found = attribute(question.model, sample.network_input, target)
    values = {
        "x": x, "y": y, "width": width, "height": height, "start": found.start, "end": found.end,
        "switches": found.switches,
        "map": {"left": found.place.left, "top": found.place.top, "values": found.map.tolist()},
    }  # fmt: skip
    lines = [
        f"{name}, {width} × {height} pixels at x={x}, y={y}: Y goes from {found.start:.4f} (blurred) to "
        f"{found.end:.4f}; {found.place.width} × {found.place.height} pixels add that up, exactly, over "
        f"{found.switches} switches of a ReLU"
    ]
    return _Answer(values, lines, lambda theme: figures.attribution_figure(found, sample.network_input, theme=theme))


def _frequency(question: _Question) -> _Answer:
    from ..visualization import explanation_figures as figures
    from ..visualization.spectrum import frequency_ledger

    name, sample = _sample(question, "frequency", whole=True)
    ledger = frequency_ledger(question.model, sample)
    values = {
        "psnr": float(ledger.psnr), "bicubic_psnr": ledger.bicubic_psnr, "edges": ledger.edges.tolist(),
        "bicubic": ledger.bicubic.tolist(), "network": ledger.network.tolist(), "gain_db": ledger.gain_db.tolist(),
    }  # fmt: skip
    lines = [
        f"{name}: {float(ledger.psnr):.2f} dB, bicubic {ledger.bicubic_psnr:.2f}",
        "cycles per pixel   gain over bicubic, dB   share of the remaining error",
    ]
    for band, (gain, share) in enumerate(zip(ledger.gain_db.tolist(), ledger.share.tolist(), strict=True)):
        low, high = ledger.edges[band : band + 2].tolist()
        lines.append(f"{low:7.2f} to {high:.2f}  {gain:+22.2f}  {share:29.1%}")
    return _Answer(values, lines, lambda theme: figures.frequency_figure(ledger, title=name, theme=theme))


def _film(question: _Question) -> _Answer:
    from ..visualization import explanation_figures as figures
    from ..visualization.spectrum import frequency_film

    networks = _networks(question, "film")
    name, sample = _sample(question, "film", whole=True)
    film = frequency_film(networks, sample, question.progress)
    values = {
        "steps": list(networks), "psnr": film.psnr.tolist(), "bicubic_psnr": film.bicubic_psnr,
        "edges": film.edges.tolist(), "bicubic": film.bicubic.tolist(), "network": film.network.tolist(),
        "gain_db": film.gain_db.tolist(),
    }  # fmt: skip
    lines = [f"{name}: gain over bicubic in dB, by step and by the bands' lower end in cycles per pixel"]
    lines.append("    step" + "".join(f"{edge:7.2f}" for edge in film.edges[:-1].tolist()))
    for step, row in zip(networks, film.gain_db.tolist(), strict=True):
        lines.append(f"{step:8}" + "".join(f"{gain:+7.2f}" for gain in row))
    return _Answer(values, lines, lambda theme: figures.frequency_film_figure(film, title=name, theme=theme))


def _transplants(question: _Question) -> _Answer:
    from ..visualization import explanation_figures as figures
    from ..visualization.channel_contributions import transplants

    networks = _networks(question, "transplants")
    name, sample = _sample(question, "transplants")
    found = transplants(question.model, networks, sample, question.progress)
    values = {"psnr": found.psnr, "steps": list(found.steps), "change_db": found.change.tolist()}
    lines = [f"{name}: {found.psnr:.2f} dB; the change with one channel of layer 2 from an earlier step"]
    lines.append("    step    mean of all     worst")
    for step, row in zip(found.steps, found.change, strict=True):
        lines.append(f"{step:8}  {float(row.mean()):+11.3f}  {float(row.min()):+8.3f} (channel {int(row.argmin())})")
    return _Answer(values, lines, lambda theme: figures.transplants_figure(found, title=name, theme=theme))


def _stimuli(question: _Question) -> _Answer:
    from ..evaluation.sample import MAX_PIXELS
    from ..visualization import explanation_figures as figures
    from ..visualization.channel_analysis import most_informative_channels
    from ..visualization.stimuli import channel_stimuli

    names, inputs = [], []
    for name, sample in _samples(question, MAX_PIXELS):
        names.append(name)
        inputs.append(sample.network_input)
    chosen = question.channels
    if chosen is None and question.layer in ("layer_1", "layer_2"):
        chosen = most_informative_channels(question.model, inputs[:1], question.layer)
    found = channel_stimuli(question.model, inputs, question.layer, chosen, progress=question.progress)
    rows: list[dict[str, Any]] = [
        {
            "channel": stimulus.address.channel,
            "active": stimulus.active,
            "strongest": [
                {"image": names[index], "x": column, "y": row, "value": value}
                for (index, row, column), value in zip(stimulus.places, stimulus.values.tolist(), strict=True)
            ],
        }
        for stimulus in found
    ]
    lines = [f"{question.layer}: where each channel is most active (x, y, value)"]
    for row in rows:
        places = "; ".join(f"{one['image']} {one['x']}, {one['y']}: {one['value']:.3g}" for one in row["strongest"][:3])
        lines.append(f"{row['channel']:4}  active {row['active']:6.1%}  {places}")
    values = {"layer": question.layer, "channels": rows}
    return _Answer(values, lines, lambda theme: figures.stimuli_figure(found, theme=theme))


def _kernels(question: _Question) -> _Answer:
    from ..evaluation.sample import MAX_PIXELS
    from ..kernel_projection import patch_statistics, project_kernels
    from ..visualization import explanation_figures as figures

    size = question.model.filters[0]
    inputs = [sample.network_input for _, sample in _samples(question, MAX_PIXELS)]
    inputs = [picture for picture in inputs if min(picture.shape[-2:]) >= size]
    if not inputs:
        raise InputError(
            f"no photograph has {size}x{size} pixels, which the kernels of layer 1 cover; name a larger one"
        )
    statistics = patch_statistics(inputs, size)
    weights = [
        model.layer_1.weight.detach()
        for model in (question.model, project_kernels(question.model, statistics, question.ridge))
    ]
    before, after = (
        {"norm": float(weight.norm()), "low_variance_energy": statistics.low_variance_energy(weight)}
        for weight in weights
    )
    values = {"ridge": question.ridge, "raw": before, "projected": after}
    lines = [f"kernels of layer 1, ridge projection with λ = {question.ridge:g}"]
    for name, figures_of in (("raw", before), ("projected", after)):
        energy = figures_of["low_variance_energy"]
        lines.append(f"{name:9}  norm {figures_of['norm']:.2f}  energy where pictures hardly vary {energy:.2%}")

    def figure(theme: str) -> "Figure":
        return figures.photographic_kernels_figure(question.model, statistics, question.ridge, theme=theme)

    return _Answer(values, lines, figure)


def _seams(question: _Question) -> _Answer:
    from ..inference.options import InferenceOptions
    from ..visualization import explanation_figures as figures
    from ..visualization.seams import find_seams

    check_choice("mode", question.mode, ("non-overlapping", "overlapping"))
    name, sample = _sample(question, "seams")
    found = find_seams(question.model, sample, InferenceOptions(question.mode), question.progress)
    values: dict[str, Any] = {
        "mode": question.mode, "psnr_whole": found.psnr_whole, "psnr_patches": found.psnr_patches,
        "lost_db": found.lost_db,
    }  # fmt: skip
    lines = [f"{name}: {found.psnr_patches:.2f} dB in patches, {found.psnr_whole:.2f} in one pass"]
    if found.rms is not None and found.excess is not None:
        values |= {"rms_by_depth": found.rms.tolist(), "excess_by_depth": found.excess.tolist()}
        lines.append("pixels from the patch's border   root mean square difference of Y")
        lines += [f"{depth:30}  {value:32.6f}" for depth, value in enumerate(found.rms.tolist())]
    return _Answer(values, lines, lambda theme: figures.seams_figure(found, title=name, theme=theme))


_VIEWS: dict[str, Callable[[_Question], _Answer]] = {
    "worth": _worth,
    "channels": _channels,
    "pixel": _pixel,
    "attribution": _attribution,
    "frequency": _frequency,
    "film": _film,
    "transplants": _transplants,
    "stimuli": _stimuli,
    "kernels": _kernels,
    "seams": _seams,
}
