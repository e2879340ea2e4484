"""The laboratory: its data, and the page in Chromium, whose numbers must be torch's and those of the exact views."""

import base64
import html
import json
import re
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.color import luminance
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.images import Picture
from srcnn_lib.data.named_sets import SAMPLES
from srcnn_lib.data.regions import subject_region
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.kernel_projection import patch_statistics
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.pretrained import saved_folder
from srcnn_lib.run import Run
from srcnn_lib.visualization.attribution import attribute
from srcnn_lib.visualization.channel_contributions import ChannelWorth, channel_pictures
from srcnn_lib.visualization.equivalent_filter import pixel_area, pixel_autopsy
from srcnn_lib.visualization.exact_pass import ExactPass
from srcnn_lib.visualization.html import render_laboratory, write_page
from srcnn_lib.visualization.html.laboratory import encode_weights
from srcnn_lib.visualization.spectrum import band_power
from srcnn_lib.visualization.stimuli import channel_stimuli
from srcnn_lib.weights import save

pytest_plugins = ["browser"]
WIDTHS = {"phone": (390, 844), "laptop": (1366, 768), "4k": (3840, 2160)}
NAMES = {"channels": "Channels", "pixel": "Pixel", "worth": "Worth", "frequency": "Frequencies", "kernels": "Kernels"}
NAMES |= {"stimuli": "What excites"}
LAB = "document.querySelector('.srcnn-page').laboratory"


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
                "validation_mse": 650 - 300 * share,
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
    return run_of(tmp_path_factory.mktemp("laboratory") / "run", 10, widths=(12, 11))


@pytest.fixture(scope="module")
def path(run, cat, tmp_path_factory):
    return write_page(render_laboratory(run, cat), tmp_path_factory.mktemp("page") / "laboratory.html")


# The data


@pytest.mark.parametrize("dropped", [None, 0, 2])
def test_weights_are_the_same_after_they_were_stored(dropped):
    generator = torch.Generator().manual_seed(0)
    snapshots = [torch.randn(500, generator=generator).numpy() * 10.0**-n for n in range(5)]
    snapshots[1][:3] = 0.0, -0.0, 1e-7
    before = np.zeros(500, np.int32)
    for number, (values, stored) in enumerate(zip(snapshots, encode_weights(snapshots, dropped), strict=True)):
        planes = np.frombuffer(zlib.decompress(base64.b64decode(stored["weights"])), np.uint8)
        if dropped is None or number == 4:
            assert stored["format"] == "float32"
            assert np.array_equal(planes.reshape(4, -1).T.copy().view("<f4")[:, 0], values)
            continue
        folded = planes.reshape(2, -1).T.copy().view("<u2")[:, 0].astype(np.int32)
        change = (folded >> 1) ^ -(folded & 1)
        before = (change + before * (stored["format"] == "difference")).astype(np.int16).astype(np.int32)
        bits = np.where(before < 0, -before | 0x8000, before).astype(np.uint16)
        stored_values, expected = bits.view(np.float16).astype(np.float32), values.astype(np.float16)
        if dropped:
            assert np.allclose(stored_values, expected, rtol=2**-8, atol=2**-22)
        else:
            assert np.array_equal(stored_values, expected)


@pytest.mark.slow
def test_a_laboratory_of_a_64_32_network_with_60_snapshots_stays_below_8_mb(tmp_path, cat):
    run = run_of(tmp_path / "run", 60)
    for number, snapshot in enumerate(run.snapshots()):  # the worst case: no snapshot resembles the one before
        torch.manual_seed(number)
        run.write_snapshot(SRCNN(1, widths=(64, 32)), snapshot.step, snapshot.epoch)
    text = render_laboratory(run, cat)
    assert len(text.encode()) <= 8e6
    assert text.count('"step":') == 60


def test_snapshots_are_rounded_or_left_out_to_fit_and_both_ends_are_kept(run, cat):
    whole = render_laboratory(run, cat)
    assert whole.count('"format":"float32"') == 10
    least = len(render_laboratory(run, cat, frames=2).encode())
    rounded = render_laboratory(run, cat, max_mb=(len(whole.encode()) - 40_000) / 1e6)
    assert (rounded.count('"format":"float32"'), rounded.count('"format":"difference"')) == (1, 8)
    fewer = render_laboratory(run, cat, max_mb=(least + 20_000) / 1e6)
    assert 2 <= fewer.count('"step":') < 10
    assert "of the 10 snapshots of run" in fewer
    for step in (run.snapshots()[0].step, run.snapshots()[-1].step):
        assert f'"step":{step},' in fewer


def test_a_file_name_can_not_end_the_script(path):
    assert path.read_text("utf-8").count("</script>") == 1


def test_a_name_that_looks_like_a_placeholder_is_shown_as_it_is(run, cat):
    text = render_laboratory(run, Picture(cat.pixels, name="{{DATA}}"), frames=2)
    assert "<title>A network restores {{DATA}}</title>" in text


