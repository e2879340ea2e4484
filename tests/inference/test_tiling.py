"""The size of tiles, and how it is reduced when a GPU runs out of memory."""

import pytest
import torch

from srcnn_lib.inference import tiling
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.inference.tiling import LONGEST, SMALLEST, TileSize, tile_for
from srcnn_lib.inference.upscaling import reconstruct
from srcnn_lib.model import SRCNN
from srcnn_lib.runtime import memory

EXACT = InferenceOptions(arithmetic="exact")  # by plain convolutions, on a CPU too


def _network(widths=(4, 3), kind=SRCNN):
    torch.manual_seed(0)
    if kind is SmallGPU:
        SmallGPU.sides = []  # of the class, because a copy of the network is run
    return kind(1, (5, 3, 3), widths).eval()


class SmallGPU(SRCNN):
    """A network on a GPU with memory for inputs of up to `capacity` pixels per side."""

    capacity = 60

    def run_layers(self, images):
        self.sides.append(max(images.shape[-2:]))
        if max(images.shape[-2:]) > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().run_layers(images)


@pytest.mark.parametrize("widths", [(64, 32), (128, 64), (8, 200), (512, 256)])
def test_the_feature_maps_of_a_tile_stay_within_their_memory_budget(widths):
    model = SRCNN(3, widths=widths)
    most = 4 * max(2 * widths[0], widths[0] + 2 * widths[1])  # bytes a pixel
    assert 0.8 * tiling.CPU_BYTES < (tile_for(model) + 2 * model.halo) ** 2 * most <= tiling.CPU_BYTES


def test_tiles_of_a_narrow_network_are_limited_too():
    assert tile_for(SRCNN(3, widths=(1, 1))) == LONGEST


def test_tiles_are_smaller_when_memory_is_short(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 16 * 2**20)
    model = SRCNN(3, widths=(64, 32))
    assert (tile_for(model) + 2 * model.halo) ** 2 * 512 <= 4 * 2**20


def test_a_tile_beyond_a_gpus_memory_is_halved_for_good_with_one_message():
    model, image, messages = _network(kind=SmallGPU), torch.rand(1, 150, 210), []
    shared = TileSize(model, 200, messages.append)
    result = reconstruct(image, model, EXACT, tile_size=shared)
    assert (result - _network()(image[None])[0]).abs().max() < 1e-5
    assert shared.side == 37  # 150, 75, 37: with their halo 158, 83, 45
    assert len(messages) == 1
    assert "GPU" in messages[0]
    failures = sum(side > model.capacity for side in model.sides)
    assert failures == 2  # at a whole and at a half of the tile, and never again
    reconstruct(image, model, EXACT, tile_size=shared)
    assert sum(side > model.capacity for side in model.sides) == failures
    assert len(messages) == 1


def test_without_a_shared_tile_size_the_message_is_a_warning():
    with pytest.warns(UserWarning, match="the GPU has no memory for tiles of 100 pixels"):
        reconstruct(torch.rand(1, 100, 90), _network(kind=SmallGPU), InferenceOptions(tile=200, arithmetic="exact"))


def test_a_gpu_without_memory_for_the_smallest_tile_is_an_error():
    model = _network(kind=SmallGPU)
    model.capacity = 5
    with pytest.raises(torch.OutOfMemoryError), pytest.warns(UserWarning, match="no memory"):
        reconstruct(torch.rand(1, 80, 80), model, EXACT)
    assert min(model.sides) <= SMALLEST + 2 * model.halo


def test_an_error_other_than_a_lack_of_memory_is_raised_at_once(monkeypatch):
    model, calls = _network(), []
    monkeypatch.setattr(model, "run_layers", lambda crop: calls.append(crop) or torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        reconstruct(torch.rand(1, 80, 80), model, EXACT)
    assert len(calls) == 1
