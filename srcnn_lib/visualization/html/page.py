"""Self-contained pages: markup, style, script and data in one HTML text, for a file or a notebook's output.

page.css and page.js belong to all pages; NAME.html, NAME.css and NAME.js to one of them. A page with many scripts has
a folder NAME for all of its files, and lists the scripts in MODULES. A page loads no other files: it works from disk,
from Drive and in a saved notebook, and several pages can share a document. A page of its own has a
Content-Security-Policy, which allows nothing from outside, and no script but the page's own, named by its hash.
"""

import base64
import hashlib
import html
import io
import json
import re
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from ...runtime.files import printable, write_atomically
from ..style import COLORS, THEMES

# What a page may do besides its own script: compute in WebAssembly and in workers made from its own text, style itself,
# and show pictures and videos that it holds or has made.
POLICY = (
    "default-src 'none'; script-src 'wasm-unsafe-eval' '{hash}'; worker-src blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; media-src data: blob:; base-uri 'none'; form-action 'none'"
)
SCRIPT = """
(() => {{
"use strict";
const ID = "{ID}";
{CODE}
launch({DATA});
}})();
"""


# The scripts of pages that have several, in the order in which they are put together.
MODULES = {
    "laboratory": (
        "units", "convolution", "network", "explain", "picture", "stimuli", "workers", "snapshots", "state", "drawing",
        "scene", "timeline", "pictures", "channels", "pixel", "worth", "frequency", "kernels", "stimuli_view", "tour",
        "laboratory",
    ),
}  # fmt: skip


def render_page(name: str, title: str, data: dict) -> str:
    """Returns the HTML of a page.

    It is a complete document, which can also be embedded in another one: a parser ignores a second <html> and <body>.

    Args:
        name: of the template, "laboratory" or "comparison".
        title: of the document.
        data: plain values (JSON) for the script.
    """
    content = json.dumps(_printable_texts(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    content = content.replace("<", "\\u003c")  # a file's name must not be able to end the script
    number = hashlib.sha256(content.encode()).hexdigest()[:10]
    page_id = f"srcnn-{name}-{number}"
    place = f"{name}/" if name in MODULES else ""
    modules = [f"{place}{module}.js" for module in MODULES.get(name, (name,))]
    script = SCRIPT.format(ID=page_id, CODE="".join(map(_read, ("page.js", *modules))), DATA=content)
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    parts = {
        "TITLE": html.escape(printable(title)),
        "POLICY": POLICY.format(hash=f"sha256-{script_hash}"),
        "ID": page_id,
        "STYLE": _read("page.css").replace("/* THEMES */", _theme_variables()) + _read(f"{place}{name}.css"),
        "BODY": _read(f"{place}{name}.html"),
        "SCRIPT": script,
    }
    # All placeholders at once, so that "{{DATA}}" in a title is not replaced.
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: parts[found[1]], _read("page.html"))


def _printable_texts(value: Any) -> Any:
    """Returns plain values with escapes for the characters of texts that can't be printed or that turn their order."""
    if isinstance(value, dict):
        return {printable(name): _printable_texts(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable_texts(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def write_page(text: str, path: str | Path) -> Path:
    """Writes a page atomically and returns its path; the folder is created."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomically(path) as temporary:
        temporary.write_text(text, "utf-8")
    return path


def encode_picture(pixels: Tensor, file_format: str = "webp", **options) -> str:
    """Encodes pixels as a picture file in base64.

    Args:
        pixels: (H, W) or (H, W, 3) uint8.
        file_format: "webp" or "jpeg".
        options: of Pillow's encoder; without any, lossless WebP.
    """
    buffer = io.BytesIO()
    options = options or {"lossless": True, "quality": 60}
    Image.fromarray(pixels.contiguous().numpy()).save(buffer, file_format, **options)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _read(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _theme_variables() -> str:
    """Returns the colors of the figures as CSS variables, so that a color means the same in pages and in figures."""
    rules = [f"--positive: linear-gradient(90deg, {', '.join(COLORS[3:])});"]
    rules += [f"--signed: linear-gradient(90deg, {', '.join(COLORS)});"]
    for name, theme in THEMES.items():
        colors = " ".join(f"--{part}: {color};" for part, color in asdict(theme).items())
        rules.append(colors if name == "light" else f'&[data-theme="{name}"] {{ color-scheme: {name}; {colors} }}')
    return "\n  ".join(rules)
