"""Clips written as GIF, MP4 and WebP, read again by Pillow and imageio."""

import re
import resource
import struct

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from srcnn_lib.errors import InputError
from srcnn_lib.visualization.frames import evenly_spaced
from srcnn_lib.visualization.video import quantize, write_clip


def colored(count=6, height=40, width=60):
    """Returns a disc that moves over a gradient, in many colors."""
    rows, columns = np.mgrid[:height, :width]
    frames = np.empty((count, height, width, 3), np.uint8)
    for number in range(count):
        frames[number] = np.stack([rows * 5, columns * 4, (rows + columns) * 2 + number], axis=-1).astype(np.uint8)
        frames[number, (rows - 20) ** 2 + (columns - 8 * number - 8) ** 2 < 60] = (250, 120, 10)
    return frames


def reread(path):
    """Returns all frames (T, H, W, 3) and their milliseconds, as Pillow reads them."""
    frames, milliseconds = [], []
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")))
            milliseconds.append(image.info["duration"])
    return np.stack(frames), milliseconds


def gif_palettes(data):
    """Counts the palettes of a GIF, (global, local), by walking over its blocks (GIF89a specification)."""
    packed = data[10]
    place, local = 13 + (3 << (packed & 7) + 1) * (packed >> 7), 0
    while data[place] != 0x3B:
        if data[place] == 0x21:
            place += 2
        else:
            flags = struct.unpack_from("<4HB", data, place + 1)[-1]
            local += flags >> 7
            place += 10 + (3 << (flags & 7) + 1) * (flags >> 7) + 1
        while data[place]:
            place += data[place] + 1
        place += 1
    return packed >> 7, local


def test_twenty_frames_at_five_a_second_play_for_four_seconds_and_the_hold_comes_on_top(tmp_path):
    frames = colored(20)
    assert write_clip(tmp_path / "plain.gif", frames, 5, hold=0) == []
    write_clip(tmp_path / "held.gif", frames, 5)
    assert reread(tmp_path / "plain.gif")[1] == [200] * 20
    assert reread(tmp_path / "held.gif")[1] == [200] * 19 + [1700]


@pytest.mark.parametrize("extension", [".gif", ".webp"])
def test_identical_frames_lose_no_time(tmp_path, extension):
    frames = colored(4)[[0, 0, 0, 1, 1, 2, 3, 3, 3]]
    write_clip(tmp_path / f"a{extension}", frames, 10, hold=1)
    assert sum(reread(tmp_path / f"a{extension}")[1]) == 1900


def test_rounding_to_hundredths_of_a_second_does_not_add_up(tmp_path):
    write_clip(tmp_path / "a.gif", colored(12), 12, hold=0)
    assert sum(reread(tmp_path / "a.gif")[1]) == 1000


def test_a_gif_has_one_palette_for_all_frames(tmp_path):
    write_clip(tmp_path / "a.gif", colored(), 5)
    assert gif_palettes((tmp_path / "a.gif").read_bytes()) == (1, 0)


def test_pixels_that_do_not_change_do_not_flicker_in_a_gif(tmp_path):
    frames = colored()
    frames[:, :, :30] = frames[0, :, :30]
    write_clip(tmp_path / "a.gif", frames, 5)
    read, _ = reread(tmp_path / "a.gif")
    assert (read[:, :, :30] == read[0, :, :30]).all()


def test_a_gif_of_at_most_256_colors_is_exact(tmp_path):
    grays = np.random.default_rng(0).integers(0, 256, (5, 30, 40, 1), np.uint8).repeat(3, axis=-1)
    write_clip(tmp_path / "a.gif", grays, 5)
    assert (reread(tmp_path / "a.gif")[0] == grays).all()


