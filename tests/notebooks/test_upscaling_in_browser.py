"""The upscaling notebook in a real JupyterLab in a real browser: a large upload, the slider, the download."""

import re

import numpy as np
import pytest
from notebook_files import copy_with
from notebook_pages import Notebook, in_jupyterlab, jupyterlab, until
from PIL import Image
from skimage import data as photographs

pytest_plugins = ["browser"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@in_jupyterlab
def test_a_photograph_of_nine_megapixels_and_five_megabytes_is_uploaded_enlarged_and_downloaded(tmp_path, chromium):
    large = np.asarray(Image.fromarray(photographs.coffee()).resize((3600, 2500))).astype(float)
    large += np.random.default_rng(0).normal(0, 9, large.shape)
    Image.fromarray(large.clip(0, 255).astype(np.uint8)).save(tmp_path / "my cup.jpg", quality=96)
    assert (tmp_path / "my cup.jpg").stat().st_size > 5_000_000
    copy_with("upscaling", tmp_path, longest_side=900)
    (shots := tmp_path / "screenshots").mkdir()

    with jupyterlab(tmp_path) as address:
        notebook = Notebook.open(chromium, address, "upscaling.ipynb", 1280, 1000)
        page = notebook.page
        notebook.execute("notebook:run-all-cells")
        until(lambda: page.locator(".srcnn-page .title", has_text="chelsea.png ×2").count(), "the sample is shown")
        until(notebook.idle, "all cells have run")

        with page.expect_file_chooser() as chooser:
            page.locator(".widget-upload").click()
        chooser.value.set_files(tmp_path / "my cup.jpg")
        until(lambda: page.get_by_text("my cup.jpg, 3600 × 2500 pixels").count(), "the upload has arrived")
        notebook.execute("notebook:run-all-cells")
        until(lambda: page.locator(".srcnn-page .title", has_text="my cup.jpg ×2").count(), "the upload is shown")
        until(notebook.idle, "all cells have run")
        assert re.search(r"my cup.jpg ×2: 1800 × 1250 pixels in \d+\.\d s", page.locator(".jp-Notebook").inner_text())

        stage = page.locator(".srcnn-page .stage").first
        assert float(stage.get_attribute("data-scale")) == pytest.approx(1, abs=1e-6)
        stage.scroll_into_view_if_needed()
        page.screenshot(path=shots / "slider-light.png")
        notebook.make_dark()
        page.screenshot(path=shots / "slider-dark.png")

        link = page.locator("a[download]")
        link.scroll_into_view_if_needed()
        page.screenshot(path=shots / "download-dark.png")
        with page.expect_download() as download:
            link.click()
        assert download.value.suggested_filename == "my cup_x2.png"
        assert Image.open(download.value.path()).size == (1800, 1250)
        assert "Traceback" not in page.locator(".jp-Notebook").inner_text()
        page.close()
