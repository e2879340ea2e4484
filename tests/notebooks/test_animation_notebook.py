"""The animation notebook, executed from top to bottom where there is no run, and the clips that it shows."""

import base64
import io
import re

import numpy as np
import pytest
from notebook_files import executed, outputs, picture_copy
from PIL import Image

from srcnn_lib.pretrained import example_run
from srcnn_lib.run import Run
from srcnn_lib.visualization.animation import choose_snapshots
from srcnn_lib.visualization.inspector import Inspector

pytestmark = pytest.mark.slow
FRAMES, CROP = 5, 64


@pytest.fixture(scope="module")
def shown(tmp_path_factory, kernel_finds_the_library):
    """The executed cells by name, and the folder they were executed in."""
    folder = tmp_path_factory.mktemp("fresh")
    small = {"second_picture": str(folder / "cat.png"), "crop": CROP, "frames": FRAMES}
    small["channels"] = "0, 1, 2, 3, 4, 5, 6, 7"  # which are informative depends on the training
    return executed(picture_copy("animation", folder, **small)), folder


@pytest.fixture(scope="module")
def run(shown) -> Run:
    return example_run()


def clip(cell) -> tuple[np.ndarray, list[int]]:
    """Returns the frames (T, H, W, 3) of the GIF that a cell shows as HTML, and the duration of each in ms."""
    (content,) = re.findall('src="data:image/gif;base64,([^"]+)"', outputs(cell, "text/html"))
    image = Image.open(io.BytesIO(base64.b64decode(content)))
    frames, durations = [], []
    for number in range(image.n_frames):
        image.seek(number)
        frames.append(np.asarray(image.convert("RGB")))
        durations.append(image.info["duration"])
    return np.stack(frames), durations


def test_without_a_run_the_example_is_shown_which_learned_from_random_weights(shown, run):
    cells, folder = shown
    assert "There is no run at" in outputs(cells["pick"], "printed")
    assert str(run.path) in outputs(cells["pick"], "printed")
    assert run.config.init == "torch"
    assert not (folder / "runs").exists()
    for cell in cells.values():
        assert not [output for output in cell.get("outputs", ()) if output.get("name") == "stderr"], cell.id


@pytest.mark.parametrize(
    ("name", "width"), [("reconstruction", 256), ("channels", 4 * 192 + 18), ("kernels", None), ("pair", 2 * 256 + 6)]
)
def test_a_clip_over_the_training_has_its_frames_which_differ_and_the_last_is_held(shown, name, width):
    frames, durations = clip(shown[0][name])
    assert len(frames) == FRAMES
    assert width is None or frames.shape[2] == width
    assert durations[:-1] == [200] * (FRAMES - 1)
    assert durations[-1] == 1700
    assert all((before != after).any() for before, after in zip(frames[:-1], frames[1:], strict=True))
    assert (frames[0] != frames[-1]).any(-1).mean() > 0.02
    assert np.ptp(frames) > 200


def test_in_the_clip_of_channels_a_color_means_one_value_from_the_first_frame_to_the_last(shown, run):
    cells, folder = shown
    frames, _ = clip(cells["channels"])
    inspector, meant = Inspector(run, folder / "cat.png", crop=CROP), {}
    for frame, snapshot in zip(frames, choose_snapshots(run.snapshots(), FRAMES), strict=True):
        values = inspector.feature_map("layer_2:0", snapshot.step).flatten()
        colors = frame[: 3 * CROP : 3, : 3 * CROP : 3].reshape(-1, 3)  # channel 0 stands first, 3 times as large
        for color, value in zip(colors, values.tolist(), strict=True):
            meant.setdefault(tuple(color), []).append(value)
    largest = max(max(values) for values in meant.values())
    brightest = max(meant, key=lambda color: max(meant[color]))
    spread = [max(values) - min(values) for color, values in meant.items() if color != brightest]
    assert len(meant) > 5
    assert max(spread) < largest / 20


def test_the_scan_goes_from_the_first_patch_to_the_last(shown):
    frames, _ = clip(shown[0]["scan"])
    done = (frames == frames[-1]).all(-1)[:, : frames.shape[1] // 2, : frames.shape[2] // 3]  # part of the photograph
    shares = done.mean((1, 2))
    assert 10 <= len(frames) <= 3 * FRAMES
    assert shares[0] < 0.2 < 0.95 < shares[-1]
    assert (np.diff(shares) > -0.05).all()


def test_the_video_is_one_that_browsers_play_with_all_its_frames(shown):
    import imageio.v3 as imageio

    cells, folder = shown
    assert "data:video/mp4;base64," in outputs(cells["video"], "text/html")
    path = folder / "results" / "channel.mp4"
    assert imageio.immeta(path, plugin="FFMPEG")["codec"] == "h264"
    count, height, width = map(int, re.findall(r"\((\d+), (\d+), (\d+), 3\)", outputs(cells["video"], "printed"))[0])
    film = imageio.imread(path, plugin="FFMPEG")
    assert count == FRAMES
    assert len(film) == count + 8  # 1.5 s more of the last frame, at 5 a second
    assert film.shape[1:] == (height + height % 2, width + width % 2, 3)


def test_the_laboratory_is_shown_and_written(shown):
    cells, folder = shown
    page = (folder / "results" / "laboratory.html").read_text("utf-8")
    assert outputs(cells["laboratory"], "text/html") == page
    assert "http://" not in page.replace("http://www.w3.org", "")
