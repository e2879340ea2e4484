"""Notebooks in a real JupyterLab in a real browser."""

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
from notebook_files import ROOT

from srcnn_lib.notebook.panel_buttons import LABELS

PATIENCE = 180  # seconds, for a machine that is busy with other work
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight stay in the page
    "apputils-extension/notification": {"fetchNews": "false"},
}


def newer(package: str, major: int) -> bool:
    """Returns whether a package is installed in this major version or a later one."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return int(importlib.metadata.version(package).split(".")[0]) >= major
    return False


in_jupyterlab = pytest.mark.skipif(
    not (newer("jupyterlab", 4) and newer("ipywidgets", 8)),
    reason="no JupyterLab 4 with ipywidgets 8, which it shows: pip install jupyter ipywidgets",
)


@contextlib.contextmanager
def jupyterlab(folder):
    """Serves `folder` with a JupyterLab that ignores the user's settings, and yields its address."""
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
        until(lambda: _answers(address + "/api"), "JupyterLab answers")
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError):
        return urllib.request.urlopen(address, timeout=5).status == 200
    return False


def until(true, what: str):
    deadline = time.monotonic() + PATIENCE
    while not (value := true()):
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.2)
    return value


class Notebook:
    """A notebook that is opened in JupyterLab, as a user sees it."""

    def __init__(self, page):
        self.page = page

    @classmethod
    def open(cls, chromium, address: str, name: str, width: int, height: int) -> "Notebook":
        """Opens a notebook of a JupyterLab in a window of this size, and waits for its kernel."""
        page = chromium.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{address}/lab/tree/{name}")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        with contextlib.suppress(Exception):  # "Select Kernel" is asked on some versions only
            page.locator(".jp-Dialog .jp-mod-accept").click(timeout=10_000)
        until(
            lambda: page.evaluate("!!window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"), "kernel"
        )
        return cls(page)

    def state(self) -> str:
        found = self.page.locator(".srcnn-live .state")
        return found.inner_text() if found.count() else ""

    def panel(self) -> str:
        return self.page.locator(".srcnn-live").inner_text()

    def steps(self) -> list[int]:
        """Returns [step, steps in all]."""
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

    def make_dark(self) -> None:
        """Changes to JupyterLab's dark theme."""
        self.page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        self.page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")

    def shot(self, path) -> None:
        # Not Playwright's own, which waits for an element that keeps still.
        self.page.evaluate("document.querySelector('.srcnn-live').scrollIntoView({block: 'center'})")
        self.page.screenshot(path=path)
