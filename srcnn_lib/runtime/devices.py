"""Chooses the device, the arithmetic and the number of threads of a computation, and describes the machine."""

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

from ..config import CHOICES
from ..errors import InputError
from . import distributed


@contextlib.contextmanager
def deterministic_algorithms(enabled: bool) -> Iterator[None]:
    """Restricts torch to algorithms that give the same bits each time. On a CPU all algorithms in use here do."""
    before = torch.are_deterministic_algorithms_enabled()
    if enabled:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic with a fixed workspace
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextlib.contextmanager
def cpu_threads(count: int) -> Iterator[None]:
    """Sets torch's number of CPU threads inside the block or the decorated function; 0 does not change it."""
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def resolve_device(name: str) -> torch.device:
    """Returns the torch.device that a name selects; "auto" selects the best one available.

    Of several GPUs, each process is given its own by the launcher.

    Raises:
        InputError: an unknown name, a device that this machine doesn't have, or fewer GPUs than processes.
    """
    if name not in CHOICES["device"]:
        raise InputError(f"device is {name}, expected one of {', '.join(CHOICES['device'])}")
    cuda = _cuda_available()
    mps = torch.backends.mps.is_available() and not distributed.is_launched()  # processes can't share it
    if name == "auto":
        name = "cuda" if cuda and not distributed.cpu_requested() else "mps" if mps else "cpu"
    if (name == "cuda" and not cuda) or (name == "mps" and not mps):
        raise InputError(f"device is {name}, which this machine does not have; use auto or cpu")
    processes = distributed.processes_on_this_machine()
    if name == "cuda" and processes > torch.cuda.device_count():
        raise InputError(
            f"{processes} processes were started for {torch.cuda.device_count()} GPUs; start one for each "
            "(--num_processes), or use --device cpu"
        )
    return torch.device(name)


def _cuda_available() -> bool:
    """Returns whether there is a GPU.

    In a notebook this does not initialize the driver, since processes forked by `notebook_launcher` could not use it.
    """
    return torch.cuda.device_count() > 0 if _in_notebook() else torch.cuda.is_available()


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


def resolve_arithmetic(name: str, device: torch.device) -> str:
    """Returns the number type of the first two layers: "auto" is bfloat16 where the device is fast at it."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability() >= (8, 0) else "float16"
    if device.type == "cpu" and _bfloat16_is_faster():
        return "bfloat16"
    return "float32"


def _bfloat16_is_faster() -> bool:
    """Times a matrix product: without AVX-512 BF16 or AMX a processor is ten times slower in bfloat16."""

    def seconds(dtype: torch.dtype) -> float:
        matrix = torch.ones(256, 256, dtype=dtype)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            matrix @ matrix
            times.append(time.perf_counter() - start)
        return min(times)

    return seconds(torch.bfloat16) < 0.8 * seconds(torch.float32)


def describe_device(device: torch.device) -> str:
    """Returns the name of the GPU, or of the processor with its number of cores."""
    if device.type != "cuda":
        return f"{device.type}, {os.cpu_count()} cores, {processor_name()}"
    if _in_notebook() and not torch.cuda.is_initialized():  # it must not be initialized, see `_cuda_available`
        from accelerate.utils import get_gpu_info

        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return get_gpu_info()[0][0]
    return torch.cuda.get_device_name()


def processor_name() -> str:
    """Returns the processor's model where the system names it, its architecture elsewhere."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages on which the results depend."""
    versions = {"python": platform.python_version()}
    for name in ("srcnn_lib", "torch", "torchvision", "numpy", "pillow"):
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions
