"""Downloads: what is refused, what the errors say, and that nothing is left behind."""

import hashlib
import os

import pytest

from srcnn_lib.data import download
from srcnn_lib.data.download import download_file, is_url, read_url
from srcnn_lib.errors import InputError

DATA = bytes(range(256)) * 4000  # about a megabyte


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
    assert is_url(source) is expected


def test_an_address_is_read_also_with_spaces_in_it_and_after_a_redirect(web):
    assert read_url(web.put("a.bin", DATA)) == DATA
    assert read_url(web.script("a.bin", "to other")) == DATA
    web.put("my bird; rm -rf ~.png", DATA)
    web.requests.clear()
    with pytest.raises(InputError, match="404"):
        read_url(web.address("my bird; rm -rf ~.png"))  # the server does not decode %20
    assert web.requests == ["/my%20bird;%20rm%20-rf%20~.png"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("404", "answers 404"),
        ("html", "web page"),
        ("to file", "302"),
        ("to data", "302|only http"),
        ("loop", "infinite loop"),
        ("cut", "connection was cut"),
        ("chunked cut", "connection was cut"),
        ("silent", "did not answer for"),
        ("slow headers", "did not answer within"),
        ("slow body", "sent only"),
        ("long", "5,368,709,120 bytes"),
        ("endless", "longer"),
    ],
)
def test_a_bad_answer_gives_an_error_of_one_line_and_leaves_nothing_behind(
    web, tmp_path, monkeypatch, script, expected
):
    monkeypatch.setattr(download, "TIMEOUT", 0.3)
    monkeypatch.setattr(download, "SLOW_AFTER", 1)
    web.put("a.bin", DATA)
    address = web.script("a.bin", script)
    for get in (
        lambda: read_url(address, limit=2**22),
        lambda: download_file(address, tmp_path / "new" / "a.bin", limit=2**22),
    ):
        with pytest.raises(InputError, match=expected) as error:
            get()
        assert address in str(error.value)
        assert str(error.value).isprintable()
    assert not os.listdir(tmp_path / "new")


def test_a_long_reason_of_a_server_is_cut(web):
    with pytest.raises(InputError) as error:
        read_url(web.script("a.bin", "long reason"))
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("script", ["cut", "other", "404", "chunked cut"])
def test_a_download_succeeds_after_one_that_failed(web, tmp_path, script):
    address = web.put("a.bin", DATA)
    digests = {"sha256": hashlib.sha256(DATA).hexdigest(), "md5": hashlib.md5(DATA).hexdigest().upper()}
    web.script("a.bin", script, times=1)
    with pytest.raises(InputError, match="sum" if script == "other" else "404|cut"):
        download_file(address, tmp_path / "a.bin", digests)
    assert not os.listdir(tmp_path)
    assert download_file(address, tmp_path / "a.bin", digests).read_bytes() == DATA


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
def test_an_address_that_can_not_be_read_gives_an_error_of_one_line(address, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "TIMEOUT", 2)
    with pytest.raises(InputError) as error:
        read_url(address)
    assert str(error.value).isprintable()


def test_progress_reaches_the_length_of_the_file(web, tmp_path):
    calls = []
    download_file(web.put("a.bin", DATA), tmp_path / "a.bin", progress=lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})
    assert calls[-1] == (len(DATA), len(DATA))
    assert {total for _, total in calls} == {len(DATA)}


def test_an_error_in_the_progress_callback_is_not_taken_for_one_of_the_network(web, tmp_path):
    def broken(done, total):
        raise ValueError("a bug in the bar")

    with pytest.raises(ValueError, match="a bug in the bar") as error:
        download_file(web.put("a.bin", DATA), tmp_path / "a.bin", progress=broken)
    assert type(error.value) is ValueError
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("script", ["slow chunk", "slow body", "slow headers"])
def test_a_byte_at_a_time_ends(web, monkeypatch, script):
    monkeypatch.setattr(download, "SLOW_AFTER", 0.5)
    with pytest.raises(InputError, match="did not answer within|sent only|was cut"):
        read_url(web.script("a.bin", script))


def test_a_password_in_an_address_is_not_repeated(web):
    address = web.script("a.bin", "404").replace("//", "//ann:secret@")
    with pytest.raises(InputError, match="//ann:…@127") as error:
        read_url(address)
    assert "secret" not in str(error.value)
