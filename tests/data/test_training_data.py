import dataclasses

import pytest
import torch
from PIL import Image

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data import training_data
from srcnn_lib.data.color import luminance
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.images import read_image, write_image
from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.errors import InputError


@pytest.fixture
def small(photograph_folder):
    """The settings of a small network and few patches; a quarter of four photographs is held out."""
    return TrainingConfig.of(
        data=(str(photograph_folder),), validation=("0.25",), channels=1, filters=(5, 1, 3), widths=(8, 4),
        batch_size=8, steps=12, validation_patches=8, device="cpu",
    )  # fmt: skip


def turned(image: torch.Tensor) -> list[torch.Tensor]:
    """The eight flips and rotations of a picture, (…, H, W)."""
    return [torch.rot90(view, turns, (-2, -1)) for view in (image, image.flip(-1)) for turns in range(4)]


def test_a_photograph_that_is_also_held_out_is_not_trained_on(photograph_folder, tmp_path, small):
    one = sorted(photograph_folder.iterdir())[0]
    write_image(tmp_path / "copy.bmp", read_image(one))
    data = load_training_data(dataclasses.replace(small, validation=(str(tmp_path),)))
    assert data.description["photographs"] == len(list(photograph_folder.iterdir())) - 1
    assert any("left out of the training" in note and "validation" in note for note in data.notes)


def test_training_crops_are_cut_from_degraded_photographs(photograph_folder, tmp_path, small):
    """A photograph as large as a crop leaves one place to cut: the sample is the degraded photograph, turned."""
    photograph = read_image(photograph_folder / "1.png").pixels[:, :40, :40]
    write_image(tmp_path / "a.png", photograph)
    config = dataclasses.replace(small, data=(str(tmp_path),), validation=(str(photograph_folder),), patch=34)
    upsampled, original = load_training_data(config).train.batch(0, 0, 8)
    expected = luminance(degrade(photograph, 2.0)[0])
    for sample in upsampled:
        assert min((sample - turn).abs().max() for turn in turned(expected)) < 1e-3  # kept in half precision
    assert upsampled.shape[-1] == original.shape[-1] + 2 * small.halo == 40


def test_scale_augmentation_adds_downscaled_photographs(photograph_folder, tmp_path, small):
    """Pillow downscales a photograph to the size of a crop, which leaves one place to cut; the original is larger."""
    whole = Image.open(photograph_folder / "0.png").convert("RGB").crop((0, 0, 80, 80))
    (tmp_path / "photographs").mkdir()
    whole.save(tmp_path / "photographs" / "a.png")
    half = dataclasses.replace(
        small, data=(str(tmp_path / "photographs"),), validation=(str(photograph_folder),), channels=3, patch=34,
        scale_augmentation=(0.5,),
    )  # fmt: skip
    crops = load_training_data(half).train
    plain = load_training_data(dataclasses.replace(half, scale_augmentation=())).train
    too_small = load_training_data(dataclasses.replace(half, scale_augmentation=(0.4,))).train
    assert crops.per_epoch == 2 * plain.per_epoch
    assert too_small.per_epoch == plain.per_epoch

    whole.resize((40, 40), Image.Resampling.BICUBIC).save(tmp_path / "small.png")
    expected = degrade(read_image(tmp_path / "small.png").pixels, 2.0)[0]
    inputs = crops.batch(0, 0, 40)[0]
    downscaled = sum(min((sample - turn).abs().max() for turn in turned(expected)) < 0.01 for sample in inputs)
    assert 1 <= downscaled < 40


def test_a_note_names_photographs_that_are_too_small_for_ten_crops(tmp_path, photograph_folder, small):
    write_image(tmp_path / "tiny.png", torch.rand(3, 60, 60))
    sources = (str(photograph_folder), str(tmp_path))
    config = dataclasses.replace(small, data=sources, crops="ten", validation=(str(photograph_folder / "0.png"),))
    assert any("smaller than 96×96" in note for note in load_training_data(config).notes)


def test_photographs_that_are_all_too_small_are_refused(photograph_folder, tmp_path, small):
    for number in range(3):
        write_image(tmp_path / f"{number}.png", torch.rand(3, 30, 30))
    too_small, usable = (str(tmp_path),), (str(photograph_folder),)
    with pytest.raises(InputError, match="no photograph of 39×39 pixels or more to train on"):
        load_training_data(dataclasses.replace(small, data=too_small, validation=usable))
    with pytest.raises(InputError, match="no validation photograph is as large as a crop"):
        load_training_data(dataclasses.replace(small, data=usable, validation=too_small))


def test_photographs_that_are_all_held_out_are_refused(photograph_folder, tmp_path, small):
    for copy in ("a", "b"):
        (tmp_path / copy).mkdir()
        write_image(tmp_path / copy / f"{copy}.png", read_image(photograph_folder / "0.png"))
    config = dataclasses.replace(small, data=(str(tmp_path / "a"),), validation=(str(tmp_path / "b"),))
    with pytest.raises(InputError, match="validation"):
        load_training_data(config)


def test_pairs_beyond_the_memory_limit_go_to_a_file_and_are_the_same(small, monkeypatch):
    in_memory = load_training_data(small).train.batch(0, 0, 8)
    monkeypatch.setattr(training_data, "IN_MEMORY", 0)
    on_disk = load_training_data(small).train.batch(0, 0, 8)
    assert all(torch.equal(a, b) for a, b in zip(in_memory, on_disk, strict=True))
