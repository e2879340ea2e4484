"""Uploads and downloads, on a stand-in for Colab and elsewhere, and the enlargement of a photograph."""

import io
import re
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import cat_picture, small_run

from srcnn_lib import SRCNN, InputError, degrade, psnr, read_image, upscale
from srcnn_lib.data.images import Picture
from srcnn_lib.model import start_from_identity
from srcnn_lib.notebook import (
    Enlargement,
    choose_photograph,
    offer_download,
    open_network,
    outputs,
    photographs,
    zip_results,
)
from srcnn_lib.notebook.enlargement import reduce_to


class MessageError(Exception):
    """google.colab._message.MessageError."""


@pytest.fixture(autouse=True)
def no_uploads(monkeypatch):
    monkeypatch.setattr(photographs, "_uploads", {})


@pytest.fixture
def colab(monkeypatch):
    """A stand-in for google.colab.files: `colab.answer` is what the dialog returns, or the error that it raises."""
    colab = types.SimpleNamespace(answer={}, downloaded=[])

    def upload():
        if isinstance(colab.answer, Exception):
            raise colab.answer
        return colab.answer

    def download(path):
        if isinstance(colab.answer, Exception):
            raise colab.answer
        colab.downloaded.append(path)

    package = types.ModuleType("google.colab")
    package.files = types.SimpleNamespace(upload=upload, download=download)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setattr(photographs, "is_colab", lambda: True)
    monkeypatch.setattr(outputs, "is_colab", lambda: True)
    return colab


def encoded(width: int = 30, height: int = 20, **options) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "jpeg", **options)
    return buffer.getvalue()


# Uploads


def test_without_a_choice_a_photograph_that_comes_along_is_taken():
    for source in ("samples:chelsea", "", " "):
        assert choose_photograph(source).picture.pixels.shape == (3, 300, 451)


def test_colabs_dialog_opens_only_when_asked_for_and_its_file_takes_the_place_of_the_source(colab, capsys):
    colab.answer = {"holiday.jpg": encoded()}
    assert choose_photograph("samples:chelsea").picture.name == "chelsea.png"
    picture = choose_photograph("samples:chelsea", upload=True).picture
    assert (picture.name, picture.pixels.shape) == ("holiday.jpg", (3, 20, 30))
    assert capsys.readouterr().out == "holiday.jpg, 30 × 20 pixels\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "Nothing was chosen"),
        (MessageError("Error: the dialog\nwas closed"), r"\(Error: the dialog was closed\)"),
        (NotImplementedError(), r"\(NotImplementedError\)"),
        (TypeError("'NoneType' object is not subscriptable"), r"\('NoneType' object"),
    ],
)
def test_a_dialog_that_is_cancelled_or_fails_leaves_the_source_and_one_line(colab, capsys, answer, reason):
    colab.answer = answer
    assert choose_photograph("samples:coffee", upload=True).picture.name == "coffee.png"
    (line,) = capsys.readouterr().out.splitlines()
    assert re.search(reason, line)
    assert line.endswith("samples:coffee is used.")


def test_an_upload_that_is_no_picture_is_an_error_that_names_it(colab):
    colab.answer = {"letter.pdf": b"%PDF-1.7 and so on"}
    with pytest.raises(InputError, match=r"letter\.pdf"):
        choose_photograph("samples:coffee", upload=True)


def test_run_all_keeps_an_upload_until_another_source_is_named():
    choose_photograph("samples:coffee").take("mine.jpg", encoded())
    assert choose_photograph("samples:coffee").picture.name == "mine.jpg"
    assert choose_photograph("samples:rocket").picture.name == "rocket.jpg"


def test_paths_of_the_users_home_and_transparency_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.new("RGBA", (9, 7), (255, 0, 0, 128)).save(tmp_path / "half.png")
    picture = choose_photograph(" ~/half.png ").picture
    assert picture.alpha is not None
    with pytest.raises(InputError, match=r"none\.png"):
        _ = choose_photograph(str(tmp_path / "none.png")).picture


# Downloads


def test_colab_downloads_the_file_and_a_refusal_is_one_line(colab, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes(b"123")
    offer_download(tmp_path / "a.png")
    assert colab.downloaded == [str(tmp_path / "a.png")]
    colab.answer = MessageError("blocked\nby the browser")
    capsys.readouterr()
    offer_download(tmp_path / "a.png")
    (line,) = capsys.readouterr().out.splitlines()
    assert "(blocked by the browser)" in line
    assert "Files pane" in line


def test_elsewhere_a_link_reaches_the_file_and_its_name_can_hold_anything(tmp_path, monkeypatch):
    shown = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("IPython.display.display", lambda data: shown.append(data.data))
    path = Path("results", 'a & "b" <c>#1.png')
    path.parent.mkdir()
    path.write_bytes(bytes(1_500_000))
    offer_download(path)
    (link,) = shown
    assert 'href="results/a%20%26%20%22b%22%20%3Cc%3E%231.png"' in link
    assert 'download="a &amp; &quot;b&quot; &lt;c&gt;#1.png"' in link
    assert "(1.5 MB)" in link


def test_of_a_file_that_no_link_reaches_the_path_is_printed(tmp_path, monkeypatch, capsys):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "a.png").touch()
    monkeypatch.chdir(tmp_path / "notebooks")
    offer_download("../a.png")
    assert capsys.readouterr().out == f"{tmp_path / 'a.png'}, 0.0 MB\n"
    with pytest.raises(InputError, match="doesn't exist"):
        offer_download("none.zip")


