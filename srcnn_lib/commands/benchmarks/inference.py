"""Inference: our passes over a whole picture beside plain PyTorch, ONNX Runtime and OpenVINO, where installed."""

import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...errors import InputError
from ...inference.options import InferenceOptions
from ...inference.upscaling import reconstruct
from ...model import SRCNN
from ...onnx_file import export_onnx
from ...runtime.devices import resolve_device
from ..options import check_choice
from .timing import example_image, example_network, heading, matrix_rates

OURS = "ours"


def benchmark_inference(
    sizes: Sequence[int] = (256, 1024), channels: int = 1, widths: Sequence[int] = (64, 32), turns: int = 7,
    device: str = "auto", only: Sequence[str] | None = None,
) -> list[str]:  # fmt: skip
    """Times a pass over a whole picture: `reconstruct`, PyTorch's own convolutions, and exports of the network.

    The contestants run strictly in turn. The ratio is the median over the turns of their time divided by ours in the
    same turn, so that other work on the machine matters little. With one thread, CPU time is measured.

    Args:
        sizes: sides of the square pictures in pixels.
        channels, widths: of the network.
        turns: of each contestant, after one to warm up.
        device: as in TrainingConfig.
        only: the contestants besides ours; None for all.

    Returns:
        The lines to print.

    Raises:
        InputError: an unknown contestant.
    """
    torch_device = resolve_device(device)
    model = example_network(channels, widths, torch_device)
    threads = torch.get_num_threads()
    clock = "CPU seconds" if torch_device.type == "cpu" and threads == 1 else "seconds"
    lines = [
        *heading(torch_device, matrix_rates(torch_device)),
        f"{channels} channel{'s' if channels > 1 else ''}, {widths[0]}-{widths[1]}, float32 unless it says otherwise; "
        f"{threads} thread{'s' if threads > 1 else ''}; medians of {turns} turns",
        "",
        f"| picture | contestant | {clock} | time relative to ours |",
        "|---|---|---|---|",
    ]
    for size in sizes:
        image = example_image(size, channels)
        contestants, absent = _contestants(model, image, threads)
        for name in only or ():
            check_choice("only", name, (*contestants, *absent))
        if only is not None:
            contestants = {name: run for name, run in contestants.items() if name in (OURS, *only)}
        times = _paired_times(contestants, turns, clock == "CPU seconds", torch_device)
        for name, seconds in times.items():
            ratio = statistics.median(other / ours for other, ours in zip(seconds, times[OURS], strict=True))
            lines.append(f"| {size}×{size} | {name} | {statistics.median(seconds):.3f} | {ratio:.2f} |")
    return [*lines, *[""] * bool(absent), *(f"{name} is not installed: pip install {name}" for name in absent)]


def _contestants(model: SRCNN, image: Tensor, threads: int) -> tuple[dict[str, Callable[[], object]], list[str]]:
    """Returns what runs the network over the image, by name; and the packages that are not installed."""
    moved = image.to(model.layer_1.weight.device)[None]
    last = moved.contiguous(memory_format=torch.channels_last)

    @torch.inference_mode()
    def plain(picture: Tensor) -> Tensor:
        return model(picture)

    contestants: dict[str, Callable[[], object]] = {
        OURS: lambda: reconstruct(image, model),
        "ours, exact": lambda: reconstruct(image, model, InferenceOptions(arithmetic="exact")),
        "ours, bfloat16": lambda: reconstruct(image, model, InferenceOptions(arithmetic="bfloat16")),
        "PyTorch": lambda: plain(moved),
        "PyTorch, channels_last": lambda: plain(last),
    }
    absent = []
    with tempfile.TemporaryDirectory() as folder:
        for package, load in (("onnxruntime", _onnx_runtime), ("openvino", _openvino)):
            try:
                importlib.import_module(package)
                path = export_onnx(model.cpu(), Path(folder, "network.onnx"))
            except (ImportError, InputError):
                absent.append(package)
                continue
            finally:
                model.to(moved.device)
            contestants[package] = load(path, image, threads)
    return contestants, absent


def _onnx_runtime(path: Path, image: Tensor, threads: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it would take our thread's core
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    picture = image[None].numpy()
    return lambda: session.run(None, {"bicubic": picture})


def _openvino(path: Path, image: Tensor, threads: int) -> Callable[[], object]:
    import openvino

    core = openvino.Core()
    network = core.read_model(os.fspath(path))
    network.reshape([1, *image.shape])
    options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(network, "CPU", options)
    picture = image[None].numpy()
    return lambda: compiled([picture])


def _paired_times(
    contestants: dict[str, Callable[[], object]], turns: int, cpu_time: bool, device: torch.device
) -> dict[str, list[float]]:
    """Returns the seconds of each turn, by contestant; in each turn every contestant runs once."""
    clock = time.process_time if cpu_time else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(turns + 1):
        for name, run in contestants.items():
            began = clock()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn:  # the first one warms up
                times[name].append(clock() - began)
    return times
