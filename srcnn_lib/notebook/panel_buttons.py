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
NOTHING = {"text/html": "", "text/plain": ""}  # what replaces the buttons in the cell's output

COLAB_STYLE = """<style>
.srcnn-buttons { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin: 4px 0;
  font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
.srcnn-buttons button { font: inherit; color: inherit; cursor: pointer; padding: .35em .9em; border: 0;
  border-radius: 4px; background: color-mix(in srgb, currentColor 12%, transparent) }
.srcnn-buttons button:hover { background: color-mix(in srgb, currentColor 22%, transparent) }
.srcnn-buttons button:active { background: color-mix(in srgb, currentColor 32%, transparent) }
</style>"""


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


def button_style(name: str, paused: bool) -> str:
    """Returns the rule that hides the one of Pause and Resume that does nothing now.

    It is drawn with the panel, because a widget must not be changed while the cell runs (see `_outside_any_cell`).

    Args:
        name: of the buttons that it is for.
        paused: whether the training pauses.
    """
    return f"<style>.{name} .srcnn-{'pause' if paused else 'resume'} {{ display: none !important }}</style>"


class LabButtons:
    """Buttons for JupyterLab 4.4 and later with ipykernel 7, where a subshell (a thread) answers a press.

    Attributes:
        name: the class of the buttons in the page.
        at_once: whether a press arrives in another thread, also while the main thread is busy.
    """

    at_once = True

    def __init__(self, press: Callable[[str], object]):
        import ipywidgets
        from IPython.display import display

        self.name = f"srcnn-buttons-{secrets.token_hex(4)}"

        def button(command: str) -> ipywidgets.Button:
            label, icon = LABELS[command]
            widget = ipywidgets.Button(description=label, icon=icon, layout={"width": "auto"})
            widget.add_class(f"srcnn-{command}")
            widget.on_click(lambda _: press(command))
            return widget

        with _outside_any_cell(notebook_kernel()):
            self.box = ipywidgets.HBox([button(command) for command in LABELS], layout={"flex_flow": "row wrap"})
            self.box.add_class(self.name)
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        # Without a text, which a page that shows no widgets would show in their place.
        output = {"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}
        self._display = display(output, raw=True, display_id=True)

    def poll(self) -> bool:
        """Returns True, as if a page had answered: presses arrive without being asked for."""
        return True

    def close(self) -> None:
        """Removes the buttons, so that a saved notebook has no trace of them."""
        self._display.update(NOTHING, raw=True)
        for widget in (*self.box.children, self.box):
            widget.close()


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


def show_busy() -> None:
    """Tells the front end that the kernel is busy: answering a press in a subshell ended with "idle"."""
    # The method is private: without it the status bar says Idle, and nothing else is lost.
    with contextlib.suppress(Exception):
        notebook_kernel()._publish_status("busy", "shell")


class ColabButtons:
    """Buttons for Colab, whose widgets wait until the cell ends: the page keeps a list of presses, which `poll` reads.

    The list only grows, and `poll` counts what it has read, so that a press is not lost if an answer is. Each panel has
    a list of its own, so that a press for one training can't reach the next. Until a press is read, which can take a
    minute where answers are slow, the page itself says that it waits.

    Attributes:
        name: the class of the buttons in the page.
        at_once: whether a press arrives in another thread.
    """

    at_once = False

    def __init__(self, press: Callable[[str], object]):
        from IPython.display import display

        self.press = press
        token = secrets.token_hex(4)
        self.name = f"srcnn-buttons-{token}"
        self._list = f"srcnnPresses_{token}"
        self._received = 0
        buttons = "".join(
            f'<button class="srcnn-{command}" onclick="(window.{self._list} ??= []).push(\'{command}\');'
            f" this.parentNode.querySelector('.waiting').textContent = '{label}: waiting for the training …'\">"
            f"{label}</button>"
            for command, (label, _) in LABELS.items()
        )
        content = f'{COLAB_STYLE}<div class="srcnn-buttons {self.name}">{buttons}<span class="waiting"></span></div>'
        self._display = display({"text/html": content, "text/plain": ""}, raw=True, display_id=True)

    def poll(self) -> bool:
        """Calls `press` for each press since the last poll; returns whether the page answered."""
        from google.colab import output

        script = (
            f"(document.querySelectorAll('.{self.name} .waiting').forEach(text => text.textContent = ''), "
            f"window.{self._list} ?? []).slice({self._received})"
        )
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
        """Removes the buttons."""
        self._display.update(NOTHING, raw=True)
