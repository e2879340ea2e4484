"""TensorBoard in the output of a cell."""

import os
import shlex
import sys

import pytest
import tensorboard.notebook

from srcnn_lib.notebook import show_tensorboard


@pytest.fixture
def started(monkeypatch):
    started = []
    monkeypatch.setattr(tensorboard.notebook, "start", started.append)
    monkeypatch.delenv("TENSORBOARD_BINARY", raising=False)
    monkeypatch.setenv("TENSORBOARD_BINARY", "")
    monkeypatch.delenv("TENSORBOARD_BINARY")
    return started


def test_it_is_the_tensorboard_of_this_python_and_the_run_need_not_exist_yet(started, tmp_path):
    show_tensorboard(tmp_path / "my run")
    (arguments,) = started
    words = shlex.split(arguments)
    assert words[words.index("--logdir") + 1] == str(tmp_path / "my run")
    assert words[words.index("--samples_per_plugin") + 1] == "images=200"
    program = os.environ.get("TENSORBOARD_BINARY")
    assert program is None or os.path.dirname(program) == os.path.dirname(sys.executable)


def test_where_it_is_not_installed_one_line_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    show_tensorboard(tmp_path)
    assert capsys.readouterr().out.startswith("TensorBoard is not installed here")
