"""Timings: each contestant in turn on the same input, a ratio between them, and the machine's own ceiling beside it.

A second is worth little on a machine that others share, so contestants take turns and the best turn of each counts.
"""

import gc
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ..config import TrainingConfig
from ..data import training_data
from ..data.augmentation import TILE, TenCrops, tile_places
from ..data.color import luminance
from ..data.degradation import degrade
from ..data.sources import load_photographs
from ..evaluation.quality import evaluate, score
from ..inference import upscaling
from ..model import SRCNN, start_from_identity
from ..runtime import devices
from ..runtime.devices import processor
from ..training import trainer
from ..visualization import figures

SIDE, CUDA_SIDE = 2048, 8192  # of the matrices whose product says what the machine can do
SMALL, LONGEST = 256, 2.0  # side where that product would take more than so many seconds


@dataclass(frozen=True)
class Timing:
    """A contestant and its best turn."""

    name: str
    seconds: float
    note: str = ""


def machine(device: torch.device | None = None) -> str:
    """The machine in one line."""
    device = device or devices.device_of("auto")
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"{processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def in_turn(contestants: dict[str, Callable[[], object]], turns: int, device: torch.device) -> dict[str, float]:
    """The best of `turns` turns of each, in seconds; the first turn, unless it is the only one, warms up."""
    best = dict.fromkeys(contestants, math.inf)
    for turn in range(turns + (turns > 1)):
        for name, contestant in contestants.items():
            began = time.perf_counter()
            contestant()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn or turns == 1:
                best[name] = min(best[name], time.perf_counter() - began)
    return best


def matrix_rates(device: torch.device, turns: int = 5) -> dict[str, float]:
    """Multiply-adds a second of a large matrix product, {"float32", "bfloat16"}: what nothing here can beat by far."""
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")
        side = CUDA_SIDE if device.type == "cuda" else SIDE
        small = min(SMALL, side)
        # Without the instructions for it, bfloat16 is so slow that the large product would take minutes.
        if _seconds_of_product(small, dtype, 2, device) * (side / small) ** 3 > LONGEST:
            side = small
        rates[name] = side**3 / _seconds_of_product(side, dtype, turns, device)
    return rates


def _seconds_of_product(side: int, dtype: torch.dtype, turns: int, device: torch.device) -> float:
    left, right = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    return in_turn({"product": lambda: left @ right}, turns, device)["product"]


def _heading(place: torch.device, rates: dict[str, float]) -> list[str]:
    """The machine, and the ceiling that it had in this very run."""
    gigaflops = " and ".join(f"{2 * rate / 1e9:.0f} GFLOPS in {name}" for name, rate in rates.items())
    return [machine(place), f"a matrix product: {gigaflops}"]


def _ceiling(rates: dict[str, float], arithmetic: str) -> float:
    """The rate of the number type; float16's is taken to be bfloat16's."""
    return rates.get(arithmetic, rates["bfloat16"])


def multiply_adds(model: SRCNN, crops: int, patch: int) -> float:
    """What a training step needs: forward, the gradient of the weights, and of all inputs but the picture's.

    Zero-padded networks compute `patch` rows in every layer; valid ones `patch` and what the later layers take away.
    """
    total = 0.0
    for number, layer in enumerate(model.layers()):
        later = sum(size - 1 for size in model.filters[number + 1 :]) if model.padding_mode == "replicate" else 0
        products = (patch + later) ** 2 * layer.weight.numel()
        total += crops * products * (2 if number == 0 else 3)
    return total


# Overlapping patches


