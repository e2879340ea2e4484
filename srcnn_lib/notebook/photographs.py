"""Chooses the photograph that a notebook works on: an upload, a file, an address, or one that comes along."""

from ..data import images
from ..data.images import Picture
from ..errors import InputError
from ..visualization.pictures import open_photograph
from .colab import is_colab

DEFAULT = "samples:chelsea"  # where no source is named
# Uploads of this kernel, by the source that they take the place of: *Run all* after an upload must not forget it.
_uploads: dict[str, Picture] = {}


class PhotographChoice:
    """The photograph that a notebook works on.

    Args:
        source: as in `choose_photograph`.
    """

    def __init__(self, source: str):
        self.source = source

    @property
    def picture(self) -> Picture:
        """The latest upload, or the photograph that the source names.

        Raises:
            InputError: the source can't be read.
        """
        uploaded = _uploads.get(self.source)
        return uploaded if uploaded else open_photograph(self.source)

    def take(self, name: str, content: bytes) -> Picture:
        """Takes the content of a picture file in place of the source.

        Raises:
            InputError: it is no picture.
        """
        picture = images.read_image(content, name)
        _uploads[self.source] = picture
        return picture


def choose_photograph(source: str, upload: bool = False) -> PhotographChoice:
    """Shows an upload, and returns the photograph that was chosen; without one, what `source` names.

    On Colab `upload` opens Colab's own dialog, and the cell waits for it (ipywidgets' FileUpload loses files of over
    1 MB there). Elsewhere a button is shown, and nothing waits.

    Args:
        source: a path, an address, or a source of `load_photographs` such as "samples:chelsea", which "" stands for.
        upload: whether to open Colab's dialog.
    """
    choice = PhotographChoice(source.strip() or DEFAULT)
    if not is_colab():
        _show_upload_button(choice)
        return choice
    if upload:
        _upload_on_colab(choice)
    return choice


def uploaded_files(value: tuple | dict) -> list[tuple[str, bytes]]:
    """Returns (name, content) of each file of a FileUpload: a tuple of dicts in ipywidgets 8, a dict by name in 7."""
    files = [{"name": name, **file} for name, file in value.items()] if isinstance(value, dict) else value
    return [(file["name"], bytes(file["content"])) for file in files]


def describe(picture: Picture) -> str:
    """Returns "name, W × H pixels"."""
    return f"{picture.name}, {picture.pixels.shape[-1]} × {picture.pixels.shape[-2]} pixels"


def _upload_on_colab(choice: PhotographChoice) -> None:
    """Opens Colab's dialog. If it is cancelled or fails, a line says so, and the source is used."""
    try:
        from google.colab import files

        uploaded = files.upload()
    except Exception as error:  # MessageError, NotImplementedError, TypeError were seen; there may be more
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"Nothing was uploaded ({reason}); {choice.source} is used.")
        return
    if not uploaded:
        print(f"Nothing was chosen; {choice.source} is used.")
        return
    *_, (name, content) = uploaded.items()
    print(describe(choice.take(name, content)))


def _show_upload_button(choice: PhotographChoice) -> None:
    """Shows ipywidgets' upload button, where ipywidgets is installed and this is a notebook."""
    try:
        import ipywidgets
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    if get_ipython() is None:
        return
    button = ipywidgets.FileUpload(accept="image/*", description="Your photograph", layout={"width": "170px"})
    kept = _uploads.get(choice.source)
    message = ipywidgets.Label(describe(kept) if kept else f"or none: {choice.source} is used")

    def take(_: dict) -> None:
        try:
            for name, content in uploaded_files(button.value):
                message.value = f"{describe(choice.take(name, content))}. Now run the cells below."
        except InputError as error:
            message.value = str(error)

    button.observe(take, "value")
    display(ipywidgets.HBox([button, message]))
