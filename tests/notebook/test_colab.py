import errno
import os
import subprocess
import sys
import types

import pytest

from srcnn_lib.notebook import colab


class MessageError(Exception):
    """google.colab._message.MessageError."""


@pytest.fixture
def google(tmp_path, monkeypatch):
    """A stand-in for google.colab: `google.mount` is called by drive.mount, `google.asked` lists the calls."""
    google = types.SimpleNamespace(asked=[], kernel=object())
    google.mount = lambda: (tmp_path / "drive" / "MyDrive").mkdir(parents=True)

    def mount(mountpoint, force_remount=False, timeout_ms=120000, readonly=False):
        google.asked.append((mountpoint, force_remount))
        google.mount()

    package = types.ModuleType("google.colab")
    package.drive = types.ModuleType("google.colab.drive")
    package.drive.mount = mount
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: google.kernel
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab.drive", package.drive)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setattr(colab, "MOUNT", tmp_path / "drive")
    return google


@pytest.fixture
def no_google(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", None)  # importing it is an ImportError
    monkeypatch.setattr(colab, "MOUNT", tmp_path / "drive")


def raising(error):
    def mount():
        raise error

    return mount


def test_colab_is_a_kernel_that_has_google_colab(google):
    assert colab.is_colab()


def test_a_subprocess_on_colab_is_not_colab(google):
    google.kernel = None
    assert not colab.is_colab()


def test_a_laptop_is_not_colab(no_google):
    assert not colab.is_colab()


@pytest.mark.slow
def test_importing_the_package_imports_nothing_of_google():
    code = (
        "import srcnn_lib.notebook.colab, srcnn_lib.notebook.drive.backup, sys; sys.exit('google.colab' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_use_drive_nothing_is_mounted(google):
    lines = []
    assert colab.mount_drive(False, lines.append) is None
    assert google.asked == []
    assert lines == []


def test_drive_is_mounted_with_a_folder_for_runs(google, tmp_path):
    lines = []
    folder = colab.mount_drive(True, lines.append)
    assert folder == tmp_path / "drive" / "MyDrive" / "srcnn_runs"
    assert folder.is_dir()
    assert google.asked == [(str(tmp_path / "drive"), False)]
    assert lines == []


def test_a_mounted_drive_is_not_mounted_again(google):
    folder = colab.mount_drive(True)
    assert colab.mount_drive(True) == folder
    assert len(google.asked) == 1


def test_a_dead_mount_is_mounted_again(google, monkeypatch, tmp_path):
    died, stat = str(tmp_path / "drive" / "MyDrive"), os.stat

    def dead_stat(path, *args, **kwargs):
        if str(path) == died and not google.asked:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected", died)
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", dead_stat)
    monkeypatch.setattr(os.path, "isdir", lambda path: str(path) != died)
    assert colab.mount_drive(True).is_dir()
    assert google.asked == [(str(tmp_path / "drive"), True)]


@pytest.mark.parametrize(
    "error",
    [
        NotImplementedError("drive.mount is not supported here"),
        ValueError("mount failed\nsee the log"),
        ValueError("Mountpoint must not already contain files"),
        MessageError("Error: credential propagation was unsuccessful"),
        AttributeError("'NoneType' object has no attribute 'kernel'"),
        OSError(errno.ENOTCONN, "Transport endpoint is not connected"),
        MessageError(),
    ],
    ids=["enterprise", "failed", "not empty", "refused", "subprocess", "dead", "without a word"],
)
def test_a_refusal_is_reported_in_one_line(google, error):
    lines = []
    google.mount = raising(error)
    assert colab.mount_drive(True, lines.append) is None
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert "the local disk" in lines[0]
    assert " ".join((str(error) or "MessageError").split()) in lines[0]


def test_a_mount_without_a_folder_is_reported_as_a_refusal(google):
    lines = []
    google.mount = lambda: None
    assert colab.mount_drive(True, lines.append) is None
    assert len(lines) == 1


def test_outside_colab_drive_is_reported_as_unavailable(no_google):
    lines = []
    assert colab.mount_drive(True, lines.append) is None
    assert lines == ["Drive is available on Colab only; the run stays on the local disk"]


def test_an_interrupt_while_mounting_is_not_swallowed(google):
    google.mount = raising(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        colab.mount_drive(True)
