"""`srcnn explain`: every view of every kind of network and picture, its JSON, and input that can't be used."""

import json
import math

import numpy as np
import pytest
import torch
from command_line import assert_refused, srcnn
from PIL import Image
from skimage import data as photographs
from small_runs import small_run

from srcnn_lib.data.color import luminance
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.images import read_image
from srcnn_lib.run import Run

FACE = photographs.astronaut()[40:88, 190:250]  # (48, 60, 3)
ALL = ("worth", "channels", "pixel", "attribution", "frequency", "film", "transplants", "stimuli", "kernels", "seams")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the runs y, rgb and single (one snapshot), and pictures."""
    folder = tmp_path_factory.mktemp("explain")
    small_run(folder / "y")
    small_run(folder / "rgb", channels=3)
    single = small_run(folder / "single")
    for snapshot in single.snapshots()[1:]:
        snapshot.path.unlink()
    (folder / "several").mkdir()
    for name in ("face.png", "several/a.png"):
        Image.fromarray(FACE).save(folder / name)
    Image.fromarray(FACE[:40, 10:]).save(folder / "several/b.png")
    Image.fromarray(np.asarray(Image.fromarray(FACE).convert("L"))).save(folder / "gray.png")
    Image.fromarray(np.dstack([FACE, np.full(FACE.shape[:2], 90, np.uint8)])).save(folder / "alpha.png")
    Image.fromarray(FACE[:1, :1]).save(folder / "one.png")
    return folder


def answer(*arguments, cwd):
    """Runs `srcnn explain … --json`, and parses all that it prints."""
    result = srcnn("explain", *arguments, "--json", cwd=cwd)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def psnr_without(run, picture, channel=None):
    """PSNR on Y of the whole picture with a channel of layer 2 switched off: not clamped, not shaved, in float64."""
    model = run.model().double()
    if channel is not None:
        model.layer_3.weight.data[:, channel] = 0
    upsampled, original = degrade(read_image(picture).pixels, 2.0)
    with torch.no_grad():
        output = model((luminance(upsampled) if model.channels == 1 else upsampled)[None].double())[0]
    error = luminance(output) - luminance(original.double())
    return -10 * math.log10(error.square().mean().item())


@pytest.mark.parametrize("name", ["y", "rgb"])
def test_the_json_of_worth_is_what_a_network_without_the_channel_loses(folder, name):
    found = answer(name, "--image", "face.png", "--what", "worth", cwd=folder)
    assert list(found) == ["psnr", "channels"]
    assert [list(row) for row in found["channels"]] == [["channel", "worth_db", "shapley"]] * 4
    run = Run(folder / name)
    assert found["psnr"] == pytest.approx(psnr_without(run, folder / "face.png"), abs=1e-9)
    for row in found["channels"]:
        lost = found["psnr"] - psnr_without(run, folder / "face.png", row["channel"])
        assert row["worth_db"] == pytest.approx(lost, abs=1e-9)


def test_several_photographs_give_a_worth_each_and_the_mean(folder):
    found = answer("y", "--image", "several", cwd=folder)
    assert [row["image"] for row in found["images"]] == ["a.png", "b.png"]
    single = answer("y", "--image", "several/b.png", cwd=folder)
    assert found["images"][1] == {"image": "b.png", **single}
    for field in ("worth_db", "shapley"):
        values = [row["channels"][2][field] for row in found["images"]]
        assert found["mean"]["channels"][2][field] == pytest.approx(sum(values) / 2)
    assert found["mean"]["psnr"] == pytest.approx(sum(row["psnr"] for row in found["images"]) / 2)


@pytest.mark.parametrize("what", ALL)
@pytest.mark.parametrize("name", ["y", "rgb"])
def test_every_view_prints_lines_and_json(folder, name, what):
    for picture in ("face.png", "gray.png"):
        values = answer(name, "--what", what, "--image", picture, cwd=folder)
        assert values
    result = srcnn("explain", name, "--what", what, "--image", "face.png", cwd=folder)
    assert result.returncode == 0, result.stderr
    assert 1 <= len(result.stdout.splitlines()) < 20


@pytest.mark.slow
@pytest.mark.parametrize("what", ALL)
def test_every_view_writes_a_figure(folder, tmp_path, what):
    figure = tmp_path / "figure.png"
    result = srcnn(
        "explain", "y", "--what", what, "--image", "alpha.png", "--out", figure, "--theme", "dark", cwd=folder
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == str(figure)
    assert min(Image.open(figure).size) > 300


def test_the_filter_in_the_json_gives_the_value(folder):
    found = answer("rgb", "--what", "pixel", "--pixel", "58,1", "--image", "face.png", cwd=folder)
    upsampled, _ = degrade(read_image(folder / "face.png").pixels, 2.0)
    weights = torch.tensor(found["filter"]["weights"], dtype=torch.float64)  # (3, 3, h, w)
    top, left = found["filter"]["top"], found["filter"]["left"]
    pixels = upsampled[:, top : top + weights.shape[2], left : left + weights.shape[3]].double()
    value = (weights * pixels).sum((1, 2, 3)) + torch.tensor(found["constant"], dtype=torch.float64)
    torch.testing.assert_close(value, torch.tensor(found["value"], dtype=torch.float64), atol=1e-12, rtol=0)


def test_a_picture_of_one_pixel_has_a_worth(folder):
    assert len(answer("y", "--image", "one.png", cwd=folder)["channels"]) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["nowhere"]),
        (["face.png"], ["face.png"]),
        (["y", "--image", "none.png"], ["none.png doesn't exist"]),
        (["y", "--what", "nonsense"], ["--what is nonsense", "worth, channels, pixel"]),
        (["y", "--what", "pixel", "--image", "face.png", "--pixel", "60,0"], ["x=60, y=0", "0 to 59", "0 to 47"]),
        (["y", "--what", "pixel", "--pixel", "-1,0"], ["--pixel is -1,0", "X,Y"]),
        (["y", "--what", "pixel", "--pixel", "3"], ["--pixel is 3", "X,Y"]),
        (["y", "--what", "attribution", "--box", "100,100"], ["--box is 100,100", "4096"]),
        (
            ["y", "--what", "attribution", "--image", "face.png", "--pixel", "50,3", "--box", "16,1"],
            ["not inside", "60x48"],
        ),
        (["y", "--what", "frequency", "--image", "face.png", "--image", "gray.png"], ["one photograph"]),
        (["y", "--what", "stimuli", "--channel", "9"], ["'layer_2:9' is no channel"]),
        (["y", "--what", "stimuli", "--channel", "a"], ["--channel is a"]),
        (["y", "--what", "stimuli", "--layer", "layer_3"], ["expected layer_1 or layer_2"]),
        (["y", "--what", "seams", "--mode", "whole"], ["--mode is whole", "overlapping"]),
        (["y", "--what", "kernels", "--ridge", "0"], ["--ridge is 0"]),
        (["y", "--what", "kernels", "--image", "one.png"], ["9x9"]),
        (["single", "--what", "film"], ["single has one snapshot"]),
        (
            ["y/snapshots/step-00000016-epoch-0005.safetensors", "--what", "transplants"],
            ["needs the snapshots of a run"],
        ),
        (["y", "--scale", "99"], ["scale is 99"]),
        (["y", "--crop", "3"], ["--crop is 3"]),
        (["y", "--theme", "pink"], ["--theme is pink", "light, dark"]),
        (["y", "--out", "figure.txt"], ["figure.txt", ".png"]),
        (["y", "--out", "nowhere/figure.png"], ["no folder nowhere"]),
    ],
)
def test_invalid_input_prints_one_line_and_exits_with_status_2(folder, arguments, words):
    before = sorted(folder.rglob("*"))
    assert_refused(srcnn("explain", *arguments, cwd=folder), *words)
    assert sorted(folder.rglob("*")) == before
