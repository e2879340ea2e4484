"""`srcnn animate`, `srcnn laboratory` and `srcnn compare` with unusual pictures, runs and numbers."""

import numpy as np
import pytest
import tifffile
import torch
from command_line import assert_refused, srcnn
from PIL import Image
from skimage import data as photographs
from small_runs import small_run

from srcnn_lib.config import TrainingConfig
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.run import Run

FACE = photographs.astronaut()[40:104, 180:260]  # (64, 80, 3)
GRAY = np.asarray(Image.fromarray(FACE).convert("L"))
PICTURES = {
    "gray.png": GRAY,
    "gray16.png": GRAY.astype(np.uint16) * 257,
    "alpha.png": np.dstack([FACE, np.full(FACE.shape[:2], 90, np.uint8)]),
    "small.png": FACE[:20, :20],
    "strip.png": FACE[:3],
    "pixel.png": FACE[:1, :1],
    "a $x$ <b>&'name.png": FACE,
}
RUNS = {
    "small filters": {"filters": (1, 1, 1)},
    "9-1-5": {"filters": (9, 1, 5)},
    "three channels wide": {"channels": 3, "widths": (3, 2)},
    "one channel wide": {"widths": (1, 1)},
    "x3": {"scale": 3.0},
    "x2.5": {"scale": 2.5},
    "zero padding": {"recipe": "original", "channels": 3},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs y and rgb and pictures of every kind."""
    folder = tmp_path_factory.mktemp("visualize")
    small_run(folder / "y")
    small_run(folder / "rgb", channels=3)
    for name, pixels in PICTURES.items():
        Image.fromarray(pixels).save(folder / name)
    tifffile.imwrite(folder / "color16.tif", FACE.astype(np.uint16) * 257)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_bytes(b"no picture")
    return folder


def assert_written(result, path) -> None:
    """Checks that a command succeeded and wrote a file of some size."""
    assert result.returncode == 0, result.stderr
    assert path.stat().st_size > 200


@pytest.mark.slow
@pytest.mark.parametrize("run", ["y", "rgb"])
@pytest.mark.parametrize("picture", [*PICTURES, "color16.tif"])
def test_every_kind_of_picture_is_shown(folder, tmp_path, run, picture):
    for what in ("reconstruction", "channel", "scan"):
        clip = tmp_path / f"{what}.gif"
        assert_written(srcnn("animate", folder / run, "--what", what, "--image", folder / picture, "--out", clip), clip)
    page = tmp_path / "page.html"
    assert_written(srcnn("laboratory", folder / run, "--image", folder / picture, "--out", page), page)
    assert ("transparency is left out" in page.read_text("utf-8")) == (picture == "alpha.png")
    assert_written(srcnn("compare", folder / run, folder / picture, "--original", "--out", page), page)
    assert ("transparency is left out" in page.read_text("utf-8")) == (picture == "alpha.png")


def test_16_bits_and_8_bits_give_the_same_animation(folder, tmp_path):
    for name in ("gray", "gray16"):
        srcnn("animate", folder / "y", "--image", folder / f"{name}.png", "--out", tmp_path / f"{name}.gif")
    assert (tmp_path / "gray.gif").read_bytes() == (tmp_path / "gray16.gif").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_every_kind_of_run_is_shown(folder, tmp_path, name):
    torch.manual_seed(0)
    config = TrainingConfig.of(**{"channels": 1, "widths": (6, 4), "steps": 2} | RUNS[name])
    run = Run.create(tmp_path / "run", config)
    network = SRCNN(config.channels, config.filters, config.widths, config.padding_mode, config.scale)
    for step in range(2):
        run.write_snapshot(start_from_identity(network) if step else network, step, 0)
    for what in ("reconstruction", "channel", "kernels", "scan"):
        clip = tmp_path / f"{what}.gif"
        assert_written(
            srcnn("animate", run.path, "--what", what, "--image", "samples:chelsea", "--crop", 40, "--out", clip), clip
        )
    page = tmp_path / "page.html"
    assert_written(srcnn("laboratory", run.path, "--image", folder / "gray.png", "--out", page), page)
    assert_written(srcnn("compare", folder / "gray.png", "--weights", run.path, "--out", page), page)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["animate", "nowhere"], ["nowhere is no run"]),
        (["animate", "gray.png"], ["gray.png is no run"]),
        (["animate", "y", "--image", "none.png"], ["none.png doesn't exist"]),
        (["animate", "y", "--image", "empty.png"], ["empty.png is empty"]),
        (["animate", "y", "--image", "text.png"], ["text.png holds no picture"]),
        (["animate", "y", "--image", "probe:7"], ["probe:0 to probe:3"]),
        (["animate", "y", "--fps", "0"], ["fps is 0", "expected above 0"]),
        (["animate", "y", "--fps", "nan"], ["fps is nan"]),
        (["animate", "y", "--fps", "0.0001"], ["fps is 0.0001", "up to 600"]),
        (["animate", "y", "--hold", "-1"], ["hold is -1"]),
        (["animate", "y", "--frames", "0"], ["frames is 0"]),
        (["animate", "y", "--crop", "0"], ["crop is 0"]),
        (["animate", "y", "--max-mb", "0.0005"], ["max_mb is 0.0005", "allow more"]),
        (["animate", "y", "--layer", "nonsense"], ["'nonsense' is no layer", "layer_1, layer_2, layer_3"]),
        (["animate", "y", "--what", "channel", "--channel", "0,,1"], ["'layer_2:' is no channel", "layer_2:0 to"]),
        (["animate", "y", "--what", "nonsense"], ["what is 'nonsense'", "kernels"]),
        (["animate", "y", "--mode", "nonsense"], ["mode is 'nonsense'"]),
        (["animate", "y", "--theme", "nonsense"], ["theme is 'nonsense'", "light, dark"]),
        (["animate", "y", "--out", "clip.avi"], ["clip.avi", ".gif, .mp4, .webp"]),
        (["laboratory", "y", "--crop", "5"], ["crop is 5", "16 or more"]),
        (["laboratory", "y", "--frames", "1"], ["frames is 1"]),
        (["laboratory", "y", "--max-mb", "0.05"], ["0.05 MB", "fewer frames"]),
        (["laboratory", "y", "--max-mb", "-1"], ["max_mb is -1"]),
        (["laboratory", "y", "--image", "none.png"], ["none.png doesn't exist"]),
        (["compare", "none.png"], ["none.png doesn't exist"]),
        (["compare", "gray.png", "net.pth"], ["net.pth is a weights file", "last"]),
        (["compare", "y", "y", "gray.png"], ["a network is named twice"]),
        (["compare", "y", "y", "y", "--weights", "y"], ["before the picture, or one with --weights"]),
        (["compare", "gray.png", "--scale", "0"], ["scale is 0", "1.1 to 8"]),
        (["compare", "gray.png", "--which", "nonsense"], ["--which is nonsense", "newest, best"]),
        (["compare", "gray.png", "--weights", "text.png"], ["text.png"]),
        (["compare", "gray.png", "--weights", "y", "--out", "y"], ["a folder"]),
    ],
)
def test_invalid_input_prints_one_line_and_exits_with_status_2(folder, arguments, words):
    before = sorted(folder.rglob("*"))
    assert_refused(srcnn(*arguments, cwd=folder), *words)
    assert sorted(folder.rglob("*")) == before


def test_a_run_without_probe_asks_for_a_photograph(tmp_path):
    run = small_run(tmp_path / "run")
    (run.path / "probe.safetensors").unlink()
    for command in ("animate", "laboratory"):
        assert_refused(srcnn(command, run.path, cwd=tmp_path), "probe.safetensors", "name a photograph")


@pytest.mark.slow
def test_a_clip_is_reduced_to_a_twentieth_of_a_megabyte(folder, tmp_path):
    clip = tmp_path / "clip.gif"
    result = srcnn("animate", folder / "y", "--max-mb", "0.05", "--out", clip)
    assert result.returncode == 0
    assert clip.stat().st_size <= 50_000
    assert "to stay below 0.05 MB" in result.stdout
