import errno
import hashlib
import os
import stat

import pytest
import torch

from srcnn_lib.data import download, images
from srcnn_lib.errors import InputError
from srcnn_lib.runtime import files

DATA = bytes(range(256)) * 4000  # about a megabyte


def test_a_written_file_appears_at_its_end_with_the_permissions_that_open_gives(tmp_path):
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
def test_an_interrupted_write_leaves_what_was_there_and_nothing_else(tmp_path, error):
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


def test_a_missing_folder_is_named_and_not_made(tmp_path):
    with pytest.raises(InputError, match="there is no folder"), files.write_atomically(tmp_path / "no" / "a.txt"):
        pass
    assert not os.listdir(tmp_path)


def test_digest_agrees_with_the_whole_file_hashed_at_once(tmp_path):
    (tmp_path / "a").write_bytes(DATA)
    assert files.digest(tmp_path / "a") == hashlib.sha256(DATA).hexdigest()
    assert files.digest(tmp_path / "a", "md5") == hashlib.md5(DATA).hexdigest()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://a.org/b.png", True),
        ("HTTP://a.org", True),
        ("file:///etc/passwd", True),
        ("a/b.png", False),
        ("./a://b.png", False),
        ("C://a.png", False),
        (b"https://a.org", False),
    ],
)
def test_an_address_is_text_with_a_scheme(source, expected):
    assert download.is_url(source) is expected


def test_what_is_shown_stands_on_one_line_and_keeps_other_letters():
    assert files.printable("bad\nname\r\x1b[31m\u2028.png") == r"bad\nname\r\x1b[31m\u2028.png"
    assert files.printable("schöne 鳥.png") == "schöne 鳥.png"
    files.printable(os.fsdecode(b"\xff.png")).encode()  # a name that is no UTF-8 must not break the terminal


def test_an_address_gives_its_bytes_also_with_spaces_and_after_a_redirect(web):
    assert download.read_url(web.put("a.bin", DATA)) == DATA
    assert download.read_url(web.script("a.bin", "to other")) == DATA
    web.put("my bird; rm -rf ~.png", DATA)
    web.asked.clear()
    with pytest.raises(InputError, match="404"):
        download.read_url(web.address("my bird; rm -rf ~.png"))  # the server's folder knows no %20
    assert web.asked == ["/my%20bird;%20rm%20-rf%20~.png"]


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("404", "answers 404"),
        ("html", "web page"),
        ("to file", "302"),
        ("loop", "infinite loop"),
        ("cut", "connection was cut"),
        ("chunked cut", "connection was cut"),
        ("silent", "did not answer for"),
        ("long", "5,368,709,120 bytes"),
        ("endless", "longer"),
    ],
)
def test_an_answer_that_is_no_good_is_one_line_and_leaves_nothing_behind(web, tmp_path, monkeypatch, what, expected):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    web.put("a.bin", DATA)
    address = web.script("a.bin", what)
    for get in (
        lambda: download.read_url(address, limit=2**22),
        lambda: download.download_file(address, tmp_path / "new" / "a.bin", limit=2**22),
    ):
        with pytest.raises(InputError, match=expected) as error:
            get()
        assert address in str(error.value)
        assert str(error.value).isprintable()
    assert not os.listdir(tmp_path / "new")


@pytest.mark.parametrize("what", ["cut", "other", "404", "chunked cut"])
def test_a_second_try_succeeds_after_a_first_one_that_failed(web, tmp_path, what):
    address = web.put("a.bin", DATA)
    sums = {"sha256": hashlib.sha256(DATA).hexdigest(), "md5": hashlib.md5(DATA).hexdigest().upper()}
    web.script("a.bin", what, times=1)
    with pytest.raises(InputError, match="sum" if what == "other" else "404|cut"):
        download.download_file(address, tmp_path / "a.bin", **sums)
    assert not os.listdir(tmp_path)
    assert download.download_file(address, tmp_path / "a.bin", **sums).read_bytes() == DATA


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://a.org/b.png",
        "data://text/plain,hello",
        "http://",
        "http://[::1/b.png",
        "http://a.org:port/b.png",
        "http://a..org/b.png",
        "http://ä..org/b.png",
        "http://127.0.0.1:1/b.png",
        "http://127.0.0.1:1/b\r\nHost: evil\n.png",
        "http://" + "a" * 70 + "é.org/",
    ],
)
def test_an_address_that_can_not_be_read_is_one_line(address, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "TIMEOUT", 2)
    with pytest.raises(InputError) as error:
        download.read_url(address)
    assert str(error.value).isprintable()


def test_the_bar_hears_of_every_byte_and_its_own_errors_are_not_hidden(web, tmp_path):
    address, heard = web.put("a.bin", DATA), []
    download.download_file(address, tmp_path / "a.bin", progress=lambda length, total: heard.append((length, total)))
    assert sum(length for length, _ in heard) == len(DATA)
    assert {total for _, total in heard} == {len(DATA)}

    def broken(length, total):
        raise ValueError("a bug in the bar")

    with pytest.raises(ValueError, match="a bug in the bar") as error:
        download.download_file(address, tmp_path / "b.bin", progress=broken)
    assert type(error.value) is ValueError
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("name", [*("a" + suffix for suffix in images.WRITABLE), "deep.png"])
def test_a_full_disk_leaves_nothing_behind(tmp_path, name):
    """A limit on the size of files stands for the disk: a write is cut short there as well, then refused."""
    resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
    noise = torch.rand(3, 64, 64, generator=torch.manual_seed(0))
    picture = images.Picture(noise[:1], bits=16) if name == "deep.png" else noise
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            images.write_image(tmp_path / name, picture)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not os.listdir(tmp_path)
