"""The training notebook in a real JupyterLab in a real browser: its buttons are pressed while its cell runs."""

import contextlib
import importlib.metadata
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from test_training_notebook import ROOT, small_copy

from srcnn_lib import Run
from srcnn_lib.notebook.panel_buttons import LABELS, ColabButtons
from srcnn_lib.training.control import COMMANDS

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
PATIENCE = 180  # seconds, on a machine that has other things to do
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight stay in the page
    "apputils-extension/notification": {"fetchNews": "false"},
}


def newer(package: str, major: int) -> bool:
    """Whether a package is there in this major version or a later one."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return int(importlib.metadata.version(package).split(".")[0]) >= major
    return False


in_jupyterlab = pytest.mark.skipif(
    not (newer("jupyterlab", 4) and newer("ipywidgets", 8)),
    reason="no JupyterLab 4 with ipywidgets 8, which it shows: pip install jupyter ipywidgets",
)


@contextlib.contextmanager
def jupyterlab(folder):
    """A JupyterLab that serves `folder`, its address, and nothing of the user's own settings."""
    for name, values in SETTINGS.items():
        path = folder / ".settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTERLAB_SETTINGS_DIR")
    own = {name: str(folder / f".{name}") for name in places}
    own |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"), "PYTHONPATH": str(ROOT)}
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--IdentityProvider.token=", f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]
    with open(folder / "jupyterlab.log", "w") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        _until(lambda: _answers(address + "/api"), "JupyterLab answers")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(address, timeout=5).status == 200
    return False


def _until(true, what: str):
    deadline = time.monotonic() + PATIENCE
    while not (value := true()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.2)
    return value


class Notebook:
    """The opened notebook, as its reader sees it."""

    def __init__(self, page):
        self.page = page

    def state(self) -> str:
        found = self.page.locator(".srcnn-live .state")
        return found.inner_text() if found.count() else ""

    def steps(self) -> list[int]:
        """[step, of how many]"""
        place = self.page.locator(".srcnn-live .row").first.inner_text()
        # Not \s between the thousands: it would run on into the next line, which begins with the minutes left.
        found = re.search("step ([\\d\u2009]+) of ([\\d\u2009]+)", place)
        return [int(number.replace("\u2009", "")) for number in found.groups()] if found else [0, 0]

    def press(self, command: str) -> None:
        self.page.locator(f".widget-button:text-is('{LABELS[command][0]}')").click()

    def execute(self, command: str) -> None:
        self.page.evaluate("command => { window.jupyterapp.commands.execute(command) }", command)

    def idle(self) -> bool:
        return (
            self.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status") == "idle"
        )

    def shot(self, path) -> None:
        # Not Playwright's own, which waits for an element that keeps still.
        self.page.evaluate("document.querySelector('.srcnn-live').scrollIntoView({block: 'center'})")
        self.page.screenshot(path=path)


@in_jupyterlab
@pytest.mark.skipif(not newer("ipykernel", 7), reason="ipykernel before 7 answers no button while a cell runs")
def test_the_buttons_control_the_training_while_its_cell_runs(tmp_path, chromium):
    small_copy(tmp_path, epochs=2000, batch_size=8, learning_rate=1e-3, run_name="steered")
    shots = tmp_path / "screenshots"
    shots.mkdir()
    with jupyterlab(tmp_path) as address:
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{address}/lab/tree/training.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        notebook = Notebook(page)
        with contextlib.suppress(Exception):  # "Select Kernel" is asked on some versions only
            page.locator(".jp-Dialog .jp-mod-accept").click(timeout=10_000)
        _until(
            lambda: page.evaluate("!!window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"), "kernel"
        )
        notebook.execute("notebook:run-all-cells")

        _until(lambda: notebook.state() == "Training" and notebook.steps()[0] > 20, "the training begins")
        notebook.shot(shots / "begun-light.png")
        notebook.press("pause")
        _until(lambda: notebook.state() == "Paused", "it pauses")
        step, steps = notebook.steps()
        time.sleep(3)
        assert notebook.steps() == [step, steps]
        notebook.shot(shots / "paused-light.png")

        notebook.press("resume")
        _until(lambda: notebook.state() == "Training" and notebook.steps()[0] > step, "it goes on")
        notebook.press("epoch")
        _until(lambda: notebook.steps()[1] > steps, "one epoch more")
        notebook.shot(shots / "training-light.png")
        page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
        notebook.shot(shots / "training-dark.png")

        notebook.press("stop")
        _until(lambda: notebook.state().startswith("Stopped"), "it stops")
        step = notebook.steps()[0]
        _until(notebook.idle, "the cells below have run")
        notebook.shot(shots / "stopped-dark.png")
        assert Run(tmp_path / "runs" / "steered").checkpoints()[0].stem == f"step-{step:08}"

        page.locator(".jp-CodeCell", has_text="panel.show(record)").locator(".jp-InputArea-editor").click()
        notebook.execute("notebook:run-cell")
        _until(lambda: notebook.state() == "Training" and notebook.steps()[0] > step, "running the cell again resumes")
        notebook.execute("notebook:interrupt-kernel")
        _until(lambda: notebook.state().startswith("Stopped"), "the interrupt button stops it as well")
        _until(notebook.idle, "the cell ends")
        assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
        assert not page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count()
        page.close()


def test_colabs_buttons_return_what_was_pressed(chromium, monkeypatch):
    """Colab's eval_js runs in the page that shows the cell's output; here it is Chromium's own."""
    import types

    page, pressed, shown = chromium.new_page(), [], []
    output = types.SimpleNamespace(eval_js=lambda script, timeout_sec: page.evaluate(script))
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(output=output))
    monkeypatch.setattr("IPython.display.display", lambda html, display_id: shown.append(html.data))
    buttons = ColabButtons(pressed.append)
    page.set_content(shown[0])
    buttons.poll()
    assert pressed == []
    for label, _ in LABELS.values():
        page.get_by_role("button", name=label, exact=True).click()
    buttons.poll()
    buttons.poll()
    assert pressed == list(COMMANDS)
    output.eval_js = lambda script, timeout_sec: None  # what it answers when the browser is closed
    buttons.poll()
    assert pressed == list(COMMANDS)
    page.close()
