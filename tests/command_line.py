"""Runs commands of the command line, and checks their error messages."""

import contextlib
import dataclasses
import io
import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXECUTE = str(ROOT / "execute.py")


@dataclasses.dataclass
class Result:
    returncode: int
    stdout: str
    stderr: str


def srcnn(*arguments, cwd=None, program=runpy.run_module):
    """Runs `srcnn` with these arguments in this process: a new interpreter would have to import torch again.

    With `program=runpy.run_path` it runs execute.py instead.
    """
    output = io.StringIO()
    errors = io.StringIO()
    arguments_before = sys.argv
    folder_before = os.getcwd()
    try:
        os.chdir(cwd or folder_before)
        sys.argv = ["srcnn", *map(str, arguments)]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            program("srcnn_lib" if program is runpy.run_module else EXECUTE, run_name="__main__")
        status = 0
    except SystemExit as ended:
        status = ended.code or 0
    finally:
        sys.argv = arguments_before
        os.chdir(folder_before)
    return Result(status, output.getvalue(), errors.getvalue())


def assert_refused(result, *words):
    """Checks for status 2 and one line on standard error that contains the words."""
    assert result.returncode == 2, result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("srcnn: ")
    for word in words:
        assert word in lines[0]
