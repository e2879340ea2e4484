"""The training notebook, executed from top to bottom with small parameters."""

import re

import pytest
from notebook_files import executed, nbclient, outputs, training_copy

from srcnn_lib.run import Run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("kernel_finds_the_library")]


def test_the_notebook_runs_from_top_to_bottom_and_resumes_when_run_again(tmp_path):
    path = training_copy(tmp_path)
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
        "SRCNN\nstep 6",
        f"({history[-1]['validation_psnr_rgb']:.2f}, bicubic",
    ):
        assert words in shown.replace("\u2009", " ")
    assert shown.count("data:image/png") == 12
    assert re.search(r"SHA-256 of the weights at step \d+: [0-9a-f]{64}", outputs(cells["training"], "printed"))
    for name in ("photographs", "curves", "strip"):
        assert outputs(cells[name], "image/png"), name
    table = outputs(cells["table"], "printed")
    assert "mean" in table
    assert len(re.findall(r"\d\d\.\d\d", table)) >= 8

    training_copy(tmp_path, epochs=3)
    cells = executed(path)
    assert "is resumed" in outputs(cells["drive"], "printed")
    assert "step 9 of 9" in outputs(cells["training"], "text/html").replace("\u2009", " ")
    assert run.history()[:2] == history
    assert [line["step"] for line in run.history()] == [3, 6, 9]


def test_another_configuration_under_the_same_name_is_an_error_that_lists_the_differences(tmp_path):
    executed(training_copy(tmp_path, epochs=1))
    with pytest.raises(nbclient.exceptions.CellExecutionError, match=r"seed was 0, now 7; give the run another name"):
        executed(training_copy(tmp_path, seed=7))
