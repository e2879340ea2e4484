"""How large tiles are, and what happens where a GPU has no memory for them."""

import pytest
import torch

from srcnn_lib.inference import tiling
from srcnn_lib.inference.tiling import LONGEST, SMALLEST, Tiles, tile_for
from srcnn_lib.inference.upscaling import reconstruct
from srcnn_lib.model import SRCNN
from srcnn_lib.runtime import memory


def _network(widths=(4, 3), kind=SRCNN):
    torch.manual_seed(0)
    return kind(1, (5, 3, 3), widths).eval()


class SmallGPU(SRCNN):
    """A network on a GPU that has memory for inputs of `room` pixels a side."""

    room, asked = 60, ()

    def valid(self, upsampled):
        self.asked = (*self.asked, max(upsampled.shape[-2:]))
        if max(upsampled.shape[-2:]) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().valid(upsampled)


@pytest.mark.parametrize("widths", [(64, 32), (128, 64), (8, 200), (512, 256)])
def test_feature_maps_of_a_tile_stay_within_their_bytes(widths):
    model = SRCNN(3, widths=widths)
    most = 4 * max(2 * widths[0], widths[0] + 2 * widths[1])  # bytes a pixel
    assert 0.8 * tiling.CPU_BYTES < (tile_for(model) + 2 * model.halo) ** 2 * most <= tiling.CPU_BYTES


def test_a_slim_networks_tiles_are_not_as_high_as_the_memory_of_a_band_allows():
    assert tile_for(SRCNN(3, widths=(1, 1))) == LONGEST


def test_where_memory_is_short_tiles_are_smaller(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 16 * 2**20)
    model = SRCNN(3, widths=(64, 32))
    assert (tile_for(model) + 2 * model.halo) ** 2 * 512 <= 4 * 2**20


def test_a_tile_beyond_a_gpus_memory_is_halved_for_good_and_that_is_said_once():
    model, image, said = _network(kind=SmallGPU), torch.rand(1, 150, 210), []
    shared = Tiles(200, said.append)
    result = reconstruct(image, model, tile=shared)
    assert (result - _network()(image[None])[0]).abs().max() < 1e-5
    assert shared.side == 37  # 150, 75, 37: with their halo 158, 83, 45
    assert len(said) == 1
    assert "GPU" in said[0]
    failures = sum(side > model.room for side in model.asked)
    assert failures == 2  # at a whole and at a half of the tile, and never again
    reconstruct(image, model, tile=shared)
    assert sum(side > model.room for side in model.asked) == failures
    assert len(said) == 1


def test_who_shares_no_tiles_is_warned():
    with pytest.warns(UserWarning, match="the GPU has no memory for tiles of 100 pixels"):
        reconstruct(torch.rand(1, 100, 90), _network(kind=SmallGPU), tile=200)


def test_a_gpu_without_memory_for_the_smallest_tile_is_an_error():
    model = _network(kind=SmallGPU)
    model.room = 5
    with pytest.raises(torch.OutOfMemoryError), pytest.warns(UserWarning, match="no memory"):
        reconstruct(torch.rand(1, 80, 80), model)
    assert min(model.asked) <= SMALLEST + 2 * model.halo


def test_any_other_error_is_passed_on(monkeypatch):
    model, calls = _network(), []
    monkeypatch.setattr(model, "valid", lambda crop: calls.append(crop) or torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        reconstruct(torch.rand(1, 80, 80), model)
    assert len(calls) == 1