def test_without_a_picture_the_probe_is_shown(run):
    run.write_probe(torch.rand(4, 3, 96, 96), torch.rand(4, 3, 96, 96))
    assert "probe" in render_laboratory(run, frames=2)


def test_invalid_arguments_are_refused(run, cat, tmp_path):
    with pytest.raises(InputError, match="box is 80,0"):
        render_laboratory(run, cat, box=(80, 0))
    with pytest.raises(InputError, match="MB"):
        render_laboratory(run, cat, frames=2, max_mb=0.01)
    with pytest.raises(InputError, match="max_mb is nan"):
        render_laboratory(run, cat, max_mb=float("nan"))
    with pytest.raises(InputError, match="no snapshots"):
        render_laboratory(Run.create(tmp_path / "empty", TrainingConfig.of()), cat)
    with pytest.raises(InputError, match="no run"):
        render_laboratory([], cat)
    with pytest.raises(InputError, match="×2, ×3"):
        render_laboratory([saved_folder() / f"srcnn_y_x{scale}.safetensors" for scale in (2, 3)], cat)


def test_a_sample_is_shown_around_its_subject(run):
    text = render_laboratory(run, "samples:astronaut", frames=2)
    assert "chosen by hand for this sample" in text
    (top, left), (above, before) = (
        json.loads(re.search(rf'"{name}":(\[\d+,\d+\])', text)[1]) for name in ("box", "at")
    )
    assert (top + above + 48, left + before + 48) == SAMPLES["astronaut"].subject


def test_a_photograph_that_the_run_was_trained_on_is_marked(tmp_path):
    trained = Run.create(tmp_path / "run", TrainingConfig.of(channels=1, widths=(3, 2), data=("samples:chelsea",)))
    trained.write_snapshot(SRCNN(1, widths=(3, 2)), 0, 0)
    assert '"trained":true' in render_laboratory(trained, "samples:chelsea")
    assert '"trained":false' in render_laboratory(trained, "samples:coffee")


# In the browser


def drawn(page, snapshot: int, number: int = 0) -> None:
    """Waits until the panels show this snapshot."""
    page.wait_for_function(
        "([n, f]) => document.querySelectorAll('.srcnn-page')[n].dataset.drawn === String(f)", arg=[number, snapshot]
    )


def view(page, name: str) -> None:
    page.click(f".views button:text-is('{NAMES[name]}')")


def values(page, expression: str) -> torch.Tensor:
    """Returns a typed array of the page as float64."""
    return torch.tensor(page.evaluate(f"Array.from({expression})"), dtype=torch.float64)


def picture_of(page, selector: str) -> str:
    return page.eval_on_selector(selector, "canvas => canvas.toDataURL()")


def network_of(channels, filters, widths, padding_mode) -> SRCNN:
    torch.manual_seed(1)
    model = SRCNN(channels, filters, widths, padding_mode)
    start_from_identity(model)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter) / parameter[0].numel() ** 0.5
    return model


NETWORKS = {
    "y": (1, (9, 5, 5), (10, 7), "replicate"),
    "rgb": (3, (9, 5, 5), (9, 6), "replicate"),
    "zeros": (1, (7, 3, 5), (6, 5), "zeros"),
    "rgb_zeros": (3, (5, 1, 3), (6, 5), "zeros"),
}


