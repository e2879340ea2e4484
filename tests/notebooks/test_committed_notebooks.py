"""The notebooks as they are committed."""

import ast
import json
import re
import tomllib

import pytest
from notebook_files import NOTEBOOKS, ROOT

pytestmark = pytest.mark.parametrize("name", NOTEBOOKS)


def cells(name: str) -> dict[str, dict]:
    """Returns a notebook's cells by name."""
    return {cell["id"]: cell for cell in json.loads(NOTEBOOKS[name].read_text("utf-8"))["cells"]}


def test_a_notebook_has_no_outputs(name):
    for cell in cells(name).values():
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert "widgets" not in json.loads(NOTEBOOKS[name].read_text("utf-8"))["metadata"]


def test_a_notebook_is_thin(name):
    """STYLE.md: no class, no function, up to 15 lines of code a cell, but set-up and form; one `parameters` cell."""
    code = [cell for cell in cells(name).values() if cell["cell_type"] == "code"]
    for cell in code:
        lines = "".join(cell["source"]).splitlines()
        longest = {"setup": 25, "parameters": 20}.get(cell["id"], 15)  # a form has a line for each field
        assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= longest, cell["id"]
        assert not [line for line in lines if re.match(r"\s*(class|def|async def) ", line)], cell["id"]
    assert [tag for cell in code for tag in cell["metadata"].get("tags", ())] == ["parameters"]


def test_all_notebooks_open_in_the_same_way(name):
    own, training = cells(name), cells("training")
    assert list(own)[:6] == list(training)[:6]
    for cell in ("setup-text", "setup"):
        assert own[cell]["source"] == training[cell]["source"]
    assert own["imports"]["source"][-1] == training["imports"]["source"][-1]
    metadata = json.loads(NOTEBOOKS[name].read_text("utf-8"))["metadata"]
    assert metadata["accelerator"] == "GPU"
    assert metadata["colab"]["toc_visible"]


def test_code_that_is_no_lesson_is_behind_a_form_with_a_title(name):
    for cell in cells(name).values():
        has_title = cell["source"][0].startswith("# @title ")
        assert has_title == (cell["metadata"].get("cellView") == "form"), cell["id"]
    assert all(cells(name)[cell]["metadata"]["cellView"] == "form" for cell in ("setup", "parameters"))


def test_parameters_come_in_two_groups_of_which_the_second_is_advanced(name):
    lines = "".join(cells(name)["parameters"]["source"]).splitlines()
    advanced = lines.index("# @markdown **Advanced**")
    assert 3 <= advanced - 1 <= 7
    assert len(lines) > advanced + 2


def test_links_to_other_notebooks_have_an_address_for_copies_on_drive(name):
    for line in cells(name)["next"]["source"]:
        for linked in re.findall(r"\]\((\w+)\.ipynb\)", line):
            assert re.search(rf"\(\[on Colab\]\(https://colab\.research[^)]+/notebooks/{linked}\.ipynb\)\)", line)


def test_every_parameter_is_a_form_with_a_plain_value(name):
    for line in "".join(cells(name)["parameters"]["source"]).splitlines():
        if line.startswith(("# @markdown", "# @title")):
            continue
        parameter, value, form = re.fullmatch(r"(\w+) = (.+?)  # @param (.+)", line).groups()
        value = ast.literal_eval(value)
        if form.startswith("["):
            choices = json.loads(form.partition("]")[0] + "]")
            if '{type: "raw"' in form:
                choices = [ast.literal_eval(choice) for choice in choices]
            assert value in choices, parameter
        elif form == '{type: "raw"}':
            assert value is None, parameter
        else:
            kind = re.fullmatch(r'\{type: "(\w+)"\}', form)[1]
            assert isinstance(value, {"number": float, "integer": int, "boolean": bool, "string": str}[kind]), parameter


def test_the_setup_leaves_colabs_own_packages_alone(name):
    cell = "".join(cells(name)["setup"]["source"])
    for package in ("torch", "numpy", "ipywidgets", "pillow", "protobuf", "tensorboard", "IPython"):
        assert not re.search(rf"\b{package}\b", cell, re.IGNORECASE), package
    assert "--upgrade" not in cell


def test_addresses_are_those_of_the_repository(name):
    address = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
    repository = address.removeprefix("https://github.com/")
    text = NOTEBOOKS[name].read_text("utf-8")
    found = re.findall(
        r"(?:colab\.research\.google\.com/github|raw\.githubusercontent\.com|github\.com)/([\w-]+/[\w-]+)", text
    )
    assert set(found) == {repository}
    assert f'source = "{address}"  # @param' in "".join(cells(name)["setup"]["source"])
    badge = "".join(cells(name)["badge"]["source"]).partition("\n")[0]
    assert f"https://colab.research.google.com/github/{repository}/blob/master/notebooks/{name}.ipynb" in badge
