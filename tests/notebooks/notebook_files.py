"""The notebooks as files: copies with small parameters, their execution, and what the cells show."""

import re
import sys
from pathlib import Path

import pytest
import torch
from skimage import data as photographs

from srcnn_lib.data.images import write_image

nbformat = pytest.importorskip("nbformat", reason="the notebook extra is not installed: pip install .[notebook,dev]")
nbclient = pytest.importorskip("nbclient", reason="the notebook extra is not installed: pip install .[notebook,dev]")
pytest.importorskip("ipykernel", reason="the notebook extra is not installed: pip install .[notebook,dev]")

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {
    name: ROOT / "notebooks" / f"{name}.ipynb" for name in ("upscaling", "training", "visualization", "animation")
}
SMALL_TRAINING = {
    "widths": (8, 4), "filters": (5, 1, 3), "epochs": 2, "batch_size": 40, "run_name": "small", "tensorboard": False,
}  # fmt: skip


def training_copy(folder: Path, **parameters) -> Path:
    """Writes the training notebook with small parameters, and four photographs of 100×100 pixels to train on."""
    (folder / "photographs").mkdir(exist_ok=True)
    for number, name in enumerate(("astronaut", "coffee", "chelsea", "rocket")):
        pixels = torch.from_numpy(getattr(photographs, name)()[100:200, 150:250].copy()).permute(2, 0, 1) / 255
        write_image(folder / "photographs" / f"{number}.png", pixels)
    return copy_with("training", folder, data=str(folder / "photographs"), **{**SMALL_TRAINING, **parameters})


def picture_copy(name: str, folder: Path, **parameters) -> Path:
    """Writes the visualization or animation notebook with other parameters, and a photograph of 112×96 pixels."""
    cat = torch.from_numpy(photographs.chelsea()[60:156, 110:222].copy()).permute(2, 0, 1) / 255
    write_image(folder / "cat.png", cat)
    return copy_with(name, folder, picture=str(folder / "cat.png"), **parameters)


def copy_with(name: str, folder: Path, **parameters) -> Path:
    """Writes a notebook with other parameters into a folder, and returns its path."""
    notebook = nbformat.read(NOTEBOOKS[name], 4)
    cell = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ()))
    assert parameters.keys() <= set(re.findall(r"^(\w+) =", cell.source, re.MULTILINE))
    cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def executed(path: Path) -> dict:
    """Executes a notebook with this Python as its kernel; returns the cells with their outputs, by name."""
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
    """Returns all of a cell's outputs of one MIME type, or with "printed" what it printed."""
    texts = [output.get("text", "") for output in cell.outputs if kind == "printed" and output.output_type == "stream"]
    texts += [output.data[kind] for output in cell.outputs if kind in output.get("data", {})]
    return "\n".join(texts)
