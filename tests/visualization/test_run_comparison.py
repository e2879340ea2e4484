"""Clips of several runs in step, checked against the clips of each run alone."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.run import Run
from srcnn_lib.visualization.animation import ClipOptions, animate, reconstruction_clip
from srcnn_lib.visualization.run_comparison import align_snapshots, compare_reconstructions_clip, run_names


def photograph(side=64):
    return torch.from_numpy(data.astronaut()[40 : 40 + side, 180 : 180 + side].copy()).permute(2, 0, 1) / 255


def make_run(path, steps, channels=1, scale=2.0):
    """Returns a run with snapshots at these steps, each slightly different."""
    run = Run.create(path, TrainingConfig.of(channels=channels, widths=(4, 3), scale=scale))
    torch.manual_seed(len(steps))
    model = start_from_identity(SRCNN(channels, widths=(4, 3), scale=scale))
    for step in steps:
        with torch.no_grad():
            model.layer_3.bias.fill_(step / 1e3)
        run.write_snapshot(model, step, 0)
    return run


@pytest.fixture
def runs(tmp_path):
    return [make_run(tmp_path / "a", (0, 10, 20, 40)), make_run(tmp_path / "b", (0, 15, 30), channels=3)]


def test_each_frame_shows_the_newest_snapshot_that_each_run_had_reached(runs):
    aligned = align_snapshots(runs, 20)
    assert [snapshot.step for snapshot in aligned[0]] == [0, 10, 10, 20, 20, 40]
    assert [snapshot.step for snapshot in aligned[1]] == [0, 0, 15, 15, 30, 30]


def test_at_most_the_requested_frames_are_shown_with_both_ends(runs):
    assert [[snapshot.step for snapshot in each] for each in align_snapshots(runs, 2)] == [[0, 40], [0, 30]]


def test_the_pictures_are_those_of_each_run_alone(runs):
    samples = [Sample(photograph(), run.model()) for run in runs]
    clip = compare_reconstructions_clip(runs, samples, frames=3)
    left = 0
    for run, sample, snapshots in zip(runs, samples, align_snapshots(runs, 3), strict=True):
        alone = reconstruction_clip(snapshots, sample, frames=3)[:, :256]
        tops = [top for top in range(40) if (clip[:, top : top + 256, left : left + 256] == alone).all()]
        assert len(tops) == 1, run.name
        left += 256 + 6


def test_names_are_folders_and_whole_paths_where_folders_repeat(tmp_path):
    one, two = make_run(tmp_path / "x" / "run", (0,)), make_run(tmp_path / "y" / "run", (0,))
    other = make_run(tmp_path / "other", (0,))
    assert run_names([one, other]) == ["run", "other"]
    assert run_names([one, two]) == [str(one.path), str(two.path)]


@pytest.mark.parametrize("what", ["reconstruction", "channel", "kernels"])
def test_animate_writes_every_kind_of_clip_for_several_runs(runs, tmp_path, what):
    options = ClipOptions(crop=48, channel="informative" if what == "channel" else None, layer="layer_1", frames=3)
    path, _ = animate(runs, what, [Picture(photograph())], options, out=tmp_path / "clip.gif")
    with Image.open(path) as image:
        assert image.n_frames > 1


def test_maps_of_several_runs_have_one_range_of_colors(tmp_path):
    runs = [make_run(tmp_path / "a", (0, 1)), make_run(tmp_path / "b", (0, 1))]
    brighter = runs[1].model()
    with torch.no_grad():
        brighter.layer_2.weight *= 2
    brighter_run = make_run(tmp_path / "c", (0,))
    brighter_run.write_snapshot(brighter, 1, 0)
    path, _ = animate(
        [runs[0], brighter_run], "channel", [Picture(photograph())], ClipOptions(frames=2), out=tmp_path / "clip.webp"
    )
    with Image.open(path) as image:
        image.seek(image.n_frames - 1)
        frame = np.asarray(image.convert("RGB")).astype(float)
    middle = frame.shape[1] // 2
    assert frame[40:250, middle + 20 :].mean() > 1.2 * frame[40:250, : middle - 20].mean()


@pytest.mark.parametrize(
    ("change", "what", "photographs", "message"),
    [
        ({"scale": 3.0}, "reconstruction", 1, "different scales (×2, ×3)"),
        ({}, "scan", 1, "a clip of scan shows one run, not 2"),
        ({}, "reconstruction", 2, "2 runs are compared on one photograph, not on 2"),
    ],
)
def test_runs_that_cannot_be_compared_are_refused(tmp_path, change, what, photographs, message):
    runs = [make_run(tmp_path / "a", (0,)), make_run(tmp_path / "b", (0,), **change)]
    with pytest.raises(InputError) as error:
        animate(runs, what, [Picture(photograph())] * photographs, out=tmp_path / "clip.gif")
    assert message in str(error.value)
    assert not (tmp_path / "clip.gif").exists()


def test_more_runs_than_colors_and_no_run_are_refused(tmp_path):
    runs = [make_run(tmp_path / str(number), (0,)) for number in range(5)]
    with pytest.raises(InputError, match="5 runs are too many to compare, expected up to 4"):
        animate(runs, "kernels", out=tmp_path / "clip.gif")
    with pytest.raises(InputError, match="there is no run to animate"):
        animate([], "kernels", out=tmp_path / "clip.gif")
