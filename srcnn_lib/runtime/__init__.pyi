from .console import ProgressBar as ProgressBar
from .console import run_command as run_command
from .devices import describe_device as describe_device
from .devices import package_versions as package_versions
from .devices import resolve_arithmetic as resolve_arithmetic
from .devices import resolve_device as resolve_device
from .files import write_atomically as write_atomically
