import os
import zipfile

import pytest
import torch

from srcnn_lib.runtime.state_file import DamagedError, read_state, state_digest, write_state

STATE = {"step": 3, "rate": 0.5, "none": None, "list": [1, (2, "two")], "tensors": {"a": torch.arange(6.0).view(2, 3)}}


def same(left, right):
    return state_digest(left) == state_digest(right)


def test_a_state_is_read_as_it_was_written(tmp_path):
    write_state(tmp_path / "a.pt", STATE)
    assert same(read_state(tmp_path / "a.pt"), STATE)
    assert torch.equal(read_state(tmp_path / "a.pt")["tensors"]["a"], STATE["tensors"]["a"])


def test_the_digest_depends_on_each_value_type_shape_and_name():
    others = [
        STATE | {"step": 4}, STATE | {"step": 3.0}, STATE | {"list": [1, [2, "two"]]}, {**STATE, "more": 1},
        STATE | {"tensors": {"a": torch.arange(6.0)}}, STATE | {"tensors": {"b": STATE["tensors"]["a"]}},
        STATE | {"tensors": {"a": STATE["tensors"]["a"].double()}},
    ]  # fmt: skip
    assert len({state_digest(state) for state in [STATE, *others]}) == 1 + len(others)
    columns = STATE["tensors"]["a"].t().contiguous().t()  # the same values, laid out otherwise
    assert same(STATE | {"tensors": {"a": columns}}, STATE)


def test_a_state_that_was_changed_is_refused_though_the_file_is_whole(tmp_path):
    write_state(tmp_path / "a.pt", STATE)
    stored = torch.load(tmp_path / "a.pt", weights_only=True)
    stored["state"]["step"] = -1
    torch.save(stored, tmp_path / "a.pt")
    with pytest.raises(DamagedError, match="checksum"):
        read_state(tmp_path / "a.pt")


def test_a_tensor_that_claims_more_than_the_file_holds_is_refused(tmp_path):
    torch.save({"sha256": "", "state": {"a": torch.zeros(1).expand(10**12)}}, tmp_path / "a.pt")
    with pytest.raises(DamagedError):
        read_state(tmp_path / "a.pt")


def test_a_zip_that_unpacks_to_more_than_it_holds_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    with pytest.raises(DamagedError, match="size"):
        read_state(tmp_path / "a.pt")


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 1000])
def test_other_files_are_damaged(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(DamagedError):
        read_state(tmp_path / "a.pt")


def test_code_is_never_run(tmp_path):
    class Touch:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "touched"),)

    torch.save({"sha256": "", "state": {"a": Touch()}}, tmp_path / "a.pt")
    with pytest.raises(DamagedError):
        read_state(tmp_path / "a.pt")
    assert not (tmp_path / "touched").exists()


def test_an_error_of_the_disk_is_not_damage(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_state(tmp_path / "a.pt")
