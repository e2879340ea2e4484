"""demonstrations/make.py with small runs, writing into another folder."""

import re
import runpy
import sys

import pytest
from PIL import Image
from small_runs import small_run
from test_packaging import ROOT

MAKE = ROOT / "demonstrations" / "make.py"


def make(*arguments) -> None:
    sys.argv = ["make.py", *map(str, arguments)]
    runpy.run_path(str(MAKE), run_name="__main__")


@pytest.mark.slow
def test_all_files_that_the_readme_lists_are_made_from_two_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", sys.argv)
    runs = [small_run(tmp_path / name, channels=3, data=("t91",)) for name in ("trained", "random")]
    runs[1].write_history([record | {"epoch": 4 * record["epoch"]} for record in runs[1].history()])
    make(*(run.path for run in runs), "--out", tmp_path / "out")
    listed = re.findall(r"[\w-]+\.(?:gif|png|jpg|svg|html)", (ROOT / "demonstrations" / "README.md").read_text("utf-8"))
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "out").iterdir()}
    assert set(listed) == {*sizes, "quality.svg"}  # a benchmark makes that one, in half an hour
    assert max(sizes.values()) <= 1.5e6
    assert '"epoch": 20' in capsys.readouterr().out
    assert "random: trained from" in (tmp_path / "out" / "laboratory.html").read_text("utf-8")
    for name, frames in (("learning.gif", 6), ("channels_chelsea.gif", 6), ("kernels.gif", 6), ("scan.gif", 60)):
        with Image.open(tmp_path / "out" / name) as image:
            assert image.n_frames == frames, name


def test_a_run_trained_on_the_photographs_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    run = small_run(tmp_path / "run")
    with pytest.raises(SystemExit, match="trained on scikit-image's photographs"):
        make(run.path, run.path, "--out", tmp_path / "out")


def test_a_run_shorter_than_the_clips_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    run = small_run(tmp_path / "run", data=("t91",))
    with pytest.raises(SystemExit, match="has 5 epochs, expected 20 or more"):
        make(run.path, run.path, "--out", tmp_path / "out")
