"""The set-up of the notebooks: what is installed, and what the cell does without the library around it."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from srcnn_lib import InputError
from srcnn_lib.notebook import setup

ROOT = Path(__file__).parents[2]
# Lines of the freeze of Colab's GPU image (2026-08-19): what the library needs, as far as Colab has it.
COLAB = """accelerate==1.14.0 ImageIO==2.37.4 imageio-ffmpeg==0.6.0 ipywidgets==7.7.1 lazy-loader==0.5
matplotlib==3.10.0 numpy==2.1.3 pillow==11.3.0 platformdirs==4.11.3 psutil==5.9.5 safetensors==0.8.0
scikit-image==0.25.2 tensorboard==2.20.0 tifffile==2026.8.16 torch==2.11.0+cu128 torchvision==0.26.0+cu128
tqdm==4.67.3 typer==0.27.1"""
COLAB_PACKAGES = {line.split("==")[0].lower() for line in COLAB.split()}
OTHER_MODULES = {package: module for module, package in {**setup.NEEDED, **setup.NEEDED_FOR_TRAINING}.items()}


@pytest.fixture
def on_colab(monkeypatch):
    """A machine with Colab's packages, on which pip only notes its command and the constraints."""
    calls = []

    def run(command, **_):
        constraints = Path(command[command.index("--constraint") + 1]).read_text("utf-8").splitlines()
        calls.append((command, constraints))
        return subprocess.CompletedProcess(command, 0, "", "")

    modules = {OTHER_MODULES.get(package, package.replace("-", "_")) for package in COLAB_PACKAGES}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in modules else None)
    monkeypatch.setattr(setup, "installed_versions", lambda: COLAB.split())
    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_on_colab_looking_and_upscaling_install_nothing(on_colab, capsys):
    setup.install_missing_packages()
    assert on_colab == []
    assert capsys.readouterr().out == ""


def test_on_colab_training_installs_pytorch_optimizer_alone_and_may_change_no_version(on_colab, capsys):
    setup.install_missing_packages(training=True)
    ((command, constraints),) = on_colab
    assert command[command.index("--constraint") + 2 :] == ["pytorch-optimizer"]
    assert constraints == COLAB.split()
    assert not {"--upgrade", "-U", "--force-reinstall"} & set(command)
    assert capsys.readouterr().out == "installing pytorch-optimizer\n"


def test_what_is_installed_is_a_requirement_of_the_library_and_never_torch_or_what_belongs_to_it():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = {re.split(r"[<>=]", requirement)[0] for requirement in project["dependencies"]}
    installed = {*setup.NEEDED.values(), *setup.NEEDED_FOR_TRAINING.values()}
    assert installed <= required
    kept = {"torch", "torchvision", "numpy", "pillow", "matplotlib", "tensorboard", "protobuf", "ipywidgets", "ipython"}
    assert not installed & kept


