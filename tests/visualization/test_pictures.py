"""Pictures: opened by name, address or file, and cropped to where bicubic's error is largest or where one chooses."""

import re

import pytest
import torch
from PIL import Image
from skimage import data as photographs
from small_runs import small_run

from srcnn_lib import InputError
from srcnn_lib.data.images import Picture
from srcnn_lib.visualization.pictures import crop_picture, crop_to_largest_error, open_picture, region_at


def test_pictures_open_by_path_address_set_and_probe(web, tmp_path):
    run = small_run(tmp_path / "run")
    astronaut = Image.fromarray(photographs.astronaut()[:40, :50])
    astronaut.save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", web.put("a.png", (tmp_path / "a.png").read_bytes())):
        assert open_picture(source).pixels.shape == (3, 40, 50)
    assert open_picture("samples:chelsea").pixels.shape == (3, 300, 451)
    torch.testing.assert_close(open_picture("probe:2", run).pixels, run.probe()[1][2])
    for source in ("probe:4", "samples:nobody", str(tmp_path / "none.png")):
        with pytest.raises(InputError):
            open_picture(source, run)


def test_a_large_picture_is_cropped_to_where_bicubics_error_is_largest():
    plain = torch.full((3, 100, 120), 0.5)
    plain[:, 60:80, 20:40] = torch.rand(3, 20, 20)
    part = crop_to_largest_error(Picture(plain, name="a.png"), 30, 2.0)
    assert part.pixels.shape == (3, 30, 30)
    assert re.match(r"Shown: a 30 × 30 crop at x = \d+, y = \d+, where bicubic errs most\.", part.notes[0])
    assert part.pixels.std() > 0.1
    small = Picture(plain, name="a.png")
    assert crop_to_largest_error(small, 120, 2.0) is small


@pytest.mark.parametrize(("at", "corner"), [((10, 20), (10, 20)), ((-5, 500), (0, 90)), ((99, 0), (70, 0))])
def test_a_crop_at_a_chosen_place_lies_inside_the_picture(at, corner):
    picture = Picture(torch.rand(3, 100, 120), name="a.png")
    region = region_at(picture, 30, at)
    assert region == (*corner, 30, 30)
    part = crop_picture(picture, region)
    torch.testing.assert_close(part.pixels, picture.pixels[:, corner[0] : corner[0] + 30, corner[1] : corner[1] + 30])
    assert part.notes[-1] == f"Shown: a 30 × 30 crop at x = {corner[1]}, y = {corner[0]}."
    assert region_at(picture, 120, at) is None


def test_transparency_is_removed_with_a_note(tmp_path):
    pixels = torch.rand(3, 20, 30)
    opened = open_picture(Picture(pixels, alpha=torch.ones_like(pixels[:1]), name="glass.png"))
    assert opened.alpha is None
    assert opened.notes == ("glass.png: transparency is left out",)
    with pytest.raises(InputError, match=r"none\.png doesn't exist; check the path"):
        open_picture(tmp_path / "none.png")
