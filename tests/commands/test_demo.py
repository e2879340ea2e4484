"""`srcnn demo`, with seconds in place of minutes."""

import contextlib
import io

import imageio.v3 as iio
import pytest
from PIL import Image

from srcnn_lib.commands.demo import HELD_OUT, demo, unused_path
from srcnn_lib.data.sources import load_photographs
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.pretrained import saved_folder
from srcnn_lib.run import Run
from srcnn_lib.weights import load

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder that the demo wrote, and what it printed."""
    out = tmp_path_factory.mktemp("demo")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        demo(out, minutes=0.05)
    return out, printed.getvalue()


def test_it_prints_bicubic_and_srcnn_side_by_side_on_the_held_out_photograph(finished):
    _, printed = finished
    assert "bicubic  SRCNN    gain" in printed
    assert f"{HELD_OUT} is held out" in printed
    assert "dB over bicubic on Y" in printed


def test_it_prints_what_the_released_network_reaches_on_the_same_photograph(finished):
    _, printed = finished
    (line,) = (line for line in printed.splitlines() if "srcnn_y_x2.safetensors" in line)
    model = load(saved_folder() / "srcnn_y_x2.safetensors")
    sample = Sample(load_photographs(f"samples:{HELD_OUT}")[0].pixels, model)
    gain = sample.scores(sample.reconstruct(model)).psnr_y - sample.bicubic_scores.psnr_y
    assert line.startswith(f"{gain:+.2f} dB: ")
    assert f"{model.metadata['steps']:,} steps" in line


def test_the_held_out_photograph_is_not_trained_on(finished):
    run = Run(finished[0] / "run")
    assert run.metadata["data"]["validation_names"] == [HELD_OUT]


def test_it_writes_a_run_two_pictures_and_a_gif_and_prints_their_paths(finished):
    out, printed = finished
    names = [f"{HELD_OUT}_upscaled.png", "comparison.png", "learning.gif"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "run"])
    assert all(str(out / name) in printed for name in names)
    assert Image.open(out / names[0]).size == (1024, 1024)
    assert Image.open(out / names[1]).width > 1000


def test_the_gif_begins_at_step_0_and_changes(finished):
    out, _ = finished
    frames = iio.imread(out / "learning.gif")
    assert len(frames) >= 2
    assert (frames[0] != frames[-1]).any()


def test_a_second_demo_keeps_the_first_run(tmp_path):
    assert unused_path(tmp_path / "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    assert unused_path(tmp_path / "run") == tmp_path / "run-2"
