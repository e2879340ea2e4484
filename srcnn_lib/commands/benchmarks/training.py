"""Training: ours compared with plain PyTorch as notebooks usually write it, and with the machine's matrix rate."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.transforms import InterpolationMode, functional

from ...config import TrainingConfig
from ...data.augmentation import TILE, TenCrops, tile_positions
from ...data.degradation import degrade
from ...data.sources import load_photographs
from ...data.training_data import TrainingData, load_training_data
from ...model import SRCNN
from ...runtime.devices import resolve_arithmetic, resolve_device
from ...training import filtered_convolution
from ...training.filtered_convolution import FilteredConvolution
from ...training.state import TrainingState
from .timing import Contestant, heading, matrix_rates, rate_of, time_in_turn

ENDLESS = 10**6  # steps: no benchmark reaches the end of its training


def benchmark_train(
    steps: int = 3, device: str = "auto", channels: int = 1, widths: Sequence[int] = (64, 32), *,
    tiles_per_step: int = 128, plain_widths: Sequence[int] = (128, 64), best_steps: int = 100,
) -> list[str]:  # fmt: skip
    """Times training in plain PyTorch and with this library.

    Args:
        steps: that each contestant takes with the original's recipe.
        device: as in TrainingConfig.
        channels, widths: of the network that is trained with recipe best for `best_steps`.
        tiles_per_step: of the original's recipe, ten crops each.
        plain_widths: of the RGB network that is trained with the original's recipe.
        best_steps: steps of recipe best.

    Returns:
        The lines to print.
    """
    torch_device = resolve_device(device)
    rates = matrix_rates(torch_device)
    return [
        *heading(torch_device, rates),
        "",
        *_recipe_original(steps, torch_device, tiles_per_step, plain_widths, rates),
        "",
        *_recipe_best(best_steps, device, channels, widths, rates),
        *(_layer_2(channels, widths, turns=best_steps) if torch_device.type == "cpu" else []),
        f"start-up: {start_up_seconds(device):.1f} s for a new interpreter to import the library and take one step on "
        "the samples",
    ]


def _recipe_original(
    steps: int, device: torch.device, tiles_per_step: int, widths: Sequence[int], rates: dict[str, float]
) -> list[str]:
    """Times the original's recipe: plain, and ours in float32 and in the device's best number type."""
    tiles = example_tiles(tiles_per_step * steps)
    # One turn each: the workers of the plain training would prepare its next crops while ours is timed.
    plain = PlainTraining(tiles, tiles_per_step, widths)
    plain_speed = _crops_per_second(plain)
    rows = [("the plain way, end to end", "float32", plain_speed)]
    for arithmetic in dict.fromkeys(("float32", resolve_arithmetic("auto", device))):
        ours = OurTraining(tiles, steps, 10 * tiles_per_step, widths, arithmetic, device)
        rows.append((f"ours, {arithmetic}", arithmetic, _crops_per_second(ours)))
    needed = step_multiply_adds(ours.state.model, 1, ours.state.config.patch)
    return [
        f"RGB, 9-5-5, {widths[0]}-{widths[1]}, 33×33 zero-padded crops, {10 * tiles_per_step:,} a step, Adam 1e-4, the "
        "same tiles, one after the other:",
        f"{'':34} {'crops/s':>8} {'× plain':>8} {'of the matrix rate':>19}",
        *(
            f"{name:34} {speed:8.1f} {speed / plain_speed:8.2f} {needed * speed / rate_of(rates, arithmetic):19.0%}"
            for name, arithmetic, speed in rows
        ),
    ]


def _recipe_best(steps: int, device: str, channels: int, widths: Sequence[int], rates: dict[str, float]) -> list[str]:
    """Times recipe best on the sample photographs: the median of a step, and of preparing its crops."""
    config = TrainingConfig.of(data=("samples",), channels=channels, widths=tuple(widths), steps=ENDLESS, device=device)
    state = TrainingState(config, load_training_data(config))
    step_times, preparation_times = [], []
    for _ in range(steps):
        began = time.perf_counter()
        crops = state.next_batch()
        preparation_times.append(time.perf_counter() - began)
        state.take_step(*crops).item()  # .item() waits for the device
        step_times.append(time.perf_counter() - began)
    seconds = statistics.median(step_times)
    preparation = statistics.median(preparation_times)
    needed = step_multiply_adds(state.model, config.batch_size, config.patch)
    color = "Y" if channels == 1 else "RGB"
    return [
        f"recipe best, {color}, 9-5-5, {widths[0]}-{widths[1]}, {config.batch_size} crops a step, {state.arithmetic}: "
        f"{config.batch_size / seconds:.0f} crops/s, {seconds * 1000:.1f} ms a step,",
        f"  of it {preparation / seconds:.1%} for preparing the crops; {needed / 1e9:.2f} G multiply-adds a step are "
        f"{needed / seconds / rate_of(rates, state.arithmetic):.0%} of the matrix rate",
    ]


def _layer_2(channels: int, widths: Sequence[int], turns: int) -> list[str]:
    """Times layer 2 of a step of recipe best, forward and backward, on a CPU: by minimal filtering, and by torch."""
    config = TrainingConfig.of(channels=channels, widths=tuple(widths))
    direct = SRCNN(channels, config.filters, widths).layer_2
    side = config.patch + sum(config.filters[1:]) - 2
    maps = torch.rand(config.batch_size, widths[0], side, side).contiguous(memory_format=torch.channels_last)
    maps.requires_grad_()

    def learn(layer: torch.nn.Module, in_16_bits: bool) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=in_16_bits):
            output = layer(maps)
        output.backward(torch.ones_like(output))

    filtered = FilteredConvolution(direct)
    contestants = [
        Contestant("minimal filtering, float32", lambda: learn(filtered, False)),
        Contestant("torch, float32", lambda: learn(direct, False)),
        Contestant("torch, bfloat16", lambda: learn(direct, True)),
    ]
    seconds = time_in_turn(contestants, max(1, turns // 4), torch.device("cpu"))
    times = ", ".join(f"{name} {1000 * seconds[name]:.1f} ms" for name in seconds)
    used = "" if filtered_convolution.pays(direct) else "; with so few channels torch's is used"
    return [f"  layer 2, {widths[0]}-{widths[1]}, forward and backward: {times}{used}"]


class PlainTraining:
    """Training as notebooks usually write it: PIL transforms in two DataLoaders that are zipped, float32, NCHW.

    Args:
        tiles: (N, 3, 96, 96) in [0, 1].
        tiles_per_step: of which ten crops each make a batch.
        widths: of the network, which is 9-5-5 and RGB.
        scale: a whole number.
    """

    def __init__(self, tiles: Tensor, tiles_per_step: int, widths: Sequence[int], scale: int = 2):
        first, second = widths
        self.model = torch.nn.Sequential(
            torch.nn.Conv2d(3, first, 9, padding=4),
            torch.nn.ReLU(),
            torch.nn.Conv2d(first, second, 5, padding=2),
            torch.nn.ReLU(),
            torch.nn.Conv2d(second, 3, 5, padding=2),
        )
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-4)
        # One worker each. They are forked, because spawning would include the time of their imports.
        context = "fork" if os.name == "posix" else None
        self.low_resolution, self.high_resolution = (
            DataLoader(dataset, batch_size=tiles_per_step, num_workers=1, multiprocessing_context=context)
            for dataset in (PlainTiles(tiles, scale), PlainTiles(tiles, 1))
        )
        self.take_step(torch.zeros(10, 3, 33, 33), torch.zeros(10, 3, 33, 33))  # warms up

    def run(self) -> int:
        """Takes a step on each batch, from starting the workers to their end; returns the number of crops."""
        crops = 0
        for low, high in zip(self.low_resolution, self.high_resolution, strict=True):  # (tiles, 10, 3, 33, 33) each
            self.take_step(low.flatten(0, 1), high.flatten(0, 1))  # (10 · tiles, 3, 33, 33) each
            crops += 10 * len(low)
        return crops

    def take_step(self, low: Tensor, high: Tensor) -> None:
        """Takes one step on crops, (B, 3, 33, 33) each."""
        loss = torch.nn.functional.mse_loss(self.model(low), high)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        loss.item()


class PlainTiles(Dataset):
    """Ten crops of each tile by PIL transforms, (10, 3, 33, 33).

    Args:
        tiles: (N, 3, 96, 96) in [0, 1].
        scale: by which a tile is first downscaled and upscaled again; 1 for not at all.
    """

    def __init__(self, tiles: Tensor, scale: int):
        self.tiles = [functional.to_pil_image(tile) for tile in tiles]
        sides = (TILE // scale, TILE) if scale > 1 else ()
        resizes = [transforms.Resize(side, interpolation=InterpolationMode.BICUBIC) for side in sides]
        to_tensors = transforms.Lambda(lambda crops: torch.stack([functional.to_tensor(crop) for crop in crops]))
        self.transform = transforms.Compose([*resizes, transforms.TenCrop(33), to_tensors])

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.tiles[index])


class OurTraining:
    """The original's recipe with this library, on the same tiles and with as many crops per step."""

    def __init__(
        self, tiles: Tensor, steps: int, batch_size: int, widths: Sequence[int], arithmetic: str, device: torch.device
    ):
        config = TrainingConfig.of(
            "original", steps=ENDLESS, widths=tuple(widths), batch_size=batch_size, arithmetic=arithmetic,
            device=device.type,
        )  # fmt: skip
        crops = TenCrops([torch.cat(degrade(tile, 2)) for tile in tiles], config.crop, margin=0, seed=0)
        # A step needs the crops and nothing else of the data.
        self.state = TrainingState(config, TrainingData(crops, None, None, None, {}))  # type: ignore[arg-type]
        self.steps = steps
        self.take_step()  # warms up

    def run(self) -> int:
        """Takes the steps; returns the number of crops."""
        return sum(self.take_step() for _ in range(self.steps))

    def take_step(self) -> int:
        """Takes one step and waits for it; returns the number of its crops."""
        crops = self.state.next_batch()
        self.state.take_step(*crops).item()
        return len(crops[0])


