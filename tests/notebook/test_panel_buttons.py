"""The panel's buttons without a browser."""

import sys
import types

import pytest

pytest.importorskip("IPython", reason="IPython is not installed: pip install .[notebook]")

from srcnn_lib.notebook import panel_buttons
from srcnn_lib.notebook.panel_buttons import ColabButtons, show_buttons


class Page:
    """Stands in for Colab's page: answers the script with the presses it asks for, or not in time."""

    def __init__(self):
        self.presses: list[str] = []
        self.fails = False
        self.scripts: list[str] = []

    def eval_js(self, script: str, timeout_sec: float):
        self.scripts.append(script)
        received = int(script.rpartition("slice(")[2].rstrip(")"))
        if self.fails:  # the page runs the script, but its answer comes too late
            raise TimeoutError
        return self.presses[received:]


@pytest.fixture
def page(monkeypatch) -> Page:
    page = Page()
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", types.SimpleNamespace(output=page))
    return page


def test_a_press_is_not_lost_when_an_answer_is(page):
    received: list[str] = []
    buttons = ColabButtons(received.append)
    page.presses.append("pause")
    assert buttons.poll()
    page.presses.append("stop")
    page.fails = True
    assert not buttons.poll()
    page.fails = False
    assert buttons.poll()
    assert buttons.poll()
    assert received == ["pause", "stop"]


def test_a_closed_page_counts_as_no_answer(page, monkeypatch):
    monkeypatch.setattr(page, "eval_js", lambda script, timeout_sec: None)
    assert not ColabButtons(print).poll()


def test_each_panel_has_a_list_of_its_own(page):
    for _ in range(2):
        ColabButtons(print).poll()
    first, second = (script.partition("??")[0] for script in page.scripts)
    assert first != second


def test_a_kernel_without_subshells_gets_no_buttons(monkeypatch):
    kernel = types.SimpleNamespace(kernel_info={"protocol_version": "5.3"})
    monkeypatch.setattr(panel_buttons, "notebook_kernel", lambda: kernel)
    assert show_buttons(print) is None
