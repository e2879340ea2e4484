"""What the notebooks look at where there is no run yet."""

import pytest
from small_runs import small_run

from srcnn_lib import InputError
from srcnn_lib.notebook import open_run_or_example
from srcnn_lib.pretrained import example_run


def test_without_a_run_the_example_is_opened_at_once_and_a_line_says_so(tmp_path, capsys):
    run = open_run_or_example(tmp_path / "first")
    assert run.path == example_run().path
    assert not (tmp_path / "first").exists()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"There is no run at {tmp_path / 'first'} yet.")


def test_a_run_with_snapshots_is_opened_and_one_that_was_stopped_before_it_began_is_not(tmp_path, capsys):
    own = small_run(tmp_path / "first")
    assert open_run_or_example(tmp_path / "first").path == own.path
    assert capsys.readouterr().out == ""
    for snapshot in own.snapshots():
        snapshot.path.unlink()
    assert open_run_or_example(tmp_path / "first").path == example_run().path


def test_a_run_that_cannot_be_read_is_an_error_and_is_not_replaced_by_the_example(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json can't be read"):
        open_run_or_example(tmp_path)
