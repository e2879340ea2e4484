"""The training notebook in a real JupyterLab in a real browser: its buttons are pressed while its cell runs."""

import re
import sys
import time
import types

import pytest
from notebook_files import training_copy
from notebook_pages import Notebook, in_jupyterlab, jupyterlab, newer, until

from srcnn_lib import Run
from srcnn_lib.notebook.panel_buttons import LABELS, ColabButtons
from srcnn_lib.training.control import COMMANDS

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@in_jupyterlab
@pytest.mark.skipif(not newer("ipykernel", 7), reason="ipykernel before 7 answers no button while a cell runs")
def test_the_buttons_control_the_training_while_its_cell_runs(tmp_path, chromium):
    training_copy(tmp_path, epochs=2000, batch_size=8, learning_rate=1e-3, run_name="steered")
    shots = tmp_path / "screenshots"
    shots.mkdir()
    with jupyterlab(tmp_path) as address:
        notebook = Notebook.open(chromium, address, "training.ipynb", 1280, 900)
        page = notebook.page
        notebook.execute("notebook:run-all-cells")

        until(lambda: notebook.state() == "Training" and notebook.steps()[0] > 20, "the training begins")
        notebook.shot(shots / "begun-light.png")
        notebook.press("pause")
        until(lambda: notebook.state() == "Paused", "it pauses")
        step, steps = notebook.steps()
        time.sleep(3)
        assert notebook.steps() == [step, steps]
        notebook.shot(shots / "paused-light.png")

        notebook.press("resume")
        until(lambda: notebook.state() == "Training" and notebook.steps()[0] > step, "it goes on")
        notebook.press("epoch")
        until(lambda: notebook.steps()[1] > steps, "one epoch more")
        until(lambda: "One epoch more: 2001 epochs in all" in notebook.panel(), "the press is answered")
        notebook.press("snapshot")
        until(lambda: re.search("Snapshot of step [\\d\u2009]+ saved", notebook.panel()), "the press is answered")
        assert "Busy" in page.locator("#jp-main-statusbar").inner_text()
        assert not page.locator(f".widget-button:text-is('{LABELS['resume'][0]}')").is_visible()
        notebook.shot(shots / "training-light.png")
        notebook.make_dark()
        notebook.shot(shots / "training-dark.png")

        notebook.press("stop")
        until(lambda: notebook.state().startswith("Stopped"), "it stops")
        step = notebook.steps()[0]
        until(notebook.idle, "the cells below have run")
        notebook.shot(shots / "stopped-dark.png")
        assert not page.locator(".widget-button").count()
        assert page.locator(".srcnn-live img").count() == 12
        assert Run(tmp_path / "runs" / "steered").checkpoints()[0].stem == f"step-{step:08}"

        page.locator(".jp-CodeCell", has_text="panel.show(record)").locator(".jp-InputArea-editor").click()
        notebook.execute("notebook:run-cell")
        until(lambda: notebook.state() == "Training" and notebook.steps()[0] > step, "running the cell again resumes")
        notebook.execute("notebook:interrupt-kernel")
        until(lambda: notebook.state().startswith("Stopped"), "the interrupt button stops it as well")
        until(notebook.idle, "the cell ends")
        assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
        assert not page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count()

        def saved_without_buttons() -> bool:
            notebook.execute("docmanager:save")
            saved = (tmp_path / "training.ipynb").read_text()
            return "Stopped; run" in saved and not re.search("HBox|widget-view", saved)

        until(saved_without_buttons, "it is saved, without a trace of the buttons")
        page.close()


def test_colabs_buttons_return_what_was_pressed(chromium, monkeypatch):
    """Colab's eval_js runs in the page that shows the cell's output; here it is Chromium's own."""
    page, pressed, shown = chromium.new_page(), [], []
    output = types.SimpleNamespace(eval_js=lambda script, timeout_sec: page.evaluate(script))
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(output=output))
    monkeypatch.setattr("IPython.display.display", lambda data, **options: shown.append(data["text/html"]))
    buttons = ColabButtons(pressed.append)
    page.set_content(shown[0])
    buttons.poll()
    assert pressed == []
    for label, _ in LABELS.values():
        page.get_by_role("button", name=label, exact=True).click()
        assert page.locator(".waiting").inner_text() == f"{label}: waiting for the training …"
    buttons.poll()
    assert page.locator(".waiting").inner_text() == ""
    buttons.poll()
    assert pressed == list(COMMANDS)
    output.eval_js = lambda script, timeout_sec: None  # what it answers when the browser is closed
    buttons.poll()
    assert pressed == list(COMMANDS)
    page.close()
