"""The training notebook, executed from top to bottom with small parameters."""

import ast
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
from skimage import data as photographs

from srcnn_lib.data.images import write_image
from srcnn_lib.run import Run

nbformat = pytest.importorskip("nbformat", reason="the notebook extra is not installed: pip install .[notebook,dev]")
nbclient = pytest.importorskip("nbclient", reason="the notebook extra is not installed: pip install .[notebook,dev]")
pytest.importorskip("ipykernel", reason="the notebook extra is not installed: pip install .[notebook,dev]")

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "training.ipynb"
SMALL = {
    "widths": (8, 4), "filters": (5, 1, 3), "epochs": 2, "batch_size": 40, "run_name": "small", "tensorboard": False,
}  # fmt: skip


def small_copy(folder: Path, **parameters) -> Path:
    """The notebook with small parameters, and four photographs of 100×100 pixels beside it to train on."""
    for number, name in enumerate(("astronaut", "coffee", "chelsea", "rocket")):
        (folder / "photographs").mkdir(exist_ok=True)
        pixels = torch.from_numpy(getattr(photographs, name)()[100:200, 150:250].copy()).permute(2, 0, 1) / 255
        write_image(folder / "photographs" / f"{number}.png", pixels)
    notebook = nbformat.read(NOTEBOOK, 4)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    values = {"data": str(folder / "photographs"), **SMALL, **parameters}
    assert values.keys() <= set(re.findall(r"^(\w+) =", cell.source, re.MULTILINE))
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in values.items())
    nbformat.write(notebook, folder / "training.ipynb")
    return folder / "training.ipynb"


@pytest.fixture
def kernel_finds_the_library(monkeypatch, tmp_path):
    """As an installed package would be found, and with folders of its own for IPython's and Jupyter's files."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))


def source() -> dict:
    return json.loads(NOTEBOOK.read_text("utf-8"))


def executed(path: Path):
    """The notebook with its outputs; the kernel is this very Python."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    notebook = nbformat.read(path, 4)
    kernel = AsyncKernelManager()
    kernel._kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        display_name="Python", language="python",
    )  # fmt: skip
    client = nbclient.NotebookClient(notebook, km=kernel, timeout=600, resources={"metadata": {"path": path.parent}})
    client.execute()
    return {cell.id: cell for cell in notebook.cells}


def outputs(cell, kind: str) -> str:
    """All of a cell's outputs of one MIME type, or what it printed."""
    found = [output.get("text", "") for output in cell.outputs if kind == "printed" and output.output_type == "stream"]
    found += [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]
    return "\n".join(found)


@pytest.mark.slow
@pytest.mark.usefixtures("kernel_finds_the_library")
def test_the_notebook_runs_from_top_to_bottom_and_resumes_when_run_again(tmp_path):
    path = small_copy(tmp_path)
    cells = executed(path)
    run = Run(tmp_path / "runs" / "small")
    history = run.history()

    assert "is a new run" in outputs(cells["drive"], "printed")
    assert "3 training photographs, 120 crops per epoch" in outputs(cells["photographs"], "printed")
    shown = outputs(cells["training"], "text/html")
    for words in (
        "Finished",
        "step 6 of 6",
        "Drive: off",
        "<svg",
        "SRCNN, step 6",
        f"validation {history[-1]['validation_psnr_rgb']:.2f}",
    ):
        assert words in shown.replace("\u2009", " ")
    assert shown.count("data:image/png") == 12
    assert re.search("SHA-256 of the weights: [0-9a-f]{64}", outputs(cells["training"], "printed"))
    for name in ("photographs", "curves", "strip"):
        assert outputs(cells[name], "image/png"), name
    table = outputs(cells["table"], "printed")
    assert "mean" in table
    assert len(re.findall(r"\d\d\.\d\d", table)) >= 8

    small_copy(tmp_path, epochs=3)
    cells = executed(path)
    assert "is resumed" in outputs(cells["drive"], "printed")
    assert "step 9 of 9" in outputs(cells["training"], "text/html").replace("\u2009", " ")
    assert run.history()[:2] == history
    assert [line["step"] for line in run.history()] == [3, 6, 9]


@pytest.mark.slow
@pytest.mark.usefixtures("kernel_finds_the_library")
def test_another_configuration_under_the_same_name_is_an_error_that_lists_the_differences(tmp_path):
    executed(small_copy(tmp_path, epochs=1))
    with pytest.raises(nbclient.exceptions.CellExecutionError, match=r"seed was 0, now 7; give the run another name"):
        executed(small_copy(tmp_path, seed=7))


def test_it_is_committed_without_outputs():
    for cell in source()["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert "widgets" not in source()["metadata"]


def test_it_is_thin():
    """STYLE.md: no class, no function, up to 15 lines of code a cell; one cell tagged `parameters`."""
    code = [cell for cell in source()["cells"] if cell["cell_type"] == "code"]
    for cell in code:
        lines = "".join(cell["source"]).splitlines()
        assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 15, cell["id"]
        assert not [line for line in lines if re.match(r"\s*(class|def|async def) ", line)], cell["id"]
    assert [tag for cell in code for tag in cell["metadata"].get("tags", ())] == ["parameters"]


def test_every_parameter_is_a_form_with_a_plain_value():
    cell = next(cell for cell in source()["cells"] if cell["id"] == "parameters")
    for line in "".join(cell["source"]).splitlines():
        if line.startswith("# @markdown"):
            continue
        name, value, form = re.fullmatch(r"(\w+) = (.+?)  # @param (.+)", line).groups()
        value = ast.literal_eval(value)
        if form.startswith("["):
            choices = json.loads(form.partition("]")[0] + "]")
            if '{type: "raw"' in form:
                choices = [ast.literal_eval(choice) for choice in choices]
            assert value in choices, name
        elif form == '{type: "raw"}':
            assert value is None, name
        else:
            kind = re.fullmatch(r'\{type: "(\w+)"\}', form)[1]
            assert isinstance(value, {"number": float, "integer": int, "boolean": bool, "string": str}[kind]), name


def test_the_setup_leaves_colabs_own_packages_alone():
    cell = "".join(next(cell for cell in source()["cells"] if cell["id"] == "setup")["source"])
    for package in ("torch", "numpy", "ipywidgets", "pillow", "protobuf", "tensorboard", "IPython"):
        assert not re.search(rf"\b{package}\b", cell, re.IGNORECASE), package
    assert "--upgrade" not in cell


def test_its_addresses_are_those_of_the_repository():
    import tomllib

    address = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
    repository = address.removeprefix("https://github.com/")
    text = NOTEBOOK.read_text("utf-8")
    found = re.findall(
        r"(?:colab\.research\.google\.com/github|raw\.githubusercontent\.com|github\.com)/([\w-]+/[\w-]+)", text
    )
    assert set(found) == {repository}
    assert f"https://colab.research.google.com/github/{repository}/blob/master/notebooks/training.ipynb" in text