def test_a_failed_installation_is_one_line(monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: no network\nERROR: No matching distribution found\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(setup, "missing_packages", lambda needed: ["tifffile"])
    with pytest.raises(InputError, match=r"^tifffile can't be installed \(ERROR: No matching distribution found\)"):
        setup.install_missing_packages()


def test_what_is_installed_is_listed_with_its_version():
    import numpy

    assert f"numpy=={numpy.__version__}" in setup.installed_versions()


@pytest.mark.slow
def test_looking_upscaling_and_animating_work_without_pytorch_optimizer(tmp_path):
    code = f"""
import sys
sys.modules["pytorch_optimizer"] = None  # importing it is an ImportError
from srcnn_lib import notebook, visualization
from srcnn_lib.pretrained import example_run
run = example_run()
visualization.Inspector(run, "probe:0").channels_figure("layer_1")
options = visualization.ClipOptions(frames=2)
visualization.animate(run, "reconstruction", ["probe:0"], options, out={str(tmp_path / "a.gif")!r})
model = notebook.open_network("released", 2.0)
notebook.Enlargement(notebook.choose_photograph("samples:chelsea").picture, model, 2.0, longest_side=40).measure()
notebook.Explorer(run)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)


# The cell


def run_cell(folder: Path, source: str) -> subprocess.CompletedProcess:
    """Executes the set-up cell as IPython does, in a folder and an environment without the library."""
    cells = json.loads((ROOT / "notebooks" / "upscaling.ipynb").read_text("utf-8"))["cells"]
    cell = "".join(next(cell["source"] for cell in cells if cell["id"] == "setup"))
    own = next(line for line in cell.splitlines() if line.startswith("source = "))
    cell = cell.replace(own, f"source = {source!r}")
    code = f"""
import importlib.util, os, sys
sys.path[:] = [path for path in sys.path if path and not os.path.exists(path + "/srcnn_lib/__init__.py")]
find = importlib.util.find_spec
# An editable installation leaves a folder srcnn_lib/saved in site-packages, which is found as a package without code.
importlib.util.find_spec = lambda name: spec if (spec := find(name)) and spec.origin else None
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="NoColor")
shell.run_cell({cell!r})
print("ROOT", shell.user_ns.get("root"))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env=environment, timeout=120
    )


@pytest.fixture
def elsewhere(tmp_path):
    """A folder without the library; skips where the library is installed so that it can't be hidden."""
    pytest.importorskip("IPython")
    probe = run_cell(tmp_path, "nothing")
    if "holds no folder srcnn_lib" not in probe.stdout + probe.stderr:
        pytest.skip("srcnn_lib is installed in a way that hides the set-up cell's work")
    shutil.rmtree(tmp_path / "srcnn_source", ignore_errors=True)
    return tmp_path


def repository(folder: Path, *names: str) -> Path:
    """Makes a git repository with an almost empty package of each name."""
    for name in names:
        (folder / name / "notebook").mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
        (folder / name / "notebook" / "__init__.py").write_text("def install_missing_packages(): print('installed')")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "a"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git"), reason="there is no git on the path")
def test_without_a_checkout_the_address_is_cloned_and_a_second_run_keeps_the_clone(elsewhere, tmp_path_factory):
    project = repository(tmp_path_factory.mktemp("server"), "srcnn_lib")
    for _ in range(2):
        done = run_cell(elsewhere, project.as_uri())
        clone = elsewhere / "srcnn_source" / project.name
        assert f"installed\nROOT {clone}" in done.stdout
        (clone / "marked").touch()
    assert (clone / "marked").exists()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("git"), reason="there is no git on the path")
def test_a_clone_without_the_library_is_replaced_and_said_in_one_line(elsewhere, tmp_path_factory):
    wrong = repository(tmp_path_factory.mktemp("server"), "something_else")
    done = run_cell(elsewhere, wrong.as_uri())
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "ROOT" not in line and line.strip()]
    assert line.startswith(f"{wrong.as_uri()} holds no folder srcnn_lib: give the address of the project as source")
    shutil.rmtree(wrong / ".git")
    repository(wrong, "srcnn_lib")
    assert "installed\nROOT" in run_cell(elsewhere, wrong.as_uri()).stdout


@pytest.mark.slow
def test_an_uploaded_zip_of_the_project_is_unpacked(elsewhere, tmp_path_factory):
    with zipfile.ZipFile(elsewhere / "project.zip", "w") as archive:
        archive.writestr("a-fork-main/srcnn_lib/__init__.py", "")
        archive.writestr(
            "a-fork-main/srcnn_lib/notebook/__init__.py", "def install_missing_packages(): print('installed')"
        )
    done = run_cell(elsewhere, "project.zip")
    assert f"installed\nROOT {elsewhere / 'srcnn_source' / 'project' / 'a-fork-main'}" in done.stdout


@pytest.mark.slow
def test_a_checkout_around_the_notebook_goes_first():
    done = run_cell(ROOT / "notebooks", "nothing")
    assert f"ROOT {ROOT}" in done.stdout
    assert not (ROOT / "notebooks" / "srcnn_source").exists()
