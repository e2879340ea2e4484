"""The command line. Each command imports what it needs, so that `srcnn --help` answers at once."""

import dataclasses
import inspect
import json
import math
import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from ..config import ENDS, FREE, TrainingConfig
from ..errors import InputError
from ..runtime.console import ProgressBar, run_command

app = typer.Typer(
    help="Train SRCNN, watch it learn, look into it, use it. Start with: srcnn demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Mode = Annotated[str, typer.Option(help="whole (one pass), non-overlapping or overlapping 33×33 patches.")]
Patch = Annotated[int, typer.Option(help="Side of a patch in pixels, for the two patch modes.")]
Stride = Annotated[int, typer.Option(help="Pixels from one overlapping patch to the next.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Arithmetic = Annotated[str, typer.Option(help="Of the first two layers: float32, or bfloat16.")]
Ensemble = Annotated[
    bool, typer.Option("--ensemble", help="The mean over the eight flips and rotations, at eight times the work.")
]
Which = Annotated[str, typer.Option(help="Of a run: its newest snapshot, or the best by test PSNR on Y.")]

NUMBERS = {tuple[int, ...]: (int, "9,5,5"), tuple[float, ...]: (float, "0.8,0.6")}  # settings given as one text


def main() -> None:
    """The command `srcnn`."""
    run_command(app)


def _config_flags(command):
    """Give a command a flag for every field of Settings, so that the two can't drift apart."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
    flags = []
    for setting in dataclasses.fields(TrainingConfig):
        kind = list[str] if setting.type == tuple[str, ...] else str if setting.type in NUMBERS else setting.type
        default = ",".join(map(str, setting.default)) if isinstance(setting.default, tuple) else setting.default
        option = typer.Option(help=setting.metadata["help"], show_default=str(default), rich_help_panel="Settings")
        flags.append(
            inspect.Parameter(
                setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
            )  # fmt: skip
        )
    command.__signature__ = inspect.Signature([*own, *flags])
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *flags)}
    return command


def _given(flags: dict) -> dict:
    """The settings that were named on the command line, in their own types."""
    given = {}
    for setting in dataclasses.fields(TrainingConfig):
        value = flags[setting.name]
        if value is None or value == []:
            continue
        if setting.type in NUMBERS:
            number, example = NUMBERS[setting.type]
            try:
                value = tuple(number(part) for part in value.split(","))
            except ValueError as error:
                raise InputError(f"--{setting.name} is {value}, expected numbers such as {example}") from error
        given[setting.name] = tuple(value) if isinstance(value, list) else value
    return given


@app.command()
@_config_flags
def train(
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; without it, runs/ and a name made of the date.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where the run (--out, or the newest) stopped.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    **flags,
) -> None:
    """Train a network and write all that is known of it into a run's folder.

    Ten minutes on the photographs that come with the package, where nothing else is said:

        srcnn train

    Ctrl-C stops it with everything saved; --resume goes on. `accelerate launch` trains on several devices.
    """
    from ..runtime import distributed
    from ..training import launch

    given = _given(flags)
    group = distributed.process_group()
    config, path = group.run_on_main(lambda: _asked_for(given, out, resume))
    if launch.train(config, path, quiet):
        print(f"next: srcnn evaluate {path} set5 · srcnn upscale PICTURE --weights {path}")
        print(f"      tensorboard --logdir {path}")
    group.shutdown()


def _asked_for(given: dict, out: Path | None, resume: bool) -> tuple[TrainingConfig, Path]:
    """What is to be trained, and the run's folder; it is looked at before the photographs are read."""
    from ..run import Run

    if resume and not (out and out.is_dir() and Run.is_empty(out)):  # its training was killed before the first file
        path = out or newest_run()
        return resumed_config(Run(path).config, given, path), path
    config = TrainingConfig.of(**given)
    path = out or named_run(config)
    Run.check_new(path)
    return config, path


def newest_run(folder: Path = Path("runs")) -> Path:
    """The run under `runs/` that was written to last."""
    runs = [path.parent for path in folder.glob("*/config.json")]
    if not runs:
        raise InputError(f"{folder}/ holds no run to go on with; name one with --out")
    return max(runs, key=lambda run: (run / "config.json").stat().st_mtime)


def named_run(config: TrainingConfig) -> Path:
    """A new folder under `runs/`, named by the date and the settings."""
    color = "y" if config.channels == 1 else "rgb"
    widths = "-".join(map(str, config.widths))
    name = f"{datetime.now():%Y-%m-%d-%H%M%S}-{color}-{widths}-x{config.scale:g}-{config.recipe}"
    return Path("runs") / name


def resumed_config(before: TrainingConfig, given: dict, path: Path) -> TrainingConfig:
    """The run's settings, with a new end where one was given; any other difference is refused.

    Raises:
        InputError: with the list of what differs.
    """
    if given.get("minutes", before.minutes) != before.minutes:
        raise InputError(
            f"{path}: minutes became a number of steps when it began; ask for more with --steps or --epochs"
        )
    free = {name: value for name, value in given.items() if name in FREE}
    ends = {name: value for name, value in free.items() if name in ENDS}
    now = dataclasses.replace(before, **{name: value for name, value in given.items() if name not in FREE})
    if differing := before.differences(now):
        raise InputError(f"{path} was made with other settings: {'; '.join(differing)}; start a new run for them")
    return dataclasses.replace(before, **{**(dict.fromkeys(ENDS, 0) if ends else {}), **free})


@app.command()
def evaluate(
    weights: Annotated[
        str | None, typer.Argument(help="A file of weights, or a run; a released network without it.")
    ] = None,
    sources: Annotated[
        list[str] | None, typer.Argument(help="Sets (set5, set14, …), folders, globs, zips or tars of photographs.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="The enlargement to measure; the network's own without it.")
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="The released networks beside the paper's; on set5 and set14, or as named.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    mode: Mode = "whole",
    patch: Patch = 33,
    stride: Stride = 1,
    which: Which = "newest",
    limit: Annotated[int, typer.Option(help="Measure at most this many photographs of each; 0 for all.")] = 0,
    arithmetic: Arithmetic = "float32",
    ensemble: Ensemble = False,
    device: Device = "auto",
) -> None:
    """Measure a network on photographs: PSNR and SSIM, bicubic beside it, per image and mean.

    What bfloat16 loses and what the ensemble gains is measured as well, and stands in a line of its own.
    """
    from ..inference.upscaling import ARITHMETICS

    _check_choice("arithmetic", arithmetic, ARITHMETICS)
    words = [word for word in (weights, *(sources or ())) if word]
    if table:
        ignored = {
            "--scale": scale is not None, "--limit": limit, "--which": which != "newest", "--ensemble": ensemble,
            "--arithmetic": arithmetic != "float32",
        }  # fmt: skip
        if refused := [flag for flag, given in ignored.items() if given]:
            raise InputError(
                "--table compares plain passes in float32, each network at its own scale, on all photographs; leave "
                f"out {' and '.join(refused)}"
            )
        return _comparison(words, as_json, device, mode=mode, patch=patch, stride=stride)
    named = bool(words) and holds_weights(words[0])
    if not words[named:]:
        raise InputError("name what to measure, and before it a file of weights or a run: srcnn evaluate RUN set5")
    from ..data.sources import load_photographs
    from ..evaluation.quality import evaluate as measured
    from ..pretrained import open_weights, released_for
    from ..runtime.devices import resolve_device

    _check_choice("which", which, ("newest", "best"))
    file, note = (words[0], None) if named else released_for(scale)
    sources = words[named:]
    model, path = open_weights(file, which)
    model = model.to(resolve_device(device))
    if not named and not as_json:
        print(*filter(None, (note, f"the released network {path.name} is measured")), sep="\n")
    how = {"mode": mode, "patch": patch, "stride": stride, "arithmetic": arithmetic, "ensemble": ensemble}
    published_results = {}
    for source, label in zip(sources, labels(sources), strict=True):
        found = load_photographs(source, limit)
        with ProgressBar(label, quiet=as_json) as progress:
            published_results[label] = measured(model, found, found.names, scale, progress, **how)
    if as_json:
        print(json.dumps(_without_infinity(published_results), indent=2))
        return
    for label, table in published_results.items():
        print(f"\n{label} ×{table['scale']:g}")
        from ..evaluation.report import print_table

        print_table(table)


def holds_weights(word: str) -> bool:
    """Whether a word of `evaluate` names weights or a run; what it does not is a source of photographs."""
    return Path(word).suffix in (".pth", ".safetensors") or (Path(word) / "config.json").exists()


def _comparison(words: list[str], as_json: bool, device: str, **how) -> None:
    """The table of `evaluate --table`; a file of weights or a run among the words stands for the released one."""
    from ..evaluation import published_results
    from ..pretrained import RELEASED, open_weights, saved_folder
    from ..runtime.devices import resolve_device

    named = [word for word in words if holds_weights(word)]
    sources = [word for word in words if word not in named] or ["set5", "set14"]
    files = named or [saved_folder() / names[0] for names in RELEASED.values()]
    networks = [open_weights(file) for file in files if file in named or file.exists()]
    networks = [(model.to(resolve_device(device)), path) for model, path in networks]
    with ProgressBar("measuring", quiet=as_json) as progress:
        rows = published_results.rows(networks, sources, lambda name, done, total: progress(done, total), **how)
    if as_json:
        print(json.dumps([_without_infinity(row) for row in rows], indent=2))
        return
    print(published_results.markdown(rows))
    print("\nPSNR in dB / SSIM on Y, mean over the pictures; gain: dB over bicubic, each over its own")
    if how["mode"] != "whole":
        stride = f" at stride {how['stride']}" * (how["mode"] == "overlapping")
        print(
            f"ours in {how['mode']} patches of {how['patch']}×{how['patch']} pixels{stride}, the paper's as published"
        )
    for row in rows:
        if row["why"]:
            print(row["why"])


def labels(sources: list[str]) -> list[str]:
    """A short name for each source: the folder's own; its path where two have one name."""
    names = [Path(source).name or source for source in sources]
    return [source if names.count(name) > 1 else name for source, name in zip(sources, names, strict=True)]


def _without_infinity(value):
    """JSON knows neither infinity nor nan: both become null."""
    if isinstance(value, dict):
        return {key: _without_infinity(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


@app.command()
def upscale(
    images: Annotated[list[str], typer.Argument(help="Files, globs, folders or http(s) addresses.")],
    scale: Annotated[float | None, typer.Option(help="From 1.1 to 8; the network's own without it.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A file of weights, or a run; a released network without it.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="A file for one picture, or a folder; beside the picture without it.")
    ] = None,
    mode: Mode = "whole",
    patch: Patch = 33,
    stride: Stride = 1,
    which: Which = "newest",
    arithmetic: Arithmetic = "float32",
    ensemble: Ensemble = False,
    device: Device = "auto",
) -> None:
    """Enlarge pictures; each goes to <name>_upscaled beside it, or where --out says.

    A picture that can't be used is reported, the others are done all the same. `accelerate launch` shares them out.
    """
    from ..data.degradation import check_scale
    from ..inference.upscale_files import plan, upscale_files
    from ..inference.upscaling import ARITHMETICS
    from ..pretrained import open_weights, released_for
    from ..runtime import distributed
    from ..runtime.devices import resolve_device
    from .outcome import print_outcome

    _check_choice("which", which, ("newest", "best"))
    _check_choice("arithmetic", arithmetic, ARITHMETICS)
    if scale is not None:
        check_scale(scale)
    note = None
    if weights is None:
        weights, note = released_for(scale)
    group = distributed.process_group()
    model = group.run_on_all(lambda: open_weights(weights, which)[0].to(resolve_device(device)))
    if note is None and scale is not None and scale != model.scale:
        note = f"the picture is enlarged ×{scale:g}; the network was trained for ×{model.scale:g}"
    scale = model.scale if scale is None else scale
    jobs, missing = group.run_on_main(lambda: plan(images, out))
    with ProgressBar("upscaling", quiet=not group.is_main) as progress:
        if group.is_main:
            for line in filter(None, (group.note, note)):
                print(line)
            for source in missing:
                print_outcome(progress, source)
        failed = upscale_files(
            jobs[group.rank :: group.size], model, scale, partial(print_outcome, progress), mode, progress,
            patch=patch, stride=stride, arithmetic=arithmetic, ensemble=ensemble,
        )  # fmt: skip
    _end(group, len(missing) + sum(group.gather(len(failed))))


def _end(group, failed: int) -> None:
    """Status 2 where pictures failed, on every rank alike: the launcher ends the others with the first that ends."""
    if failed > 1 and group.is_main:
        print(f"srcnn: {failed} could not be upscaled", file=sys.stderr)
    sys.stdout.flush()
    group.gather(None)  # all have said what they had to say
    group.shutdown()
    if failed:
        raise typer.Exit(2)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where the run and the pictures go.")] = Path("results/demo"),
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 1.5,
) -> None:
    """Train a small network on photographs that come with the package, and show what it learned."""
    from .demo import demonstrate

    demonstrate(out, minutes)


@app.command()
def animate(
    run: Annotated[Path, typer.Argument(help="The run whose training is to be seen.")],
    what: Annotated[str, typer.Option(help="reconstruction, channel, kernels or scan.")] = "reconstruction",
    image: Annotated[
        list[str] | None,
        typer.Option(help="A photograph, or samples:chelsea; several go side by side. The run's probe without it."),
    ] = None,
    layer: Annotated[str, typer.Option(help="layer_1, layer_2 or layer_3.")] = "layer_2",
    channel: Annotated[
        str | None, typer.Option(help="A channel's number, several as 0,5,8, all, or telling; 0 without, kernels all.")
    ] = None,
    before_relu: Annotated[bool, typer.Option("--before-relu", help="Channels with their sign.")] = False,
    mode: Annotated[str, typer.Option(help="Of a scan: non-overlapping or overlapping.")] = "non-overlapping",
    stride: Annotated[int, typer.Option(help="Of an overlapping scan: pixels from patch to patch.")] = 11,
    crop: Annotated[int | None, typer.Option(help="Side of the square that is shown of each photograph.")] = None,
    frames: Annotated[int | None, typer.Option(help="How many; 20, for a scan 60.")] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second; 20 frames at 5 are the original's 4 s.")] = None,
    hold: Annotated[float, typer.Option(help="Seconds that the last frame stays beyond that.")] = 1.5,
    max_mb: Annotated[float | None, typer.Option(help="Shrink or thin it until it fits into so many MB.")] = None,
    theme: Annotated[str, typer.Option(help="dark or light, for the page that it goes on.")] = "dark",
    out: Annotated[Path | None, typer.Option(help="A .gif, .mp4 or .webp file.")] = None,
) -> None:
    """Make a film of a training: the picture, the channels, the kernels, or the patches at work."""
    from ..visualization.animation import animate as animated

    with ProgressBar("frames") as progress:
        path, notes = animated(
            run, what, image or (), layer=layer, channel=channel, before_relu=before_relu, mode=mode, stride=stride,
            crop=crop, frames=frames, fps=fps, hold=hold, max_mb=max_mb, theme=theme, out=out, progress=progress,
        )  # fmt: skip
    print(path)
    for note in notes:
        print(f"  {note}")


@app.command()
def player(
    run: Annotated[Path, typer.Argument(help="The run whose training is to be seen.")],
    image: Annotated[
        str | None, typer.Option(help="A photograph, or samples:chelsea; a tile of the run's probe without it.")
    ] = None,
    crop: Annotated[int, typer.Option(help="Side of the square that is shown, in pixels.")] = 96,
    frames: Annotated[int, typer.Option(help="At most so many snapshots.")] = 60,
    max_mb: Annotated[float, typer.Option(help="Compress or thin it until it fits into so many MB.")] = 8,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("player.html"),
) -> None:
    """Write one page, for any browser and offline, that scrubs through a training with every channel in step."""
    from ..run import Run
    from ..visualization.html.page import write_page
    from ..visualization.html.player import player as page

    with ProgressBar("snapshots") as progress:
        write_page(page(Run(run), image, crop=crop, frames=frames, max_mb=max_mb, progress=progress), out)
    print(f"{out}  {out.stat().st_size / 1e6:.1f} MB")


@app.command()
def compare(
    image: Annotated[str, typer.Argument(help="A photograph, or samples:chelsea; it is reduced and brought back.")],
    scale: Annotated[float | None, typer.Option(help="From 1.1 to 8; the network's own without it.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A file of weights, or a run; a released network without it.")
    ] = None,
    which: Which = "newest",
    out: Annotated[Path, typer.Option(help="The page.")] = Path("compare.html"),
) -> None:
    """Write one page with a divider to drag between bicubic, SRCNN and the original."""
    from ..pretrained import open_weights, released_for
    from ..visualization.html import comparison
    from ..visualization.html.page import write_page

    _check_choice("which", which, ("newest", "best"))
    model, _ = open_weights(weights or released_for(scale)[0], which)
    write_page(comparison.compare(image, model, scale), out)
    print(f"{out}  {out.stat().st_size / 1e6:.1f} MB")


@app.command()
def release(
    run: Annotated[Path, typer.Argument(help="The run whose network is to be given to others.")],
    out: Annotated[Path, typer.Option(help="A .safetensors or .pth file; its card goes beside it as .json.")],
    on: Annotated[
        list[str] | None, typer.Option(help="What to measure it on, for the card: set5 and set14 without it.")
    ] = None,
    which: Which = "newest",
) -> None:
    """Write a run's network as one file, with a card: how it was made, what it reaches, its SHA-256."""
    from ..evaluation.model_card import release as released
    from ..run import Run

    _check_choice("which", which, ("newest", "best"))
    with ProgressBar("measuring") as progress:
        card = released(Run(run), out, on or ("set5", "set14"), which, lambda name, done, total: progress(done, total))
    print(f"{out}\n  SHA-256 {card['sha256']}")
    for name, result in card["results"].items():
        made, low = result["srcnn"], result["bicubic"]
        print(f"  {name} ×{result['scale']:g}: {made['psnr_y']:.2f} dB on Y (bicubic {low['psnr_y']:.2f})")


@app.command()
def info(source: Annotated[str, typer.Argument(help="A file of weights, or a run.")]) -> None:
    """Say what is known of a network: its settings, and what was written down when it was trained."""
    from ..pretrained import open_weights
    from ..run import Run

    model, path = open_weights(source)
    color = "Y" if model.channels == 1 else "RGB"
    print(f"{path}: {color} network, filters {'-'.join(map(str, model.filters))}, widths "
          f"{'-'.join(map(str, model.widths))}, ×{model.scale:g}, {sum(p.numel() for p in model.parameters()):,} "
          f"parameters, padding {model.padding_mode}")  # fmt: skip
    facts = Run(source).metadata if Path(source).is_dir() else model.metadata
    print(json.dumps(facts, indent=2, ensure_ascii=False))


@app.command()
def benchmark(
    what: Annotated[str, typer.Argument(help="overlap, strides, train or quality.")],
    size: Annotated[int, typer.Option(help="overlap: side of the picture in pixels.")] = 256,
    channels: Annotated[int | None, typer.Option(help="1 or 3; overlap 3, the others 1.")] = None,
    widths: Annotated[str | None, typer.Option(help="overlap 128,64, the others 64,32.")] = None,
    minutes: Annotated[float, typer.Option(help="quality: how long each recipe trains.")] = 12,
    steps: Annotated[int, typer.Option(help="train: steps of 1 280 crops of each contestant.")] = 3,
    weights: Annotated[str | None, typer.Option(help="strides: the network; the released one without it.")] = None,
    out: Annotated[Path | None, typer.Option(help="quality: the plot, .svg or .png.")] = None,
    device: Device = "auto",
) -> None:
    """Time contestants in turn on the same input, with the machine's own ceiling beside them."""
    from . import benchmark as timing

    _check_choice("what", what, ("overlap", "strides", "train", "quality"))
    channels = channels or (3 if what == "overlap" else 1)
    nothing = dict.fromkeys(field.name for field in dataclasses.fields(TrainingConfig))
    usual = "128,64" if what == "overlap" else "64,32"
    wide = _given({**nothing, "widths": widths or usual})["widths"]
    if what == "overlap":
        lines = timing.benchmark_overlap(size, channels, wide, device=device)
    elif what == "strides":
        from ..pretrained import open_weights, released_for
        from ..runtime.devices import resolve_device

        model, _ = open_weights(weights or released_for(None)[0])
        lines = timing.benchmark_strides(model.to(resolve_device(device)))
    elif what == "train":
        lines = timing.benchmark_train(steps, device, channels, wide)
    else:
        with ProgressBar("training") as progress:
            lines = timing.benchmark_quality(
                minutes, out=out, progress=lambda name, done, total: progress(done, total), channels=channels, widths=wide,
                device=device,
            )  # fmt: skip
    print("\n".join(lines))


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"--{name} is {value}, expected one of {', '.join(choices)}")
