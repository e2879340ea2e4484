"""Shows TensorBoard in the output of a cell."""

import os
import shlex
import sys
from pathlib import Path


def show_tensorboard(path: str | Path) -> None:
    """Starts TensorBoard on a run, which need not exist yet, and shows it; a line says so where it isn't installed.

    Args:
        path: the run's folder.
    """
    try:
        from tensorboard import notebook
    except ImportError:  # as on Colab's TPU image
        print("TensorBoard is not installed here; the panel and the figures show the curves as well.")
        return
    # The one beside this Python: a kernel that was started elsewhere may not have it on its path.
    program = Path(sys.executable).with_name("tensorboard")
    if program.exists():
        os.environ.setdefault("TENSORBOARD_BINARY", str(program))
    notebook.start(f"--logdir {shlex.quote(str(path))} --samples_per_plugin images=200 --reload_interval 5")
