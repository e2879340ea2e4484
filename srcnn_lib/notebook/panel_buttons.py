"""Buttons that control a training while its cell runs, in JupyterLab and on Colab."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from .colab import is_colab

LABELS = {  # command: label, icon
    "pause": ("Pause", "pause"),
    "resume": ("Resume", "play"),
    "epoch": ("One epoch more", "plus"),
    "halve": ("Halve the learning rate", "arrow-down"),
    "snapshot": ("Snapshot", "camera"),
    "stop": ("Stop", "stop"),
}
ANSWER_SECONDS = 3  # after which an answer of Colab's page is no longer awaited


def notebook_kernel() -> Any:
    """Returns the Jupyter kernel that runs this code, or None outside a notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return getattr(get_ipython(), "kernel", None)


def show_buttons(press: Callable[[str], object]) -> "LabButtons | ColabButtons | None":
    """Shows buttons that call `press` with a command while the cell runs; None if the front end can't do that."""
    if is_colab():
        return ColabButtons(press)
    features = notebook_kernel().kernel_info.get("supported_features", ())
    return LabButtons(press) if "kernel subshells" in features else None


class LabButtons:
    """Buttons for JupyterLab 4.4 and later with ipykernel 7, where a subshell (a thread) answers a press."""

    def __init__(self, press: Callable[[str], object]):
        import ipywidgets
        from IPython.display import display

        def button(command: str) -> ipywidgets.Button:
            label, icon = LABELS[command]
            widget = ipywidgets.Button(description=label, icon=icon, layout={"width": "auto"})
            widget.on_click(lambda _: press(command))
            return widget

        with _outside_any_cell(notebook_kernel()):
            self.box = ipywidgets.HBox([button(command) for command in LABELS], layout={"flex_flow": "row wrap"})
        display(self.box)

    def poll(self) -> bool:
        """Returns True, as if a page had answered: presses arrive without being asked for."""
        return True

    def close(self) -> None:
        self.box.layout.display = "none"


@contextlib.contextmanager
def _outside_any_cell(kernel: Any) -> Iterator[None]:
    """Creates widgets that belong to no cell.

    From ipykernel 7.4 on, a press is answered by the thread from which its button last sent a message. A button that
    is created by a running cell sends from the main thread, which would answer only after the cell has ended. If it
    belongs to no cell, the front end chooses, and takes a subshell. For the same reason a button must not be changed
    while the cell runs.
    """
    ident, parent = kernel._parent_ident["shell"], kernel.get_parent()
    kernel.set_parent(ident, {})
    try:
        yield
    finally:
        kernel.set_parent(ident, parent)


class ColabButtons:
    """Buttons for Colab, whose widgets wait until the cell ends: the page keeps a list of presses, which `poll` reads.

    The list only grows, and `poll` counts what it has read, so that a press is not lost if an answer is. Each panel has
    a list of its own, so that a press for one training can't reach the next.
    """

    def __init__(self, press: Callable[[str], object]):
        from IPython.display import HTML, display

        self.press = press
        self._list = f"srcnnPresses_{secrets.token_hex(4)}"
        self._received = 0
        buttons = "".join(
            f"<button onclick=\"(window.{self._list} ??= []).push('{command}')\">{label}</button> "
            for command, (label, _) in LABELS.items()
        )
        self._display = display(HTML(f'<div class="srcnn-buttons">{buttons}</div>'), display_id=True)

    def poll(self) -> bool:
        """Calls `press` for each press since the last poll; returns whether the page answered."""
        from google.colab import output

        script = f"(window.{self._list} ?? []).slice({self._received})"
        try:
            # Without a limit a closed browser tab would block the training forever.
            commands = output.eval_js(script, timeout_sec=ANSWER_SECONDS)
        except Exception:  # a time-out, or whatever else Colab raises when the page is gone
            return False
        if commands is None:
            return False
        self._received += len(commands)
        for command in commands:
            self.press(command)
        return True

    def close(self) -> None:
        from IPython.display import HTML

        self._display.update(HTML(""))
