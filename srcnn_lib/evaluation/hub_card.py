"""A folder for the Hugging Face Hub: weights, config and a README.md with tags and figures, ready to be pushed."""

import importlib.metadata
import json
import tomllib
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..runtime.files import digest, printable, write_atomically

WEIGHTS = "model.safetensors"


def write_hub_folder(card: dict[str, Any], weights: Path, folder: str | Path) -> Path:
    """Writes README.md, config.json and the weights into a folder; nothing is pushed.

    Args:
        card: the model card that `model_card.release` returned.
        weights: the `.safetensors` file that it describes.
        folder: a new folder, or one that an earlier call made.

    Returns:
        The folder.

    Raises:
        InputError: a folder that holds other files.
    """
    folder = check_hub_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        WEIGHTS: weights.read_bytes(),
        "config.json": (json.dumps({"model_type": "srcnn", **card["network"]}, indent=2) + "\n").encode(),
        "README.md": hub_readme({**card, "sha256": digest(weights, "sha256")}, folder.name, _repository()).encode(),
    }
    for name, data in content.items():
        with write_atomically(folder / name) as temporary:
            temporary.write_bytes(data)
    return folder


def check_hub_folder(folder: str | Path) -> Path:
    """Returns the path of a folder that may be written.

    Raises:
        InputError: it is a file, or holds other files than those of `write_hub_folder` and git's.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, expected a folder")
    known = {WEIGHTS, "config.json", "README.md", ".git", ".gitattributes"}
    if folder.is_dir() and (others := sorted({path.name for path in folder.iterdir()} - known)):
        raise InputError(f"{folder} holds {others[0]}; name a new folder, or one that --hub made before")
    return folder


def _repository() -> str:
    """Returns the address of this project: from pyproject.toml in a checkout, else from the package."""
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    if pyproject.is_file():
        return tomllib.loads(pyproject.read_text("utf-8"))["project"]["urls"]["Repository"]
    addresses = importlib.metadata.metadata("srcnn_lib").get_all("Project-URL") or []
    return next(address.partition(", ")[2] for address in addresses if address.startswith("Repository, "))


def hub_readme(card: dict[str, Any], name: str, repository: str) -> str:
    """Returns the README.md: YAML front matter with tags and figures, then text with the same figures."""
    network = card["network"]
    scale = f"{network['scale']:g}"
    color = "luminance (Y)" if network["channels"] == 1 else "RGB"
    degrade = card["training_config"]["degrade"]
    learned = f"\nIts training pictures were reduced, then given {' and '.join(degrade)}.\n" if degrade else ""
    front = [
        "---",
        "license: mit",
        "library_name: pytorch",
        "pipeline_tag: image-to-image",
        "tags:",
        *(f"- {tag}" for tag in ("super-resolution", "srcnn", f"x{scale}", "pytorch")),
        *(["- compression-artifact-reduction"] if any("jpeg" in text for text in degrade) else []),
        "model-index:",
        f"- name: {json.dumps(printable(name))}",
        "  results:",
    ]
    rows = []
    for source, result in card["results"].items():
        source = printable(source)
        front += [
            "  - task: {type: image-to-image, name: Super-Resolution}",
            f"    dataset: {{type: {json.dumps(source)}, name: {json.dumps(f'{source} ×{scale}')}}}",
            "    metrics:",
            f"    - {{type: psnr, name: PSNR on Y, value: {result['srcnn']['psnr_y']:.2f}}}",
            f"    - {{type: ssim, name: SSIM on Y, value: {result['srcnn']['ssim_y']:.4f}}}",
        ]
        srcnn, bicubic = (f"{result[key]['psnr_y']:.2f} / {result[key]['ssim_y']:.4f}" for key in ("srcnn", "bicubic"))
        cell = source.replace("|", "\\|")
        rows.append(f"| {cell} | ×{scale} | {bicubic} | {srcnn} |")
    filters, widths = ("-".join(map(str, network[key])) for key in ("filters", "widths"))
    text = f"""
# SRCNN ×{scale} on {color}

Restores detail in a picture that was enlarged ×{scale} by bicubic interpolation. Three convolutions of {filters},
widths {widths}, {network["parameters"]:,} parameters (Dong et al., [arXiv 1501.00092](https://arxiv.org/abs/1501.00092)),
trained with [srcnn_lib]({repository}).
{learned}
    pip install git+{repository}
    srcnn upscale photo.jpg --weights {WEIGHTS}

```python
import srcnn_lib

model = srcnn_lib.load("{WEIGHTS}")
picture = srcnn_lib.read_image("photo.jpg")
srcnn_lib.write_image("upscaled.png", srcnn_lib.upscale(picture.pixels, model))
```

## Figures

PSNR in dB / SSIM on Y.

| set | scale | bicubic | this network |
|---|---|---|---|
{chr(10).join(rows)}

Protocol: {card["protocol"]}.

## Training

    {printable(card["command"])}

{card["steps"]:,} steps. SHA-256 of the weights: `{card["sha256"]}`.
"""
    return "\n".join([*front, "---"]) + "\n" + text
