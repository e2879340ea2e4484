"""The command `srcnn evaluate`: measures a network, or compares the released networks with the paper's."""

from pathlib import Path
from typing import Annotated

import typer

from ..config import Artifact
from ..errors import InputError
from ..inference.options import InferenceOptions
from ..runtime.console import ProgressBar
from ..runtime.files import distinct_names, json_text, printable
from .options import Arithmetic, Device, Ensemble, Mode, Patch, Scale, Stride, Which


def evaluate(
    weights: Annotated[
        str | None,
        typer.Argument(
            help="A weights file, the folder of a run, or jpeg (default: the released network of the scale)."
        ),
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Photographs: named sets (set5, set14, …), files, folders, globs, zip or tar archives."),
    ] = None,
    scale: Scale = None,
    table: Annotated[
        bool,
        typer.Option("--table", help="Compare the released networks with the paper's, on set5 and set14 or as named."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
    mode: Mode = "whole",
    patch: Patch = 33,
    stride: Stride = 1,
    which: Which = "newest",
    limit: Annotated[int, typer.Option(help="Measure at most this many photographs of each source; 0 for all.")] = 0,
    arithmetic: Arithmetic = "float32",
    ensemble: Ensemble = False,
    device: Device = "auto",
    degrade: Annotated[
        list[str] | None,
        typer.Option(help="Compress the low-resolution pictures or add noise, such as jpeg:50. May be repeated."),
    ] = None,
    low_resolution: Annotated[
        str | None,
        typer.Option(help="The photographs' own low-resolution pictures, under the same names: a source of pictures."),
    ] = None,
) -> None:
    """Measure a network on photographs: PSNR and SSIM beside bicubic's, for each image and on average.

    With --arithmetic bfloat16 or --ensemble the table also says what the option changes.
    """
    words = [word for word in (weights, *(sources or ())) if word]
    if not table:
        options = InferenceOptions(mode, patch, stride, arithmetic=arithmetic, ensemble=ensemble)
        artifacts = tuple(Artifact.parse(text) for text in degrade or ())
        if artifacts and low_resolution:
            raise InputError("--degrade changes reduced photographs; leave it out with --low-resolution")
        _measure(words, scale, which, limit, device, as_json, options, artifacts, low_resolution)
        return
    unsupported = {
        "--scale": scale is not None,
        "--limit": limit != 0,
        "--which": which != "newest",
        "--ensemble": ensemble,
        "--arithmetic": arithmetic != "float32",
        "--degrade": bool(degrade),
        "--low-resolution": low_resolution is not None,
    }
    if flags := [flag for flag, is_given in unsupported.items() if is_given]:
        raise InputError(
            "--table compares plain passes in float32, each network at its own scale, on all photographs; leave out "
            f"{' and '.join(flags)}"
        )
    _compare_with_paper(words, device, as_json, InferenceOptions(mode, patch, stride))


def _measure(
    words: list[str],
    scale: float | None,
    which: str,
    limit: int,
    device: str,
    as_json: bool,
    options: InferenceOptions,
    artifacts: tuple[Artifact, ...],
    low_resolution: str | None,
) -> None:
    """Prints the scores of one network on each source.

    Args:
        words: the sources, and before them weights or a run unless a released network is measured.
    """
    from ..data.low_resolution import LowResolutionPictures
    from ..data.sources import load_photographs
    from ..evaluation.quality import evaluate as evaluate_network
    from ..evaluation.report import print_table
    from ..pretrained import open_weights, released_for
    from ..runtime.devices import resolve_device

    weights_given = bool(words) and names_weights(words[0])
    sources = words[1:] if weights_given else words
    if not sources:
        raise InputError("name what to measure, and before it a weights file or a run: srcnn evaluate RUN set5")
    source, note = (words[0], None) if weights_given else released_for(scale)
    model, path = open_weights(source, which)
    model = model.to(resolve_device(device))
    if not weights_given and not as_json:
        if note:
            print(printable(note))
        print(f"the released network {printable(path.name)} is measured")
    pairs = LowResolutionPictures(low_resolution, scale or model.scale) if low_resolution else None
    tables = {}
    for source, label in zip(sources, source_labels(sources), strict=True):
        photographs = load_photographs(source, limit)
        with ProgressBar(label, quiet=as_json) as progress:
            tables[label] = evaluate_network(
                model, photographs, photographs.names, scale, options, progress, artifacts, pairs
            )
    if as_json:
        print(json_text({label: table.to_dict() for label, table in tables.items()}))
        return
    for label, table in tables.items():
        print(f"\n{printable(label)} ×{table.scale:g}")
        print_table(table)


def _compare_with_paper(words: list[str], device: str, as_json: bool, options: InferenceOptions) -> None:
    """Prints the table of bicubic, the paper's network and ours.

    Args:
        words: sources, set5 and set14 without one; weights files and runs among them replace the released networks.
    """
    from ..evaluation import published_results
    from ..pretrained import RELEASED, open_weights, saved_folder
    from ..runtime.devices import resolve_device

    files: list[Path] = [Path(word) for word in words if names_weights(word)]
    sources = [word for word in words if not names_weights(word)] or ["set5", "set14"]
    if not files:
        released = [saved_folder() / names[0] for names in RELEASED.values()]
        files = [file for file in released if file.exists()]
    networks = []
    for file in files:
        model, path = open_weights(file)
        networks.append((model.to(resolve_device(device)), path))
    with ProgressBar("measuring", quiet=as_json) as progress:
        rows = published_results.compare_with_paper(networks, sources, options, progress)
    if as_json:
        print(json_text([row.to_dict() for row in rows]))
        return
    print(published_results.markdown(rows))
    print("\nPSNR in dB / SSIM on Y, mean over the pictures; gain: dB over bicubic, each over its own")
    if options.mode != "whole":
        stride = f" at stride {options.stride}" if options.mode == "overlapping" else ""
        patches = f"{options.mode} patches of {options.patch}×{options.patch} pixels{stride}"
        print(f"ours in {patches}, the paper's as published")
    for row in rows:
        if row.why:
            print(printable(row.why))


def names_weights(word: str) -> bool:
    """Returns whether an argument names a weights file, a run or a released network, and no source of photographs."""
    from ..pretrained import released_by_name

    if released_by_name(word):
        return True
    return word.endswith((".pth", ".safetensors", ".pt", ".pth.tar")) or (Path(word) / "config.json").exists()


def source_labels(sources: list[str]) -> list[str]:
    """Returns a short name for each source: its last part, or the whole path where two would have the same name."""
    names = [Path(source).name or source for source in sources]
    return distinct_names(names, sources)
