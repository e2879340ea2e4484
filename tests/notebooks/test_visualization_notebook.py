"""The visualization notebook, executed from top to bottom on a small run."""

import base64
import io
import re

import numpy as np
import pytest
from notebook_files import executed, outputs, picture_copy
from PIL import Image
from small_runs import STEPS, small_run

from srcnn_lib import read_image
from srcnn_lib.evaluation.quality import compare
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.visualization.channel_analysis import describe_channels
from srcnn_lib.visualization.inspector import Inspector

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
    for name in ("pick", "sheet", "channel", "kernels", "receptive-field", "reports", "comparison"):
        shown = picture(cells[name])
        assert min(shown.shape[:2]) > 200, name
        assert shown[..., :3].std() > 20, name
    assert re.findall(r"(\d+) pixels", outputs(cells["receptive-field"], "printed")) == ["9", "13", "17"]

    table = [line.split() for line in outputs(cells["reports"], "printed").splitlines()[1:]]
    names = ("astronaut", "chelsea", "coffee", "rocket")
    samples = [Inspector(run, f"samples:{name}").sample.network_input for name in names]
    reports = {report.channel: report for report in describe_channels(model, samples, "layer_1")}
    assert sorted(int(line[0]) for line in table) == sorted(reports)
    for line in table:
        edges, subject, active = float(line[-3]), float(line[-2]), float(line[-1].rstrip("%")) / 100
        report = reports[int(line[0])]
        assert (edges, subject, active) == pytest.approx((report.edges, report.subject, report.active), abs=0.006)

    scores = compare(Sample(read_image(tmp_path / "cat.png").pixels, model), model)
    for method in ("bicubic", "srcnn"):
        assert f"{scores[method].psnr_y:.2f} dB" in outputs(cells["slider"], "text/html")
