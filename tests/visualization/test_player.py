"""The data of the player, and the page in Chromium, opened from disk without a network."""

import pytest
import torch
from skimage import data as photographs

from srcnn_lib.activations import feature_maps
from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.color import luminance
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.metrics import psnr
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.run import Run
from srcnn_lib.visualization.html import render_player, write_page
from srcnn_lib.visualization.html.player import KERNEL_LEVELS, ROOT_LAYERS, frame_of, view_of
from srcnn_lib.visualization.html.sheets import kernel_sheet

pytest_plugins = ["browser"]
WIDTHS = {"phone": (390, 844), "laptop": (1366, 768), "4k": (3840, 2160)}


def run_of(path, snapshots, channels=1, widths=(64, 32)) -> Run:
    """Returns a run whose network goes from torch's random weights to the identity."""
    run = Run.create(path, TrainingConfig.of(channels=channels, widths=widths))
    torch.manual_seed(0)
    begin, end = SRCNN(channels, widths=widths), start_from_identity(SRCNN(channels, widths=widths))
    model, history = SRCNN(channels, widths=widths), []
    for number in range(snapshots):
        share = number / (snapshots - 1)
        for weight, a, b in zip(model.parameters(), begin.parameters(), end.parameters(), strict=True):
            weight.data = torch.lerp(a.data, b.data, share)
        step = 0 if not number else 2**number if number < 6 else 50 * (number - 4)
        run.write_snapshot(model, step, max(0, number - 5))
        if number >= 6:
            record = {
                "validation_psnr_y": 28 + 4 * share,
                "validation_bicubic_psnr_y": 31.0,
                "validation_loss": 0.01 - 0.005 * share,
            }
            history.append({"step": step, "epoch": number - 5, "train_psnr_y": None, "train_loss": 0.01, **record})
    run.write_history(history)
    return run


