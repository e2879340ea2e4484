"""What cells show and hand out: pictures without loss, clips, downloads."""

import base64
import html
import io
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from PIL import Image

from ..errors import InputError
from ..runtime.files import write_atomically
from .colab import is_colab

if TYPE_CHECKING:
    import IPython.display

MIME_TYPES = {".gif": "image/gif", ".webp": "image/webp", ".png": "image/png"}
UNFINISHED = ("checkpoints", "lock")  # parts of a run that a copy for looking does not need


def show_picture(image: Image.Image) -> "IPython.display.Image":
    """Returns a picture for the output of a cell, as PNG alone: IPython would add a JPEG, whose artefacts it shows."""
    from IPython.display import Image as ShownImage

    buffer = io.BytesIO()
    image.save(buffer, "png")
    return ShownImage(buffer.getvalue(), format="png")


def show_clip(path: str | Path) -> "IPython.display.HTML":
    """Returns a GIF or WebP for the output of a cell, as HTML: a notebook that is exported keeps it.

    Raises:
        InputError: the file has another extension.
    """
    from IPython.display import HTML

    path = Path(path)
    if path.suffix.lower() not in MIME_TYPES:
        raise InputError(f"{path} is no clip that a cell can show; expected one of {', '.join(MIME_TYPES)}")
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    source = f"data:{MIME_TYPES[path.suffix.lower()]};base64,{content}"
    return HTML(f'<img src="{source}" alt="{html.escape(path.name)}" style="max-width: 100%">')


def offer_download(path: str | Path) -> None:
    """Hands a file to the user: Colab's download on Colab, a link elsewhere.

    A link reaches files in the notebook's folder and below. Of another file the path is printed.

    Raises:
        InputError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} doesn't exist, so it can't be downloaded; run the cells above")
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    if is_colab():
        try:
            from google.colab import files

            files.download(str(path))
            print(f"{path}, {size}, is being downloaded")
        except Exception as error:  # a browser that blocks it, Colab in VS Code, …
            reason = " ".join(str(error).split()) or type(error).__name__
            print(f"The download did not begin ({reason}); {path}, {size}, is in the Files pane on the left.")
        return
    from IPython.display import HTML, display

    relative = os.path.relpath(path)
    if relative.startswith(".."):
        print(f"{path.resolve()}, {size}")
        return
    address = html.escape(quote(Path(relative).as_posix()), quote=True)
    name = html.escape(path.name, quote=True)
    display(HTML(f'<a href="{address}" download="{name}">Download {name}</a> ({size})'))


def zip_results(folders: Iterable[str | Path], path: str | Path) -> Path:
    """Packs folders into one zip file, each under its own name; returns its path.

    Checkpoints, which a run needs only to be resumed, and hidden files are left out; so are folders that don't exist.

    Args:
        folders: such as a run and the results.
        path: of the zip file; it is written atomically.

    Raises:
        InputError: no folder exists or all are empty.
    """
    files = []
    for folder in map(Path, folders):
        for file in sorted(folder.rglob("*")):
            inside = file.relative_to(folder)
            hidden = any(part.startswith(".") or part in UNFINISHED for part in inside.parts)
            if file.is_file() and not hidden:
                files.append((file, Path(folder.resolve().name) / inside))
    if not files:
        raise InputError("there is nothing to pack: run the cells above first")
    with write_atomically(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, name in files:
            archive.write(file, name.as_posix())
    return Path(path)
