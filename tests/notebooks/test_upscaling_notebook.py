"""The upscaling notebook, executed from top to bottom, with the sample and with a photograph of one's own."""

import base64
import io
import re

import numpy as np
import pytest
from notebook_files import copy_with, executed, nbclient, outputs
from PIL import Image
from skimage import data as photographs

from srcnn_lib import load, read_image, upscale
from srcnn_lib.pretrained import released_for

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kernel_finds_the_library")]


def test_run_all_enlarges_the_photograph_and_hands_out_what_upscale_gives(tmp_path):
    Image.fromarray(photographs.chelsea()[40:140, 60:220]).save(tmp_path / "cat.jpg", quality=95)
    cells = executed(copy_with("upscaling", tmp_path, photograph="cat.jpg"))
    for cell in cells.values():
        assert not [output for output in cell.get("outputs", ()) if output.get("name") == "stderr"], cell.id
    network = load(released_for(2.0)[0])
    expected = upscale(read_image(tmp_path / "cat.jpg").pixels, network, 2.0)
    written = read_image(tmp_path / "results" / "cat_x2.png").pixels
    assert (written - expected).abs().max() <= 0.51 / 255
    assert "320 × 200 pixels in" in outputs(cells["enlargement"], "text/html")
    page = outputs(cells["slider"], "text/html")
    assert '"width":320,"height":200' in page
    assert set(re.findall('"label":"(\\w+)"', page)) == {"Bicubic", "SRCNN"}
    assert 'href="results/cat_x2.png" download="cat_x2.png"' in outputs(cells["download"], "text/html")
    assert re.search(r"cat\.jpg +\d\d\.\d\d +\d\d\.\d\d +\+\d", outputs(cells["quality"], "printed"))
    for name in ("detail", "quality"):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(outputs(cells[name], "image/png")))))
        assert min(pixels.shape[:2]) > 200
        assert pixels[..., :3].std() > 20
        assert not outputs(cells[name], "image/jpeg")


def test_a_photograph_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(nbclient.exceptions.CellExecutionError) as error:
        executed(copy_with("upscaling", tmp_path, photograph="none.jpg"))
    assert "none.jpg doesn't exist; check the path" in str(error.value)
    assert "Traceback" not in str(error.value)
