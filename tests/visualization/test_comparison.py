"""The comparison page: its data, and the page in Chromium, opened from disk without a network."""

import re

import pytest
import torch
from skimage import data as photographs

from srcnn_lib import upscale
from srcnn_lib.data.degradation import resize
from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.quality import compare
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.runtime.files import printable
from srcnn_lib.visualization.html import render_comparison, render_model_comparison, write_page

pytest_plugins = ["browser"]


@pytest.fixture(scope="module")
def cat() -> Picture:
    pixels = torch.from_numpy(photographs.chelsea()[40:240, 100:400].copy()).permute(2, 0, 1) / 255
    return Picture(pixels, name="cat.png")


@pytest.fixture(scope="module")
def model() -> SRCNN:
    torch.manual_seed(0)
    return start_from_identity(SRCNN(1, widths=(6, 4))).eval()


@pytest.fixture(scope="module")
def path(cat, model, tmp_path_factory):
    return write_page(render_model_comparison(cat, model), tmp_path_factory.mktemp("page") / "compare.html")


def split(page) -> float:
    return float(page.eval_on_selector(".stage", "stage => stage.style.getPropertyValue('--split').slice(0, -1)"))


def scale(page) -> float:
    return float(page.get_attribute(".stage", "data-scale"))


def test_psnr_and_ssim_are_those_of_the_evaluation(path, cat, model):
    scores = compare(Sample(cat.pixels, model), model)
    text = path.read_text("utf-8")
    for method in ("bicubic", "srcnn"):
        assert f"{scores[method].psnr_y:.2f} dB, SSIM {scores[method].ssim_y:.3f}" in text


def test_pictures_of_different_sizes_are_refused():
    with pytest.raises(InputError, match="SRCNN is 5 × 4"):
        render_comparison(None, torch.rand(3, 4, 4), torch.rand(3, 4, 5))


def test_without_an_original_the_pictures_are_the_enlargements_themselves(cat, model):
    small = Picture(cat.pixels[:, :40, :50], name="small.png")
    text = render_model_comparison(small, model, original=False)
    assert '"width": 100' in text or '"width":100' in text
    assert "Original" not in text.partition("<script")[0]
    assert set(re.findall(r'"score": ?"([^"]*)"', text)) == {""}
    other = start_from_identity(SRCNN(3, widths=(6, 4)))
    both = render_model_comparison(small, {"mine": model, "theirs": other}, original=False)
    labels = re.findall(r'"label": ?"([^"]+)"', both)
    assert labels == ["mine", "theirs", "Bicubic"]


def test_the_enlargement_shown_is_that_of_upscale(cat, model, monkeypatch):
    shown = {}
    page = "srcnn_lib.visualization.html.comparison.render_pictures"
    monkeypatch.setattr(page, lambda pictures, *scores, **texts: shown.update(pictures))
    small = Picture(cat.pixels[:, :40, :50], name="small.png")
    render_model_comparison(small, model, 3, original=False)
    assert torch.equal(shown["SRCNN"], upscale(small.pixels, model, 3))
    assert torch.allclose(shown["Bicubic"], resize(small.pixels, (120, 150)).clamp(0, 1), atol=1e-6)


def test_networks_for_different_scales_ask_for_one(cat, model):
    other = SRCNN(1, widths=(6, 4), scale=3)
    with pytest.raises(InputError, match="the networks are for ×2 and ×3; choose one with --scale"):
        render_model_comparison(cat, {"a": model, "b": other})


def test_large_pictures_are_stored_with_slight_loss_and_a_note():
    large = torch.linspace(0, 1, 1001).expand(3, 700, 1001)
    text = render_comparison(large, large, large)
    assert text.count("data:image/jpeg") == 3
    assert "slight loss" in text


@pytest.mark.browser
def test_the_divider_follows_mouse_and_keys(open_page, path):
    page = open_page(path)
    box = page.locator(".stage").bounding_box()
    assert split(page) == 50
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 60)
    page.mouse.up()
    assert split(page) == pytest.approx(20, abs=1)
    for key, expected in (("Home", 0), ("PageUp", 10), ("ArrowRight", 12), ("ArrowLeft", 10), ("End", 100)):
        page.keyboard.press(key)
        assert split(page) == pytest.approx(expected)
    assert page.get_attribute(".divider", "aria-valuenow") == "100"


@pytest.mark.browser
def test_wheel_buttons_and_keys_zoom_both_pictures_together(open_page, path):
    page = open_page(path)
    whole = scale(page)
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.wheel(0, -240)
    page.wait_for_function(f"document.querySelector('.stage').dataset.scale > {whole * 1.2}")
    page.click(".in")
    page.keyboard.press("+")
    assert scale(page) > whole * 3
    places = page.locator(".half img:visible").evaluate_all(
        "all => all.map((image) => getComputedStyle(image).transform)"
    )
    assert len(places) == 2
    assert places[0] == places[1]
    rendering = page.eval_on_selector(".half img", "image => getComputedStyle(image).imageRendering")
    assert rendering == "pixelated"
    before, at = places[0], split(page)
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4 - 40, box["y"] + 80)
    page.mouse.up()
    assert page.eval_on_selector(".half img:not([hidden])", "image => getComputedStyle(image).transform") != before
    assert split(page) == at
    page.keyboard.press("0")
    assert scale(page) == whole


