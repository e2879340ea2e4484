"""`srcnn upscale`: where results are written, and unusual pictures and weights."""

import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib

import pytest
import torch
from command_line import assert_refused, srcnn
from PIL import Image

from srcnn_lib.data.images import write_image


def test_upscale_writes_beside_the_picture(weights, picture):
    found = srcnn("upscale", picture, "--weights", weights)
    assert found.returncode == 0, found.stderr
    assert Image.open(picture.parent / "bird_upscaled.png").size == (80, 60)


# Each of these takes from a tenth of a second to several seconds to import, and upscaling needs none.
NEEDLESS = {
    "accelerate", "IPython", "ipywidgets", "matplotlib", "onnx", "pandas", "pooch", "pytorch_optimizer", "scipy",
    "skimage", "sympy", "tensorboard", "torch._dynamo", "torch._inductor", "torch.onnx._internal", "torchvision",
}  # fmt: skip


@pytest.mark.slow
def test_upscale_imports_only_what_it_needs(picture):
    code = f"""
import atexit, sys
atexit.register(lambda: print("\\n" + " ".join(sys.modules)))
sys.argv = ["srcnn", "upscale", {str(picture)!r}]
from srcnn_lib.commands.main import main
main()
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    modules = set(found.stdout.splitlines()[-1].split())
    assert {"torch", "srcnn_lib.inference.fast_pass"} <= modules
    assert not modules & NEEDLESS


@pytest.mark.parametrize("mode", ["whole", "non-overlapping", "overlapping"])
@pytest.mark.parametrize("scale", [1.5, 3])
def test_upscale_works_in_every_mode_and_at_any_scale(weights, picture, mode, scale):
    found = srcnn(
        "upscale", picture, "--weights", weights, "--mode", mode, "--scale", scale, "--out", picture.parent / "x.webp"
    )
    assert found.returncode == 0, found.stderr
    assert Image.open(picture.parent / "x.webp").size == (round(40 * scale), round(30 * scale))


def test_upscale_uses_a_released_network_by_default(picture):
    found = srcnn("upscale", picture)
    assert found.returncode == 0, found.stderr
    assert Image.open(picture.parent / "bird_upscaled.png").size == (80, 60)
    found = srcnn("upscale", picture, "--scale", 8, "--out", picture.parent / "x.png")
    assert found.returncode == 0, found.stderr
    assert "network is used" in found.stdout


def test_upscale_continues_after_a_damaged_picture(weights, picture):
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


def test_a_second_call_on_a_folder_does_not_upscale_its_own_output(weights, picture):
    for _ in range(2):
        assert srcnn("upscale", picture.parent, "--weights", weights).returncode == 0
    assert sorted(path.name for path in picture.parent.iterdir()) == ["bird.png", "bird_upscaled.png"]


def test_two_pictures_for_one_output_file_are_refused_before_anything_is_written(weights, picture):
    Image.open(picture).save(picture.parent / "bird.jpg")
    found = srcnn(
        "upscale", picture, picture.parent / "bird.jpg", "--weights", weights, "--out", picture.parent / "one.png"
    )
    assert_refused(found, "one.png")
    (picture.parent / "other").mkdir()
    Image.open(picture).save(picture.parent / "other/bird.png")
    out = picture.parent / "out"
    out.mkdir()
    assert_refused(
        srcnn("upscale", picture, picture.parent / "other/bird.png", "--weights", weights, "--out", out), "both"
    )
    assert list(out.iterdir()) == []


def test_upscale_downloads_a_picture_from_an_address(weights, picture, web, tmp_path):
    address = web.put("bird.png", picture.read_bytes())
    found = srcnn("upscale", address, "--weights", weights, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert Image.open(tmp_path / "bird_upscaled.png").size == (80, 60)


def test_shell_metacharacters_in_a_file_name_are_not_interpreted(weights, picture, tmp_path):
    name = "a; touch hacked $(touch hacked) `touch hacked` & b.png"
    picture.rename(picture.parent / name)
    found = srcnn("upscale", name, "--weights", weights, cwd=picture.parent)
    assert found.returncode == 0, found.stderr
    assert (picture.parent / name.replace(".png", "_upscaled.png")).exists()
    assert not (picture.parent / "hacked").exists()


class Code:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_code_pickled_into_a_weights_file_is_not_executed(picture):
    torch.save({"layer_1.weight": Code()}, picture.parent / "evil.pth")
    (picture.parent / "plain.pth").write_bytes(pickle.dumps(Code()))
    for name in ("evil.pth", "plain.pth"):
        assert_refused(srcnn("upscale", picture, "--weights", name, cwd=picture.parent), name)
    assert not (picture.parent / "hacked").exists()


@pytest.mark.parametrize("scale", ["0", "-1", "nan", "100", "1", 400 * "9"])
def test_a_scale_out_of_range_is_refused(weights, picture, scale):
    assert_refused(srcnn("upscale", picture, "--weights", weights, "--scale", scale), "scale", "1.1 to 8")
    assert [path.name for path in picture.parent.iterdir()] == ["bird.png"]


def test_a_picture_too_large_for_the_memory_is_refused_by_its_header(weights, tmp_path, monkeypatch):
    head = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + b"\0\0\0\0IDAT" + bytes(4))
    monkeypatch.setattr("srcnn_lib.runtime.memory.available", lambda: 2**30)
    assert_refused(srcnn("upscale", "huge.png", "--weights", weights, cwd=tmp_path), "huge.png", "GB of memory")
    assert [path.name for path in tmp_path.iterdir()] == ["huge.png"]


def test_a_picture_of_one_pixel_is_upscaled(weights, tmp_path):
    Image.new("RGB", (1, 1), (200, 100, 50)).save(tmp_path / "dot.png")
    assert srcnn("upscale", "dot.png", "--weights", weights, cwd=tmp_path).returncode == 0
    assert Image.open(tmp_path / "dot_upscaled.png").size == (2, 2)


def test_a_full_disk_prints_one_line_and_leaves_no_file(weights, picture, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    # The file that there is no room for is named, not the picture that was read.
    assert_refused(srcnn("upscale", picture, "--weights", weights), "bird_upscaled.png: No space left on device")
    assert [path.name for path in picture.parent.iterdir()] == ["bird.png"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no os.fork")
@pytest.mark.filterwarnings("ignore:.*fork")
def test_what_a_killed_process_left_behind_is_removed_by_the_next_call(weights, picture):
    """The process ends as by kill -9 when the picture is written and has not got its name yet."""
    child = os.fork()
    if not child:
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL) or time.sleep(60)
        write_image(picture.with_name("bird_upscaled.png"), torch.rand(3, 9, 9))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = [path.name for path in picture.parent.iterdir() if path.name.startswith(".bird_upscaled-")]
    assert len(left) == 1
    assert srcnn("upscale", picture, "--weights", weights).returncode == 0
    assert sorted(path.name for path in picture.parent.iterdir()) == ["bird.png", "bird_upscaled.png"]


def test_sources_without_pictures_do_not_stop_the_others(weights, picture):
    (picture.parent / "empty").mkdir()
    found = srcnn("upscale", "empty", "no*.jpg", "x" * 300, "http://[bad/x.png", picture, "--weights", weights,
                  cwd=picture.parent)  # fmt: skip
    assert found.returncode == 2
    assert (picture.parent / "bird_upscaled.png").exists()
    assert all(word in found.stderr for word in ("empty", "no*.jpg", "xxx", "[bad"))


def test_a_folder_with_one_picture_is_written_into_a_new_folder(weights, picture, tmp_path):
    found = srcnn("upscale", picture.parent, "--weights", weights, "--out", tmp_path / "new")
    assert found.returncode == 0, found.stderr
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["bird_upscaled.png"]


def test_results_of_an_earlier_call_are_left_out_of_a_list_of_files(weights, picture):
    srcnn("upscale", picture, "--weights", weights)
    both = [picture, picture.parent / "bird_upscaled.png"]
    found = srcnn("upscale", *both, "--weights", weights)
    assert found.returncode == 0, found.stderr
    assert sorted(path.name for path in picture.parent.iterdir()) == ["bird.png", "bird_upscaled.png"]


def test_an_unknown_device_or_extension_is_refused_before_the_work(weights, picture):
    assert_refused(srcnn("upscale", picture, "--weights", weights, "--device", "tpu"), "tpu", "cuda")
    assert_refused(srcnn("upscale", picture, "--weights", weights, "--out", picture.parent / "new" / "x.txt"), ".png")
    assert [path.name for path in picture.parent.iterdir()] == ["bird.png"]


@pytest.mark.parametrize("arguments", [("",), (" ",), ("{}", "--out", "")])
def test_an_empty_name_is_refused_and_no_folder_is_enlarged(tmp_path, photograph_folder, arguments):
    shutil.copy(photograph_folder / "0.png", tmp_path)
    result = srcnn("upscale", *(part.format(tmp_path / "0.png") for part in arguments), cwd=tmp_path)
    assert_refused(result, "empty")
    assert os.listdir(tmp_path) == ["0.png"]
