"""How errors are reported."""

import pytest

from srcnn_lib import InputError, Run, load


def test_a_notebook_shows_an_input_error_without_a_traceback():
    shell = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed").InteractiveShell
    shown = []
    shell = shell.instance()
    shell._showtraceback = lambda kind, error, lines: shown.append(lines)
    shell.run_cell("from srcnn_lib import InputError\ndef f(): raise InputError('scale is two')\nf()")
    assert shown == [["\x1b[1;31mInputError\x1b[0m: scale is two"]]
    shell.clear_instance()


@pytest.mark.parametrize("opened", [load, Run])
def test_a_relative_path_that_does_not_exist_is_named_with_the_folder_it_was_looked_for_in(
    opened, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"runs/first.*does not exist in {tmp_path}; .*"):
        opened("runs/first")
    with pytest.raises(InputError, match="does not exist;"):
        opened(tmp_path / "runs" / "first")