@pytest.fixture(scope="module")
def cat() -> Picture:
    pixels = torch.from_numpy(photographs.chelsea()[40:200, 100:260].copy()).permute(2, 0, 1) / 255
    return Picture(pixels, name="</script><b>cat.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return run_of(tmp_path_factory.mktemp("player") / "run", 10, widths=(12, 5))


@pytest.fixture(scope="module")
def path(run, cat, tmp_path_factory):
    return write_page(render_player(run, cat), tmp_path_factory.mktemp("page") / "player.html")


def test_a_crop_is_restored_as_within_the_whole_picture(run, cat):
    snapshot, view = run.snapshots()[4], view_of(run, cat, 96, (3, 64))
    model = snapshot.load()
    upsampled, original = degrade(cat.pixels, 2)
    maps = feature_maps(model, luminance(upsampled))
    frame = frame_of(snapshot, view)
    place = (slice(3, 99), slice(64, 160))
    for layer in ("layer_1", "layer_2"):
        torch.testing.assert_close(frame.maps[layer].float(), maps[layer][0][:, *place], atol=1e-3, rtol=1e-3)
    expected = psnr(maps["layer_3"][0][:, *place], luminance(original)[:, *place]).item()
    assert frame.psnr == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colors", [1, 3])
def test_gray_and_color_pictures_are_shown_with_y_and_rgb_networks(tmp_path, channels, colors, cat):
    run = run_of(tmp_path / "run", 3, channels, (4, 3))
    picture = Picture(cat.pixels[:colors, :50, :40], name="small.png")
    assert "small.png" in render_player(run, picture)


@pytest.mark.slow
def test_a_player_of_a_64_32_network_with_60_snapshots_stays_below_8_mb(tmp_path, cat):
    text = render_player(run_of(tmp_path / "run", 60), cat)
    assert 2e6 < len(text.encode()) <= 8e6
    assert text.count('"step":') == 60
    assert '"step":0,' in text


def test_more_snapshots_than_frames_are_reduced_and_keep_both_ends(run, cat):
    text = render_player(run, cat, frames=4)
    assert text.count('"step":') == 4
    steps = [snapshot.step for snapshot in run.snapshots()]
    assert f'"step":{steps[0]},' in text
    assert f'"step":{steps[-1]},' in text


def test_the_small_weights_of_a_random_start_are_not_all_stored_as_zero():
    start = torch.empty(32, 64, 5, 5).uniform_(-0.025, 0.025, generator=torch.Generator().manual_seed(0))  # as torch's
    stored = kernel_sheet(start, 0.55, KERNEL_LEVELS["layer_2"], rgb=False, root="layer_2" in ROOT_LAYERS).float()
    assert (stored != stored.median()).float().mean() > 0.5
    # Decoded again: half a step of the root at most, and never the other sign.
    stored = (stored / 127.5 - 1).unflatten(0, (32, 5)).unflatten(2, (64, 5)).transpose(1, 2)
    expected = start.sign() * (start.abs() / 0.55).sqrt()
    assert (stored - expected).abs().max() < 0.5 / KERNEL_LEVELS["layer_2"] + 0.5 / 127


def test_snapshots_that_do_not_fit_in_the_lowest_quality_are_left_out_with_a_note(run, cat):
    text = render_player(run, cat, max_mb=0.15)
    assert len(text.encode()) <= 150_000
    assert 2 <= text.count('"step":') < 10
    assert "of the run's 10 snapshots." in text


@pytest.mark.browser
def test_a_run_with_one_snapshot_is_shown(open_page, tmp_path, cat):
    run = run_of(tmp_path / "run", 2, 1, (4, 3))
    run.snapshots()[-1].path.unlink()
    page = open_page(write_page(render_player(run, cat), tmp_path / "new folder" / "one.html"))
    drawn(page, 0)
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    assert page.text_content(".step") == "0"


@pytest.mark.browser
def test_three_channels_of_a_hidden_layer_are_not_shown_as_rgb(open_page, tmp_path, cat):
    run = run_of(tmp_path / "run", 2, 3, (3, 2))
    page = open_page(write_page(render_player(run, cat), tmp_path / "three.html"))
    drawn(page, 1)
    for layer, side in ((".first", 9), (".second", 2 * 6 - 1)):  # one picture in RGB, or two by two squares with a gap
        page.click(f"{layer} .layer .tile >> nth=0")
        assert page.eval_on_selector(f"{layer} .kernel", "canvas => canvas.width") == side


@pytest.mark.browser
def test_all_channels_are_visible_on_a_laptop(open_page, tmp_path, cat):
    path = write_page(render_player(run_of(tmp_path / "run", 2), cat), tmp_path / "laptop.html")
    for screen in ((1366, 768), (1366, 657), (1920, 1080)):  # whole screens, and one with the browser's bars
        page = open_page(path, screen)
        drawn(page, 1)
        timeline = page.locator(".timeline").bounding_box()["y"]
        for tiles in (".first .tile", ".second .layer .tile", ".kernels .tile"):
            box = page.locator(tiles).last.bounding_box()
            assert box["y"] + box["height"] <= timeline


def test_a_file_name_can_not_end_the_script(path):
    assert path.read_text("utf-8").count("</script>") == 1


def test_a_name_that_looks_like_a_placeholder_is_shown_as_it_is(run, cat):
    text = render_player(run, Picture(cat.pixels, name="{{DATA}}"))
    assert text.count('"frames":') == 1
    assert "<title>SRCNN learns to restore {{DATA}}</title>" in text


def test_without_a_picture_the_probe_is_shown(run):
    run.write_probe(torch.rand(4, 3, 96, 96), torch.rand(4, 3, 96, 96))
    assert "probe" in render_player(run, frames=2)


def test_invalid_arguments_are_refused(run, cat, tmp_path):
    with pytest.raises(InputError, match="box is 80,0"):
        render_player(run, cat, box=(80, 0))
    with pytest.raises(InputError, match="MB"):
        render_player(run, cat, frames=2, max_mb=0.01)
    with pytest.raises(InputError, match="max_mb is nan"):
        render_player(run, cat, max_mb=float("nan"))
    with pytest.raises(InputError, match="no snapshots"):
        render_player(Run.create(tmp_path / "empty", TrainingConfig.of()), cat)


# In the browser


def drawn(page, frame: int, number: int = 0) -> None:
    """Waits until the panels show this snapshot."""
    page.wait_for_function(
        "([n, f]) => document.querySelectorAll('.srcnn-page')[n].dataset.drawn === String(f)", arg=[number, frame]
    )


def picture_of(page, selector: str) -> str:
    return page.eval_on_selector(selector, "canvas => canvas.toDataURL()")


@pytest.mark.browser
def test_the_scrubber_updates_every_panel(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    panels = (".srcnn", ".error", ".first .tile canvas", ".second .layer .tile canvas", ".kernels .tile canvas")
    late = [picture_of(page, panel) for panel in panels]
    still = [picture_of(page, panel) for panel in (".bicubic", ".original")]
    step, decibels = page.text_content(".step"), page.text_content(".psnr")
    cursor = page.get_attribute(".cursor", "x1")
    page.fill("input[type=range]", "0")
    drawn(page, 0)
    assert page.text_content(".step") == "0" != step
    assert page.text_content(".psnr") != decibels
    assert float(page.get_attribute(".cursor", "x1")) < float(cursor)
    assert all(picture_of(page, panel) != before for panel, before in zip(panels, late, strict=True))
    assert [picture_of(page, panel) for panel in (".bicubic", ".original")] == still
    page.fill("input[type=range]", "9")
    drawn(page, 9)
    assert [picture_of(page, panel) for panel in panels] == late


@pytest.mark.browser
def test_a_click_on_the_chart_moves_the_scrubber(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    box = page.locator(".chart").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert page.input_value("input[type=range]") in "45"
    for name in ("PSNR of the run", "Loss"):
        page.click(f"text={name}")
        assert page.locator(".chart polyline").count() >= 1


@pytest.mark.browser
def test_keys_step_and_play(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    for key, frame in (("Home", 0), ("ArrowRight", 1), (".", 2), (",", 1), ("End", 9), ("ArrowLeft", 8)):
        page.keyboard.press(key)
        drawn(page, frame)
    page.focus("input[type=range]")
    page.keyboard.press("ArrowLeft")
    drawn(page, 7)
    page.keyboard.press("Space")
    assert page.get_attribute(".play", "aria-label") == "Pause"
    drawn(page, 9)
    page.wait_for_function("document.querySelector('.play').ariaLabel === 'Play'")


@pytest.mark.browser
def test_a_click_or_a_key_enlarges_a_channel(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    page.click(".second .layer .tile >> nth=3")
    large = page.locator(".second .large")
    assert large.is_visible()
    assert large.locator("h4").text_content() == "Channel 3"
    assert large.locator(".kernel-size").text_content() == "12 × 5 × 5 weights, square root"
    assert float(large.locator(".map-range span").last.text_content()) > 0
    before = picture_of(page, ".second .map")
    page.keyboard.press("ArrowLeft")
    drawn(page, 8)
    assert picture_of(page, ".second .map") != before
    page.keyboard.press("ArrowDown")
    assert large.locator("h4").text_content() == "Channel 4"
    page.keyboard.press("Escape")
    assert not large.is_visible()
    assert page.evaluate("document.activeElement.ariaLabel") == "Enlarge channel 4"
    page.focus(".first .tile >> nth=0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.text_content(".first h4") == "Channel 1"


@pytest.mark.browser
def test_a_map_shows_the_values_of_the_network(open_page, path, run, cat):
    page = open_page(path)
    drawn(page, 9)
    view = view_of(run, cat, 96, None)
    maps = frame_of(run.snapshots()[-1], view).maps["layer_1"].float()
    channel = int(maps.flatten(1).std(1).argmax())
    pixels = page.eval_on_selector(
        f".first .tile >> nth={channel} >> canvas",
        "c => Array.from(c.getContext('2d').getImageData(0, 0, 96, 96).data)",
    )
    shown = torch.tensor(pixels, dtype=torch.float32).unflatten(0, (-1, 4))[:, :3].sum(1)  # it rises with the value
    assert torch.corrcoef(torch.stack([shown, maps[channel].flatten()]))[0, 1] > 0.95


@pytest.mark.browser
def test_two_players_in_one_page_are_independent(open_page, path, tmp_path):
    text = path.read_text("utf-8")
    both = tmp_path / "both.html"
    both.write_text(f"<!doctype html><p id=outside>A notebook.</p>{text}{text}", "utf-8")
    page = open_page(both)
    drawn(page, 9, 0), drawn(page, 9, 1)
    roots = page.locator(".srcnn-page")
    assert roots.count() == 2
    assert len(set(roots.evaluate_all("roots => roots.map((root) => root.id)"))) == 2
    roots.nth(1).locator("input[type=range]").fill("2")
    drawn(page, 2, 1), drawn(page, 9, 0)
    roots.nth(0).locator(".first .tile").nth(1).click()
    assert page.locator(".large:visible").count() == 1
    assert page.eval_on_selector("#outside", "p => getComputedStyle(p).fontSize") == "16px"
    assert page.evaluate("['launch', 'start', 'ID', 'make', 'clamp'].filter((name) => name in window)") == []


@pytest.mark.browser
@pytest.mark.parametrize("screen", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_width(open_page, path, screen, scheme):
    page = open_page(path, WIDTHS[screen], scheme)
    drawn(page, 9)
    page.click(".first .tile >> nth=2")
    assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[screen][0]
    assert page.get_attribute(".srcnn-page", "data-theme") == scheme
    assert page.eval_on_selector(".tile span", "span => parseFloat(getComputedStyle(span).fontSize)") >= 9
    # The scrubber is always in sight.
    assert page.locator("input[type=range]").bounding_box()["y"] < WIDTHS[screen][1]


@pytest.mark.browser
def test_a_picture_that_bicubic_restores_exactly_is_shown(open_page, tmp_path):
    run = run_of(tmp_path / "run", 3, 3, (4, 3))
    black = Picture(torch.zeros(3, 40, 40), name="black.png")
    page = open_page(write_page(render_player(run, black), tmp_path / "black.html"))
    drawn(page, 2)
    assert page.text_content(".bicubic-psnr") == "∞ dB"
