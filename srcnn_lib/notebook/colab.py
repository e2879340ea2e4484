"""What is Colab's own: whether this is it, and its Drive. Needs nothing of Colab to be imported."""

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

MOUNT = Path("/content/drive")
FOLDER = "srcnn_runs"  # in the user's Drive


def is_colab() -> bool:
    """Whether this is a notebook on Colab; in a subprocess there (`!python …`) it is not, as nothing can be asked."""
    # The package google-colab can be installed elsewhere, where importing it fails in ways of its own.
    with contextlib.suppress(Exception):
        import google.colab  # noqa: F401
        from IPython import get_ipython

        return get_ipython() is not None
    return False


def mount_drive(wanted: bool, say: Callable[[str], object] = print) -> Path | None:
    """The folder on Drive that holds the runs; asks for consent only where Drive is wanted and not there yet.

    Nothing depends on Drive: without it this says so in a line, and the runs stay on the local disk.

    Args:
        wanted: whether to ask at all. In VS Code's Colab extension asking hangs: interrupt it and set this to False.
        say: takes the line.

    Returns:
        MyDrive/srcnn_runs, which exists; None where Drive is not wanted, refused, or not to be had.
    """
    if not wanted:
        return None
    drive = MOUNT / "MyDrive"
    try:
        # Asking comes before looking in drive.mount: it would ask for consent again on every run of the cell.
        if not os.path.isdir(drive):
            _mount(drive)
        (drive / FOLDER).mkdir(exist_ok=True)
    except ImportError:
        say("Drive is to be had on Colab only; the run stays on the local disk")
    # NotImplementedError, ValueError, AttributeError, MessageError, OSError: nobody promises that these are all.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        say(f"Drive is not mounted ({reason}); the run stays on the local disk, which ends with the runtime")
    else:
        return drive / FOLDER
    return None


def _mount(drive: Path) -> None:
    from google.colab import drive as colab_drive

    colab_drive.mount(str(MOUNT), force_remount=_died(drive))


def _died(drive: Path) -> bool:
    """Whether a mount of hours ago is still in the way ("Transport endpoint is not connected")."""
    try:
        os.stat(drive)
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False
