"""The command line as its users meet it: a process of its own, its output and its status."""

import contextlib
import dataclasses
import io
import json
import os
import pickle
import runpy
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from srcnn_lib.config import TrainingConfig
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.weights import save

ROOT = Path(__file__).parents[2]
EXECUTE = str(ROOT / "execute.py")


@dataclasses.dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str


def srcnn(*arguments, cwd=None, program=runpy.run_module):
    """The command, run here: an interpreter of its own for each would spend its time importing torch."""
    out, err, before = io.StringIO(), io.StringIO(), (sys.argv, os.getcwd())
    try:
        os.chdir(cwd or before[1])
        sys.argv = ["srcnn", *map(str, arguments)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            program("srcnn_lib" if program is runpy.run_module else EXECUTE, run_name="__main__")
        status = 0
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
    return Result(status, out.getvalue(), err.getvalue())


def test_the_command_is_a_process_with_a_status_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "srcnn_lib", "upscale", "missing.png"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    refused(found, "missing.png")


def refused(result, *words):
    """Status 2, one line that holds the words, nothing on standard output, no traceback."""
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    model = start_from_identity(SRCNN(1, (5, 1, 3), (8, 4)))
    return save(model, tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def picture(photograph_folder, tmp_path):
    path = tmp_path / "bird.png"
    Image.open(photograph_folder / "0.png").crop((0, 0, 40, 30)).save(path)
    return path


def test_help_names_every_command():
    found = srcnn("--help")
    assert found.returncode == 0
    assert all(command in found.stdout for command in ("train", "evaluate", "upscale", "demo", "info"))


def test_every_setting_is_a_flag_of_train():
    found = srcnn("train", "--help").stdout
    assert all(f"--{field.name.replace('_', '-')}" in found for field in dataclasses.fields(TrainingConfig))


def test_train_resume_and_use_a_run(photograph_folder, tmp_path):
    flags = ["--data", photograph_folder, "--validation", 0.25, "--channels", 1, "--filters", "5,1,3", "--widths", "8,4",
             "--batch-size", 8, "--validation-patches", 8, "--device", "cpu"]  # fmt: skip
    found = srcnn("train", *flags, "--steps", 6, "--out", "runs/a", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert "SHA-256" in found.stdout
    assert (tmp_path / "runs/a/config.json").exists()

    refused(srcnn("train", *flags, "--out", "runs/a", cwd=tmp_path), "runs/a", "exists already")
    refused(
        srcnn("train", "--resume", "--out", "runs/a", "--learning-rate", 0.1, cwd=tmp_path), "rate was 0.003, now 0.1"
    )

    found = srcnn("train", "--resume", "--steps", 9, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    steps = [json.loads(line)["step"] for line in (tmp_path / "runs/a/history.jsonl").read_text().splitlines()]
    assert steps == [6, 9]

    found = srcnn("evaluate", "runs/a", photograph_folder, "--json", cwd=tmp_path)
    table = json.loads(found.stdout)[photograph_folder.name]
    assert (table["scale"], table["images"]) == (2, 4)
    assert set(table) == {"scale", "images", "bicubic", "srcnn", "per_image"}
    assert set(table["bicubic"]) == set(table["srcnn"]) == {"psnr_y", "ssim_y", "psnr_rgb"}
    assert len(table["per_image"]) == 4
    mean = sum(scores["srcnn"]["psnr_y"] for scores in table["per_image"].values()) / 4
    assert table["srcnn"]["psnr_y"] == pytest.approx(mean)


def test_two_folders_of_one_name_get_their_paths(weights, picture, tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent / "set").mkdir(parents=True)
        Image.open(picture).save(tmp_path / parent / "set/x.png")
    found = srcnn("evaluate", weights, "a/set", "b/set", "--json", cwd=tmp_path)
    assert set(json.loads(found.stdout)) == {"a/set", "b/set"}


def test_equal_pictures_have_null_in_json(weights, tmp_path):
    (tmp_path / "flat").mkdir()
    Image.new("L", (32, 32), 0).save(tmp_path / "flat/black.png")
    found = srcnn("evaluate", weights, "flat", "--json", cwd=tmp_path)
    assert json.loads(found.stdout)["flat"]["bicubic"]["psnr_y"] is None


def test_upscale_writes_beside_the_picture(weights, picture):
    found = srcnn("upscale", picture, "--weights", weights)
    assert found.returncode == 0, found.stderr
    assert Image.open(picture.parent / "bird_upscaled.png").size == (80, 60)


@pytest.mark.parametrize("mode", ["whole", "non-overlapping", "overlapping"])
@pytest.mark.parametrize("scale", [1.5, 3])
def test_upscale_in_every_mode_and_by_any_scale(weights, picture, mode, scale):
    found = srcnn(
        "upscale", picture, "--weights", weights, "--mode", mode, "--scale", scale, "--out", picture.parent / "x.webp"
    )
    assert found.returncode == 0, found.stderr
    assert Image.open(picture.parent / "x.webp").size == (round(40 * scale), round(30 * scale))


def test_options_of_upscale_and_evaluate_change_the_picture_and_are_named_in_the_table(weights, picture, tmp_path):
    made = []
    for number, flags in enumerate(([], ["--ensemble"], ["--arithmetic", "bfloat16"])):
        found = srcnn("upscale", picture, "--weights", weights, "--out", tmp_path / f"{number}.png", *flags)
        assert found.returncode == 0, found.stderr
        made.append(Image.open(tmp_path / f"{number}.png").tobytes())
    assert len(set(made)) >= 2
    assert made[0] != made[1]
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
    refused(srcnn("evaluate", "--table", "--ensemble"), "--table", "leave out --ensemble")
    for flag, value in (("--scale", 2), ("--limit", 1), ("--which", "best")):
        refused(srcnn("evaluate", "--table", flag, value), "--table", f"leave out {flag}")
    refused(srcnn("upscale", "x.png", "--arithmetic", "float64"), "float64", "float32, bfloat16")


def test_upscale_goes_on_after_a_bad_picture(weights, picture):
    bad = picture.parent / "bad.png"
    bad.write_text("no picture")
    found = srcnn(
        "upscale", bad, picture, picture.parent / "missing.jpg", "--weights", weights, "--out", picture.parent / "out"
    )
    assert found.returncode == 2
    assert [path.name for path in (picture.parent / "out").iterdir()] == ["bird_upscaled.png"]
    assert "bad.png" in found.stderr
    assert "missing.jpg" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_second_call_over_a_folder_does_not_enlarge_its_own_output(weights, picture):
    for _ in range(2):
        assert srcnn("upscale", picture.parent, "--weights", weights).returncode == 0
    assert sorted(path.name for path in picture.parent.iterdir()) == ["bird.png", "bird_upscaled.png"]


def test_two_inputs_for_one_file_are_refused_before_work_begins(weights, picture):
    Image.open(picture).save(picture.parent / "bird.jpg")
    found = srcnn(
        "upscale", picture, picture.parent / "bird.jpg", "--weights", weights, "--out", picture.parent / "one.png"
    )
    refused(found, "one.png")
    (picture.parent / "other").mkdir()
    Image.open(picture).save(picture.parent / "other/bird.png")
    out = picture.parent / "out"
    out.mkdir()
    refused(srcnn("upscale", picture, picture.parent / "other/bird.png", "--weights", weights, "--out", out), "both")
    assert list(out.iterdir()) == []


def test_upscale_from_an_address(weights, picture, web, tmp_path):
    address = web.put("bird.png", picture.read_bytes())
    found = srcnn("upscale", address, "--weights", weights, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert Image.open(tmp_path / "bird_upscaled.png").size == (80, 60)


def test_a_shell_metacharacter_in_a_name_is_a_letter_like_any_other(weights, picture, tmp_path):
    name = "a; touch hacked $(touch hacked) `touch hacked` & b.png"
    picture.rename(picture.parent / name)
    found = srcnn("upscale", name, "--weights", weights, cwd=picture.parent)
    assert found.returncode == 0, found.stderr
    assert (picture.parent / name.replace(".png", "_upscaled.png")).exists()
    assert not (picture.parent / "hacked").exists()


class Code:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_weights_that_are_a_pickle_with_code_are_never_run(picture):
    torch.save({"layer_1.weight": Code()}, picture.parent / "evil.pth")
    (picture.parent / "plain.pth").write_bytes(pickle.dumps(Code()))
    for name in ("evil.pth", "plain.pth"):
        refused(srcnn("upscale", picture, "--weights", name, cwd=picture.parent), name)
    assert not (picture.parent / "hacked").exists()


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "100", "1"])
def test_a_scale_out_of_range_is_refused(weights, picture, scale):
    refused(srcnn("upscale", picture, "--weights", weights, "--scale", scale), "scale", "1.1 to 8")
    assert [path.name for path in picture.parent.iterdir()] == ["bird.png"]


def test_wrong_input_is_one_line_and_status_2(weights, picture, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(srcnn("upscale", "missing.png", "--weights", weights, cwd=tmp_path), "missing.png")
    refused(srcnn("upscale", empty, "--weights", weights), "empty")
    refused(srcnn("upscale", "no*.png", "--weights", weights, cwd=tmp_path), "no*.png")
    refused(srcnn("upscale", "file:///etc/passwd", "--weights", weights), "file:///etc/passwd")
    refused(srcnn("upscale", picture, "--weights", "missing.pth"), "missing.pth")
    refused(srcnn("upscale", picture, "--weights", weights, "--out", picture / "x.png"), "x.png")
    refused(srcnn("upscale", picture, "--weights", weights, "--out", tmp_path / "x.xyz"), "x.xyz")
    refused(srcnn("evaluate", weights, empty), "empty")
    refused(srcnn("evaluate", weights, "no_such_set", cwd=tmp_path), "no_such_set")
    refused(srcnn("train", "--data", "missing", "--steps", 1, cwd=tmp_path), "missing")
    refused(srcnn("train", "--filters", "9,4,5", cwd=tmp_path), "9,4,5")
    refused(srcnn("train", "--resume", cwd=tmp_path), "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("way", [[], ["--overlap"], ["--non-overlap"]])
def test_execute_upscales_a_file_beside_it(weights, picture, way):
    dotted = picture.rename(picture.parent / "a.b.png")
    found = srcnn("--image", f"./{dotted.name}", "--saved", weights, *way, cwd=dotted.parent, program=runpy.run_path)
    assert found.returncode == 0, found.stderr
    assert "(60, 80, 3)" in found.stdout
    assert Image.open(dotted.parent / "a.b_upscaled.png").size == (80, 60)


def test_execute_stores_the_picture_of_a_link_and_writes_beside_it(weights, picture, web, tmp_path):
    address = web.put("bird.png", picture.read_bytes())
    found = srcnn("--image", address, "--path", "results/download.png", "--saved", weights, "--scale", 1.5,
                  cwd=tmp_path, program=runpy.run_path)  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert Image.open(tmp_path / "results/download.png").size == (40, 30)
    assert Image.open(tmp_path / "results/download_upscaled.png").size == (60, 45)


def test_execute_refuses_in_one_line(weights, tmp_path):
    refused(srcnn("--image", "missing.png", "--saved", weights, cwd=tmp_path, program=runpy.run_path), "missing.png")


def test_the_released_network_is_taken_without_weights(picture):
    found = srcnn("upscale", picture)
    assert found.returncode == 0, found.stderr
    assert Image.open(picture.parent / "bird_upscaled.png").size == (80, 60)
    found = srcnn("upscale", picture, "--scale", 8, "--out", picture.parent / "x.png")
    assert found.returncode == 0, found.stderr
    assert "network is used" in found.stdout


def test_evaluate_without_weights_measures_the_released_network_and_says_which(weights, picture, tmp_path):
    found = srcnn("evaluate", picture, tmp_path / "*.png")
    assert found.returncode == 0, found.stderr
    assert "the released network srcnn_y_x2.safetensors is measured" in found.stdout
    assert {"bird.png ×2", "*.png ×2"} <= set(found.stdout.splitlines())
    assert "network is used" in srcnn("evaluate", picture, "--scale", 2.5).stdout
    assert set(json.loads(srcnn("evaluate", picture, "--scale", 2.5, "--json").stdout)) == {"bird.png"}
    assert "released" not in srcnn("evaluate", weights, picture).stdout
    for words in ([], [weights]):
        refused(srcnn("evaluate", *words), "srcnn evaluate RUN set5")


def test_a_picture_that_would_not_fit_into_memory_is_refused_from_its_header(weights, tmp_path, monkeypatch):
    head = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + b"\0\0\0\0IDAT" + bytes(4))
    monkeypatch.setattr("srcnn_lib.runtime.memory.available", lambda: 2**30)
    refused(srcnn("upscale", "huge.png", "--weights", weights, cwd=tmp_path), "huge.png", "GB of memory")
    assert [path.name for path in tmp_path.iterdir()] == ["huge.png"]


def test_a_picture_of_one_pixel_works(weights, tmp_path):
    Image.new("RGB", (1, 1), (200, 100, 50)).save(tmp_path / "dot.png")
    assert srcnn("upscale", "dot.png", "--weights", weights, cwd=tmp_path).returncode == 0
    assert Image.open(tmp_path / "dot_upscaled.png").size == (2, 2)


def test_a_full_disk_is_one_line_and_leaves_nothing(weights, picture, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    refused(srcnn("upscale", picture, "--weights", weights), "No space left on device")
    assert [path.name for path in picture.parent.iterdir()] == ["bird.png"]


def test_a_source_that_holds_nothing_does_not_keep_the_others_from_being_done(weights, picture):
    (picture.parent / "empty").mkdir()
    found = srcnn("upscale", "empty", "no*.jpg", "x" * 300, "http://[bad/x.png", picture, "--weights", weights,
                  cwd=picture.parent)  # fmt: skip
    assert found.returncode == 2
    assert (picture.parent / "bird_upscaled.png").exists()
    assert all(word in found.stderr for word in ("empty", "no*.jpg", "xxx", "[bad"))


def test_a_folder_with_one_picture_goes_into_a_new_folder(weights, picture, tmp_path):
    found = srcnn("upscale", picture.parent, "--weights", weights, "--out", tmp_path / "new")
    assert found.returncode == 0, found.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["bird_upscaled.png"]


def test_files_named_by_the_shell_a_second_time_leave_out_what_was_made(weights, picture):
    srcnn("upscale", picture, "--weights", weights)
    both = [picture, picture.parent / "bird_upscaled.png"]
    found = srcnn("upscale", *both, "--weights", weights)
    assert found.returncode == 0, found.stderr
    assert sorted(path.name for path in picture.parent.iterdir()) == ["bird.png", "bird_upscaled.png"]


def test_an_unknown_device_and_extension_are_refused_before_the_work(weights, picture):
    refused(srcnn("upscale", picture, "--weights", weights, "--device", "tpu"), "tpu", "cuda")
    refused(srcnn("upscale", picture, "--weights", weights, "--out", picture.parent / "new" / "x.txt"), ".png")
    assert [path.name for path in picture.parent.iterdir()] == ["bird.png"]


def test_execute_takes_one_picture(weights, picture):
    refused(srcnn("--image", picture.parent / "*.jpg", "--saved", weights, program=runpy.run_path), "one picture")
