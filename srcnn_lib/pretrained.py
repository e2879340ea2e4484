"""The networks that come with the package, and weights named in any way."""

from pathlib import Path

from . import weights
from .errors import InputError
from .model import SRCNN
from .run import Run

# For each scale the files that hold a network for it, the preferred one first.
RELEASED = {
    2.0: ("srcnn_y_x2.safetensors", "isr_best.pth"),
    3.0: ("srcnn_y_x3.safetensors",),
    4.0: ("srcnn_y_x4.safetensors",),
}


def saved_folder() -> Path:
    """Where the released networks lie: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parent
    for folder in (package / "saved", package.parent / "saved"):
        if folder.is_dir():
            return folder
    raise InputError("the released networks are not installed; name a file of weights or a run")


def released_for(scale: float | None) -> tuple[Path, str | None]:
    """The released network for a scale, and a line to say where it is not exactly that scale's.

    A network is taken that enlarges at least as much, or else the one that enlarges most: what matters is how blurred
    the bicubic picture is that it is given. None is the scale 2.
    """
    folder = saved_folder()
    there = {}
    for trained, names in RELEASED.items():
        if found := [folder / name for name in names if (folder / name).exists()]:
            there[trained] = found[0]
    if not there:
        raise InputError(f"{folder} holds no released network; name a file of weights or a run")
    wanted = 2.0 if scale is None else scale
    trained = min((known for known in there if known >= wanted), default=max(there))
    if trained == wanted:
        return there[trained], None
    return there[trained], f"no network was released for ×{wanted:g}: the picture is enlarged by that and the ×{trained:g} network is used"  # fmt: skip  # noqa: E501


def open_weights(source: str | Path, which: str = "newest") -> tuple[SRCNN, Path]:
    """The network of a file of weights, or of a run (its newest snapshot, or its best), and the file it came from.

    Raises:
        InputError: neither of both, or a file that can't be used.
    """
    path = Path(source)
    if path.is_dir() and (path / "config.json").exists():
        path = Run(path).snapshot(which).path
    return weights.load(path), path
