"""Which device trains, in which arithmetic, and what is written down about both."""

import contextlib
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version

import torch

from ..config import CHOICES
from ..errors import InputError
from . import distributed


@contextlib.contextmanager
def deterministic_algorithms(wanted: bool):
    """While it lasts, torch takes only algorithms that give the same bits each time; a CPU has no others here."""
    before = torch.are_deterministic_algorithms_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is repeatable only with a fixed workspace
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def resolve_device(name: str) -> torch.device:
    """The device that a name means; "auto" is the best one there, and of several GPUs each rank has its own.

    Raises:
        InputError: a device that this machine doesn't have, or not once for each process.
    """
    if name not in CHOICES["device"]:
        raise InputError(f"device is {name}, expected one of {', '.join(CHOICES['device'])}")
    gpu = _gpu_there()
    mps = torch.backends.mps.is_available() and not distributed.is_launched()  # it can't be shared
    if name == "auto":
        name = "cuda" if gpu and not distributed.cpu_requested() else "mps" if mps else "cpu"
    if (name == "cuda" and not gpu) or (name == "mps" and not mps):
        raise InputError(f"device is {name}, which this machine does not have; use auto or cpu")
    if name == "cuda" and distributed.processes_on_this_machine() > torch.cuda.device_count():
        raise InputError(
            f"{distributed.processes_on_this_machine()} processes were started for {torch.cuda.device_count()} GPUs; start one for each "
            "(--num_processes), or use --device cpu"
        )
    return torch.device(name)


def _gpu_there() -> bool:
    """In a notebook this leaves the driver asleep: the processes that `notebook_launcher` forks could not use it."""
    return torch.cuda.device_count() > 0 if "ipykernel" in sys.modules else torch.cuda.is_available()


def resolve_arithmetic(name: str, device: torch.device) -> str:
    """The number type of the first two layers; "auto" is bfloat16 where the device is good at it."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.get_device_capability() >= (8, 0) else "float16"
    if device.type == "cpu" and _bfloat16_pays():
        return "bfloat16"
    return "float32"


def _bfloat16_pays() -> bool:
    """Times a product of matrices in both: processors without AVX-512 BF16 or AMX are ten times slower in bfloat16."""

    def seconds(dtype) -> float:
        left = torch.ones(256, 256, dtype=dtype)
        times = []
        for _ in range(5):
            start = time.perf_counter()
            left @ left
            times.append(time.perf_counter() - start)
        return min(times)

    return seconds(torch.bfloat16) < 0.8 * seconds(torch.float32)


def describe_device(device: torch.device) -> str:
    """The machine in a few words, for the config and the cards."""
    if device.type == "cuda" and "ipykernel" in sys.modules and not torch.cuda.is_initialized():  # leave it so
        from accelerate.utils import get_gpu_info

        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return get_gpu_info()[0][0]
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"{device.type}, {os.cpu_count()} cores, {processor_name()}"


def processor_name() -> str:
    """Its model, where the system tells; its kind elsewhere."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def package_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("srcnn_lib", "torch", "torchvision", "numpy", "pillow"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
