"""The visualization notebook, executed from top to bottom on a small run."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs
from small_runs import STEPS, small_run
from test_training_notebook import NOTEBOOK as TRAINING
from test_training_notebook import ROOT, executed, kernel_finds_the_library, nbformat, outputs  # noqa: F401

from srcnn_lib import read_image, write_image
from srcnn_lib.evaluation.quality import compare
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.visualization.channel_analysis import describe_channels
from srcnn_lib.visualization.inspector import Inspector

pytest.importorskip("ipywidgets", reason="the notebook extra is not installed: pip install .[notebook]")
NOTEBOOKS = {name: ROOT / "notebooks" / f"{name}.ipynb" for name in ("visualization", "animation")}


def copy_with(name: str, folder, **parameters):
    """A notebook with other parameters, and a photograph of 112×96 pixels beside it."""
    cat = torch.from_numpy(photographs.chelsea()[60:156, 110:222].copy()).permute(2, 0, 1) / 255
    write_image(folder / "cat.png", cat)
    notebook = nbformat.read(NOTEBOOKS[name], 4)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    values = {"picture": str(folder / "cat.png"), **parameters}
    assert values.keys() <= set(re.findall(r"^(\w+) =", cell.source, re.MULTILINE))
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in values.items())
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def picture(cell) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(outputs(cell, "image/png")))))


@pytest.mark.slow
@pytest.mark.usefixtures("kernel_finds_the_library")
def test_the_notebook_runs_from_top_to_bottom_and_shows_what_the_library_measures(tmp_path):
    run = small_run(tmp_path / "runs" / "small")
    cells = executed(copy_with("visualization", tmp_path, run_name="small", channel=2))
    model = run.model()

    for cell in cells.values():
        assert not [output for output in cell.get("outputs", ()) if output.get("name") == "stderr"], cell.id
    assert f"{len(STEPS)} snapshots, from step 0 to 16" in outputs(cells["pick"], "printed")
    assert outputs(cells["explorer"], "text/plain").startswith("Explorer(")
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


# Both notebooks, as they are committed


@pytest.fixture(params=NOTEBOOKS)
def name(request) -> str:
    return request.param


def source(path) -> dict:
    return {cell["id"]: cell for cell in json.loads(path.read_text("utf-8"))["cells"]}


def test_it_opens_as_the_training_notebook_does(name):
    own, training = source(NOTEBOOKS[name]), source(TRAINING)
    assert list(own)[:6] == list(training)[:6]
    for cell in ("setup-text", "setup"):
        assert own[cell]["source"] == training[cell]["source"]
    assert own["imports"]["source"][-1] == training["imports"]["source"][-1]
    badge = "".join(training["badge"]["source"]).partition("\n")[0]
    assert "".join(own["badge"]["source"]).startswith(badge.replace("training.ipynb", f"{name}.ipynb"))


def test_it_is_committed_without_outputs(name):
    for cell in source(NOTEBOOKS[name]).values():
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert "widgets" not in json.loads(NOTEBOOKS[name].read_text("utf-8"))["metadata"]


def test_it_is_thin(name):
    """STYLE.md: no class, no function, up to 15 lines of code a cell; one cell tagged `parameters`."""
    code = [cell for cell in source(NOTEBOOKS[name]).values() if cell["cell_type"] == "code"]
    for cell in code:
        lines = "".join(cell["source"]).splitlines()
        assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 15, cell["id"]
        assert not [line for line in lines if re.match(r"\s*(class|def|async def) ", line)], cell["id"]
    assert [tag for cell in code for tag in cell["metadata"].get("tags", ())] == ["parameters"]


def test_its_addresses_are_those_of_the_repository(name):
    import tomllib

    address = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
    text = NOTEBOOKS[name].read_text("utf-8")
    found = re.findall(
        r"(?:colab\.research\.google\.com/github|raw\.githubusercontent\.com|github\.com)/([\w-]+/[\w-]+)", text
    )
    assert set(found) == {address.removeprefix("https://github.com/")}