def _crops_per_second(training: PlainTraining | OurTraining) -> float:
    began = time.perf_counter()
    crops = training.run()
    return crops / (time.perf_counter() - began)


def example_tiles(count: int) -> Tensor:
    """Returns tiles of the sample photographs, (count, 3, 96, 96), repeated where there are fewer."""
    tiles = []
    for photograph in load_photographs("samples"):
        pixels = photograph.pixels.expand(3, -1, -1)  # some are gray
        for top, left in tile_positions(*pixels.shape[-2:]):
            tiles.append(pixels[:, top : top + TILE, left : left + TILE])
    return torch.stack([tiles[index % len(tiles)] for index in range(count)])


def step_multiply_adds(model: SRCNN, crops: int, patch: int) -> float:
    """Computes the multiply-adds of a training step: the forward pass and the gradients.

    Each layer computes its output, the gradient of its weights, and (except for the first) that of its input. Networks
    padded with zeros compute `patch` rows in every layer; valid convolutions also those that later layers crop.
    """
    total = 0.0
    for layer, surplus in zip(model.layers(), model.surplus, strict=True):
        products = (patch + 2 * surplus) ** 2 * layer.weight.numel()
        total += crops * products * (2 if layer is model.layer_1 else 3)
    return total


# The code that a new interpreter runs for the start-up time.
FIRST_STEP = """
from srcnn_lib import TrainingConfig, fit
config = TrainingConfig.of(data=("samples",), channels=1, widths=(64, 32), steps=1, device={device!r})
for _ in fit(config):
    pass
"""


def start_up_seconds(device: str) -> float:
    """Times a new interpreter from its start to the end of its first step with recipe best on the samples."""
    checkout = str(Path(__file__).parents[3])
    paths = [checkout, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", FIRST_STEP.format(device=device)]
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began
