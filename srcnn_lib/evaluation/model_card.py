"""Released networks: the weights, and beside them a card that says how they were made and what they reach.

The card is JSON, made from the run and from measurements; nothing in it is typed by hand. In a `.safetensors` file the
same facts lie in the metadata as well.
"""

import dataclasses
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from .. import weights
from ..config import RECIPES, TrainingConfig
from ..data.sources import load_photographs
from ..errors import InputError
from ..model import SRCNN
from ..run import Run
from ..runtime.files import digest, write_atomically
from .quality import evaluate

PROTOCOL = (
    "PSNR and SSIM on Y of BT.601 studio range, PSNR on RGB; mod-crop, bicubic down and up with antialias, the network "
    "run over whole pictures, clamp, shave ceil(scale) pixels off each border, mean of the dB over the images; "
    "SSIM with a Gaussian window of 11x11, sigma 1.5"
)


def release(
    run: Run, out: str | Path, sets: Sequence[str] = ("set5", "set14"), which: str = "newest",
    progress: Callable[[str, int, int], None] | None = None,
) -> dict:  # fmt: skip
    """Write a run's network to `out` (.safetensors or .pth), and its card beside it as .json; returns the card.

    Args:
        sets: what it is measured on, for the card.
        which: the newest snapshot, or the best by test PSNR on Y.
        progress: called with the set, how many of its photographs are measured, and of how many.

    Raises:
        InputError: a run without snapshots, another extension, a set that isn't there.
    """
    out = Path(out)
    if out.suffix not in (".safetensors", ".pth"):
        raise InputError(f"{out}: weights are written as .safetensors or .pth")
    model = run.model(which)
    facts = facts_of(run, model, run.snapshot(which).step, sets, progress)
    weights.save(model, out, facts)
    card = {**facts, "file": out.name, "sha256": digest(out, "sha256")}
    with write_atomically(out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return card


def facts_of(run: Run, model: SRCNN, step: int, sets: Sequence[str], progress=None) -> dict:
    """All that a card says but for the file's own name and sum."""
    config, metadata = run.config, run.metadata
    record = next((record for record in run.history() if record["step"] == step), {})
    results = {}
    for source in sets:
        pictures = load_photographs(source)
        told = (lambda done, total, source=source: progress(source, done, total)) if progress else None
        results[source] = _rounded(evaluate(model, pictures, pictures.names, progress=told).to_dict())
    return {
        "network": {
            "channels": model.channels,
            "filters": list(model.filters),
            "widths": list(model.widths),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "padding_mode": model.padding_mode,
            "scale": model.scale,
        },
        "command": command_of(config, f"runs/{run.name}") + _continued(run),
        "training_config": config.to_dict(),
        "data": metadata.get("data", {}),
        "steps": step,
        "seconds": record.get("seconds"),
        "validation_psnr_y": record.get("validation_psnr_y"),
        "machine": metadata.get("machine"),
        "resolved": metadata.get("resolved", {}),
        "protocol": PROTOCOL,
        "results": results,
    }


def command_of(config: TrainingConfig, out: str) -> str:
    """The command line that trains with these settings: what departs from the recipe, and the run's folder."""
    parts = ["srcnn", "train"]
    usual = TrainingConfig.of(config.recipe) if config.recipe in RECIPES else TrainingConfig()
    for field in dataclasses.fields(TrainingConfig):
        value = getattr(config, field.name)
        if value == (TrainingConfig().recipe if field.name == "recipe" else getattr(usual, field.name)):
            continue
        flag = "--" + field.name.replace("_", "-")
        if field.type == tuple[str, ...]:
            parts += [part for item in value for part in (flag, item)]
        elif isinstance(value, bool):
            parts.append(flag if value else f"--no-{flag[2:]}")
        else:
            parts += [flag, ",".join(map(str, value)) if isinstance(value, tuple) else f"{value:g}"
                      if isinstance(value, float) else str(value)]  # fmt: skip
    return shlex.join([*parts, "--out", out])


def _continued(run: Run) -> str:
    """The second command of a run that was asked for more steps than at first."""
    steps = run.metadata.get("resolved", {}).get("steps", 0)
    asked = run.config.steps
    return f" && srcnn train --out runs/{run.name} --resume --steps {steps}" if asked and steps > asked else ""


def _rounded(value):
    """Figures with the digits that mean something."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value
