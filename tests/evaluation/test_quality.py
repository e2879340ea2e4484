"""The evaluation of networks on photographs, against Pillow and scikit-image."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from srcnn_lib.data.color import luminance, rgb_to_ycbcr, ycbcr_to_rgb
from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.quality import compare, evaluate
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.runtime import memory
from srcnn_lib.visualization.html import render_model_comparison


@pytest.fixture
def photograph(photograph_folder):
    image = np.asarray(Image.open(photograph_folder / "1.png"))[:101, :90]
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255


def small(channels, seed=0):
    torch.manual_seed(seed)
    return start_from_identity(SRCNN(channels, (5, 1, 3), (8, 4))).eval()


def scores_of(model, photograph, scale=2.0):
    return compare(Sample(photograph, model, scale), model)


def by_pillow(plane, size):
    return np.asarray(Image.fromarray(plane.numpy()).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def test_bicubic_is_measured_as_in_the_papers(photograph):
    """Pillow's bicubic and scikit-image's metrics, on Y of the cropped picture, shaved by the scale."""
    found = scores_of(small(3), photograph)["bicubic"]
    y = luminance(photograph)[0, :100, :90]
    low = torch.from_numpy(by_pillow(y, (50, 45)).copy())
    restored = by_pillow(low, (100, 90)).clip(0, 1)[2:-2, 2:-2]
    y = y.numpy()[2:-2, 2:-2]
    assert found.psnr_y == pytest.approx(peak_signal_noise_ratio(y, restored, data_range=1), abs=1e-3)
    ssim = structural_similarity(
        y, restored, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    )
    assert found.ssim_y == pytest.approx(ssim, abs=1e-4)


def test_a_y_network_leaves_color_to_bicubic(photograph):
    from srcnn_lib.data.degradation import degrade
    from srcnn_lib.metrics import psnr

    model = small(1)
    upsampled, original = degrade(photograph, 2.0)
    with torch.no_grad():
        y = model(luminance(upsampled)[None])[0]
    rgb = ycbcr_to_rgb(torch.cat([y, rgb_to_ycbcr(upsampled)[1:]]))
    found = scores_of(model, photograph)["srcnn"]
    assert found.psnr_y == pytest.approx(psnr(y, luminance(original), shave=2).item(), abs=1e-4)
    assert found.psnr_rgb == pytest.approx(psnr(rgb, original, shave=2).item(), abs=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gray_picture_is_its_own_y_and_its_own_rgb(photograph, channels):
    scores = scores_of(small(channels), photograph[1:2])
    for method in ("bicubic", "srcnn"):
        assert scores[method].psnr_rgb == pytest.approx(scores[method].psnr_y)


def test_the_mean_is_taken_over_the_db(photograph):
    pictures = [Picture(photograph), Picture(photograph[:, :60, :60])]
    table = evaluate(small(3), pictures, ["a", "b"], 2.0)
    for figure in ("psnr_y", "ssim_y", "psnr_rgb"):
        values = [getattr(scores["srcnn"], figure) for scores in table.per_image.values()]
        assert getattr(table.srcnn, figure) == pytest.approx(sum(values) / 2)


@pytest.mark.parametrize("scale", [1.1, 2.5, 3, 8])
def test_any_scale_can_be_measured(photograph, scale):
    assert 10 < scores_of(small(1), photograph, scale)["srcnn"].psnr_y < 60


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (12, 12)])
def test_pictures_too_small_for_ssims_window_still_have_a_psnr(photograph, size):
    scores = scores_of(small(1), photograph[:, : size[0], : size[1]])["srcnn"]
    assert scores.psnr_y > 0
    assert math.isnan(scores.ssim_y)


def test_options_that_change_the_figures_are_measured_without_as_well(photograph):
    pictures, names = [Picture(photograph), Picture(photograph[:, :60, :60])], ["a", "b"]

    def measured(**options):
        return evaluate(small(3), pictures, names, options=InferenceOptions(**options))

    plain, ensemble = measured(), measured(ensemble=True)
    assert (plain.options, plain.without) == ({}, {})
    assert (ensemble.options, ensemble.without) == ({"ensemble": True}, {"ensemble": plain.srcnn})
    assert ensemble.srcnn != plain.srcnn
    both = measured(ensemble=True, arithmetic="bfloat16")
    assert both.options == {"ensemble": True, "arithmetic": "bfloat16"}
    assert both.without == {"arithmetic": ensemble.srcnn, "ensemble": measured(arithmetic="bfloat16").srcnn}


def test_an_evaluation_is_written_as_plain_values(photograph):
    options = InferenceOptions(ensemble=True)
    evaluation = evaluate(small(1), [Picture(photograph[:, :40, :40])], ["a"], options=options)
    values = json.loads(json.dumps(evaluation.to_dict()))
    assert list(values) == ["scale", "images", "bicubic", "srcnn", "per_image", "ensemble", "without"]
    assert (values["scale"], values["images"], values["ensemble"]) == (2, 1, True)
    assert values["srcnn"] == values["per_image"]["a"]["srcnn"] == dataclasses.asdict(evaluation.srcnn)
    assert values["without"] == {"ensemble": dataclasses.asdict(evaluation.without["ensemble"])}
    assert "without" not in evaluate(small(1), [Picture(photograph)], ["a"]).to_dict()


def test_a_photograph_that_does_not_fit_into_memory_is_refused_by_name(photograph, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    with pytest.raises(InputError, match="a.png: to measure 90×101 pixels would take some 0.0 GB"):
        evaluate(small(1), [Picture(photograph)], ["a.png"])
    with pytest.raises(InputError, match="to measure 90×101 pixels"):
        render_model_comparison(Picture(photograph, name="a.png"), small(1))
