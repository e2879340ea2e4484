"""Self-contained pages: markup, style, script and data in one HTML text, for a file as well as for a notebook's output.

page.css and page.js belong to all pages; NAME.html, NAME.css and NAME.js to one of them. Nothing is fetched: the page
works from disk, from Drive and in a saved notebook, and several of them live in one document.
"""

import base64
import hashlib
import html
import io
import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ...runtime.files import write_whole
from ..figures import COLORS, THEMES


def render_page(name: str, title: str, data: dict) -> str:
    """The text of a page.

    It is a whole document, and, since a parser leaves <html> and <body> out where there are some already, it can be
    put into another one as it is.

    Args:
        name: of the template, "player" or "slider".
        title: of the document.
        data: plain values (JSON) for the script.
    """
    content = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    content = content.replace("<", "\\u003c")  # a file's name must not be able to end the script
    number = hashlib.sha256(content.encode()).hexdigest()[:10]
    parts = {
        "TITLE": html.escape(title),
        "ID": f"srcnn-{name}-{number}",
        "STYLE": _read("page.css").replace("/* THEMES */", _themes()) + _read(f"{name}.css"),
        "BODY": _read(f"{name}.html"),
        "SCRIPT": _read("page.js") + _read(f"{name}.js"),
        "DATA": content,
    }
    text = _read("page.html")
    for part, value in parts.items():
        text = text.replace("{{" + part + "}}", value)
    return text


def write_page(text: str, path: str | Path) -> Path:
    """Write a page, whole or not at all; its folder is made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_whole(path) as temporary:
        temporary.write_text(text, "utf-8")
    return path


def bytes_of(pixels: Tensor) -> Tensor:
    """(…) in [0, 1] → uint8, clamped and rounded."""
    return (pixels.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8)


def encoded(pixels: Tensor, form: str = "webp", **options) -> str:
    """(H, W) or (H, W, 3) uint8 → a picture file in base64; as it is (lossless WebP) unless `options` say otherwise."""
    array = pixels.contiguous().numpy()
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, form, **(options or {"lossless": True, "quality": 60}))
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _read(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _themes() -> str:
    """The colors of the figures as CSS variables, so that a page beside a figure says the same thing with a color."""
    rules = [f"--positive: linear-gradient(90deg, {', '.join(COLORS[3:])});"]
    rules += [f"--signed: linear-gradient(90deg, {', '.join(COLORS)});"]
    for name, theme in THEMES.items():
        colors = " ".join(f"--{part}: {color};" for part, color in asdict(theme).items())
        rules.append(colors if name == "light" else f'&[data-theme="{name}"] {{ color-scheme: {name}; {colors} }}')
    return "\n  ".join(rules)
