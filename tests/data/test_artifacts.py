"""Compression and noise of low-resolution pictures, in training and in evaluation."""

import dataclasses
import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from srcnn_lib.config import Artifact, TrainingConfig
from srcnn_lib.data.artifacts import add_artifacts
from srcnn_lib.data.augmentation import remove_border
from srcnn_lib.data.degradation import degrade, downscale, resize
from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.errors import InputError

CONFIG = TrainingConfig.of(data=("samples:chelsea",), validation=("samples:coffee",), channels=1, widths=(4, 3))


def photograph():
    return torch.from_numpy(data.astronaut()[:96, 180:300].copy()).permute(2, 0, 1) / 255


@pytest.mark.parametrize("gray", [False, True])
def test_jpeg_gives_the_pixels_of_pillow(gray):
    picture = photograph()[:1] if gray else photograph()
    levels = np.round(picture.numpy() * 255).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if gray else levels).save(file, "jpeg", quality=40)
    expected = np.asarray(Image.open(file)).reshape(levels.shape)
    result = add_artifacts(picture, [Artifact("jpeg", 40, 40)])
    assert (result.permute(1, 2, 0) * 255 - torch.from_numpy(expected.copy())).abs().max() < 1e-3


def test_noise_has_the_drawn_deviation_and_no_mean():
    gray = torch.full((3, 200, 200), 0.5)
    noise = add_artifacts(gray, [Artifact("noise", 8, 8)], torch.Generator().manual_seed(1)) - gray
    assert noise.std().item() * 255 == pytest.approx(8, rel=0.01)
    assert abs(noise.mean().item()) * 255 < 0.1


def test_strengths_are_drawn_from_the_whole_range():
    generator = torch.Generator().manual_seed(0)
    gray = torch.full((1, 64, 64), 0.5)
    drawn = [(add_artifacts(gray, [Artifact("noise", 0, 10)], generator) - gray).std().item() * 255 for _ in range(40)]
    assert min(drawn) < 2
    assert max(drawn) > 8


def test_degrade_compresses_the_small_picture_before_it_is_enlarged():
    upsampled, original = degrade(photograph(), 2, [Artifact("jpeg", 30, 30)])
    low = add_artifacts(downscale(photograph(), 2), [Artifact("jpeg", 30, 30)])
    assert torch.equal(upsampled, resize(low, original.shape[-2:]))


@pytest.mark.parametrize("crops", ["random", "ten"])
def test_an_epoch_has_its_own_compression_whatever_came_before(crops):
    config = dataclasses.replace(CONFIG, degrade=("jpeg:10-60", "noise:0-5"), crops=crops)
    train = load_training_data(config).train
    first, second = (train.batch(epoch, 0, 4)[0] for epoch in (0, 1))
    again = load_training_data(config).train
    assert torch.equal(again.batch(1, 0, 4)[0], second)
    assert torch.equal(train.batch(0, 0, 4)[0], first)
    plain = load_training_data(dataclasses.replace(config, degrade=())).train
    assert torch.equal(plain.batch(0, 0, 4)[1], train.batch(0, 0, 4)[1])  # the targets are the same
    assert not torch.equal(plain.batch(0, 0, 4)[0], first)


def test_the_inputs_of_a_training_are_compressed_pictures_enlarged():
    config = dataclasses.replace(CONFIG, degrade=("jpeg:20-20",), channels=3, batch_size=2)
    upsampled, original = load_training_data(config).train.batch(0, 0, 6)
    plain_upsampled, plain_original = load_training_data(dataclasses.replace(config, degrade=())).train.batch(0, 0, 6)
    assert torch.equal(original, plain_original)
    halo = config.halo
    error = (remove_border(upsampled, halo) - original).square().mean()
    plain = (remove_border(plain_upsampled, halo) - original).square().mean()
    assert error > 1.2 * plain


def test_validation_and_probe_are_compressed_in_the_same_way_each_time():
    config = dataclasses.replace(CONFIG, degrade=("jpeg:10-90",))
    one, two = load_training_data(config), load_training_data(config)
    assert torch.equal(one.validation_patches.y[0], two.validation_patches.y[0])
    assert torch.equal(one.probe[0], two.probe[0])
    plain = load_training_data(dataclasses.replace(config, degrade=()))
    assert not torch.equal(one.validation_patches.y[0], plain.validation_patches.y[0])
    assert not torch.equal(one.probe[0], plain.probe[0])


@pytest.mark.parametrize("text", ["jpeg", "jpeg:0", "jpeg:90-30", "jpeg:30-101", "blur:3", "noise:-1", "noise:x", ""])
def test_an_impossible_degradation_is_refused_with_what_is_expected(text):
    with pytest.raises(InputError, match="expected jpeg:LOW-HIGH from 1 to 100 or noise:LOW-HIGH from 0 to 50"):
        dataclasses.replace(CONFIG, degrade=(text,))