def smooth(height=96, width=96):
    """Returns three frames: gradients in many colors above noise that uses up the palette."""
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    frame = np.stack([120 + 60 * rows, 110 + 50 * columns, 90 + 40 * (rows + columns) / 2], axis=-1)
    frame[height // 2 :] = np.random.default_rng(0).integers(0, 256, (height - height // 2, width, 3))
    return np.stack([frame.astype(np.uint8)] * 3)


def test_dithering_is_closer_to_a_smooth_surface():
    frames = smooth()
    errors = []
    for dither in (False, True):
        palette, indices = quantize(frames, dither)
        error = palette[indices[0]][:48].astype(float) - frames[0, :48]
        error = error.reshape(6, 8, 12, 8, 3).mean((1, 3))  # as the eye sees it from a distance
        errors.append(np.sqrt((error**2).mean()))
    assert errors[1] < 0.85 * errors[0]


def test_dithered_pixels_that_do_not_change_stay_the_same(tmp_path):
    frames = smooth()
    frames[:, 50, 50] = [[0, 0, 0], [90, 90, 90], [255, 255, 255]]
    _, indices = quantize(frames)
    still = (frames == frames[0]).all((0, 3))
    assert still.sum() == 96 * 96 - 1
    assert (indices == indices[0])[:, still].all()


def test_to_meet_a_budget_maps_lose_shades_before_frames(tmp_path):
    shades = np.random.default_rng(0).integers(0, 193, (20, 64, 64, 1), np.uint8)
    frames = np.concatenate([shades, shades // 2, shades // 4], axis=-1)
    write_clip(tmp_path / "a.gif", frames, 5)
    budget = 0.9 * (tmp_path / "a.gif").stat().st_size / 1e6
    (note,) = write_clip(tmp_path / "a.gif", frames, 5, max_mb=budget)
    assert re.search(r"a\.gif: 96 colors, [\d.]+ MB instead of", note)
    read, _ = reread(tmp_path / "a.gif")
    assert len(read) == 20
    assert len(np.unique(read.reshape(-1, 3), axis=0)) <= 96
    assert np.abs(read.astype(int) - frames).max() <= 8


def test_to_meet_a_budget_photographs_lose_dithering_before_frames(tmp_path):
    frames = np.concatenate([smooth()] * 2, axis=1).repeat(3, 1).repeat(3, 2)
    write_clip(tmp_path / "a.gif", frames, 5)
    budget = 0.95 * (tmp_path / "a.gif").stat().st_size / 1e6
    (note,) = write_clip(tmp_path / "a.gif", frames, 5, max_mb=budget)
    assert re.search(r"a\.gif: not dithered, [\d.]+ MB instead of", note)


def test_many_colors_are_reproduced_closely():
    noise = np.random.default_rng(0).normal(0, 4, (8, 120, 160, 3))
    frames = np.clip(colored(8, 120, 160) + noise, 0, 255).astype(np.uint8)
    palette, indices = quantize(frames)
    error = palette[indices].astype(float) - frames
    assert 200 < len(palette) <= 256
    assert np.sqrt((error**2).mean()) < 12
    pillow = Image.fromarray(frames.reshape(-1, 160, 3)).quantize(256, Image.Quantize.MEDIANCUT, dither=0)
    assert (error**2).mean() < (
        (np.asarray(pillow.convert("RGB")).reshape(frames.shape) - frames.astype(float)) ** 2
    ).mean()


def test_a_thin_line_keeps_its_color_among_many_others():
    frames = np.random.default_rng(0).integers(0, 128, (3, 200, 200, 3), np.uint8)
    frames[:, 50, 50:80] = (255, 157, 77)
    palette, indices = quantize(frames)
    assert np.abs(palette[indices][:, 50, 50:80].astype(int) - (255, 157, 77)).max() < 24


def test_a_gif_plays_for_ever_or_as_often_as_requested(tmp_path):
    for loop, stored in ((0, 0), (1, None), (3, 2)):
        write_clip(tmp_path / "a.gif", colored(), 5, loop=loop)
        with Image.open(tmp_path / "a.gif") as image:
            assert image.info.get("loop") == stored


def test_an_mp4_of_odd_size_is_padded_and_close_in_color(tmp_path):
    frames = colored(10, 121, 161)
    write_clip(tmp_path / "a.mp4", frames, 5, hold=1)
    read = imageio.imread(tmp_path / "a.mp4", plugin="FFMPEG")
    assert read.shape == (15, 122, 162, 3)
    assert np.abs(read[0, :121, :161].astype(float) - frames[0]).mean() < 6
    assert np.abs(read[-1, :121, :161].astype(float) - frames[-1]).mean() < 6
    facts = imageio.immeta(tmp_path / "a.mp4", plugin="FFMPEG")
    assert (facts["codec"], facts["pix_fmt"][:7], facts["fps"]) == ("h264", "yuv420p", 5)


def test_a_webp_has_its_frames_and_times(tmp_path):
    frames = colored()
    write_clip(tmp_path / "a.webp", frames, 5, hold=0.5)
    read, milliseconds = reread(tmp_path / "a.webp")
    assert read.shape == frames.shape
    assert sum(milliseconds) == 1700
    assert np.abs(read.astype(float) - frames).mean() < 8


@pytest.mark.slow
@pytest.mark.parametrize("extension", [".gif", ".mp4", ".webp"])
def test_a_budget_is_met_and_noted_in_one_line(tmp_path, extension):
    frames = np.random.default_rng(0).integers(0, 256, (20, 128, 128, 3), np.uint8)
    path = tmp_path / f"a{extension}"
    write_clip(path, frames, 5)
    budget = path.stat().st_size / 1e6 / 3
    (note,) = write_clip(path, frames, 5, max_mb=budget)
    assert path.stat().st_size <= budget * 1e6
    assert re.search(r": (not dithered, )?\d+ of 20 frames, \d+x\d+ pixels instead of 128x128, ", note)
    assert "\n" not in note


def test_leaving_out_frames_keeps_the_duration(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)
    write_clip(tmp_path / "a.gif", frames, 5, hold=1)
    full = (tmp_path / "a.gif").stat().st_size
    write_clip(tmp_path / "a.gif", frames, 5, hold=1, max_mb=0.8 * full / 1e6)
    milliseconds = reread(tmp_path / "a.gif")[1]
    assert len(milliseconds) < 20
    assert sum(milliseconds) == 5000


def test_a_clip_within_its_budget_is_unchanged(tmp_path):
    assert write_clip(tmp_path / "a.gif", colored(), 5, max_mb=3) == []
    assert len(reread(tmp_path / "a.gif")[1]) == 6


def test_a_budget_that_can_not_be_met_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match="can't be made smaller"):
        write_clip(tmp_path / "a.gif", colored(), 5, max_mb=0.0001)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        ("a.avi", {}, r"a clip is written as \.gif, \.mp4, \.webp"),
        ("a.gif", {"fps": 0}, "fps is 0, expected above 0 and up to 50"),
        ("a.gif", {"fps": 60}, "fps is 60"),
        ("a.mp4", {"fps": float("nan")}, "fps is nan"),
        ("a.gif", {"fps": 0.005}, "fps is 0.005: the clip would last 1,202 s, expected up to 600"),
        ("a.gif", {"hold": -1}, "hold is -1, expected from 0"),
        ("a.gif", {"max_mb": 0}, "max_mb is 0, expected a positive number"),
    ],
)
def test_invalid_arguments_are_refused_by_name(tmp_path, path, arguments, message):
    with pytest.raises(InputError, match=message):
        write_clip(tmp_path / path, colored(), **arguments)


def test_frames_of_another_type_or_shape_are_refused(tmp_path):
    for frames in (colored().astype(float), colored()[0], colored()[:0]):
        with pytest.raises(InputError, match="expected uint8"):
            write_clip(tmp_path / "a.gif", frames)


def test_items_are_evenly_spaced_and_include_both_ends():
    assert evenly_spaced(range(10), 4) == [0, 3, 6, 9]
    assert evenly_spaced(range(3), 20) == [0, 1, 2]
    assert evenly_spaced(range(10), 1) == [9]
    steps = np.diff(evenly_spaced(range(97), 20))
    assert steps.max() - steps.min() <= 1


def test_an_mp4_that_the_disk_has_no_room_for_is_an_error_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    write_clip(path, colored(), 5)
    before = path.read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (20, 128, 128, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="could not be written whole"):
            write_clip(path, noise, 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
