import errno
import hashlib
import os
import stat

import pytest

from srcnn_lib.errors import InputError
from srcnn_lib.runtime import files

DATA = bytes(range(256)) * 4000  # about a megabyte


def test_a_file_appears_when_it_is_whole_with_the_permissions_that_open_gives(tmp_path):
    with files.write_atomically(tmp_path / "a.txt") as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not (tmp_path / "a.txt").exists()
    (tmp_path / "b.txt").write_text("plain")
    assert (tmp_path / "a.txt").read_text() == "whole"
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(type(error)), files.write_atomically(tmp_path / "a.txt") as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert (tmp_path / "a.txt").read_text() == "before"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_writing_through_a_link_keeps_the_link(tmp_path):
    (tmp_path / "a.txt").write_text("before")
    (tmp_path / "link.txt").symlink_to("a.txt")
    with files.write_atomically(tmp_path / "link.txt") as temporary:
        temporary.write_text("after")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "a.txt").read_text() == "after"


def test_neither_a_folder_nor_a_device_is_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, what in (("pipe", "no plain file"), ("folder", "a folder")):
        with pytest.raises(InputError, match=what), files.write_atomically(tmp_path / name):
            pass
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


def test_an_error_names_the_missing_folder_which_is_not_made(tmp_path):
    with pytest.raises(InputError, match="there is no folder"), files.write_atomically(tmp_path / "no" / "a.txt"):
        pass
    assert not os.listdir(tmp_path)


def test_digest_equals_the_hash_of_the_whole_file(tmp_path):
    (tmp_path / "a").write_bytes(DATA)
    assert files.digest(tmp_path / "a") == hashlib.sha256(DATA).hexdigest()
    assert files.digest(tmp_path / "a", "md5") == hashlib.md5(DATA).hexdigest()


def test_printable_text_is_on_one_line_and_keeps_letters_beyond_ascii():
    assert files.printable("bad\nname\r\x1b[31m\u2028.png") == r"bad\nname\r\x1b[31m\u2028.png"
    assert files.printable("schöne 鳥.png") == "schöne 鳥.png"
    files.printable(os.fsdecode(b"\xff.png")).encode()  # a name that is no UTF-8 must not break the terminal


def test_of_two_writers_of_a_new_file_one_succeeds(tmp_path):
    with files.write_atomically(tmp_path / "a.txt", new=True) as temporary:
        temporary.write_text("first")
    with pytest.raises(FileExistsError), files.write_atomically(tmp_path / "a.txt", new=True) as temporary:
        temporary.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_new_file_needs_no_hard_links(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    test_of_two_writers_of_a_new_file_one_succeeds(tmp_path)


def test_a_link_is_followed_or_replaced_as_asked(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("before")
    link.symlink_to(target)
    with files.write_atomically(link) as temporary:
        temporary.write_text("through the link")
    assert target.read_text() == "through the link"
    with files.write_atomically(link, follow_links=False) as temporary:
        temporary.write_text("in its place")
    assert target.read_text() == "through the link"
    assert not link.is_symlink()
