"""Detects Colab, and mounts Google Drive there. This module can be imported anywhere."""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

MOUNT = Path("/content/drive")
FOLDER = "srcnn_runs"  # in the user's Drive


def is_colab() -> bool:
    """Returns whether this is a notebook on Colab; False in a subprocess there (`!python …`), which has no page."""
    # The package google-colab can be installed elsewhere, where importing it may raise anything.
    with contextlib.suppress(Exception):
        import google.colab  # noqa: F401
        from IPython import get_ipython

        return get_ipython() is not None
    return False


def mount_drive(wanted: bool, report: Callable[[str], object] = print) -> Path | None:
    """Returns the folder on Google Drive that holds the runs; asks for consent only if Drive is not mounted yet.

    Nothing depends on Drive: if it can't be used, a line says why, and the runs stay on the local disk.

    Args:
        wanted: False returns None at once. In VS Code's Colab extension mounting hangs: interrupt it and set this to
            False.
        report: called with the line.

    Returns:
        MyDrive/srcnn_runs, which exists; None if Drive is not wanted, refused or not available.
    """
    if not wanted:
        return None
    drive = MOUNT / "MyDrive"
    try:
        # drive.mount asks for consent even if Drive is mounted already, so look first.
        if not os.path.isdir(drive):
            from google.colab import drive as colab_drive

            colab_drive.mount(str(MOUNT), force_remount=_is_dead_mount(drive))
        (drive / FOLDER).mkdir(exist_ok=True)
    except ImportError:
        report("Drive is available on Colab only; the run stays on the local disk")
    # NotImplementedError, ValueError, AttributeError, MessageError and OSError were seen; there may be more.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        report(f"Drive is not mounted ({reason}); the run stays on the local disk, which is deleted with the runtime")
    else:
        return drive / FOLDER
    return None


def _is_dead_mount(drive: Path) -> bool:
    """Returns whether an earlier mount died and is in the way ("Transport endpoint is not connected")."""
    try:
        os.stat(drive)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False
