"""The main job, with seconds in place of minutes."""

import imageio.v3 as iio
import pytest
from PIL import Image

from srcnn_lib.commands import demo
from srcnn_lib.data import sources
from srcnn_lib.evaluation import quality
from srcnn_lib.pretrained import saved_folder
from srcnn_lib.run import Run
from srcnn_lib.weights import load


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        printed = []
        patch.setattr("builtins.print", lambda *words, **_: printed.append(" ".join(map(str, words))))
        demo.demonstrate(out, minutes=0.05)
    return out, "\n".join(printed)


def test_it_prints_bicubic_and_srcnn_side_by_side_on_the_photograph_kept_out(shown):
    _, printed = shown
    assert "bicubic  SRCNN    gain" in printed
    assert f"{demo.KEPT_OUT} is kept out" in printed
    assert "dB over bicubic on Y" in printed


def test_it_says_what_the_released_network_reaches_on_the_same_photograph(shown):
    _, printed = shown
    (line,) = (line for line in printed.splitlines() if "srcnn_y_x2.safetensors" in line)
    photograph = sources.load_photographs(f"samples:{demo.KEPT_OUT}")
    model = load(saved_folder() / "srcnn_y_x2.safetensors")
    scores = quality.compare(model, photograph[0].pixels, 2.0)
    assert line.startswith(f"{scores['srcnn']['psnr_y'] - scores['bicubic']['psnr_y']:+.2f} dB: ")
    assert f"{model.metadata['steps']:,} steps" in line


def test_the_photograph_kept_out_was_not_trained_on(shown):
    run = Run(shown[0] / "run")
    assert run.metadata["data"]["validation_names"] == [demo.KEPT_OUT]


def test_it_writes_a_run_two_pictures_and_a_gif_and_says_where(shown):
    out, printed = shown
    names = [f"{demo.KEPT_OUT}_upscaled.png", "comparison.png", "learning.gif"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "run"])
    assert all(str(out / name) in printed for name in names)
    assert Image.open(out / names[0]).size == (1024, 1024)
    assert Image.open(out / names[1]).width > 1000


def test_the_gif_goes_from_step_0_to_the_end_and_moves(shown):
    out, _ = shown
    frames = iio.imread(out / "learning.gif")
    assert len(frames) >= 2
    assert (frames[0] != frames[-1]).any()


def test_a_second_time_leaves_the_first_run_alone(tmp_path):
    (tmp_path / "run").mkdir()
    assert demo.unused(tmp_path / "run") == tmp_path / "run-2"
