"""The explorer in a real JupyterLab in a real browser: its sliders are moved, and the picture changes."""

import contextlib

import pytest
from small_runs import small_run
from test_notebook_in_browser import PATIENCE, Notebook, _until, in_jupyterlab, jupyterlab
from test_visualization_notebook import copy_with, nbformat

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def first_cells(path, last: str) -> None:
    """Cut a notebook off behind a cell: the others are run by nbclient."""
    notebook = nbformat.read(path, 4)
    places = [cell.id for cell in notebook.cells]
    notebook.cells = notebook.cells[: places.index(last) + 1]
    nbformat.write(notebook, path)


@in_jupyterlab
def test_sliders_and_menus_change_the_picture_at_once(tmp_path, chromium):
    small_run(tmp_path / "runs" / "small")
    first_cells(copy_with("visualization", tmp_path, run_name="small"), "explorer")
    shots = tmp_path / "screenshots"
    shots.mkdir()
    with jupyterlab(tmp_path) as address:
        page = chromium.new_page(viewport={"width": 1366, "height": 1100})
        page.set_default_timeout(1000 * PATIENCE)
        page.goto(f"{address}/lab/tree/visualization.ipynb")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        with contextlib.suppress(Exception):  # "Select Kernel" is asked on some versions only
            page.locator(".jp-Dialog .jp-mod-accept").click(timeout=5_000)
        _until(
            lambda: page.evaluate("!!window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"), "kernel"
        )
        notebook = Notebook(page)
        notebook.execute("notebook:run-all-cells")
        large, sheet = (page.locator("img.widget-image").nth(number) for number in range(2))
        large.wait_for()
        sheet.scroll_into_view_if_needed()

        def changes(act, *pictures) -> None:
            before = [picture.get_attribute("src") for picture in pictures]
            act()
            for picture, source in zip(pictures, before, strict=True):
                _until(lambda p=picture, s=source: p.get_attribute("src") != s, "the picture changes")

        def handle(label: str):
            return page.locator(".widget-hslider", has_text=label).locator(".noUi-handle")

        page.screenshot(path=shots / "opened-light.png")
        first = large.screenshot()
        changes(lambda: handle("Channel").press("ArrowRight"), large, sheet)
        assert large.screenshot() != first
        changes(lambda: handle("Snapshot").press("ArrowLeft"), large, sheet)
        assert "step 8" in page.locator(".widget-hslider", has_text="Snapshot").inner_text()
        box = handle("Snapshot").bounding_box()
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        changes(lambda: page.mouse.move(box["x"] - 400, box["y"] + 5, steps=8), large)
        page.mouse.up()
        _until(lambda: "step 0" in page.locator(".widget-hslider", has_text="Snapshot").inner_text(), "it is dragged")
        changes(lambda: page.get_by_role("button", name="Non-linear mapping").click(), large, sheet)
        changes(lambda: page.get_by_label("Picture").select_option("probe:1"), large, sheet)
        page.get_by_role("button", name="Save as PNG").click()
        _until(lambda: page.get_by_text("is written").count(), "the view is saved")
        assert (tmp_path / "results" / "channel-layer_2-2-step-0.png").exists()
        page.screenshot(path=shots / "changed-light.png")
        page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.wait_for_selector("body[data-jp-theme-light=false]", state="attached")
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        page.screenshot(path=shots / "changed-dark.png")

        _until(notebook.idle, "all is done")
        assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
        assert not page.locator("[data-mime-type='application/vnd.jupyter.error']").count()
        assert not page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count()
        page.close()