@pytest.mark.browser
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("colors", [1, 3])
def test_the_page_computes_what_torch_and_the_exact_views_compute(open_page, tmp_path, cat, name, colors):
    model = network_of(*NETWORKS[name])
    picture = Picture((cat.pixels if colors == 3 else cat.pixels[1:2])[:, :90, :120], name="cat.png")
    # At a corner of the picture, where the border rule is felt, and in its middle.
    side, (top, left) = 48, (0, 72) if "zeros" in name else (30, 40)
    save(model, tmp_path / "network.safetensors")
    text = render_laboratory(tmp_path / "network.safetensors", picture, crop=side, box=(top, left))
    page = open_page(write_page(text, tmp_path / "page.html"))
    drawn(page, 0)
    sample = Sample(picture.pixels, model)
    place = (slice(None), slice(top, top + side), slice(left, left + side))

    # The picture and its parts.
    with torch.no_grad():
        output = model(sample.network_input[None])[0][place].double()
    assert (values(page, f"{LAB}.scene.bicubic.data") - sample.upsampled[place].flatten()).abs().max() < 1e-5
    assert (values(page, f"{LAB}.snapshots.result(0).output") - output.flatten()).abs().max() < 1e-4
    pictures = channel_pictures(model, sample.network_input)
    parts = pictures.parts[..., *place[1:]]
    assert (values(page, f"{LAB}.snapshots.parts(0)") - parts.flatten()).abs().max() < 1e-5

    # The dB of any set of channels.
    off = [0, 3]
    weights = page.evaluate(f"{LAB}.scene.job.luma")
    lumas = torch.einsum("k,ckij->cij", torch.tensor(weights, dtype=torch.float64), parts).flatten(1)
    offset = page.evaluate(f"{LAB}.scene.job.offset") + (torch.tensor(weights) * pictures.constant).sum()
    target = luminance(sample.original.double())[0][place[1:]].flatten()
    error = target - offset - lumas.sum(0)
    pixels = target.numel()
    worth = ChannelWorth(float(error @ error / pixels), lumas @ error / pixels, lumas @ lumas.T / pixels)
    assert page.evaluate(f"{LAB}.snapshots.summaries[0].psnr") == pytest.approx(float(worth.psnr()), abs=1e-3)
    shown = page.evaluate(f"{LAB}.snapshots.summaries[0].worth")
    assert [one["db"] for one in shown] == pytest.approx(worth.worth_db.tolist(), abs=1e-3)
    assert [one["shapley"] for one in shown] == pytest.approx(worth.shapley.tolist(), abs=1e-6)
    page.evaluate(f"{LAB}.state.set({{ off: new Set({off}), view: 'worth' }})")
    kept = [channel not in off for channel in range(model.widths[1])]
    assert float(page.get_attribute(".sum", "data-psnr")) == pytest.approx(float(worth.psnr(kept)), abs=1e-3)
    without = output - parts[off].sum(0)
    assert (values(page, f"{LAB}.shown().output") - without.flatten()).abs().max() < 1e-4
    page.evaluate(f"{LAB}.state.set({{ off: new Set() }})")

    # Frequencies.
    power = band_power(error.view(side, side))
    assert (values(page, f"{LAB}.snapshots.summaries[0].power") / power - 1).abs().max() < 1e-3

    # A pixel: its filter, what the channels add, the attribution.
    row, column = (2, 44) if "zeros" in name else (20, 30)
    page.evaluate(f"{LAB}.state.set({{ pixel: [{row}, {column}], view: 'pixel' }})")
    autopsy = pixel_autopsy(model, sample.network_input, (top + row, left + column))
    found = page.evaluate(f"(() => {{ const f = {LAB}.explain(); return {{ v: f.value, c: [...f.channels] }}; }})()")
    to_y = torch.tensor(weights, dtype=torch.float64)
    base = page.evaluate(f"{LAB}.scene.job.offset")
    assert found["v"] == pytest.approx(float(to_y @ autopsy.value) + base, abs=1e-6)
    assert torch.tensor(found["c"], dtype=torch.float64) == pytest.approx(to_y @ autopsy.layer_2, abs=1e-6)
    window = torch.einsum("k,kcij->cij", to_y, autopsy.window)
    assert (values(page, f"{LAB}.explain().filter") - window.flatten()).abs().max() < 1e-6
    page.wait_for_selector(".attribution[data-missing]")
    assert abs(float(page.get_attribute(".attribution", "data-missing"))) < 1e-9
    if model.channels == (1 if colors == 1 else colors):
        exact = ExactPass(model, sample.network_input)
        expected = attribute(model, sample.network_input, pixel_area(exact, (top + row, left + column)))
        assert float(page.get_attribute(".attribution", "data-start")) == pytest.approx(expected.start, abs=1e-5)
        assert float(page.get_attribute(".attribution", "data-end")) == pytest.approx(expected.end, abs=1e-5)


@pytest.mark.browser
def test_the_page_unpacks_rounded_weights(open_page, run, cat, tmp_path):
    limit = (len(render_laboratory(run, cat).encode()) - 40_000) / 1e6
    page = open_page(write_page(render_laboratory(run, cat, max_mb=limit), tmp_path / "rounded.html"))
    page.wait_for_selector(".srcnn-page[data-complete]")
    for number, snapshot in enumerate(run.snapshots()):
        expected = torch.cat([parameter.detach().flatten() for parameter in snapshot.load().parameters()])
        expected = expected if number == 9 else expected.half()
        assert torch.equal(values(page, f"{LAB}.snapshots.weights({number})"), expected.double())


@pytest.mark.browser
def test_a_dropped_photograph_is_degraded_and_restored_as_by_torch(open_page, path, run, tmp_path):
    page = open_page(path)
    drawn(page, 9)
    pixels = photographs.astronaut()[20:171, 150:327]  # odd sizes
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    page.set_input_files(".file", tmp_path / "photo.png")
    page.wait_for_function("document.querySelector('.about').textContent.includes('photo.png')")
    drawn(page, 9)
    photograph = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
    upsampled, original = degrade(photograph, 2.0)
    shown = values(page, f"{LAB}.scene.photograph.upsampled.data")
    assert (shown - upsampled.flatten()).abs().max() < 1e-4
    top, left = page.evaluate(f"[{LAB}.scene.top, {LAB}.scene.left]")
    with torch.no_grad():
        output = run.model()(luminance(upsampled)[None])[0][:, top : top + 96, left : left + 96]
    assert (values(page, f"{LAB}.snapshots.result(9).output") - output.flatten()).abs().max() < 1e-4
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files(".file", tmp_path / "text.png")
    page.wait_for_function("document.querySelector('.notes').textContent.includes(\"can't be read\")")


