"""`srcnn evaluate`: tables, JSON and refused options."""

import json

import pytest
from command_line import assert_refused, srcnn
from PIL import Image


def test_two_folders_of_the_same_name_are_shown_with_their_paths(weights, picture, tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent / "set").mkdir(parents=True)
        Image.open(picture).save(tmp_path / parent / "set/x.png")
    found = srcnn("evaluate", weights, "a/set", "b/set", "--json", cwd=tmp_path)
    assert set(json.loads(found.stdout)) == {"a/set", "b/set"}


def test_an_infinite_psnr_is_null_in_json(weights, tmp_path):
    (tmp_path / "flat").mkdir()
    Image.new("L", (32, 32), 0).save(tmp_path / "flat/black.png")
    found = srcnn("evaluate", weights, "flat", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["flat"]["bicubic"]["psnr_y"] is None


@pytest.mark.slow
def test_options_change_the_picture_and_are_named_in_the_table(weights, picture, tmp_path):
    upscaled = []
    for number, flags in enumerate(([], ["--ensemble"], ["--arithmetic", "bfloat16"])):
        found = srcnn("upscale", picture, "--weights", weights, "--out", tmp_path / f"{number}.png", *flags)
        assert found.returncode == 0, found.stderr
        upscaled.append(Image.open(tmp_path / f"{number}.png").tobytes())
    assert upscaled[0] != upscaled[1]
    (tmp_path / "set").mkdir()
    picture.rename(tmp_path / "set/bird.png")
    flags = ["--ensemble", "--arithmetic", "bfloat16"]
    found = srcnn("evaluate", weights, tmp_path / "set", *flags).stdout.splitlines()
    assert sum("with self-ensemble:" in line and "dB on Y against one plain pass" in line for line in found) == 1
    assert sum("with bfloat16:" in line and "dB on Y against float32" in line for line in found) == 1
    table = json.loads(srcnn("evaluate", weights, tmp_path / "set", *flags, "--json").stdout)["set"]
    assert (table["ensemble"], table["arithmetic"]) == (True, "bfloat16")
    assert set(table["without"]) == {"ensemble", "arithmetic"}
    assert "with self-ensemble" not in srcnn("evaluate", weights, tmp_path / "set").stdout


def test_options_that_a_comparison_with_the_paper_does_not_take_are_refused():
    assert_refused(srcnn("evaluate", "--table", "--ensemble"), "--table", "leave out --ensemble")
    for flag, value in (("--scale", 2), ("--limit", 1), ("--which", "best")):
        assert_refused(srcnn("evaluate", "--table", flag, value), "--table", f"leave out {flag}")


def test_an_unknown_arithmetic_is_refused():
    assert_refused(srcnn("upscale", "x.png", "--arithmetic", "float64"), "float64", "float32, ", "bfloat16")


def test_evaluate_measures_a_released_network_by_default_and_names_it(weights, picture, tmp_path):
    found = srcnn("evaluate", picture, tmp_path / "*.png")
    assert found.returncode == 0, found.stderr
    assert "the released network srcnn_y_x2.safetensors is measured" in found.stdout
    assert {"bird.png ×2", "*.png ×2"} <= set(found.stdout.splitlines())
    assert "network is used" in srcnn("evaluate", picture, "--scale", 2.5).stdout
    assert set(json.loads(srcnn("evaluate", picture, "--scale", 2.5, "--json").stdout)) == {"bird.png"}
    assert "released" not in srcnn("evaluate", weights, picture).stdout
    for words in ([], [weights]):
        assert_refused(srcnn("evaluate", *words), "srcnn evaluate RUN set5")
