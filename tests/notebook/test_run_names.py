"""Names of runs that are typed into a notebook."""

import pytest

from srcnn_lib import InputError
from srcnn_lib.notebook import run_path


@pytest.mark.parametrize("name", ["first", "my run 2", "a", "ä-ö_1.5", "x" * 100])
def test_a_plain_name_is_a_folder_among_the_runs(tmp_path, name):
    assert run_path(tmp_path, name).parent == tmp_path
    run_path(tmp_path, name).mkdir()


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "../x/my run?", "a/b", "a\\b", "/etc", "what?", "a\nb", " x", "y" * 101, None, 3]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="is no name for a run|run_name is .*, expected the name"):
        run_path(tmp_path, name)
