"""Releases the network of a run: its weights, and a model card with its training and its scores.

The card is a JSON file with what the run recorded and what is measured here; nothing in it is typed by hand. A
`.safetensors` file holds the same facts in its metadata.
"""

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import weights
from ..config import RECIPES, Artifact, TrainingConfig
from ..data.sources import load_photographs
from ..model import SRCNN
from ..run import Run
from ..runtime.console import Progress
from ..runtime.files import sync, write_atomically
from .quality import evaluate

PROTOCOL = (
    "PSNR and SSIM on Y of BT.601 studio range, PSNR on RGB; mod-crop, bicubic down and up with antialias, the network "
    "run over whole pictures, clamp, shave ceil(scale) pixels off each border, mean of the dB over the images; "
    "SSIM with a Gaussian window of 11x11, sigma 1.5"
)
DEGRADED = "; with {0} in its name, a set's reduced pictures were given {0} before they were enlarged"


def release(
    run: Run,
    out: str | Path,
    sets: Sequence[str] = ("set5", "set14"),
    which: str = "newest",
    progress: Progress | None = None,
    artifacts: Sequence[Artifact] = (),
) -> dict[str, Any]:
    """Writes the weights of a run's network, and the model card beside them as `.json`.

    Args:
        run: the run.
        out: the weights file, `.safetensors` or `.pth`.
        sets: the photographs to measure the network on, as `load_photographs` takes them.
        which: the "newest" snapshot, or the "best" by validation PSNR on Y.
        progress: called as progress(done, total), in the photographs of a set.
        artifacts: if there are any, the network is measured a second time, on low-resolution pictures with these; the
            results' names are then such as "set5 jpeg:50".

    Returns:
        The card.

    Raises:
        InputError: a run without snapshots, another extension, or a set that can't be read.
    """
    out = Path(out)
    weights.check_extension(out)
    model = run.model(which)
    facts = collect_facts(run, model, run.snapshot(which).step, sets, progress, artifacts)
    content = weights.file_content(model, out, facts)
    card = {**facts, "file": out.name, "sha256": hashlib.sha256(content).hexdigest()}
    text = json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    # Both are on the disk before either takes its name: neither is ever without the other.
    with write_atomically(out.with_suffix(".json")) as card_file, write_atomically(out) as weights_file:
        card_file.write_bytes(text.encode("utf-8", "backslashreplace"))  # a file's name may be no UTF-8
        weights_file.write_bytes(content)
        sync(card_file)
    return card


def collect_facts(
    run: Run,
    model: SRCNN,
    step: int,
    sets: Sequence[str],
    progress: Progress | None = None,
    artifacts: Sequence[Artifact] = (),
) -> dict[str, Any]:
    """Measures the network and returns the content of its card, except for the file's name and SHA-256."""
    config, metadata = run.config, run.metadata
    record = next((record for record in run.history() if record["step"] == step), {})
    results = {}
    for source in sets:
        photographs = load_photographs(source)
        for added in ((), artifacts) if artifacts else ((),):
            result = evaluate(model, photographs, photographs.names, progress=progress, artifacts=added)
            results[" ".join([source, *map(str, added)])] = _rounded(result.to_dict())
    return {
        "network": {
            "channels": model.channels,
            "filters": list(model.filters),
            "widths": list(model.widths),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "padding_mode": model.padding_mode,
            "scale": model.scale,
        },
        "command": training_command(config, f"runs/{run.name}") + _resume_command(run),
        "training_config": config.to_dict(),
        "data": metadata.get("data", {}),
        "steps": step,
        "seconds": record.get("seconds"),
        "validation_psnr_y": record.get("validation_psnr_y"),
        "machine": metadata.get("machine"),
        "resolved": metadata.get("resolved", {}),
        "protocol": PROTOCOL + (DEGRADED.format(" and ".join(map(str, artifacts))) if artifacts else ""),
        "results": results,
    }


def training_command(config: TrainingConfig, out: str) -> str:
    """Returns the command line that trains with this configuration: only what differs from the recipe is a flag."""
    defaults = TrainingConfig.of(config.recipe) if config.recipe in RECIPES else TrainingConfig()
    words = ["srcnn", "train"]
    for field in dataclasses.fields(TrainingConfig):
        value = getattr(config, field.name)
        default = TrainingConfig().recipe if field.name == "recipe" else getattr(defaults, field.name)
        if value == default:
            continue
        flag = "--" + field.name.replace("_", "-")
        if field.type == tuple[str, ...]:  # a flag that is repeated
            for item in value:
                words += [flag, item]
        elif isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        elif isinstance(value, tuple):
            words += [flag, ",".join(map(str, value))]
        elif isinstance(value, float):
            words += [flag, f"{value:g}"]
        else:
            words += [flag, str(value)]
    return shlex.join([*words, "--out", out])


def _resume_command(run: Run) -> str:
    """Returns the second command of a run whose number of steps was changed on the way."""
    steps = run.metadata.get("resolved", {}).get("steps", 0)
    started_with = run.config.steps
    if not started_with or not steps or steps == started_with:
        return ""
    resume = f"srcnn train --out runs/{run.name} --resume --steps {steps}"
    return f" && {resume}" if steps > started_with else f"  # stopped before step {steps}, then: {resume}"


def _rounded(value: Any) -> Any:
    """Rounds all numbers to four digits after the point."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value
