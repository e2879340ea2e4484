"""What processes that were killed leave behind is removed, and nothing else."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from srcnn_lib.runtime import temporary_files
from srcnn_lib.runtime.files import write_atomically

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no lock on a file that can be renamed")

WRITER = """
import sys, time
from srcnn_lib.runtime.files import write_atomically
with write_atomically(sys.argv[1]) as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing other.png, and the name of its temporary file."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "other.png")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def write(path):
    with write_atomically(path) as temporary:
        temporary.write_text("whole")


def test_the_next_write_removes_what_a_killed_process_left_and_not_what_a_living_one_writes(tmp_path, writer):
    process, name = writer
    write(tmp_path / "a.png")
    assert sorted(os.listdir(tmp_path)) == [name, "a.png"]
    process.send_signal(signal.SIGKILL)
    process.wait()
    temporary_files._remove_leftovers.cache_clear()  # a process looks once
    write(tmp_path / "b.png")
    assert sorted(os.listdir(tmp_path)) == ["a.png", "b.png"]


def test_files_of_others_stay(tmp_path):
    ours = temporary_files.temporary_name(tmp_path / "a.png")
    digits = ours.removesuffix(".png")[-8:]
    others = [".a-01234567.png", f".a-00000000{digits}.png", ours.removeprefix("."), ours + "~", ".hidden"]
    for name in others:
        (tmp_path / name).write_text("somebody else's")
    (tmp_path / "elsewhere").write_text("somebody else's")
    (tmp_path / temporary_files.temporary_name(tmp_path / "b.png")).symlink_to("elsewhere")
    (tmp_path / temporary_files.temporary_name(tmp_path / "c.png")).mkdir()
    os.mkfifo(tmp_path / temporary_files.temporary_name(tmp_path / "d.png"))
    before = sorted(os.listdir(tmp_path))
    write(tmp_path / "new.png")
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "new.png"])
    (tmp_path / ours).write_text("ours")
    temporary_files.remove_leftovers(tmp_path / ".")
    assert (tmp_path / ours).exists()  # it has been looked into already
    temporary_files._remove_leftovers.cache_clear()
    temporary_files.remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "new.png"])


def test_names_differ_between_machines_and_keep_the_extension(tmp_path, monkeypatch):
    here = temporary_files.temporary_name(tmp_path / "a.tar.gz")
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    temporary_files._machine.cache_clear()
    there = temporary_files.temporary_name(tmp_path / "a.tar.gz")
    temporary_files._machine.cache_clear()
    assert here.startswith(".a.tar-")
    assert here.endswith(".gz")
    assert here[7:15] != there[7:15]


def test_without_locks_nothing_is_removed_and_files_are_written(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(38, "Function not implemented")

    leftover = tmp_path / temporary_files.temporary_name(tmp_path / "a.png")
    leftover.touch()
    monkeypatch.setattr("fcntl.flock", unsupported)
    write(tmp_path / "b.png")
    assert sorted(os.listdir(tmp_path)) == [leftover.name, "b.png"]
