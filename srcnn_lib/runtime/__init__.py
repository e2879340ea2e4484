"""The machine: devices, processes, memory, files and the terminal."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "console": ["ProgressBar", "run_command"],
        "devices": ["describe_device", "package_versions", "resolve_arithmetic", "resolve_device"],
        "files": ["write_atomically"],
    },
)

if TYPE_CHECKING:
    from .console import ProgressBar as ProgressBar
    from .console import run_command as run_command
    from .devices import describe_device as describe_device
    from .devices import package_versions as package_versions
    from .devices import resolve_arithmetic as resolve_arithmetic
    from .devices import resolve_device as resolve_device
    from .files import write_atomically as write_atomically
