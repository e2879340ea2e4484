"""Finds the released networks and the example run, and opens the network of a weights file or of a run."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch

from . import weights
from .errors import InputError
from .model import SRCNN
from .run import Run
from .runtime.files import distinct_names

EXAMPLE_RUN = "example_run"  # in the folder of the released networks
EXAMPLE_SNAPSHOTS = 22
EXAMPLE_BYTES = 2_000_000  # of the whole folder: it is part of the package
# The weights files for each scale, the preferred one first.
RELEASED = {
    2.0: ("srcnn_y_x2.safetensors", "isr_best.pth"),
    3.0: ("srcnn_y_x3.safetensors",),
    4.0: ("srcnn_y_x4.safetensors",),
}
# Networks for other pictures than clean ones, which are chosen by a word only.
NAMED = {"jpeg": "srcnn_y_x2_jpeg.safetensors"}


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


def network_labels(sources: Sequence[str]) -> list[str]:
    """Returns a short name for each network: file or run without extension; the path where two are alike."""
    names = [Path(source).name.removesuffix(".safetensors").removesuffix(".pth") for source in sources]
    return distinct_names(names, [str(source) for source in sources])


def released_by_name(word: str | Path) -> Path | None:
    """Returns the weights file of a released network that is named by a word such as "jpeg"; None for other words.

    A file or folder of that name in the current folder comes first.

    Raises:
        InputError: the network is not installed.
    """
    name = NAMED.get(str(word))
    if name is None or Path(word).exists():
        return None
    path = saved_folder() / name
    if not path.exists():
        raise InputError(f"the network {word} is not installed: {path} is missing; in a checkout, make saved/{name}")
    return path


def open_weights(source: str | Path, which: str = "newest") -> tuple[SRCNN, Path]:
    """Opens the network of a weights file or of a run, or a released one.

    Args:
        source: a weights file, the folder of a run, or "jpeg" for the released network for compressed photographs.
        which: the "newest" or the "best" snapshot of a run.

    Returns:
        The network, on the CPU, and the file that it comes from.

    Raises:
        InputError: the source is neither, or the file can't be used.
    """
    path = released_by_name(source) or Path(source)
    if path.is_dir() and (path / "config.json").exists():
        path = Run(path).snapshot(which).path
    return weights.load(path), path


def example_run() -> Run:
    """Returns the small run that comes with the package: a training from random weights, with its snapshots.

    Notebooks look at it where there is no run yet. It has no checkpoints, so it can't be trained further.

    Raises:
        InputError: it is not installed.
    """
    path = saved_folder() / EXAMPLE_RUN
    if not (path / "config.json").exists():
        raise InputError(f"{path} is missing: the example run is not installed; train a run instead")
    return Run(path)


def write_example_run(source: str | Path, folder: str | Path | None = None) -> Path:
    """Writes the example run: a small copy of a run, for looking and not for resuming (`make saved/example_run`).

    It keeps the settings, the history, at most 22 snapshots, and the probe's tiles with 16 bits. Steps of the snapshots
    are evenly spaced on a logarithmic scale, for a network changes most at the beginning.

    Args:
        source: a finished run.
        folder: where to write; what is there is replaced. None for the place where `example_run` looks.

    Raises:
        InputError: the source has no snapshots, its probe can't be read, or the copy would have more than 2 MB.
    """
    run = Run(source)
    path = Path(folder) if folder else saved_folder() / EXAMPLE_RUN
    snapshots = run.snapshots()
    if not snapshots:
        raise InputError(f"{run.path} has no snapshots yet; train it first")
    upsampled, original = (tiles.half().contiguous() for tiles in run.probe())
    new = path.with_name(f".{path.name}-new")
    shutil.rmtree(new, ignore_errors=True)
    (new / "snapshots").mkdir(parents=True)
    for number in _log_spaced([snapshot.step for snapshot in snapshots], EXAMPLE_SNAPSHOTS):
        shutil.copyfile(snapshots[number].path, new / "snapshots" / snapshots[number].path.name)
    safetensors.torch.save_file({"upsampled": upsampled, "original": original}, new / "probe.safetensors")
    shutil.copyfile(run.path / "history.jsonl", new / "history.jsonl")
    (new / "config.json").write_text(json.dumps(run.metadata, indent=2) + "\n", "utf-8")
    if (size := sum(file.stat().st_size for file in new.rglob("*") if file.is_file())) > EXAMPLE_BYTES:
        shutil.rmtree(new)
        raise InputError(f"{run.path} would take {size / 1e6:.1f} MB, expected up to 2; train a smaller network")
    shutil.rmtree(path, ignore_errors=True)
    new.rename(path)
    return path


def _log_spaced(steps: list[int], count: int) -> list[int]:
    """Returns the indices of at most `count` of the steps, evenly spaced in log(1 + step), first and last included."""
    if len(steps) <= count:
        return list(range(len(steps)))
    places = [math.log1p(step) for step in steps]
    # The closest neighbors go first, the one that is nearer to its other neighbor.
    kept = list(range(len(steps)))
    while len(kept) > count:
        gaps = [places[kept[i + 1]] - places[kept[i - 1]] for i in range(1, len(kept) - 1)]
        del kept[1 + gaps.index(min(gaps))]
    return kept