def test_a_zip_holds_runs_without_checkpoints_and_results(tmp_path):
    run = small_run(tmp_path / "runs" / "first")
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "step-1.pt").touch()
    (tmp_path / "results" / ".hidden").mkdir(parents=True)
    (tmp_path / "results" / ".hidden" / "x").touch()
    (tmp_path / "results" / "clip.gif").write_bytes(b"GIF")
    path = zip_results([run.path, tmp_path / "results", tmp_path / "none"], tmp_path / "all.zip")
    names = set(zipfile.ZipFile(path).namelist())
    assert {"first/config.json", "first/history.jsonl", "results/clip.gif"} <= names
    assert not [name for name in names if "checkpoints" in name or "hidden" in name]
    with pytest.raises(InputError, match="nothing to pack"):
        zip_results([tmp_path / "none"], tmp_path / "none.zip")
    assert not (tmp_path / "none.zip").exists()


# The enlargement


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    network = start_from_identity(SRCNN(1, (5, 1, 3), (4, 3)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return network


def test_the_enlargement_is_that_of_upscale_and_of_bicubic_interpolation(model, capsys):
    cat = cat_picture()
    enlargement = Enlargement(cat, model, 3.0)
    assert torch.equal(enlargement.picture.pixels, upscale(cat.pixels, model, 3.0))
    assert enlargement.size == (192, 240)
    for plane, large in zip(cat.pixels, enlargement.bicubic, strict=True):
        expected = Image.fromarray(plane.numpy()).resize((240, 192), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(large.numpy(), np.asarray(expected).clip(0, 1), atol=1e-4)


def test_a_photograph_over_the_longest_side_is_reduced_first_and_said_so(model, capsys):
    enlargement = Enlargement(cat_picture(), model, 2.0, longest_side=40)  # of 80 × 64
    assert enlargement.size == (64, 80)
    assert "reduced from 80 × 64 to 40 × 32 pixels first" in capsys.readouterr().out
    assert reduce_to(cat_picture(), 80).notes == ()
    assert reduce_to(cat_picture(), 0).notes == ()
    assert reduce_to(Picture(torch.rand(1, 1, 500)), 50).pixels.shape == (1, 1, 50)


@pytest.mark.parametrize("change", [{"longest_side": -1}, {"scale": 0.5}, {"scale": 9.0}])
def test_numbers_out_of_range_are_refused(model, change):
    with pytest.raises(InputError, match="expected"):
        Enlargement(cat_picture(), model, **{"scale": 2.0, **change})


def test_the_file_keeps_transparency_and_its_name_tells_the_scale(model, tmp_path):
    cat = cat_picture()
    picture = Picture(cat.pixels, alpha=torch.ones(1, 64, 80) / 2, name="../holi day.jpeg")
    path = Enlargement(picture, model, 2.0).save(tmp_path / "results")
    assert path == tmp_path / "results" / "holi day_x2.png"
    assert Image.open(path).mode == "RGBA"
    assert Enlargement(cat, model, 1.5).save(tmp_path, "jpg").name == "cat_x1.5.jpg"
    with pytest.raises(InputError, match="no extension that can be written"):
        Enlargement(cat, model, 2.0).save(tmp_path, "doc")


def test_the_measured_quality_is_that_of_the_metrics(model, capsys):
    cat = cat_picture()
    Enlargement(cat, model, 2.0).measure()
    bicubic, original = degrade(cat.pixels, 2.0)
    expected = psnr(bicubic, original, channel="y", shave=2).item()
    assert f"{expected:.2f}" in capsys.readouterr().out


def test_a_large_enlargement_shows_the_part_in_which_both_differ_most(model, monkeypatch):
    monkeypatch.setattr("srcnn_lib.notebook.enlargement.SLIDER_PIXELS", 5000)
    page = Enlargement(cat_picture(), model, 2.0).slider().data
    assert "A part of 79 × 63 pixels" in page
    assert '"width":79,"height":63' in page


def test_a_network_is_named_by_the_scale_a_run_or_a_file(tmp_path, capsys):
    assert open_network("released", 3.0).scale == 3
    run = small_run(tmp_path / "first")
    open_network("first", 2.0, tmp_path)
    open_network(str(run.snapshots()[0].path), 3.0, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "network: srcnn_y_x3.safetensors"
    assert lines[1].startswith("network: first/snapshots/step-")
    assert lines[3] == "the picture is enlarged ×3; the network was trained for ×2"
    with pytest.raises(InputError, match=r"network is 'nothing', expected 'released'"):
        open_network("nothing", 2.0, tmp_path)


def test_a_picture_in_a_cell_is_stored_without_loss_and_only_once():
    pixels = torch.randint(0, 255, (5, 6, 3), dtype=torch.uint8)
    shown = outputs.show_picture(Image.fromarray(pixels.numpy()))
    assert (read_image(shown.data).pixels.permute(1, 2, 0) * 255).round().byte().equal(pixels)
    data, _ = shown._repr_mimebundle_()
    assert set(data) == {"image/png"}
