"""The explorer in a real JupyterLab in a real browser: its sliders are moved, and the picture changes."""

import pytest
from notebook_files import nbformat, picture_copy
from notebook_pages import Notebook, in_jupyterlab, jupyterlab, until
from small_runs import small_run

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


PAGE = "HTML(visualization.render_model_comparison(explorer.inspector.picture, explorer.inspector.model()))"


def first_cells(path, last: str) -> None:
    """Removes the cells behind one of a notebook, which other tests execute, and adds one that shows a page."""
    notebook = nbformat.read(path, 4)
    places = [cell.id for cell in notebook.cells]
    notebook.cells = [*notebook.cells[: places.index(last) + 1], nbformat.v4.new_code_cell(PAGE)]
    nbformat.write(notebook, path)


@in_jupyterlab
def test_sliders_and_menus_change_the_picture_at_once(tmp_path, chromium):
    small_run(tmp_path / "runs" / "small")
    first_cells(picture_copy("visualization", tmp_path, run_name="small"), "explorer")
    shots = tmp_path / "screenshots"
    shots.mkdir()
    with jupyterlab(tmp_path) as address:
        notebook = Notebook.open(chromium, address, "visualization.ipynb", 1366, 1100)
        page = notebook.page
        notebook.execute("notebook:run-all-cells")
        large, sheet = (page.locator("img.widget-image").nth(number) for number in range(2))
        large.wait_for()
        sheet.scroll_into_view_if_needed()

        def changes(act, *pictures) -> None:
            before = [picture.get_attribute("src") for picture in pictures]
            act()
            for picture, source in zip(pictures, before, strict=True):
                until(lambda p=picture, s=source: p.get_attribute("src") != s, "the picture changes")

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
        until(lambda: "step 0" in page.locator(".widget-hslider", has_text="Snapshot").inner_text(), "it is dragged")
        changes(lambda: page.get_by_role("button", name="Non-linear mapping").click(), large, sheet)
        changes(lambda: page.get_by_label("Picture", exact=True).select_option("probe:1"), large, sheet)
        page.get_by_role("button", name="Save figure as PNG").click()
        until(lambda: page.get_by_text("is written").count(), "the view is saved")
        assert (tmp_path / "results" / "channel-layer_2-2-small-probe-1-step-0.png").exists()

        changes(lambda: sheet.click(position={"x": 30, "y": 30}), large, sheet)
        until(lambda: "layer_2:0" in page.locator("code").last.inner_text(), "a click selects the channel")
        changes(lambda: page.get_by_label("Picture", exact=True).select_option("samples:astronaut"), large, sheet)
        overview = page.locator("img.srcnn-overview")
        changes(lambda: overview.click(position={"x": 40, "y": 150}), large, sheet, overview)
        until(lambda: page.get_by_text("Shown: a 256 × 256 crop at x = 0").count(), "a click moves the square")
        changes(lambda: page.get_by_label("Shown", exact=True).select_option("128 × 128 pixels"), large, overview)
        changes(lambda: page.get_by_role("button", name="Where bicubic errs most").click(), large, overview)
        page.screenshot(path=shots / "changed-light.png")
        notebook.make_dark()
        page.locator("#jupyterlab-splash").wait_for(state="detached")
        page.screenshot(path=shots / "changed-dark.png")
        changes(lambda: page.get_by_role("button", name="Reconstruction").click(), large, sheet)
        page.screenshot(path=shots / "layer-3-dark.png")

        # Keys that are typed in a page stay there: "dd" would delete the cell, an arrow select another one.
        divider = page.locator(".srcnn-page .divider")
        divider.click()
        cells, place = page.locator(".jp-Cell").count(), divider.get_attribute("aria-valuenow")
        for key in ("d", "d", "a", "ArrowDown", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
        assert page.locator(".jp-Cell").count() == cells
        assert divider.get_attribute("aria-valuenow") != place
        assert page.evaluate("document.activeElement.matches('.srcnn-page .divider')")

        until(notebook.idle, "all is done")
        assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
        assert not page.locator("[data-mime-type='application/vnd.jupyter.error']").count()
        assert not page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count()
        assert not page.locator("figure[class$=-still]").is_visible()
        notebook.execute("docmanager:save")
        until(lambda: "-still" in (tmp_path / "visualization.ipynb").read_text(), "it is saved")
        # Opened again without the kernel's widgets, as a notebook that someone has sent.
        page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        page.close()
        notebook = Notebook.open(chromium, address, "visualization.ipynb", 1366, 1100)
        still = notebook.page.locator("figure[class$=-still]")
        still.scroll_into_view_if_needed()
        assert still.is_visible()
        assert not notebook.page.get_by_text("Error displaying widget").is_visible()
        notebook.page.screenshot(path=shots / "without-kernel-light.png")
        notebook.page.close()