@pytest.mark.browser
def test_any_two_of_three_can_be_chosen(open_page, path):
    page = open_page(path)
    page.click(".bar .right >> text=Original")
    assert page.text_content(".captions .right b") == "Original"
    page.click(".bar .left >> text=Original")  # the same picture twice is no comparison: they swap
    assert page.text_content(".captions .left b") == "Original"
    assert page.text_content(".captions .right b") == "Bicubic"
    assert "dB" in page.text_content(".captions .right .score")


@pytest.mark.browser
def test_two_fingers_zoom(open_page, path):
    page = open_page(path, (390, 844))
    whole = scale(page)
    page.evaluate("""() => {
      const stage = document.querySelector(".stage"), box = stage.getBoundingClientRect();
      stage.setPointerCapture = () => {};
      const send = (type, pointerId, x) => stage.dispatchEvent(new PointerEvent(type,
        { pointerId, clientX: box.left + x, clientY: box.top + 50, bubbles: true, pointerType: "touch" }));
      send("pointerdown", 11, 150), send("pointerdown", 12, 200);
      send("pointermove", 12, 300), send("pointerup", 12, 300), send("pointerup", 11, 150);
    }""")
    assert scale(page) == pytest.approx(3 * whole, rel=0.01)


@pytest.mark.browser
@pytest.mark.parametrize("screen", [(390, 844), (1366, 768), (3840, 2160)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_window(open_page, path, screen, scheme):
    page = open_page(path, screen, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= screen[0]
    assert page.evaluate("document.documentElement.scrollHeight") <= screen[1]
    assert page.locator(".stage").bounding_box()["height"] > 150


@pytest.mark.browser
def test_two_comparisons_in_one_page_are_independent(open_page, path, tmp_path):
    text = path.read_text("utf-8")
    both = tmp_path / "both.html"
    both.write_text(f"<!doctype html>{text}{text}", "utf-8")
    page = open_page(both)
    page.locator(".divider").nth(1).focus()
    page.keyboard.press("Home")
    splits = page.eval_on_selector_all(".stage", "all => all.map((stage) => stage.style.getPropertyValue('--split'))")
    assert splits == ["50%", "0%"]


HOSTILE = ["<script>", "</script>", "{{DATA}}", "{DATA}", "\u202e", "\n", "\udcff", "\x1b[2J", "\"'`\\"]


@pytest.mark.browser
@pytest.mark.parametrize("piece", HOSTILE, ids=ascii)
def test_a_hostile_name_is_shown_as_text(cat, model, tmp_path, open_page, piece):
    name = f"cat{piece}{piece}<img src=http://127.0.0.1:9/x onerror=window.broken=1>.png"
    path = write_page(render_model_comparison(Picture(cat.pixels[:, :40, :50], name=name), model), tmp_path / "a.html")
    page = open_page(path)
    assert page.wait_for_selector(".stage")
    assert not page.evaluate("window.broken")
    assert printable(name) in page.title()
    assert len(path.read_bytes()) < 200_000


@pytest.mark.browser
def test_the_policy_blocks_everything_from_outside_and_every_other_script(path, tmp_path, chromium):
    """The page with markup injected behind its policy; `open_page` checks that the page by itself requests nothing."""
    injected = """<script>window.broken = 1</script><script src="http://127.0.0.1:9/x.js"></script>
    <img src="http://127.0.0.1:9/x.png"><link rel="stylesheet" href="http://127.0.0.1:9/x.css">
    <iframe src="http://127.0.0.1:9/"></iframe><form action="http://127.0.0.1:9/"></form>
    <img src=x onerror="broken = 1">
    <object data="http://127.0.0.1:9/x"></object><video src="http://127.0.0.1:9/x.mp4"></video></body>"""
    changed = tmp_path / "changed.html"
    changed.write_text(path.read_text("utf-8").replace("</body>", injected), "utf-8")
    page = chromium.new_page()
    failures = []
    page.on("requestfailed", lambda request: failures.append(request.failure))
    answered = []
    page.on("response", lambda response: answered.append(response.url))
    page.goto(changed.as_uri())
    page.wait_for_selector(".stage")
    page.evaluate("document.forms[0].submit()")
    page.evaluate("fetch('http://127.0.0.1:9/').catch(() => null)")
    assert not page.evaluate("window.broken")
    assert set(failures) == {"csp"}
    assert answered == [changed.as_uri()]
    page.close()
