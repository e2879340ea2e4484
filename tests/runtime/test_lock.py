import errno
import os
import signal
import subprocess
import sys

import pytest

from srcnn_lib.errors import InputError
from srcnn_lib.runtime import lock as lock_module
from srcnn_lib.runtime.lock import FileLock

HOLDER = """
import sys, time
from pathlib import Path
from srcnn_lib.runtime.lock import FileLock
lock = FileLock(Path(sys.argv[1]), "is being trained")
print("locked", flush=True)
time.sleep(60)
"""


def test_a_second_lock_is_refused_until_the_first_is_released_and_no_file_is_left(tmp_path):
    first = FileLock(tmp_path / "lock", "is being trained")
    with pytest.raises(InputError, match="is being trained by this process"):
        FileLock(tmp_path / "lock", "is being trained")
    first.release()
    first.release()
    second = FileLock(tmp_path / "lock", "is being trained")
    assert second.is_ours()
    assert not first.is_ours()
    second.release()
    assert not list(tmp_path.iterdir())


def test_a_lock_ends_with_its_process(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match=f"by process {holder.pid} on "):
            FileLock(tmp_path / "lock", "is being trained")
        holder.send_signal(signal.SIGKILL)
    assert (tmp_path / "lock").exists()
    FileLock(tmp_path / "lock", "is being trained").release()
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_locks_is_told_and_not_waited_for(tmp_path, monkeypatch):
    def without(_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_module, "_lock", without)
    lock = FileLock(tmp_path / "lock", "is being trained")
    assert not lock.supported
    lock.release()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_anything_but_a_plain_file_in_place_of_the_lock_is_refused_and_unchanged(tmp_path, kind):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    path = tmp_path / "lock"
    {"link": lambda: path.symlink_to(mine), "fifo": lambda: os.mkfifo(path), "folder": path.mkdir}[kind]()
    with pytest.raises((InputError, OSError)):
        FileLock(path, "is being trained")
    assert mine.read_text() == "mine"
