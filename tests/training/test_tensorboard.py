import io
import time

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator

from srcnn_lib.config import TrainingConfig
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.training import tensorboard
from srcnn_lib.training.tensorboard import CHANNELS_SHOWN, TensorBoardWriter, channel_sheets, reconstruct_probe

RECORD = {"step": 5, "learning_rate": 1e-3} | {
    f"{part}_{name}": value
    for part in ("train", "validation")
    for name, value in (("mse", 9.0), ("psnr_y", 30.0), ("psnr_rgb", 29.0), ("bicubic_psnr_y", 28.0),
                        ("bicubic_psnr_rgb", 27.0))
}  # fmt: skip


def read_events(folder) -> EventAccumulator:
    return EventAccumulator(str(folder), STORE_EVERYTHING_SIZE_GUIDANCE).Reload()


@pytest.mark.parametrize("padding_mode", ["replicate", "zeros"])
@pytest.mark.parametrize("channels", [1, 3])
def test_feature_maps_have_the_size_of_the_picture(tmp_path, channels, padding_mode):
    model = SRCNN(channels, (9, 5, 5), (12, 10), padding_mode)
    tiles = torch.rand(4, 3, 96, 96)
    writer = TensorBoardWriter(tmp_path, TrainingConfig(channels=channels).psnr_channel, 0)
    writer.write(RECORD, model, (tiles, tiles))
    events = read_events(tmp_path)
    for layer in ("layer_1", "layer_2"):
        (image,) = events.Images(f"feature_maps/{layer}")
        assert Image.open(io.BytesIO(image.encoded_image_string)).size == (96 * CHANNELS_SHOWN, 96)
    (rows,) = events.Images("probe/bicubic, original, SRCNN")
    assert Image.open(io.BytesIO(rows.encoded_image_string)).size == (3 * 96, 4 * 96)


def test_a_feature_map_lies_on_the_picture_pixel_by_pixel():
    """The map of a channel that copies the picture shows everything at the same pixels."""
    model = start_from_identity(SRCNN(1, (9, 5, 5), (2, 2)))
    picture = torch.zeros(3, 40, 50)
    picture[:, 10:20, 30:35] = 1
    for sheet in channel_sheets(model, picture).values():
        copied = sheet[0, :, :50]
        assert copied[10:20, 30:35].min() == 1
        assert copied[:10].max() < 0.3  # the Y of black is 16 / 255


@pytest.mark.parametrize(("channels", "channel", "validation", "bicubic"), [(1, "Y", 30, 28), (3, "RGB", 29, 27)])
def test_the_charts_name_the_channel_that_psnr_is_measured_on(tmp_path, channels, channel, validation, bicubic):
    model = SRCNN(channels, (3, 1, 3), (4, 2))
    tiles = torch.rand(4, 3, 96, 96)
    writer = TensorBoardWriter(tmp_path, TrainingConfig(channels=channels).psnr_channel, 0)
    writer.write(RECORD, model, (tiles, tiles))
    events = read_events(tmp_path)
    values = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
    assert values.keys() == {
        "psnr/train", "psnr/validation", "psnr/bicubic_train", "psnr/bicubic_validation", "mse/train",
        "mse/validation", "learning_rate",
    }  # fmt: skip
    assert values["psnr/validation"] == validation
    assert values["psnr/bicubic_validation"] == bicubic
    (layout,) = events.Tensors("custom_scalars__config__")
    assert f"PSNR on {channel} (dB)".encode() in layout.tensor_proto.string_val[0]


def test_the_loss_and_the_rate_of_every_20th_step_can_be_read_while_the_epoch_lasts(tmp_path):
    writer = TensorBoardWriter(tmp_path, "y", 0)
    for step in range(1, 51):
        writer.write_step(step, torch.tensor(step / 255**2), step / 100)
    events = read_events(tmp_path)  # the writer is still open
    assert [(event.step, round(event.value, 4)) for event in events.Scalars("mse/step")] == [(20, 20), (40, 40)]
    assert [(event.step, round(event.value, 4)) for event in events.Scalars("learning_rate")] == [(20, 0.2), (40, 0.4)]


def test_event_files_of_one_second_are_read_in_their_order(tmp_path):
    """TensorBoard sorts event files by name; names begin with the second, so no two may have the same second."""
    for step in (0, 1, 2):
        TensorBoardWriter(tmp_path, "y", step)
    assert len({path.name.split(".")[3] for path in tmp_path.iterdir()}) == 3


def test_after_the_clock_was_set_back_a_new_event_file_still_comes_after_the_earlier_ones(tmp_path, monkeypatch):
    model = SRCNN(1, (3, 1, 3), (4, 2))
    tiles = torch.rand(1, 3, 16, 16)
    TensorBoardWriter(tmp_path, "y", 0).write(RECORD, model, (tiles, tiles))
    monkeypatch.setattr(time, "time", lambda: 1e9)
    TensorBoardWriter(tmp_path, "y", 5).write(RECORD | {"step": 6}, model, (tiles, tiles))
    assert [event.step for event in read_events(tmp_path).Scalars("psnr/validation")] == [5, 6]


def test_events_that_a_full_disk_cuts_leave_the_file_as_it_was(tmp_path, monkeypatch):
    model = SRCNN(1, (3, 1, 3), (4, 2))
    tiles = torch.rand(1, 3, 16, 16)
    writer = TensorBoardWriter(tmp_path, "y", 0)
    writer.write(RECORD, model, (tiles, tiles))
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()

    def cut(file, content):
        file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(tensorboard, "append", cut)
        with pytest.raises(OSError, match="No space left"):
            writer.write(RECORD | {"step": 6}, model, (tiles, tiles))
    assert path.read_bytes() == before
    writer.write(RECORD | {"step": 7}, model, (tiles, tiles))
    assert [event.step for event in read_events(tmp_path).Scalars("psnr/validation")] == [5, 7]


def test_the_layout_is_written_once_however_often_a_training_is_started(tmp_path):
    for step in (0, 0, 0, 7, 9):
        TensorBoardWriter(tmp_path, "y", step)  # never closed: its process was killed
    assert len(read_events(tmp_path).Tensors("custom_scalars__config__")) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_an_untrained_identity_network_reproduces_the_probe(channels):
    model = start_from_identity(SRCNN(channels, (9, 5, 5), (8, 4)))
    with torch.no_grad():
        model.layer_3.weight[:, channels:] = 0
    tiles = torch.rand(2, 3, 32, 32)
    assert torch.allclose(reconstruct_probe(model, tiles), tiles, atol=1e-5)
