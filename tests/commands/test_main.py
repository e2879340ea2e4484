"""The command line as a whole: help, and errors in one line."""

import inspect
import os
import subprocess
import sys

import pytest
from command_line import ROOT, assert_refused, srcnn

from srcnn_lib.commands.main import app

COMMANDS = [
    "demo", "train", "evaluate", "upscale", "animate", "laboratory", "compare", "release", "info", "benchmark",
]  # fmt: skip


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(arguments):
    found = srcnn(*arguments)
    assert found.returncode == 0
    assert all(f" {command} " in found.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_and_argument_has_a_help_text(command):
    assert srcnn(command, "--help").returncode == 0
    function = next(info.callback for info in app.registered_commands if info.callback.__name__ == command)
    parameters = inspect.signature(function).parameters
    assert all(parameter.annotation.__metadata__[0].help for parameter in parameters.values())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["paint"], ["no such command 'paint'", "see srcnn --help"]),
        (["upscale"], ["missing argument", "see srcnn upscale --help"]),
        (["upscale", "x.png", "--color"], ["no such option", "--color", "see srcnn upscale --help"]),
        (["upscale", "x.png", "--scale", "two"], ["'--scale'", "see srcnn upscale --help"]),
        (["upscale", "x.png", "--scale"], ["--scale", "requires an argument"]),
        (["train", "--batch-size", "many"], ["'--batch-size'", "see srcnn train --help"]),
    ],
)
def test_an_error_in_the_command_line_is_one_line_like_any_other(arguments, words):
    assert_refused(srcnn(*arguments), *words)


def test_ctrl_c_prints_one_line_and_exits_with_status_130(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("srcnn_lib.pretrained.open_weights", interrupt)
    found = srcnn("info", "x.pth")
    assert (found.returncode, found.stderr.strip()) == (130, "srcnn: stopped")


def test_a_bug_keeps_its_traceback(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("srcnn_lib.pretrained.open_weights", fail)
    with pytest.raises(ZeroDivisionError):
        srcnn("info", "x.pth")


@pytest.mark.slow
def test_a_process_of_its_own_exits_with_status_2_and_without_traceback(tmp_path):
    command = [sys.executable, "-m", "srcnn_lib", "upscale", "missing.png"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    assert_refused(found, "missing.png")


def test_invalid_input_prints_one_line_and_exits_with_status_2(weights, picture, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_refused(srcnn("upscale", "missing.png", "--weights", weights, cwd=tmp_path), "missing.png")
    assert_refused(srcnn("upscale", empty, "--weights", weights), "empty")
    assert_refused(srcnn("upscale", "no*.png", "--weights", weights, cwd=tmp_path), "no*.png")
    assert_refused(srcnn("upscale", "file:///etc/passwd", "--weights", weights), "file:///etc/passwd")
    assert_refused(srcnn("upscale", picture, "--weights", "missing.pth"), "missing.pth")
    assert_refused(srcnn("upscale", picture, "--weights", weights, "--out", picture / "x.png"), "x.png")
    assert_refused(srcnn("upscale", picture, "--weights", weights, "--out", tmp_path / "x.xyz"), "x.xyz")
    assert_refused(srcnn("evaluate", weights, empty), "empty")
    assert_refused(srcnn("evaluate", weights, "no_such_set", cwd=tmp_path), "no_such_set")
    assert_refused(srcnn("train", "--data", "missing", "--steps", 1, cwd=tmp_path), "missing")
    assert_refused(srcnn("train", "--filters", "9,4,5", cwd=tmp_path), "9,4,5")
    assert_refused(srcnn("train", "--resume", cwd=tmp_path), "runs")
    assert not (tmp_path / "runs").exists()
