"""The comparison with the paper, which is made only where our bicubic agrees with the published one."""

import pytest
import torch
from PIL import Image
from skimage.data import chelsea
from typer.testing import CliRunner

from srcnn_lib.commands.main import app, main
from srcnn_lib.data.sources import load_photographs
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation import published_results
from srcnn_lib.evaluation.published_results import Comparison
from srcnn_lib.evaluation.quality import evaluate
from srcnn_lib.metrics import Scores
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.weights import save


def _row(paper):
    return Comparison("set5", 2.0, "a.safetensors", Scores(33.69, 0.9304, 31.8), Scores(36.9, 0.956, 34.6), paper)


@pytest.mark.parametrize(
    ("bicubic", "given"), [(33.66, True), (33.69, True), (33.63, True), (33.71, False), (31.8, False)]
)
def test_the_papers_figures_are_given_only_if_bicubic_agrees(bicubic, given):
    paper, why = published_results.published("set5", 2, bicubic)
    assert (paper is not None) == given
    assert (why is None) == given
    if given:
        assert paper["srcnn"] == (36.66, 0.9542)
    else:
        assert f"{bicubic:.2f}" in why
        assert "33.66" in why


def test_a_set_or_a_scale_that_no_paper_measured_has_no_figures_and_no_note():
    assert published_results.published("samples", 2, 30.0) == (None, None)
    assert published_results.published("set5", 2.5, 30.0) == (None, None)


def test_the_table_gives_each_gain_over_its_own_bicubic():
    paper, _ = published_results.published("set5", 2, 33.69)
    lines = published_results.markdown([_row(paper), _row(None)]).splitlines()
    assert lines[2] == "| set5 | ×2 | 33.69 / .9304 | 36.66 / .9542 | +3.00 | 36.90 / .9560 | +3.21 |"
    assert lines[3] == "| set5 | ×2 | 33.69 / .9304 |  |  | 36.90 / .9560 | +3.21 |"
    assert len({line.count("|") for line in lines}) == 1
    with pytest.raises(InputError, match="nothing"):
        published_results.markdown([])


def test_the_rows_hold_what_evaluate_measures(tmp_path):
    torch.manual_seed(0)
    networks = [
        (start_from_identity(SRCNN(1, (3, 1, 3), (3, 2), scale=scale)), tmp_path / f"{scale}.pth") for scale in (2, 3)
    ]
    Image.fromarray(chelsea()[100:148, 100:160]).save(tmp_path / "cat.png")
    found = published_results.compare_with_paper(networks, [str(tmp_path / "cat.png")])
    assert [(row.scale, row.file) for row in found] == [(2, "2.pth"), (3, "3.pth")]
    pictures = load_photographs(str(tmp_path / "cat.png"))
    for (model, _), row in zip(networks, found, strict=True):
        expected = evaluate(model, pictures, pictures.names)
        assert row.srcnn == expected.srcnn
        assert row.bicubic == expected.bicubic


def test_the_command_prints_a_row_for_each_network_and_set(tmp_path, monkeypatch, capsys):
    Image.fromarray(chelsea()[100:148, 100:160]).save(tmp_path / "cat.png")
    model = start_from_identity(SRCNN(1, (3, 1, 3), (3, 2), scale=4))
    save(model, tmp_path / "mine.safetensors")
    words = ["evaluate", str(tmp_path / "cat.png"), str(tmp_path / "mine.safetensors"), "--table"]
    printed = CliRunner().invoke(app, words).stdout
    rows = [line for line in printed.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 1
    assert "| ×4 |" in rows[0]
    assert "patches" not in printed
    in_patches = CliRunner().invoke(app, [*words, "--mode", "non-overlapping"]).stdout
    assert "ours in non-overlapping patches of 33×33 pixels, the paper's as published" in in_patches
    monkeypatch.setattr("sys.argv", ["srcnn", "evaluate"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "srcnn evaluate RUN set5" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["set5", "Set5", "/somewhere/Set5", "SET5/"])
def test_a_folder_with_the_name_of_a_set_is_compared_if_bicubic_agrees(source):
    assert published_results.published(source, 2, 33.69, 5)[0]["srcnn"] == (36.66, 0.9542)
    assert published_results.published(source, 2, 30.0, 5)[0] is None


def test_the_papers_figures_are_given_only_for_all_photographs_of_a_set():
    paper, why = published_results.published("set14", 2, 30.23, 12)
    assert paper is None
    assert "12 photographs here and 14 in the papers" in why
