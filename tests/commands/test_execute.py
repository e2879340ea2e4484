"""execute.py, the entry point of the original project."""

import runpy

import pytest
from command_line import ROOT, assert_refused, srcnn
from PIL import Image

from srcnn_lib import SRCNN, InputError, load, read_image, upscale


@pytest.mark.parametrize("mode", [[], ["--overlap"], ["--non-overlap"]])
def test_execute_writes_the_result_beside_the_picture(weights, picture, mode):
    dotted = picture.rename(picture.parent / "a.b.png")
    found = srcnn("--image", f"./{dotted.name}", "--saved", weights, *mode, cwd=dotted.parent, program=runpy.run_path)
    assert found.returncode == 0, found.stderr
    assert "(60, 80, 3)" in found.stdout
    assert Image.open(dotted.parent / "a.b_upscaled.png").size == (80, 60)


def test_execute_stores_a_downloaded_picture_and_writes_the_result_beside_it(weights, picture, web, tmp_path):
    address = web.put("bird.png", picture.read_bytes())
    found = srcnn("--image", address, "--path", "results/download.png", "--saved", weights, "--scale", 1.5,
                  cwd=tmp_path, program=runpy.run_path)  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert Image.open(tmp_path / "results/download.png").size == (40, 30)
    assert Image.open(tmp_path / "results/download_upscaled.png").size == (60, 45)


def test_execute_reports_a_missing_picture_in_one_line(weights, tmp_path):
    assert_refused(
        srcnn("--image", "missing.png", "--saved", weights, cwd=tmp_path, program=runpy.run_path), "missing.png"
    )


def test_execute_takes_one_picture(weights, picture):
    assert_refused(
        srcnn("--image", picture.parent / "*.jpg", "--saved", weights, program=runpy.run_path), "one picture"
    )


@pytest.mark.parametrize("scale", [1, 1.05, 0.5])
def test_execute_takes_the_scales_that_the_original_took(weights, picture, scale):
    found = srcnn("--image", picture, "--saved", weights, "--scale", scale, program=runpy.run_path)
    assert found.returncode == 0, found.stderr
    size = (round(40 * scale), round(30 * scale))
    assert Image.open(picture.with_name(f"{picture.stem}_upscaled{picture.suffix}")).size == size


@pytest.mark.parametrize("scale", [0.05, 9, "nan"])
def test_execute_refuses_other_scales_in_one_line(weights, picture, scale):
    assert_refused(
        srcnn("--image", picture, "--saved", weights, "--scale", scale, program=runpy.run_path), "from 0.1 to 8"
    )


def test_execute_can_be_imported_and_returns_the_file(weights, picture, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from execute import execute

    target = execute(picture, scale=1, saved=weights)
    assert target == picture.with_name(f"{picture.stem}_upscaled{picture.suffix}")
    with pytest.raises(InputError, match="exclude each other"):
        execute(picture, saved=weights, overlap=True, non_overlap=True)


def test_zero_padding_gives_the_pixels_of_a_network_that_pads_each_layer(weights, picture, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from execute import execute

    target = execute(picture, saved=weights, zero_padding=True)
    original = load(weights)
    padded = SRCNN(original.channels, original.filters, original.widths, "zeros")
    padded.load_state_dict(original.state_dict())
    expected = upscale(read_image(picture).pixels, padded, 2)
    assert (read_image(target).pixels - expected).abs().max() < 1 / 255