def overlap_contestants(model: SRCNN, image: Tensor, patch: int, patches: int) -> dict[str, Callable[[], object]]:
    """What `overlapping` competes with: every patch in batches, and one patch a pass with gradients, as the original.

    The two others run `patches` of the picture's patches; their time is scaled by the count.
    """
    windows = image.unfold(1, patch, 1).unfold(2, patch, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    chosen = windows[torch.linspace(0, len(windows) - 1, patches).long()]
    few = chosen[: max(1, patches // 32)]

    def batched(size: int):
        with torch.inference_mode():
            for start in range(0, len(chosen), size):
                model(chosen[start : start + size])

    def alone():
        for one in few:
            model(one[None])
            gc.collect()

    contestants = {f"batches of {size}": (lambda size=size: batched(size)) for size in (4, 8, 16, 32, 64)}
    return {**contestants, "the original's loop": alone}


def benchmark_overlap(
    size: int = 256, channels: int = 3, widths: Sequence[int] = (128, 64), patch: int = 33, patches: int = 256,
    turns: int = 3, device: str = "auto",
) -> list[str]:  # fmt: skip
    """The lines of the benchmark of overlapping patches."""
    place = devices.device_of(device)
    torch.manual_seed(0)
    model = start_from_identity(SRCNN(channels, widths=tuple(widths))).to(place).eval()
    image = _picture(size, channels)
    count = (size - patch + 1) ** 2
    rates = matrix_rates(place)
    rate = rates["float32"]
    on_device = image.to(place)
    others = overlap_contestants(model, on_device, patch, patches)
    contestants = {
        "overlapping, exact": lambda: upscaling.reconstruct(image, model, "overlapping", patch=patch),
        "whole": lambda: upscaling.reconstruct(image, model),
        "non-overlapping": lambda: upscaling.reconstruct(image, model, "non-overlapping", patch=patch),
        **others,
    }
    seconds = in_turn(contestants, turns, place)
    for name in others:
        done = max(1, patches // 32) if name == "the original's loop" else patches
        seconds[name] *= count / done
    batched = min((name for name in others if name != "the original's loop"), key=seconds.get)
    ours = seconds["overlapping, exact"]
    alone = count * _counted(lambda: model(on_device[None, :, :patch, :patch]))
    needed = _counted(contestants["overlapping, exact"])
    lines = [
        *_heading(place, rates),
        f"{size}×{size}, {channels} channel{'s' * (channels > 1)}, {widths[0]}-{widths[1]}, {count:,} patches of "
        f"{patch}×{patch}; float32; best of {turns} turns",
        "",
        f"{'':34} {'seconds':>9} {'× ours':>9}",
    ]
    shown = {
        "overlapping, exact": "overlapping, exact",
        f"every patch, {batched}": batched,
        "every patch, the original's loop": "the original's loop",
        "whole": "whole",
        "non-overlapping": "non-overlapping",
    }
    lines += [f"{label:34} {seconds[name]:9.2f} {seconds[name] / ours:9.2f}" for label, name in shown.items()]
    return [
        *lines,
        "",
        f"multiply-adds: {alone / 1e9:,.0f} G for every patch alone, {needed / 1e9:,.0f} G here ({alone / needed:.1f} "
        f"times fewer); here at {needed / ours / rate:.0%} of the matrix rate, the batches at "
        f"{alone / seconds[batched] / rate:.0%}",
        f"the batches' and the loop's time is that of {patches} and {max(1, patches // 32)} patches, scaled by their "
        "count",
    ]


def _counted(work: Callable[[], object]) -> float:
    """Multiply-adds of all convolutions and matrix products that the work comes to."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops() / 2


def benchmark_strides(model: SRCNN, source: str = "set5", strides: Sequence[int] = (16, 8, 4, 1)) -> list[str]:
    """Time and quality of the ways to run a network over a set of photographs; only the network is timed."""
    place = model.layer_1.weight.device
    degraded = [degrade(photograph.pixels, model.scale) for photograph in load_photographs(source)]
    given = [luminance(low) if model.channels == 1 else low.expand(3, -1, -1) for low, _ in degraded]
    originals = [luminance(original) for _, original in degraded]
    ways = {"whole": {}, "non-overlapping": {"mode": "non-overlapping"}}
    ways |= {f"overlapping, stride {stride}": {"mode": "overlapping", "stride": stride} for stride in strides}
    made = {}

    def reconstruct_all(name: str):
        made[name] = [upscaling.reconstruct(picture, model, **ways[name]) for picture in given]

    contestants = {name: (lambda name=name: reconstruct_all(name)) for name in ways}
    quick = {name: contestants.pop(name) for name in ("whole", "non-overlapping")}
    seconds = in_turn(quick, 3, place) | in_turn(contestants, 1, place)
    lines = [
        *_heading(place, matrix_rates(place)),
        f"the network alone; whole and non-overlapping: best of 3 turns, overlapping: one; {source}, ×{model.scale:g}",
        "",
        f"{'':24} {'seconds':>9} {'× whole':>9} {'PSNR Y':>8} {'SSIM Y':>8}",
    ]
    for name in ways:
        scores = [
            score({"y": y, "rgb": y}, {"y": original, "rgb": original}, model.scale)  # in color it is not shown
            for y, original in zip(map(luminance, made[name]), originals, strict=True)
        ]
        psnr, ssim = (statistics.mean(one[figure] for one in scores) for figure in ("psnr_y", "ssim_y"))
        lines.append(f"{name:24} {seconds[name]:9.2f} {seconds[name] / seconds['whole']:9.2f} {psnr:8.2f} {ssim:8.4f}")
    return lines


def _picture(size: int, channels: int) -> Tensor:
    """A square of the astronaut, (channels, size, size): repeated where it is larger than the photograph."""
    image = load_photographs("samples:astronaut")[0].pixels
    times = -(-size // min(image.shape[-2:]))
    image = image.repeat(1, times, times)[:, :size, :size]
    return luminance(image) if channels == 1 else image.contiguous()


# Training


def benchmark_train(
    steps: int = 3, device: str = "auto", channels: int = 1, widths: Sequence[int] = (64, 32), *,
    per_step: int = 128, plain_widths: Sequence[int] = (128, 64), best_steps: int = 100,
) -> list[str]:  # fmt: skip
    """The lines of the benchmark of training: the plain way against ours, and ours against the machine's ceiling.

    Args:
        steps: that each contestant takes with the original's recipe.
        channels, widths: of the network that recipe best trains, for `best_steps`.
        per_step: tiles a step of the original's recipe, ten crops each.
        plain_widths: of its network, which is RGB.
    """
    place = devices.device_of(device)
    rates = matrix_rates(place)
    lines = [
        *_heading(place, rates),
        "",
        f"RGB, 9-5-5, {plain_widths[0]}-{plain_widths[1]}, 33×33 zero-padded crops, {10 * per_step:,} a step, Adam "
        "1e-4, the same tiles, one after the other:",
        f"{'':34} {'crops/s':>8} {'× plain':>8} {'of the matrix rate':>19}",
    ]
    tiles = _tiles(per_step * steps)
    # The plain way's workers would prepare its next crops while another is timed: it is over before ours begins.
    plain = _crops_a_second(PlainWay(tiles, per_step, plain_widths).steps)
    speeds = {("the plain way, end to end", "float32"): plain}
    common = {"widths": tuple(plain_widths), "batch": 10 * per_step, "device": place.type}
    for arithmetic in dict.fromkeys(("float32", devices.arithmetic_of("auto", place))):
        learning = _state(tiles, arithmetic=arithmetic, **common)
        _step(learning)  # warms up
        ours = lambda learning=learning: sum(_step(learning) for _ in range(steps))  # noqa: E731
        speeds[f"ours, {arithmetic}", arithmetic] = _crops_a_second(ours)
    needed = multiply_adds(learning.model, 1, learning.config.patch)
    for (name, arithmetic), speed in speeds.items():
        share = needed * speed / _ceiling(rates, arithmetic)
        lines.append(f"{name:34} {speed:8.1f} {speed / plain:8.2f} {share:19.0%}")

    config = TrainingConfig.of(data=("samples",), channels=channels, widths=tuple(widths), steps=10**6, device=device)
    learning = trainer.State(config, training_data.load_training_data(config))
    taken, prepared = _median_seconds(learning, best_steps)
    needed = multiply_adds(learning.model, config.batch_size, config.patch)
    rate = _ceiling(rates, learning.arithmetic)
    return [
        *lines,
        "",
        f"recipe best, {'Y' if channels == 1 else 'RGB'}, 9-5-5, {widths[0]}-{widths[1]}, {config.batch_size} crops a "
        f"step, {learning.arithmetic}: {config.batch_size / taken:.0f} crops/s, {taken * 1000:.1f} ms a step,",
        f"  of it {prepared / taken:.1%} for preparing the crops; {needed / 1e9:.2f} G multiply-adds a step are "
        f"{needed / taken / rate:.0%} of the matrix rate",
        f"start-up: {_start_up(device):.1f} s for a new interpreter to import the library and take one step on "
        "the samples",
    ]


def _crops_a_second(contestant: Callable[[], int]) -> float:
    began = time.perf_counter()
    return contestant() / (time.perf_counter() - began)


def _start_up(device: str) -> float:
    """Seconds from starting an interpreter to the end of its first step of recipe best, on the samples."""
    code = (
        "from srcnn_lib import Settings, fit\n"
        "settings = Settings.of('best', data=('samples',), channels=1, widths=(64, 32), steps=1, device="
        f"{device!r})\nfor _ in fit(settings): pass"
    )
    paths = filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


class PlainWay:
    """Training as notebooks usually write it: PIL transforms in two DataLoaders that are zipped, float32, NCHW."""

    def __init__(self, tiles: Tensor, per_step: int, widths: Sequence[int], scale: int = 2):
        from torch.utils.data import DataLoader

        zeros = [
            torch.nn.Conv2d(inputs, outputs, size, padding=size // 2)
            for inputs, outputs, size in zip((3, *widths), (*widths, 3), (9, 5, 5), strict=True)
        ]
        self.model = torch.nn.Sequential(zeros[0], torch.nn.ReLU(), zeros[1], torch.nn.ReLU(), zeros[2])
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        # One worker each, forked: spawning would time the imports.
        context = "fork" if os.name == "posix" else None
        options = {"batch_size": per_step, "num_workers": 1, "multiprocessing_context": context}
        low, high = PlainTiles(tiles, scale), PlainTiles(tiles, 1)
        self.low, self.high = DataLoader(low, **options), DataLoader(high, **options)
        self.learn(*(torch.zeros(10, 3, 33, 33) for _ in range(2)))  # warms up

    def steps(self) -> int:
        """A step on each batch of the tiles, its workers begun and ended; returns how many crops that took."""
        crops = 0
        for low, high in zip(self.low, self.high, strict=True):  # (per_step, 10, 3, 33, 33) each
            crops += self.learn(low.flatten(0, 1), high.flatten(0, 1))  # (10 · per_step, 3, 33, 33) each
        return crops

    def learn(self, low: Tensor, high: Tensor) -> int:
        """One step on these crops, (B, 3, 33, 33) each; returns how many they are."""
        loss = torch.nn.functional.mse_loss(self.model(low), high)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        loss.item()
        return len(low)


class PlainTiles(torch.utils.data.Dataset):
    """Ten crops of each tile, from PIL and back; reduced by `scale` and enlarged again first."""

    def __init__(self, tiles: Tensor, scale: int):
        from torchvision import transforms
        from torchvision.transforms import InterpolationMode, functional

        self.tiles = [functional.to_pil_image(tile) for tile in tiles]
        bicubic = {"interpolation": InterpolationMode.BICUBIC}
        reduced = [transforms.Resize(TILE // scale, **bicubic), transforms.Resize(TILE, **bicubic)] if scale > 1 else []
        as_tensors = transforms.Lambda(lambda crops: torch.stack([functional.to_tensor(crop) for crop in crops]))
        self.transform = transforms.Compose([*reduced, transforms.TenCrop(33), as_tensors])

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.tiles[index])


def _tiles(count: int) -> Tensor:
    """(count, 3, 96, 96): tiles of the sample photographs, again and again."""
    tiles = []
    for picture in load_photographs("samples"):
        for top, left in tile_places(*picture.pixels.shape[-2:]):
            tiles.append(picture.pixels[:, top : top + TILE, left : left + TILE])
    return torch.stack([tiles[index % len(tiles)] for index in range(count)])


def _state(tiles: Tensor, **given) -> trainer.State:
    """Ours, about to train with the original's recipe on the tiles."""
    config = TrainingConfig.of("original", steps=10**6, **given)
    crops = TenCrops([torch.cat(degrade(tile, 2)) for tile in tiles], config.crop, 0, 0)
    return trainer.State(config, training_data.TrainingData(crops, None, None, None, {}))


def _step(learning: trainer.State) -> int:
    epoch, start, stop = learning.place()
    learning.take_step(*learning.data.train.batch(epoch, start, stop)).item()
    return stop - start


def _median_seconds(learning: trainer.State, steps: int) -> tuple[float, float]:
    """The median of a step, and of preparing its crops, which is part of it."""
    whole, preparing = [], []
    for _ in range(steps):
        began = time.perf_counter()
        crops = learning.data.train.batch(*learning.place())
        preparing.append(time.perf_counter() - began)
        learning.take_step(*crops).item()
        whole.append(time.perf_counter() - began)
    return statistics.median(whole), statistics.median(preparing)


# Quality against time

SET5 = {"bicubic": 33.69, "the paper's 9-1-5 (91 images)": 36.28, "the paper's 9-5-5 (ImageNet)": 36.66}  # ×2, Y


@dataclass(frozen=True)
class Learned:
    """What a recipe reaches: (seconds of training, dB on Y on the validation patches, weights) at growing times."""

    recipe: str
    points: list[tuple[float, float, dict]]
    model: SRCNN


def train_against_time(config: TrainingConfig, data: training_data.TrainingData, progress=None) -> Learned:
    """Train for `settings.minutes`, and measure on the way at times that grow by a quarter, the clock stopped."""
    began = time.perf_counter()
    learning = trainer.State(config, data)
    learning.steps = trainer.steps_in(learning, 60 * config.minutes)
    points, spent, due = [], time.perf_counter() - began, 4.0
    while learning.step < learning.steps:
        began = time.perf_counter()
        learning.take_step(*data.train.batch(*learning.place())).item()
        spent += time.perf_counter() - began
        if spent >= due or learning.step == learning.steps:
            decibels = trainer.measure(learning.averaged, data.validation_patches)["psnr_y"]
            weights = {name: tensor.clone() for name, tensor in learning.averaged.state_dict().items()}
            points.append((spent, decibels, weights))
            due = max(due, spent) * 1.25
        if progress:
            progress(learning.step, learning.steps)
    return Learned(config.recipe, points, learning.averaged)


def benchmark_quality(
    minutes: float = 12, recipes: Sequence[str] = ("best", "original"), out: str | Path | None = None, progress=None,
    **given,
) -> list[str]:  # fmt: skip
    """The lines of the benchmark of quality against time, and its plot into `out`.

    Recipes compete on validation photographs. Set5 is looked at when all is over, with the weights that were kept,
    and chooses nothing.
    """
    usual = {"data": ("t91", "bsds500"), "test": ("bsds500:validation",), "channels": 1, "widths": (64, 32)}
    place = devices.device_of(given.get("device", "auto"))
    lines, learned = _heading(place, matrix_rates(place)), []
    for recipe in recipes:
        config = TrainingConfig.of(recipe, **{**usual, "minutes": minutes, **given})
        data = training_data.load_training_data(config)
        told = (lambda done, total, recipe=recipe: progress(f"recipe {recipe}", done, total)) if progress else None
        learned.append(train_against_time(config, data, told))
        lines += ["", f"recipe {recipe}: {'minutes':>8} {'validation':>11}   PSNR on Y in dB, ×2"]
        lines += [f"{'':{len(recipe) + 8}} {at / 60:8.2f} {decibels:11.2f}" for at, decibels, _ in learned[-1].points]
    set5 = load_photographs("set5")
    # The plot wants all points; what is printed is the last one, whatever the others reached.
    curves = {one.recipe: _on_set5(one, one.points if out else one.points[-1:], set5) for one in learned}
    lines += ["", "Set5, measured after all training, of the last weights of each recipe; it chose nothing:"]
    lines += [f"recipe {recipe}: {points[-1][1]:.2f} dB on Y, ×2" for recipe, points in curves.items()]
    if out:
        lines.append(f"{out} shows Set5 at each of these times: computed afterwards as well, and it chose nothing")
        figures.save(figures.against_time(curves, SET5, title="Set5 ×2, PSNR on Y, dB"), out)
    return lines


def _on_set5(learned: Learned, points: Sequence[tuple[float, float, dict]], set5) -> list[tuple[float, float]]:
    """(minutes, PSNR on Y) of these points' weights."""
    measured = []
    for seconds, _, weights in points:
        learned.model.load_state_dict(weights)
        measured.append((seconds / 60, evaluate(learned.model, set5, set5.names)["srcnn"]["psnr_y"]))
    return measured
