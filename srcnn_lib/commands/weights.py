"""The commands about weights files: `srcnn release`, `srcnn info`, `srcnn convert` and `srcnn export`."""

import contextlib
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..config import Artifact
from ..errors import InputError
from ..runtime.console import ProgressBar
from ..runtime.files import json_text, printable
from .options import Which, check_choice

if TYPE_CHECKING:
    from ..model import SRCNN


def release(
    run: Annotated[Path, typer.Argument(help="The run whose network is released.")],
    out: Annotated[
        Path | None, typer.Option(help="A .safetensors or .pth file; the model card goes beside it as .json.")
    ] = None,
    hub: Annotated[
        Path | None,
        typer.Option(help="A folder for the Hugging Face Hub: weights, config and README.md. Nothing is pushed."),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(help="Photographs to measure the network on for the card (default: set5 and set14)."),
    ] = None,
    degrade: Annotated[
        list[str] | None,
        typer.Option(help="Measure it also on compressed or noisy pictures, such as jpeg:50. May be repeated."),
    ] = None,
    which: Which = "newest",
) -> None:
    """Write the network of a run as one file with a model card: training, scores and SHA-256."""
    from ..evaluation import hub_card, model_card
    from ..run import Run

    if not out and not hub:
        raise InputError("name a weights file with --out, or a folder with --hub")
    if hub:
        hub_card.check_hub_folder(hub)
    sets = on or ("set5", "set14")
    artifacts = tuple(Artifact.parse(text) for text in degrade or ())
    with tempfile.TemporaryDirectory() as scratch, ProgressBar("measuring") as progress:
        file = out or Path(scratch) / hub_card.WEIGHTS
        card = model_card.release(Run(run), file, sets, which, progress, artifacts)
        if hub:
            hub_card.write_hub_folder(card, _as_safetensors(file, Path(scratch)), hub)
    print("\n".join(printable(path) for path in (out, hub) if path))
    print(f"  SHA-256 {card['sha256']}")
    for name, result in card["results"].items():
        print(f"  {printable(name)} ×{result['scale']:g}: {_score_text(result)}")


def _as_safetensors(file: Path, scratch: Path) -> Path:
    """Returns the weights as .safetensors, which the Hub asks for: the file itself, or a copy in a scratch folder."""
    from .. import weights

    return file if file.suffix == ".safetensors" else weights.save(weights.load(file), scratch / "hub.safetensors")


def info(
    source: Annotated[str, typer.Argument(help="A weights file or the folder of a run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that is recorded, as JSON.")] = False,
) -> None:
    """Describe a network and its training."""
    from ..pretrained import open_weights
    from ..run import METADATA_KINDS, Run

    model, path = open_weights(source)
    run = Run(source) if Path(source).is_dir() else None
    metadata = run.metadata if run else model.metadata
    if as_json:
        print(json_text(metadata))
        return
    recorded = {name: metadata[name] for name in METADATA_KINDS if name in metadata} if run else metadata
    facts = {"weights": str(path), **_network_facts(model), **_training_facts(recorded)}
    if run:
        facts["snapshots"] = f"{len(run.snapshots())}, the newest of step {run.snapshot().step:,}"
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(printable(f"{name:{width}}  {fact}"))
    if metadata:
        print(f"everything that is recorded: srcnn info {printable(source)} --json")


def convert(
    file: Annotated[Path, typer.Argument(help="Weights of another PyTorch implementation of SRCNN.")],
    scale: Annotated[float | None, typer.Option(help="Upscaling factor that the network was trained for.")] = None,
    padding: Annotated[
        str | None,
        typer.Option(help="zeros, if its layers pad their inputs with zeros (most do); replicate, if they do not pad."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .safetensors file (default: the same name with that extension).")
    ] = None,
) -> None:
    """Write the weights of another implementation as a file that says its scale and padding."""
    from .. import weights

    if padding is not None:
        check_choice("padding", padding, ("zeros", "replicate"))
    model = weights.load(file, scale, padding)
    path = out or file.with_name(file.name.split(".")[0] + ".safetensors")
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: only .safetensors files say their scale and padding")
    print(printable(weights.save(model, path, {"converted_from": file.name})))
    for name, fact in _network_facts(model).items():
        print(f"  {name}: {fact}")


def export(
    source: Annotated[str, typer.Argument(help="A weights file or the folder of a run.")],
    onnx: Annotated[Path, typer.Option(help="The .onnx file.")],
    which: Which = "newest",
) -> None:
    """Write a network as ONNX: a bicubic picture of any size in [0, 1] in, the restored one out."""
    from ..onnx_file import export_onnx
    from ..pretrained import open_weights

    model, _ = open_weights(source, which)
    print(printable(export_onnx(model, onnx)))
    color = "Y (luminance)" if model.channels == 1 else "RGB"
    print(f"  input bicubic: (N, {model.channels}, H, W), {color} in [0, 1], enlarged by {model.scale:g} before")


def _network_facts(model: "SRCNN") -> dict[str, str]:
    """Returns the facts that the weights themselves contain, one text for each line of `info`."""
    color = "Y (luminance)" if model.channels == 1 else "RGB"
    filters, widths = ("-".join(map(str, sizes)) for sizes in (model.filters, model.widths))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "network": f"{color}, filters {filters}, widths {widths}, {parameters:,} parameters",
        "scale": f"×{model.scale:g}",
        "padding": model.padding_mode,
    }


def _training_facts(metadata: dict[str, Any]) -> dict[str, str]:
    """Returns the facts about the training from a run's config.json or a released network's metadata."""
    resolved = metadata.get("resolved") or {}
    lines: dict[str, Callable[[], str]] = {
        "recipe": lambda: _recipe_text(metadata["training_config"]),
        "data": lambda: _data_text(metadata["training_config"]),
        "low-resolution pictures": lambda: _degradation_text(metadata["training_config"]),
        "steps": lambda: f"{metadata.get('steps', metadata.get('step', resolved.get('steps'))):,}",
        "time": lambda: f"{metadata['seconds'] / 60:.1f} minutes",
        "machine": lambda: metadata.get("machine") or resolved["device"],
        "validation": lambda: f"{metadata['validation_psnr_y']:.2f} dB on Y",
    }
    results = metadata.get("results")
    for name, result in results.items() if isinstance(results, dict) else ():
        lines[name] = functools.partial(_score_text, result)
    lines["made with"] = lambda: metadata["command"]
    facts = {}
    for name, describe in lines.items():
        # What is missing is not shown, nor what a file from somewhere else holds in place of it.
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
            if text := describe():
                facts[name] = str(text)
    return facts


def _recipe_text(config: dict[str, Any]) -> str:
    return (
        f"{config['recipe']}, {config['optimizer']}, learning rate {config['learning_rate']:g}, "
        f"{config['batch_size']} crops a step"
    )


def _data_text(config: dict[str, Any]) -> str:
    return f"{', '.join(config['data'])}; validation {', '.join(config['validation'])}"


def _degradation_text(config: dict[str, Any]) -> str:
    if degrade := config.get("degrade"):
        return f"reduced, then {', '.join(degrade)}"
    return config["low_resolution"]


def _score_text(result: dict[str, Any]) -> str:
    """Returns the PSNR in a result of a model card, such as "37.00 dB on Y (bicubic 33.69)"."""
    return f"{result['srcnn']['psnr_y']:.2f} dB on Y (bicubic {result['bicubic']['psnr_y']:.2f})"
