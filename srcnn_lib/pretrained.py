"""Finds the released networks, and opens the network of a weights file or of a run."""

from pathlib import Path

from . import weights
from .errors import InputError
from .model import SRCNN
from .run import Run

# The weights files for each scale, the preferred one first.
RELEASED = {
    2.0: ("srcnn_y_x2.safetensors", "isr_best.pth"),
    3.0: ("srcnn_y_x3.safetensors",),
    4.0: ("srcnn_y_x4.safetensors",),
}


def saved_folder() -> Path:
    """Returns the folder of the released networks: inside the installed package, or at the top of a checkout.

    Raises:
        InputError: there is no such folder.
    """
    package = Path(__file__).parent
    for folder in (package / "saved", package.parent / "saved"):
        if folder.is_dir():
            return folder
    raise InputError("the released networks are not installed; name a weights file or a run")


def released_for(scale: float | None) -> tuple[Path, str | None]:
    """Chooses the released network for a scale.

    Without one for exactly this scale, it is that of the next higher scale, or of the highest one. The scale matters
    because the bicubic picture that the network gets is more blurred at a higher scale.

    Args:
        scale: None for 2.

    Returns:
        The weights file; and a line to print if the network is for another scale, otherwise None.

    Raises:
        InputError: no released network is installed.
    """
    folder = saved_folder()
    files = {}
    for trained_scale, names in RELEASED.items():
        found = [folder / name for name in names if (folder / name).exists()]
        if found:
            files[trained_scale] = found[0]
    if not files:
        raise InputError(f"{folder} holds no released network; name a weights file or a run")
    scale = 2.0 if scale is None else scale
    chosen = min((trained_scale for trained_scale in files if trained_scale >= scale), default=max(files))
    if chosen == scale:
        return files[chosen], None
    note = (
        f"no network was released for ×{scale:g}: the picture is enlarged by that and the ×{chosen:g} network is used"
    )
    return files[chosen], note


def open_weights(source: str | Path, which: str = "newest") -> tuple[SRCNN, Path]:
    """Opens the network of a weights file or of a run.

    Args:
        source: a weights file, or the folder of a run.
        which: the "newest" or the "best" snapshot of a run.

    Returns:
        The network, on the CPU, and the file that it comes from.

    Raises:
        InputError: the source is neither, or the file can't be used.
    """
    path = Path(source)
    if path.is_dir() and (path / "config.json").exists():
        path = Run(path).snapshot(which).path
    return weights.load(path), path
