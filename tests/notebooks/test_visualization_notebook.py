"""The visualization notebook, executed from top to bottom on a small run."""

import base64
import io

import numpy as np
import pytest
from notebook_files import executed, outputs, picture_copy
from PIL import Image
from small_runs import STEPS, small_run

from srcnn_lib import read_image
from srcnn_lib.evaluation.quality import compare
from srcnn_lib.evaluation.sample import Sample

pytest.importorskip("ipywidgets", reason="the notebook extra is not installed: pip install .[notebook]")


def picture(cell) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(outputs(cell, "image/png")))))


@pytest.mark.slow
@pytest.mark.usefixtures("kernel_finds_the_library")
def test_the_notebook_runs_from_top_to_bottom_and_shows_what_the_library_measures(tmp_path):
    run = small_run(tmp_path / "runs" / "small")
    cells = executed(picture_copy("visualization", tmp_path, run_name="small", channel=2))
    model = run.model()

    for cell in cells.values():
        assert not [output for output in cell.get("outputs", ()) if output.get("name") == "stderr"], cell.id
    assert f"{len(STEPS)} snapshots, from step 0 to 16" in outputs(cells["pick"], "printed")
    assert "layer_1:" in outputs(cells["explorer"], "text/html")  # the still picture
    for name in ("pick", "channel", "kernels", "worth", "paint", "pixel", "stimuli", "receptive-field", "frequency"):
        shown = picture(cells[name])
        assert min(shown.shape[:2]) > 200, name
        assert shown[..., :3].std() > 20, name

    scores = compare(Sample(read_image(tmp_path / "cat.png").pixels, model), model)
    for method in ("bicubic", "srcnn"):
        assert f"{scores[method].psnr_y:.2f} dB" in outputs(cells["slider"], "text/html")
