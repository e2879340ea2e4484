"""What ships: the package lists agree with one another, and with what the code imports."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# What is imported under another name than it is installed by.
IMPORTED_AS = {
    "PIL": "pillow",
    "skimage": "scikit-image",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "pytorch_optimizer": "pytorch-optimizer",
    "lazy_loader": "lazy-loader",
}
# What reads the code and runs none of it: its version is the one of constraints.txt.
LINTERS = {"ruff", "mypy", "types-psutil", "types-tqdm", "pre-commit", "nbstripout"}


def name_of(requirement: str) -> str:
    return re.match(r"[\w-]+", requirement)[0].lower()


def test_environment_yml_asks_for_what_pyproject_asks_for():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    through_pip = [line.strip(" -") for line in lines if line.startswith("      - ") and "editable" not in line]
    assert through_pip == PROJECT["dependencies"] + PROJECT["optional-dependencies"]["notebook"]


def test_every_requirement_has_a_tested_version_that_fits():
    pinned = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pinned[name.lower()] = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    for requirement in PROJECT["dependencies"] + extras:
        name, least = requirement.split(">=")
        assert pinned[name.lower()] >= tuple(int(part) for part in least.split("."))


def test_the_lower_bounds_that_were_tested_are_those_that_are_asked_for():
    pinned = {}
    for line in (ROOT / "constraints-lowest.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, version = line.split("==")
            pinned[name] = version
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    for requirement in PROJECT["dependencies"] + extras:
        name, least = requirement.split(">=")
        if name not in LINTERS:
            assert (pinned[name] + ".").startswith(least + "."), name


@pytest.mark.parametrize(
    "path", sorted((ROOT / "srcnn_lib").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT / "srcnn_lib"))
)
def test_the_library_imports_only_what_it_requires(path):
    required = {name_of(requirement) for requirement in PROJECT["dependencies"]}
    optional = {
        "ipython",
        "ipywidgets",
        "google",
        "onnx",
        "onnxruntime",
        "openvino",
    }  # imported only where they are used
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        else:
            continue
        for top in {name.split(".")[0] for name in names} - set(sys.stdlib_module_names):
            assert IMPORTED_AS.get(top, top).lower() in required | optional


def test_the_address_of_the_project_is_the_same_everywhere():
    address = PROJECT["urls"]["Repository"]
    for path in (ROOT / "README.md", *(ROOT / "notebooks").glob("*.ipynb")):
        found = set(re.findall(r"https://github\.com/[\w-]+/[\w-]+|colab\.research\.google\.com/github/[\w-]+/[\w-]+",
                               path.read_text()))  # fmt: skip
        own = {link for link in found if link.endswith(address.rsplit("/", 1)[1])}
        assert own <= {address, address.replace("https://github.com", "colab.research.google.com/github")}


@pytest.fixture
def copied(tmp_path):
    """A copy of the files that `make repository` reads and changes."""
    for pattern in ("Makefile", "pyproject.toml", "CITATION.cff", "*.md", "docs/*.md", "notebooks/*.ipynb"):
        for path in ROOT.glob(pattern):
            target = tmp_path / path.relative_to(ROOT)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
    return tmp_path


def make_repository(folder: Path, *variables: str) -> subprocess.CompletedProcess:
    if not shutil.which("make"):
        pytest.skip("there is no make on the path")
    return subprocess.run(["make", "repository", *variables], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/some-one/a.fork",
        "https://github.com/some-one/a.fork.git/",
        "git@github.com:some-one/a.fork.git",
    ],
)
def test_make_repository_changes_the_address_and_the_branch_everywhere(copied, address):
    old = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    files = [path for path in copied.rglob("*") if path.is_file() and path.name != "Makefile"]
    before = {path: path.read_text() for path in files}
    made = make_repository(copied, f"URL={address}", "BRANCH=trunk")
    assert (made.returncode, made.stderr) == (0, "")
    assert sorted(path for path in copied.rglob("*") if path.is_file() and path.name != "Makefile") == sorted(files)
    for path in files:
        text = path.read_text()
        assert old not in text, path.name
        assert text.count("some-one/a.fork") == before[path].count(old), path.name
        linked = r"some-one/a\.fork/(?:blob|tree|raw)/([^/]+)|raw\.githubusercontent\.com/some-one/a\.fork/([^/]+)"
        assert {a or b for a, b in re.findall(linked, text)} <= {"trunk"}, path.name
    for name in ("pyproject.toml", "README.md", "CITATION.cff", "notebooks/training.ipynb"):
        assert "some-one/a.fork" in (copied / name).read_text(), name
    assert "/blob/trunk/notebooks/training.ipynb" in (copied / "notebooks/training.ipynb").read_text()


def test_make_repository_without_a_branch_keeps_the_one_in_the_links(copied):
    old = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    notebook = copied / "notebooks/training.ipynb"
    before = notebook.read_text()
    assert make_repository(copied, "URL=https://github.com/someone/fork").returncode == 0
    assert notebook.read_text() == before.replace(old, "someone/fork")


@pytest.mark.parametrize(
    "variables",
    [
        [],
        ["URL=https://gitlab.com/someone/fork"],
        ["URL=someone/fork"],
        ["URL=https://github.com/someone"],
        ["URL=https://github.com/someone/fork/tree/main"],
        ["URL=https://github.com/someone/.."],
        ["URL=https://github.com/someone/fork#readme"],
        ["URL=https://github.com/someone/fork'"],
        ["URL=https://github.com/someone/fork", "BRANCH=a b"],
        ["URL=https://github.com/someone/fork", "BRANCH=a/b"],
    ],
)
def test_make_repository_refuses_what_is_no_address_with_one_line_and_status_2(copied, variables):
    before = {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    made = make_repository(copied, *variables)
    assert made.returncode == 2
    (line,) = made.stderr.splitlines()
    assert "make repository URL=https://github.com/OWNER/NAME" in line
    assert {path: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


def test_the_readme_links_to_files_that_exist():
    text = (ROOT / "README.md").read_text()
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_a_wheel_holds_the_pages_and_the_released_networks(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("srcnn_lib", "saved"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                inside = path.relative_to(ROOT)
                assert str(inside if folder == "srcnn_lib" else Path("srcnn_lib") / inside) in names
