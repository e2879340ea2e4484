import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import functional as TF

from srcnn_lib.data.augmentation import (
    TILE,
    RandomCrops,
    TenCrops,
    flip_and_rotate,
    remove_border,
    ten_crops,
    tile_positions,
)


@given(st.integers(TILE, 400), st.integers(TILE, 400))
@settings(max_examples=50, deadline=None)
def test_tiles_cover_every_pixel_and_stay_inside(height, width):
    covered = torch.zeros(height, width, dtype=torch.bool)
    for top, left in tile_positions(height, width):
        assert 0 <= top <= height - TILE
        assert 0 <= left <= width - TILE
        covered[top : top + TILE, left : left + TILE] = True
    assert covered.all()


def test_a_photograph_smaller_than_a_tile_has_no_tiles():
    assert tile_positions(95, 300) == []


def test_ten_crops_are_four_corners_and_the_center_of_the_tile_and_of_its_mirror_image():
    tile = torch.rand(1, 6, 96, 96)
    found = ten_crops(tile, 49)
    mirrored = TF.hflip(tile)
    expected = [*TF.five_crop(tile, [49, 49]), *TF.five_crop(mirrored, [49, 49])]
    assert torch.equal(found, torch.cat(expected))


def test_the_ten_crops_of_a_tile_lie_together():
    tiles = torch.rand(3, 6, 96, 96)
    assert torch.equal(ten_crops(tiles, 33)[10:20], ten_crops(tiles[1:2], 33))


def tiles_of(count):
    """Makes pairs whose original is the input plus one, so that different positions of their crops would show."""
    upsampled = torch.rand(count, 3, 96, 96)
    return list(torch.cat([upsampled, upsampled + 1], dim=1))


def photographs():
    upsampled = [torch.rand(3, height, width) for height, width in ((60, 80), (150, 100))]
    return [torch.cat([image, image + 1]) for image in upsampled]


@pytest.mark.parametrize(
    "crops",
    [
        TenCrops(tiles_of(4), 49, 8, seed=3),
        RandomCrops(photographs(), 49, 8, seed=3, per_epoch=40),
    ],
    ids=["ten", "random"],
)
class TestTenAndRandomCrops:
    def test_input_and_target_show_the_same_place(self, crops):
        upsampled, original = crops.batch(epoch=0, start=0, stop=7)
        assert upsampled.shape == (7, 3, 49, 49)
        assert original.shape == (7, 3, 33, 33)
        assert torch.allclose(original, remove_border(upsampled, 8) + 1, atol=1e-6)

    def test_a_sample_depends_only_on_seed_epoch_and_index(self, crops):
        whole, _ = crops.batch(2, 0, 40)
        crops.batch(5, 3, 4)  # another epoch in between
        part, _ = crops.batch(2, 11, 23)
        assert torch.equal(part, whole[11:23])

    def test_another_epoch_has_another_order(self, crops):
        assert not torch.equal(crops.batch(0, 0, 40)[0], crops.batch(1, 0, 40)[0])


def test_ten_crops_gives_each_crop_once_per_epoch_over_several_windows(monkeypatch):
    monkeypatch.setattr(TenCrops, "WINDOW", 2)
    tiles = tiles_of(5)
    crops = TenCrops(tiles, 33, 0, seed=0)
    found = torch.cat([crops.batch(0, start, min(start + 7, 50))[0] for start in range(0, 50, 7)])
    every = ten_crops(torch.stack(tiles), 33)[:, :3]
    found, every = (sorted(map(tuple, images.flatten(1)[:, :4].tolist())) for images in (found, every))
    assert found == every


def test_random_crops_are_drawn_in_proportion_to_the_area_of_the_photographs():
    small, large = torch.zeros(2, 50, 50), torch.ones(2, 100, 100)
    crops = RandomCrops([small, large], 49, 8, seed=0, per_epoch=4000)
    share = crops.batch(0, 0, 4000)[0].mean().item()
    assert abs(share - 0.8) < 0.03


def test_random_crops_reach_every_corner():
    place = torch.arange(51.0 * 51).reshape(1, 51, 51).repeat(2, 1, 1)
    crops = RandomCrops([place], 49, 8, seed=0, per_epoch=500)
    upsampled, _ = crops.batch(0, 0, 500)
    corners = {upsampled[i].amin().item() for i in range(500)}
    assert corners == {51.0 * top + left for top in range(3) for left in range(3)}


def test_the_eight_flips_and_rotations_are_all_different_and_keep_the_pixels():
    image = np.arange(9).reshape(1, 3, 3)
    found = {tuple(flip_and_rotate(image, turn).flatten().tolist()) for turn in range(8)}
    assert len(found) == 8
    assert all(sorted(pixels) == list(range(9)) for pixels in found)
