"""Installs what a notebook needs and the machine lacks. Importing this module needs no other package."""

import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..errors import InputError

# {module: package} of what Colab's images may lack. What they always have, torch above all, is never installed here:
# another version could break what belongs together.
NEEDED = {
    "safetensors": "safetensors",
    "tifffile": "tifffile",
    "skimage": "scikit-image",
    "imageio": "imageio",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "psutil": "psutil",
    "platformdirs": "platformdirs",
    "tqdm": "tqdm",
}
NEEDED_FOR_TRAINING = {"accelerate": "accelerate", "pytorch_optimizer": "pytorch-optimizer"}


def missing_packages(needed: Mapping[str, str]) -> list[str]:
    """Returns the packages of {module: package} whose module is not installed."""
    return [package for module, package in needed.items() if not importlib.util.find_spec(module)]


def install_missing_packages(training: bool = False) -> None:
    """Installs the packages that are missing, and changes no version of those that are there.

    Args:
        training: whether to install what only a training needs, in place of what every notebook needs.

    Raises:
        InputError: pip failed; the message is its last line.
    """
    missing = missing_packages(NEEDED_FOR_TRAINING if training else NEEDED)
    if not missing:
        return
    print("installing", ", ".join(missing))
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "installed.txt")
        constraints.write_text("\n".join(installed_versions()), "utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", str(constraints), *missing]
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr or result.stdout).strip().splitlines() or ["pip failed"]
        raise InputError(f"{', '.join(missing)} can't be installed ({reason[-1].strip()}); install it with pip")
    importlib.invalidate_caches()


def installed_versions() -> list[str]:
    """Returns "name==version" of each installed package, as constraints for pip."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name, version = distribution.metadata["Name"], distribution.version
        if name and version:
            found.setdefault(name, version)  # the first one on the path is the one that is imported
    return [f"{name}=={version}" for name, version in found.items()]
