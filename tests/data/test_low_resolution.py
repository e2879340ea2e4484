"""Pairs of photographs and low-resolution pictures that the user has."""

import dataclasses

import pytest
import torch
from skimage import data

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.degradation import downscale, resize
from srcnn_lib.data.images import Picture, read_image, write_image
from srcnn_lib.data.low_resolution import LowResolutionPictures
from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.quality import evaluate
from srcnn_lib.metrics import psnr
from srcnn_lib.model import SRCNN, start_from_identity


@pytest.fixture
def folders(tmp_path):
    """Returns a folder of three photographs, and one of dark low-resolution pictures of the same names."""
    for number in range(3):
        left = 120 * number
        photograph = torch.from_numpy(data.astronaut()[:120, left : left + 100].copy()).permute(2, 0, 1) / 255
        for folder in ("high", "low"):
            (tmp_path / folder).mkdir(exist_ok=True)
        write_image(tmp_path / "high" / f"photo{number}.png", photograph)
        write_image(tmp_path / "low" / f"photo{number}.bmp", 0.5 * downscale(photograph, 2).clamp(0, 1))
    return tmp_path


def config_of(folders, **changes):
    config = TrainingConfig.of(
        data=(str(folders / "high"),), validation=("0.34",), low_resolution=str(folders / "low"), widths=(4, 3)
    )
    return dataclasses.replace(config, **changes)


def test_the_inputs_are_the_users_pictures_enlarged_and_not_degraded_again(folders):
    training = load_training_data(config_of(folders))
    upsampled, original = training.train.batch(0, 0, 8)
    assert original.mean() / upsampled.mean() == pytest.approx(2, rel=0.1)
    upsampled, original = training.validation_patches.rgb
    assert original.mean() / upsampled.mean() == pytest.approx(2, rel=0.1)


def test_the_fingerprint_changes_with_the_low_resolution_pictures(folders):
    before = load_training_data(config_of(folders)).description["fingerprint"]
    write_image(folders / "low" / "photo1.bmp", torch.zeros(3, 60, 50))
    assert load_training_data(config_of(folders)).description["fingerprint"] != before


def test_a_network_is_measured_on_the_users_pairs(folders):
    model = start_from_identity(SRCNN(3, widths=(4, 3)))
    pairs = LowResolutionPictures(str(folders / "low"), 2)
    photographs = [torch.from_numpy(data.astronaut()[:120, :100].copy()).permute(2, 0, 1) / 255]
    result = evaluate(model, [Picture(photographs[0])], ["photo0"], low_resolution=pairs)
    low = read_image(folders / "low" / "photo0.bmp").pixels
    expected = psnr(resize(low, (120, 100)), photographs[0], channel="y", shave=2).item()
    assert result.bicubic.psnr_y == pytest.approx(expected, abs=1e-4)


def test_a_missing_partner_and_a_wrong_size_are_named(folders):
    pairs = LowResolutionPictures(str(folders / "low"), 2)
    with pytest.raises(InputError, match="holds no low-resolution picture for other.png"):
        pairs.pair("other.png", torch.rand(3, 120, 100))
    with pytest.raises(InputError, match="photo0.bmp has 50×60 pixels, expected 60×60: photo0.png has 120×120"):
        pairs.pair("photo0.png", torch.rand(3, 120, 120))


def test_two_pictures_of_one_name_are_refused(folders):
    write_image(folders / "low" / "photo0.png", torch.zeros(3, 60, 50))
    with pytest.raises(InputError, match="two low-resolution pictures are named photo0"):
        LowResolutionPictures(str(folders / "low"), 2)


@pytest.mark.parametrize("changes", [{"degrade": ("jpeg:50",)}, {"scale_augmentation": (0.8,)}])
def test_pairs_of_the_user_are_neither_compressed_nor_rescaled(folders, changes):
    with pytest.raises(InputError, match="no degrade and no scale_augmentation beside pairs of your own"):
        config_of(folders, **changes)