@pytest.mark.browser
def test_a_click_on_a_channel_switches_it_and_the_presets_choose_sets(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    view(page, "worth")
    before = page.text_content(".psnr")
    page.click(".worths .tile >> nth=0")
    assert page.get_attribute(".worths .tile >> nth=0", "aria-pressed") == "false"
    assert page.text_content(".psnr") != before
    assert page.text_content(".now") == "With 10 of 11 channels"
    page.click(".worths .tile >> nth=0")
    assert page.text_content(".psnr") == before
    page.click("text=The ten that matter")
    assert page.locator(".worths .tile[aria-pressed=true]").count() == 10
    page.click("text=The rest")
    assert page.locator(".worths .tile[aria-pressed=true]").count() == 1
    assert "off=" in page.evaluate("location.hash")


@pytest.mark.browser
def test_a_channel_of_another_snapshot_takes_the_place_of_the_own_one(open_page, path, run, cat):
    page = open_page(path)
    drawn(page, 9)
    page.evaluate(f"{LAB}.state.set({{ view: 'worth', layer: 1, channel: 2, swaps: new Map([[2, 4]]) }})")
    drawn(page, 9)
    sample = Sample(cat.pixels, run.model())
    final, earlier = (channel_pictures(run.snapshots()[n].load(), sample.network_input) for n in (9, 4))
    top, left = page.evaluate(f"[{LAB}.scene.top, {LAB}.scene.left]")
    place = (slice(None), slice(top, top + 96), slice(left, left + 96))
    expected = (final.output - final.parts[2] + earlier.parts[2])[place]
    assert (values(page, f"{LAB}.shown().output") - expected.flatten()).abs().max() < 1e-4
    page.wait_for_selector(".srcnn-page[data-complete]")
    target = luminance(sample.original.double())[place]
    change = page.evaluate(f"{LAB}.snapshots.summaries[4].transplants[2]")
    mse = [(picture - target).square().mean() for picture in (expected, final.output[place])]
    assert change == pytest.approx(float(10 * (mse[1] / mse[0]).log10()), abs=1e-3)


@pytest.mark.browser
def test_stimuli_are_the_places_where_the_channel_is_most_active(open_page, path, run):
    page = open_page(path)
    drawn(page, 9)
    page.evaluate(f"{LAB}.state.set({{ view: 'stimuli', layer: 1, channel: 1 }})")
    page.wait_for_selector(".stimuli[data-of='0:9:1:1']")
    pictures = page.evaluate(
        f"{LAB}.samples().then((all) => all.map((p) => [p.channels, p.height, p.width, Array.from(p.data)]))"
    )
    inputs = [torch.tensor(flat).view(*size) for *size, flat in pictures]
    model = run.model()
    with torch.no_grad():
        expected = max(float(model.layer_2(model.layer_1(one[None]).relu()).relu()[0, 1].max()) for one in inputs)
    answers = page.eval_on_selector_all(".patches canvas", "all => all.map((c) => parseFloat(c.ariaLabel.slice(11)))")
    assert answers[0] == pytest.approx(expected, abs=1e-3)  # shown with three decimals
    assert answers == sorted(answers, reverse=True)
    stimulus = channel_stimuli(model, inputs, "layer_2", [1], count=1)[0]
    assert float(stimulus.values[0]) >= answers[0] * 0.95


@pytest.mark.browser
def test_kernels_as_photographs_excite_them_are_the_ridge_projection(open_page, path, run):
    page = open_page(path)
    drawn(page, 9)
    view(page, "kernels")
    page.click("text=as photographs excite them")
    page.wait_for_selector(".kernel-view[data-kind=excited]")
    pictures = page.evaluate(
        f"{LAB}.samples().then((all) => all.map((p) => [p.channels, p.height, p.width, Array.from(p.data)]))"
    )
    inputs = [torch.tensor(flat).view(*size) for *size, flat in pictures]
    expected = patch_statistics(inputs, 9, stride=2).shrinkage(1e-5)
    assert (values(page, f"{LAB}.projection()") - expected.flatten()).abs().max() < 1e-3


@pytest.mark.browser
def test_the_scrubber_updates_every_panel(open_page, path):
    page = open_page(path)
    page.wait_for_selector(".srcnn-page[data-complete]")
    drawn(page, 9)
    panels = (".srcnn", ".error", ".layer .tile canvas", ".layer:nth-child(2) .tile canvas")
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
    for name in ("Gain of the run", "Squared error"):
        page.click(f"text={name}")
        assert page.locator(".chart polyline").count() >= 1


@pytest.mark.browser
def test_keys_step_play_and_change_the_view(open_page, path):
    page = open_page(path)
    page.wait_for_selector(".srcnn-page[data-complete]")
    for key, snapshot in (("Home", 0), ("ArrowRight", 1), (".", 2), (",", 1), ("End", 9), ("ArrowLeft", 8)):
        page.keyboard.press(key)
        drawn(page, snapshot)
    page.focus("input[type=range]")
    page.keyboard.press("ArrowLeft")
    drawn(page, 7)
    page.keyboard.press("Space")
    assert page.get_attribute(".play", "aria-label") == "Pause"
    drawn(page, 9)
    page.wait_for_function("document.querySelector('.play').ariaLabel === 'Play'")
    page.keyboard.press("3")
    assert page.get_attribute(".srcnn-page", "data-view") == "worth"
    page.focus(".srcnn")
    page.keyboard.press("Enter")
    assert page.get_attribute(".srcnn-page", "data-view") == "pixel"
    assert "x 48, y 48" in page.text_content(".facts-line")
    page.keyboard.press("ArrowRight")
    assert "x 49, y 48" in page.text_content(".facts-line")


@pytest.mark.browser
def test_a_click_or_a_key_enlarges_a_channel(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    page.click(".layer:nth-child(2) .tile >> nth=3")
    large = page.locator(".layer:nth-child(2) .large")
    assert large.is_visible()
    assert large.locator("h4").text_content() == "Channel 3"
    assert float(large.locator(".map-range span").last.text_content().removesuffix(" activation")) > 0
    page.keyboard.press("ArrowDown")
    assert large.locator("h4").text_content() == "Channel 4"
    page.keyboard.press("Escape")
    assert not large.is_visible()
    page.focus(".layer .tile >> nth=0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.text_content(".layer h4") == "Channel 1"


@pytest.mark.browser
def test_an_address_restores_the_state(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    page.evaluate(f"{LAB}.state.set({{ n: 4, view: 'worth', off: new Set([1, 2]), pixel: [5, 6] }})")
    drawn(page, 4)
    address = page.evaluate("location.href")
    other = open_page(path)
    other.goto("about:blank")
    other.goto(address)
    drawn(other, 4)
    assert other.text_content(".psnr") == page.text_content(".psnr")
    assert other.evaluate(f"{LAB}.now.pixel") == [5, 6]
    assert other.get_attribute(".srcnn-page", "data-view") == "worth"
    other.goto(f"{address.split('#')[0]}?x#step=7777&view=none&off=99,x&pixel=1&channel=9:9&tour=40&swap=a:b")
    drawn(other, 9)


@pytest.mark.browser
def test_the_tour_sets_the_page_up(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    page.click(".tool.tour")
    shown = []
    for _ in range(6):
        page.wait_for_timeout(100)
        shown.append(page.get_attribute(".srcnn-page", "data-view"))
        page.click(".card .ahead")
    assert shown == ["kernels", "worth", "stimuli", "pixel", "worth", "frequency"]
    assert not page.locator(".card").is_visible()
    assert page.evaluate(f"{LAB}.now.off.size") == 0


@pytest.mark.browser
def test_the_sliders_thumb_follows_the_training_in_every_view_and_through_the_tour(open_page, path):
    page = open_page(path)
    page.wait_for_selector(".srcnn-page[data-complete]")
    view(page, "worth")  # it has a slider of its own, before the one of the training
    page.click(".tool.tour")
    page.wait_for_function(f"{LAB}.now.view === 'kernels'")
    page.click(".play")
    page.wait_for_function(f"{LAB}.now.n > 2")
    assert page.evaluate(f"Number(document.querySelector('.track input').value) === {LAB}.now.n")
    page.click(".card .ahead")
    page.wait_for_function(f"{LAB}.now.view === 'worth'")
    assert page.get_attribute(".play", "aria-label") == "Play"  # the step's own snapshot stays
    drawn(page, 9)
    for key, snapshot in (("Home", 0), (".", 1), ("End", 9)):
        page.keyboard.press(key)
        drawn(page, snapshot)
        assert page.input_value(".track input") == str(snapshot)
    assert page.input_value(".swap input") == "-1"


@pytest.mark.browser
def test_the_choice_of_kernels_shows_what_the_tour_and_an_address_have_chosen(open_page, path):
    pressed = ".kind [aria-pressed=true]"
    page = open_page(path)
    drawn(page, 9)
    page.click(".tool.tour")
    page.wait_for_selector(".kernel-view[data-kind=excited]")
    assert page.text_content(pressed) == "as photographs excite them"
    page.click(".kind button >> nth=0")
    assert (page.text_content(pressed), page.get_attribute(".kernel-view", "data-kind")) == ("as they are", "raw")
    page.evaluate("location.hash = 'view=kernels&kernels=excited'")
    page.wait_for_selector(".kernel-view[data-kind=excited]")
    assert page.text_content(pressed) == "as photographs excite them"


@pytest.mark.browser
def test_the_hint_says_which_pixel_is_marked(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    assert page.text_content(".hint").startswith("Click a pixel")
    page.click(".srcnn", position={"x": 30, "y": 20})
    row, column = page.evaluate(f"{LAB}.now.pixel")
    assert f"x {column}, y {row};" in page.text_content(".hint")


@pytest.mark.browser
def test_no_label_holds_a_negative_zero(open_page, path):
    page = open_page(path)
    page.wait_for_selector(".srcnn-page[data-complete]")
    for name in ("worth", "frequency", "pixel"):
        page.evaluate(f"{LAB}.state.set({{ pixel: [20, 20], view: '{name}' }})")
        drawn(page, 9)
        assert not re.search(r"[-−]0(\.0+)?(?![.\d])", page.inner_html(".view")), name


UNITS = {
    ".error-range": r"[−+]?\d+\.\d levels",
    ".patch-range": r"\d+\.\d levels",
    ".attribution-range": r"\d+\.\d levels",
    ".filter-range": r"\d+\.\d{3} weight",
    ".painted-range": r"\d+\.\d levels",
    ".transplant-range": r"\d+\.\d{2} dB",
    ".frequencies .below .legend": r"\d+\.\d{2} dB",
    ".map-range": r"\d+\.\d{3} activation",
    ".kernel-range": r"\d+\.\d{3} weight",
    ".means .legend >> nth=0": r"\d+\.\d levels",
}


@pytest.mark.browser
def test_every_range_names_its_unit_with_the_decimals_of_its_quantity(open_page, path):
    page = open_page(path)
    page.wait_for_selector(".srcnn-page[data-complete]")
    page.evaluate(f"{LAB}.state.set({{ pixel: [40, 40], layer: 1, channel: 2 }})")
    found = {}
    for name in NAMES:
        view(page, name)
        page.wait_for_timeout(100)
        if name == "pixel":
            page.wait_for_selector(".attribution[data-missing]")
        if name == "stimuli":
            page.wait_for_selector(".stimuli[data-of]")
        for selector in UNITS:
            if page.locator(selector).count():
                found[selector] = page.locator(selector).first.locator("span").last.text_content()
    for selector, pattern in UNITS.items():
        assert re.fullmatch(pattern, found[selector]), (selector, found[selector])


@pytest.mark.browser
def test_the_bars_of_worth_have_a_scale_and_negative_ones_another_side_and_color(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    view(page, "worth")
    worth = [one["db"] for one in page.evaluate(f"{LAB}.snapshots.summaries[9].worth")]
    most = max(map(abs, worth))
    tiles = ".worths .tile >> nth="
    for channel, db in enumerate(worth):
        width = float(page.eval_on_selector(f"{tiles}{channel} >> i", "bar => parseFloat(bar.style.width)"))
        length = np.log10(max(abs(db), 0.01) / 0.01) / np.log10(max(most, 0.1) / 0.01)
        assert width == pytest.approx(100 * length, abs=0.1)
    page.evaluate(  # a network in which a channel harms
        f"{LAB}.snapshots.summaries[9].worth[1].db = -0.5; {LAB}.state.set({{ layer: 1, channel: 0 }})"
    )
    style = "bar => [getComputedStyle(bar).backgroundColor, getComputedStyle(bar).justifySelf]"
    harm, gain = (page.eval_on_selector(f"{tiles}{channel} >> i", style) for channel in (1, worth.index(max(worth))))
    assert harm[0] != gain[0]
    assert harm[1] == "end" != gain[1]
    key = page.text_content(".worth-key")
    assert "logarithmic, in dB" in key
    assert "what is gained without it" in key


@pytest.mark.browser
def test_a_set_without_the_carriers_is_said_to_equal_no_channels(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    view(page, "worth")
    page.click("text=None")
    assert "the constant b₃" in page.text_content(".sum")
    page.evaluate(  # all off but one that paints nothing
        f"{LAB}.state.set({{ off: new Set([...Array(11).keys()].filter((c) => c !== {quietest(page)})) }})"
    )
    assert "As without any channel" in page.text_content(".sum")
    page.click(".presets button:text-is('All')")
    assert page.text_content(".sum small") == ""


def quietest(page) -> int:
    gram = values(page, f"{LAB}.snapshots.result(9).gram").view(11, 11)
    return int(gram.diagonal().argmin())


@pytest.mark.browser
@pytest.mark.parametrize("snapshot", [0, 9])  # at random no channel carries the picture
def test_the_waterfall_leads_from_bicubics_value_to_the_result(open_page, path, snapshot):
    page = open_page(path)
    page.wait_for_selector(".srcnn-page[data-complete]")
    page.evaluate(f"{LAB}.state.set({{ n: {snapshot}, pixel: [30, 50], view: 'pixel' }})")
    drawn(page, snapshot)
    fall = page.eval_on_selector(".waterfall", "fall => ({ ...fall.dataset })")
    assert float(fall["begin"]) == pytest.approx(page.evaluate(f"{LAB}.scene.bicubicY[30 * 96 + 50]"), abs=1e-7)
    assert float(fall["sum"]) == pytest.approx(page.evaluate(f"{LAB}.explain().value"), abs=1e-6)
    number = [float(text.replace("−", "-")) for text in page.locator(".waterfall .value").all_text_contents()]
    assert sum(number[:-2]) == pytest.approx(number[-2], abs=0.05 * len(number))
    edges = page.eval_on_selector_all(
        ".waterfall .line", "lines => lines.slice(0, 2).map((line) => line.lastChild.getBoundingClientRect().toJSON())"
    )
    start = (edges[0]["left"] + edges[0]["right"]) / 2  # of the dot at bicubic's value
    assert min(abs(edges[1]["left"] - start), abs(edges[1]["right"] - start)) < 2


@pytest.mark.browser
def test_heat_maps_and_curves_have_axes(open_page, path):
    page = open_page(path)
    page.wait_for_selector(".srcnn-page[data-complete]")
    steps = ["0", "2", "50", "250"]  # those of the snapshots that are near enough to round ones
    for name, title in (("frequency", "cycles a pixel"), ("worth", "channel")):
        view(page, name)
        heat = page.locator(".heat")
        assert title in heat.locator(".axis-title").first.text_content()
        assert set(heat.locator(".across span").all_text_contents()) & set(steps) >= {"0", "250"}
        assert len(heat.locator(".down span").all_text_contents()) > 3
    texts = page.locator(".chart text").all_text_contents()
    assert any(re.fullmatch(r"(≤ )?[\d.]+ dB", text) for text in texts), texts
    page.click("text=Mean squared error")
    assert any(text.endswith(" levels²") for text in page.locator(".chart text").all_text_contents())


@pytest.mark.browser
def test_with_channels_off_the_curve_says_what_it_is_of_and_the_range_of_the_error_widens(open_page, path):
    page = open_page(path)
    drawn(page, 9)
    assert page.locator(".key .entry").first.text_content() == "SRCNN on this crop"
    before = page.text_content(".error-range span >> nth=1")
    view(page, "worth")
    page.click("text=None")
    assert "all of its own channels" in page.locator(".key .entry").first.text_content()
    times = int(re.search(r"(\d+) times as wide", page.text_content(".beyond"))[1])
    wider = page.text_content(".error-range span >> nth=1")
    assert float(wider.split()[0]) == pytest.approx(times * float(before.split()[0]), rel=0.01)
    page.click(".presets button:text-is('All')")
    assert page.text_content(".error-range span >> nth=1") == before


@pytest.mark.browser
def test_each_step_of_the_tour_draws_a_conclusion_that_the_page_shows(open_page, path):
    page = open_page(path)
    page.wait_for_selector(".srcnn-page[data-complete]")
    page.click(".tool.tour")
    for number in range(6):
        page.wait_for_function(f"document.querySelector('.card h3').textContent.startsWith('{number + 1}')")
        page.wait_for_timeout(50)
        drawn(page, 0 if number == 0 else 9)  # the first one speaks of learning
        conclusion = page.text_content(".card .so")
        assert conclusion.endswith(".")
        if number in (1, 4):
            assert page.text_content(".psnr") in conclusion
        page.click(".card .ahead")


def inside(page, selector: str) -> bool:
    """Returns whether an element begins within the window, above the timeline and below the tour's step."""
    box, timeline = page.locator(selector).bounding_box(), page.locator(".timeline").bounding_box()
    card = page.locator(".card").bounding_box()
    return (card["y"] + card["height"] if card else 0) <= box["y"] < timeline["y"] - 40


@pytest.mark.browser
def test_on_a_phone_what_a_press_has_opened_comes_into_sight(open_page, path):
    page = open_page(path, WIDTHS["phone"])
    page.emulate_media(reduced_motion="reduce")
    drawn(page, 9)
    page.click(".srcnn")
    page.wait_for_timeout(100)
    assert inside(page, ".facts-line")
    page.click(".tool.tour")
    for number in range(6):
        page.wait_for_function(f"document.querySelector('.card h3').textContent.startsWith('{number + 1}')")
        page.wait_for_timeout(100)
        card = page.locator(".card").bounding_box()
        assert card["y"] >= 0, number
        assert inside(page, ".view"), number
        page.click(".card .ahead")


@pytest.mark.browser
def test_on_a_phone_everything_to_press_is_large_enough_for_a_finger(open_page, path):
    page = open_page(path, WIDTHS["phone"])
    drawn(page, 9)
    page.evaluate(f"{LAB}.state.set({{ pixel: [40, 40], tour: 0 }})")
    page.wait_for_timeout(100)
    for name in NAMES:
        page.evaluate(
            f"{LAB}.state.set({{ view: '{name}', layer: 1, channel: {'2' if name == 'channels' else 'null'} }})"
        )
        page.wait_for_timeout(50)
        small = page.eval_on_selector_all(
            ".srcnn-page :is(button, summary, input:not([hidden]))",
            """all => all.filter((one) => one.offsetParent && one.type !== "range").map((one) =>
                [one.className || one.textContent, one.offsetWidth, one.offsetHeight])
                .filter(([, w, h]) => w < 40 || h < 40)""",
        )
        assert small == [], name


@pytest.mark.browser
def test_the_page_chooses_the_crop_of_a_dropped_photograph_as_python_does(open_page, path, tmp_path):
    page = open_page(path)
    drawn(page, 9)
    pixels = photographs.rocket()[:300, 200:520]
    Image.fromarray(pixels).save(tmp_path / "rocket.png")
    page.set_input_files(".file", tmp_path / "rocket.png")
    page.wait_for_function("document.querySelector('.about').textContent.includes('rocket.png')")
    upsampled, original = degrade(torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255, 2.0)
    top, left = subject_region(original, upsampled, (96, 96))[:2]
    assert page.evaluate(f"[{LAB}.scene.top, {LAB}.scene.left]") == pytest.approx([top, left], abs=1)
    assert "chosen for much lost detail near the middle" in page.text_content(".notes")


@pytest.mark.browser
def test_two_laboratories_in_one_page_are_independent(open_page, path, tmp_path):
    text = path.read_text("utf-8")
    both = tmp_path / "both.html"
    both.write_text(f"<!doctype html><p id=outside>A notebook.</p>{text}{text}", "utf-8")
    page = open_page(both)
    drawn(page, 9, 0), drawn(page, 9, 1)
    roots = page.locator(".srcnn-page")
    assert roots.count() == 2
    assert len(set(roots.evaluate_all("roots => roots.map((root) => root.id)"))) == 2
    roots.nth(1).locator("input[type=range]").first.fill("2")
    drawn(page, 2, 1), drawn(page, 9, 0)
    assert page.eval_on_selector("#outside", "p => getComputedStyle(p).fontSize") == "16px"
    assert page.evaluate("['launch', 'start', 'ID', 'make', 'clamp'].filter((name) => name in window)") == []


@pytest.mark.browser
def test_two_runs_share_a_page(open_page, tmp_path, cat):
    runs = [run_of(tmp_path / name, 3, widths=widths) for name, widths in (("a", (6, 4)), ("b", (5, 3)))]
    page = open_page(write_page(render_laboratory(runs, cat), tmp_path / "two.html"))
    drawn(page, 2)
    page.click(".runs button:text-is('b')")
    drawn(page, 2)
    assert "b: trained from a copy of its input" in page.text_content(".about")
    assert "filters of 9×9, 5×5 and 5×5 pixels, 5 and 3 channels" in page.text_content(".about")
    assert page.locator(".layer:nth-child(2) .tile").count() == 3


@pytest.mark.browser
@pytest.mark.parametrize("screen", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_width(open_page, path, screen, scheme):
    page = open_page(path, WIDTHS[screen], scheme)
    drawn(page, 9)
    page.evaluate(f"{LAB}.state.set({{ pixel: [40, 40], layer: 0, channel: 2 }})")
    for name in NAMES:
        view(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= WIDTHS[screen][0], name
    assert page.get_attribute(".srcnn-page", "data-theme") == scheme
    # The scrubber is always in sight.
    assert page.locator(".track input[type=range]").bounding_box()["y"] < WIDTHS[screen][1]


@pytest.mark.browser
def test_in_a_notebooks_frame_picture_and_scrubber_are_seen_together(open_page, path, tmp_path):
    frame = tmp_path / "frame.html"
    content = html.escape(path.read_text("utf-8"))
    frame.write_text(f'<!doctype html><iframe style="width:900px; height:760px" srcdoc="{content}"></iframe>', "utf-8")
    inside = open_page(frame).frames[-1]
    inside.wait_for_selector(".srcnn-page.framed[data-drawn='9']")
    assert inside.eval_on_selector(".track", "track => track.getBoundingClientRect().bottom") <= 760
    inside.click(".srcnn")
    assert inside.get_attribute(".srcnn-page", "data-view") == "pixel"


@pytest.mark.browser
def test_without_workers_and_webassembly_the_page_computes_the_same(open_page, path, tmp_path):
    text = path.read_text("utf-8")
    page = open_page(path)
    drawn(page, 9)
    expected = values(page, f"{LAB}.snapshots.result(9).output")
    plain = tmp_path / "plain.html"
    blocked = "delete window.Worker; delete window.WebAssembly;"
    plain.write_text(f"<!doctype html><script>{blocked}</script><main>{text}</main>", "utf-8")
    page = open_page(plain)
    drawn(page, 9)
    assert not page.evaluate(f"{LAB}.snapshots.result(9).simd")
    assert (values(page, f"{LAB}.snapshots.result(9).output") - expected).abs().max() < 1e-5


@pytest.mark.browser
def test_a_picture_that_bicubic_restores_exactly_is_shown(open_page, tmp_path):
    run = run_of(tmp_path / "run", 3, 3, (4, 3))
    black = Picture(torch.zeros(3, 40, 40), name="black.png")
    page = open_page(write_page(render_laboratory(run, black), tmp_path / "black.html"))
    drawn(page, 2)
    assert page.text_content(".bicubic-psnr") == "∞ dB"
    for name in NAMES:
        view(page, name)


@pytest.mark.browser
def test_a_run_with_one_snapshot_is_shown(open_page, tmp_path, cat):
    run = run_of(tmp_path / "run", 2, 1, (4, 3))
    run.snapshots()[-1].path.unlink()
    page = open_page(write_page(render_laboratory(run, cat), tmp_path / "new folder" / "one.html"))
    drawn(page, 0)
    page.keyboard.press("Space")
    page.keyboard.press("ArrowRight")
    assert page.text_content(".step") == "0"
