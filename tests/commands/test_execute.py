"""execute.py, the entry point of the original project."""

import runpy

import pytest
from command_line import assert_refused, srcnn
from PIL import Image


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
