"""Every command with names that are no UTF-8, and that hold a line break and what a terminal would obey."""

import json
import os
import shutil

import pytest
from command_line import assert_refused, srcnn
from PIL import Image
from skimage import data as photographs
from small_runs import small_run

ODD = os.fsdecode(b"a\xff\n\x1b[2J$x$\xc2\x9b")  # the last one is U+009B, which begins an escape sequence as well
SHOWN = r"a\udcff\n\x1b[2J$x$\x9b"  # as `printable` writes it


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a run, a folder of photographs and an archive, all with such names."""
    folder = tmp_path_factory.mktemp("odd") / ODD
    try:
        (folder / ODD).mkdir(parents=True)
    except OSError:
        pytest.skip("the file system takes no such names")
    for number in range(2):
        crop = photographs.astronaut()[100 * number : 100 * number + 100, 150:262]
        Image.fromarray(crop).save(str(folder / ODD / f"{ODD}{number}.png"))
    small_run(folder / f"{ODD}run")
    shutil.make_archive(str(folder / ODD), "gztar", folder / ODD)
    return folder


PICTURE = f"{ODD}/{ODD}0.png"
RUN = f"{ODD}run"


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", RUN), ("info", RUN, "--json"),
        ("upscale", ODD, "--weights", RUN, "--out", f"{ODD}/"),
        ("evaluate", RUN, ODD), ("evaluate", RUN, ODD, "--json"), ("evaluate", RUN, f"{ODD}.tar.gz"),
        ("compare", RUN, PICTURE, "--out", f"{ODD}.html"),
        ("laboratory", RUN, "--image", PICTURE, "--out", f"{ODD}-laboratory.html"),
        ("animate", RUN, "--image", PICTURE, "--out", f"{ODD}.gif"),
        ("animate", RUN, RUN, "--image", PICTURE, "--out", f"{ODD}-two.gif"),
        ("explain", RUN, "--image", PICTURE, "--what", "worth", "--out", f"{ODD}.png"),
        ("explain", RUN, "--image", PICTURE, "--what", "pixel", "--json"),
        ("explain", RUN, "--image", PICTURE, "--what", "stimuli", "--out", f"{ODD}-stimuli.png"),
        ("release", RUN, "--on", ODD, "--out", f"{ODD}.safetensors"),
        ("release", RUN, "--on", ODD, "--hub", f"{ODD}-hub"),
    ],
    ids=lambda arguments: " ".join(word for word in arguments if ODD not in word),
)  # fmt: skip
def test_every_command_takes_such_names_and_prints_them_as_text(folder, arguments, monkeypatch):
    monkeypatch.setenv("SRCNN_DATA", str(folder / "cache"))
    result = srcnn(*arguments, cwd=folder)
    assert result.returncode == 0, ascii(result.stderr)
    assert result.stderr == ""
    assert all(line.isprintable() for line in result.stdout.splitlines()), ascii(result.stdout)
    if "--json" in arguments:
        json.loads(result.stdout)


def test_a_training_takes_such_names_for_its_photographs_and_its_run(folder):
    small = (
        "--steps",
        2,
        "--channels",
        1,
        "--filters",
        "5,1,3",
        "--widths",
        "4,2",
        "--batch-size",
        2,
        "--device",
        "cpu",
    )
    result = srcnn("train", "--data", ODD, "--validation", "0.5", "--out", f"{ODD}new", *small, cwd=folder)
    assert result.returncode == 0, ascii(result.stderr)
    result = srcnn("train", "--resume", "--out", f"{ODD}new", "--steps", 3, cwd=folder)
    assert result.returncode == 0, ascii(result.stderr)
    assert all(line.isprintable() for line in result.stdout.splitlines())


@pytest.mark.parametrize("command", ["upscale", "info", "animate", "laboratory", "compare", "explain", "evaluate"])
def test_a_missing_file_of_such_a_name_is_one_line(folder, command):
    assert_refused(srcnn(command, f"{ODD}missing", *(["samples:camera"] if command == "evaluate" else []), cwd=folder),
                   SHOWN)  # fmt: skip
