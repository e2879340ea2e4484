"""Clips of a run, checked against what its networks compute, and the command that writes them."""

import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch.nn import functional as F

from srcnn_lib.activations import feature_maps
from srcnn_lib.config import TrainingConfig
from srcnn_lib.data import color
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation import sample as sample_module
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.inference.upscaling import reconstruct
from srcnn_lib.kernel_projection import patch_statistics, project_kernels
from srcnn_lib.metrics import psnr
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.run import Run
from srcnn_lib.visualization import animation
from srcnn_lib.visualization.animation import (
    ClipOptions,
    animate,
    channel_clip,
    choose_snapshots,
    kernel_clip,
    reconstruction_clip,
)
from srcnn_lib.visualization.channel_analysis import most_informative_channels
from srcnn_lib.visualization.frames import GAP, MAP_SHADES, caption, frame_colors, join, map_pixels

DARK = frame_colors("dark")


def photograph(side=96):
    """Returns the astronaut's face, (3, side, side)."""
    return torch.from_numpy(data.astronaut()[40 : 40 + side, 180 : 180 + side].copy()).permute(2, 0, 1) / 255


def make_run(path, channels=1):
    """Returns a run with eight snapshots, from torch's initial weights to a copy of the bicubic picture."""
    run = Run.create(path, TrainingConfig.of(channels=channels, widths=(8, 6)))
    torch.manual_seed(0)
    begin, end, model = (SRCNN(channels, widths=(8, 6)) for _ in range(3))
    start_from_identity(end)
    for number in range(8):
        with torch.no_grad():
            for weight, a, b in zip(model.parameters(), begin.parameters(), end.parameters(), strict=True):
                weight.copy_(a.lerp(b, number / 7))
        run.write_snapshot(model, 1000 * number, number)
    return run


def face(side) -> Picture:
    return Picture(photograph(side), name="face.png")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "y")


@pytest.fixture(scope="module")
def rgb_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "rgb", channels=3)


@pytest.fixture(scope="module")
def film(run):
    return reconstruction_clip(run.snapshots(), photograph(), frames=5)


def test_frames_are_enlarged_by_a_whole_factor_with_a_caption_below(film):
    count, height, width, channels = film.shape
    assert (count, width, channels) == (5, 288, 3)
    assert 288 + 16 <= height <= 288 + 32
    assert film.dtype == np.uint8
    picture = film[:, :288]
    assert (picture == picture[:, ::3, ::3].repeat(3, 1).repeat(3, 2)).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("gray", [False, True])
def test_a_reconstruction_shows_the_output_of_each_snapshot(run, rgb_run, channels, gray):
    run = run if channels == 1 else rgb_run
    original = photograph()[:1] if gray else photograph()
    film = reconstruction_clip(run.snapshots(), original, frames=3)
    for frame, step in ((film[0], 0), (film[-1], 7000)):
        expected = restored(degrade(original, 2)[0], run.model(step), InferenceOptions()).expand(3, -1, -1) * 255
        shown = torch.from_numpy(frame[:288:3, ::3].copy()).permute(2, 0, 1)
        assert (shown - expected).abs().max() <= 0.51


def test_each_frame_differs_from_the_one_before_in_picture_and_caption(film):
    for before, after in itertools.pairwise(film):
        assert (before[:288] != after[:288]).any()
        assert (before[288:] != after[288:]).any()


def test_the_caption_shows_psnr_on_y_and_its_gain(run, monkeypatch):
    captions = []
    monkeypatch.setattr(
        animation, "caption", lambda frames, left, right, _: captions.extend(zip(left, right, strict=True)) or frames
    )
    reconstruction_clip(run.snapshots(), photograph(), frames=2)
    upsampled, original = degrade(photograph(), 2)
    y, bicubic = (color.luminance(image) for image in (original, upsampled))
    for (step, decibels), number in zip(captions, (0, 7000), strict=True):
        with torch.no_grad():
            here = psnr(run.model(number)(bicubic[None])[0], y, "y", shave=2).item()
        gain = here - psnr(bicubic, y, "y", shave=2).item()
        assert step.replace("\N{NARROW NO-BREAK SPACE}", "") == f"step {number}"
        assert decibels.replace("−", "-") == f"{here:.2f} dB ({round(gain, 2) + 0.0:+.2f})"


def test_snapshots_are_chosen_evenly_and_include_the_first_and_the_last(run):
    steps = [[s.step for s in choose_snapshots(run.snapshots(), frames)] for frames in (2, 4, 8, 100)]
    assert steps[0] == [0, 7000]
    assert len(steps[1]) == 4
    assert steps[1][0] == 0
    assert steps[1][-1] == 7000
    assert steps[2] == steps[3] == list(range(0, 8000, 1000))


def test_several_pictures_are_shown_side_by_side_at_the_same_steps(run):
    first, second = photograph(), photograph().flip(-1)
    film = reconstruction_clip(run.snapshots(), [first, second], frames=3)
    alone = reconstruction_clip(run.snapshots(), second, frames=3)
    assert film.shape[:1] + film.shape[2:] == (3, 2 * 288 + GAP, 3)
    assert (film[:, :288, 288 + GAP :] == alone[:, :288]).all()


def test_pictures_of_two_sizes_are_enlarged_by_one_factor_and_their_captions_align(run):
    film = reconstruction_clip(run.snapshots(), [photograph(), photograph()[:, :64, :48]], frames=2)
    alone = reconstruction_clip(run.snapshots(), photograph()[:, :64, :48], frames=2)  # enlarged 5 times
    left = 288 + GAP
    assert film.shape[2] == 2 * 288 + GAP
    assert (film[:, : 3 * 64 : 3, left : left + 3 * 48 : 3] == alone[:, : 5 * 64 : 5, : 5 * 48 : 5]).all()
    assert (film[:, 3 * 64 : 288, left:] == DARK.ground).all()
    first_inked_rows = [
        (film[0, 288:, part] != DARK.ground).any((1, 2)).nonzero()[0][0] for part in (slice(288), slice(left, None))
    ]
    assert first_inked_rows[0] == first_inked_rows[1]


def restored(upsampled, model, options):
    """Returns a bicubic picture as the network restores it, in the picture's own channels."""
    output = reconstruct(color.to_network_channels(upsampled, model.channels), model, options)
    return color.from_network_channels(output, upsampled).clamp(0, 1)


def values_of(colors, limit, signed):
    """Inverts `map_pixels`: colors (…, 3) → values."""
    low = -limit if signed else 0.0
    values = torch.linspace(low, limit, MAP_SHADES)
    shades = map_pixels(values, limit, signed=signed).astype(int)
    places = np.abs(colors[..., None, :].astype(int) - shades).sum(-1).argmin(-1)
    return values[torch.from_numpy(places)]


def layer_1_by_hand(model, upsampled):
    """Returns the maps of layer 1 before ReLU, (8, H, W), with the edges of the picture replicated around it."""
    y = F.pad(color.luminance(upsampled)[None], [model.halo] * 4, mode="replicate")
    values = F.conv2d(y, model.layer_1.weight, model.layer_1.bias)[0]
    surplus = (values.shape[-1] - upsampled.shape[-1]) // 2
    return values[:, surplus:-surplus, surplus:-surplus].detach()


@pytest.mark.parametrize("before_relu", [False, True])
def test_a_channel_is_drawn_in_one_range_for_all_frames(run, before_relu):
    upsampled, _ = degrade(photograph(), 2)
    film = channel_clip(
        run.snapshots(), photograph(), ["layer_1:2"], before_relu=before_relu, limits={"layer_1": 0.3}, frames=4
    )
    for frame, snapshot in zip(film, choose_snapshots(run.snapshots(), 4), strict=True):
        expected = layer_1_by_hand(snapshot.load(), upsampled)[2]
        expected = expected.clamp(-0.3 if before_relu else 0, 0.3)
        shown = values_of(frame[:288:3, ::3], 0.3, before_relu)
        assert (shown - expected).abs().max() < 0.6 * 0.3 * 2 / (MAP_SHADES - 1)


def test_the_range_of_a_clip_covers_all_its_frames(run):
    upsampled, _ = degrade(photograph(), 2)
    film = channel_clip(run.snapshots(), photograph(), ["layer_1:2", "layer_1:5"])
    values = [layer_1_by_hand(s.load(), upsampled)[[2, 5]].relu() for s in run.snapshots()]
    highest = max(value.max().item() for value in values)
    at = max(range(8), key=lambda number: values[number][0].max())
    brightest = film[at, :288, :288].sum(-1).max()
    assert brightest == film[:, :288, :288].sum(-1).max()
    limit = next(limit / 100 for limit in range(1, 200) if limit / 100 >= 0.9 * highest)
    assert limit <= highest * 1.1


def test_zero_is_the_same_dark_in_the_middle_of_a_signed_range():
    dark = map_pixels(torch.zeros(1), 1, signed=True)
    assert (dark == map_pixels(torch.zeros(1), 5, signed=False)).all()
    blue, orange = map_pixels(torch.tensor([-0.6, 0.6]), 1, signed=True).astype(int)
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]


def test_several_channels_and_pictures_make_rows_and_columns(run):
    addresses = ["layer_1:0", "layer_2:3", "layer_3:0"]
    film = channel_clip(run.snapshots(), [photograph(), photograph().flip(-1)], addresses, frames=2)
    assert film.shape[2] == 3 * 288 + 2 * GAP
    assert 2 * 288 < film.shape[1] < 2 * 288 + 120


def test_several_channels_share_a_range_with_colors_over_its_square_root(run):
    upsampled, _ = degrade(photograph(), 2)
    film = channel_clip(run.snapshots(), photograph(), ["layer_1:2", "layer_1:5"], limits={"layer_1": 0.3})
    expected = layer_1_by_hand(run.model(), upsampled)[[2, 5]].clamp(0, 0.3)
    for left, values in ((0, expected[0]), (288 + GAP, expected[1])):
        shown = values_of(film[-1, :288:3, left : left + 288 : 3], 1, False)
        assert (shown - (values / 0.3).sqrt()).abs().max() < 0.6 / (MAP_SHADES - 1)


@pytest.mark.parametrize("layer", ["layer_1", "layer_2", "layer_3"])
def test_kernels_change_over_the_training_in_every_layer(run, layer):
    film = kernel_clip(run.snapshots(), layer, frames=3)
    assert film.shape[0] == 3
    assert film.shape[2] >= 480
    assert all((before != after).any() for before, after in itertools.pairwise(film))


def test_a_kernel_is_drawn_as_its_weights(run):
    film = kernel_clip(run.snapshots(), "layer_1", frames=2)
    weights = [run.model(step).layer_1.weight.detach() for step in (0, 7000)]  # (8, 1, 9, 9)
    limit = kernel_limit(weights)
    factor = math.ceil(480 / 72)
    side = 9 * factor
    for frame, weight in zip(film, weights, strict=True):
        for number in (0, 1, 7):
            left = GAP + number * (side + GAP)
            tile = frame[GAP : GAP + side : factor, left : left + side : factor]
            expected = weight[number, 0].clamp(-limit, limit)
            assert (values_of(tile, limit, True) - expected).abs().max() < 1.2 * limit / (MAP_SHADES - 1) + 1e-6


def kernel_limit(weights):
    """Returns the limit that 99.5 % of the weights do not exceed, rounded up to two digits."""
    flat = torch.stack(weights).abs().flatten().sort().values
    value = float(flat[int(0.995 * len(flat))])
    unit = 10 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / unit) * unit


def test_the_kernels_of_an_rgb_network_are_colored_with_zero_as_gray(rgb_run):
    film = kernel_clip(rgb_run.snapshots(), "layer_1", frames=2)
    factor = math.ceil(480 / 72)
    corner = film[-1, GAP, GAP]  # of channel 0, which carries red through its center alone
    center = film[-1, GAP + 4 * factor, GAP + 4 * factor].astype(int)
    assert (np.abs(corner.astype(int) - 128) <= 1).all()
    assert center.tolist() == [255, 128, 128]


def test_clips_of_different_sizes_and_lengths_are_joined():
    short, tall = np.full((2, 10, 20, 3), 200, np.uint8), np.full((5, 30, 15, 3), 90, np.uint8)
    short[1] = 220
    film = join([short, tall, short], columns=2)
    assert film.shape == (5, 66, 46, 3)
    assert (film[0, :10, :20] == 200).all()
    assert (film[4, :10, :20] == 220).all()
    assert (film[3, :30, 26:41] == 90).all()
    assert (film[:, 10:30, :20] == DARK.ground).all()


@pytest.mark.parametrize("width", [48, 96, 240, 1000])
def test_a_caption_covers_no_pixel_and_is_never_cut(width):
    shown = np.full((2, 50, width, 3), 255, np.uint8)
    film = caption(shown, ["step 0", "step 99"], "28.1 dB")
    assert (film[:, :50] == 255).all()
    band = film[0, 50:].astype(int)
    assert (band.max(axis=(0, 2)) > 120).any()
    assert (band[0] == DARK.ground).all()
    assert (band[-1] == DARK.ground).all()
    assert (film[0, 50:] != film[1, 50:]).any()


def test_the_clip_of_a_channel_has_at_most_256_colors(run):
    film = channel_clip(run.snapshots(), photograph(), ["layer_2:1", "layer_3:0"], frames=4)
    assert len(np.unique(film.reshape(-1, 3), axis=0)) <= 256


# The command


@pytest.mark.parametrize("what", animation.KINDS)
@pytest.mark.parametrize("extension", [".gif", ".mp4", ".webp"])
def test_every_clip_is_written_in_every_format(run, tmp_path, what, extension):
    path, notes = animate(run.path, what, [face(64)], ClipOptions(frames=3), out=tmp_path / f"clip{extension}")
    assert path.stat().st_size > 1000
    assert notes == []


@pytest.mark.slow
def test_without_photographs_the_probe_is_animated(run, tmp_path):
    tiles = torch.stack([photograph()] * 4)
    run.write_probe(tiles.clone(), tiles)
    path, notes = animate(run, options=ClipOptions(hold=0), out=tmp_path / "a.gif")
    with Image.open(path) as image:
        assert image.width >= 4 * 96
        assert image.n_frames == 8
    assert notes == [f"{run.path} has 8 snapshots: that many frames"]


def test_a_crop_is_taken_where_the_error_of_bicubic_is_largest(run, tmp_path):
    picture = torch.full((3, 200, 300), 0.5)
    picture[:, 120:160, 200:240] = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0))
    path, _ = animate(run, "scan", [Picture(picture)], ClipOptions(crop=64, frames=2), out=tmp_path / "a.gif")
    with Image.open(path) as image:
        assert image.width > 256
        assert np.asarray(image.convert("RGB"))[:256].std() > 20


def test_removed_transparency_is_noted(run, tmp_path):
    pixels = (photograph(64).permute(1, 2, 0) * 255).byte().numpy()
    Image.fromarray(np.dstack([pixels, np.full((64, 64), 100, np.uint8)])).save(tmp_path / "face.png")
    _, notes = animate(run, "reconstruction", [tmp_path / "face.png"], ClipOptions(frames=2), out=tmp_path / "a.gif")
    assert "face.png: transparency is left out" in notes


def test_all_selects_every_channel_of_a_layer(run, tmp_path):
    all_options = ClipOptions(layer="1", channel="all", frames=2)
    path, _ = animate(run, "channel", [face(64)], all_options, out=tmp_path / "a.gif")
    some_options = ClipOptions(channel="0,2,layer_1:3", frames=2)
    some, _ = animate(run, "channel", [face(64)], some_options, out=tmp_path / "b.gif")
    assert Image.open(path).height > Image.open(some).height


@pytest.mark.parametrize(
    ("what", "arguments", "message"),
    [
        ("weights", {}, "what is 'weights', expected one of reconstruction, channel, kernels, scan, frequency, worth"),
        ("channel", {"layer": "layer_4"}, "layer_4.*expected one of layer_1, layer_2, layer_3"),
        ("channel", {"channel": "6"}, "layer_2:6.*layer_2:0 to layer_2:5"),
        ("channel", {"layer": "9", "channel": "all"}, "'9' is no layer.*layer_1, layer_2, layer_3"),
        ("reconstruction", {"layer": "conv1"}, "conv1.*layer_1, layer_2, layer_3"),
        ("reconstruction", {"mode": "sideways"}, "mode is 'sideways'"),
        ("kernels", {"theme": "blue"}, "theme is 'blue', expected one of light, dark"),
        ("kernels", {"layer": "conv1"}, "conv1.*layer_1, layer_2, layer_3"),
        ("scan", {"mode": "whole"}, "mode is 'whole', expected non-overlapping or overlapping"),
        ("scan", {"mode": "overlapping", "stride": 34}, "patch is 33 and stride 34"),
        ("reconstruction", {"out": "clip.avi"}, r"clip\.avi: a clip is written as \.gif, \.mp4, \.webp"),
        ("reconstruction", {"frames": 0}, "frames is 0, expected 1 or more"),
        ("reconstruction", {"crop": 0}, "crop is 0"),
        ("reconstruction", {"fps": 0}, "fps is 0"),
        ("reconstruction", {"fps": 0.001}, "fps is 0.001: the clip would last 1,002 s, expected up to 600"),
    ],
)
def test_invalid_arguments_are_refused_with_the_valid_choices(run, tmp_path, what, arguments, message):
    options = {name: value for name, value in arguments.items() if name != "out"}
    out = tmp_path / arguments.get("out", "a.gif")
    with pytest.raises(InputError, match=message) as error:
        animate(run, what, [face(64)], ClipOptions(**options), out=out)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_informative_channels_differ_from_each_other_as_much_as_possible(run):
    model = run.model()
    network_input = color.luminance(degrade(photograph(), 2)[0])
    (maps,) = feature_maps(model, network_input, ["layer_1"]).values()
    values = maps[0].flatten(1)
    alive = (values.std(1) > 1e-6).nonzero().flatten().tolist()
    chosen = most_informative_channels(model, [network_input], "layer_1", 2)
    likeness = np.abs(np.corrcoef(values[alive].numpy()))
    first = int(values.std(1).argmax())
    worth = {number: float(values[number].std()) * (1 - likeness[alive.index(first), place])
             for place, number in enumerate(alive) if number != first}  # fmt: skip
    assert chosen == sorted([first, max(worth, key=worth.get)])
    assert most_informative_channels(model, [network_input], "layer_1", 99) == alive


def test_a_light_clip_differs_only_around_the_pictures(run):
    dark, light = (
        reconstruction_clip(run.snapshots(), photograph(), frames=2, theme=theme) for theme in ("dark", "light")
    )
    assert (dark[:, :288] == light[:, :288]).all()
    assert (light[:, 289, 0] == 255).all()
    assert dark[:, 289].max() < 64


def test_selected_kernels_are_those_of_their_channels(run):
    some = kernel_clip(run.snapshots(), "layer_1", channels=[1, 5], frames=2)
    weight = run.model().layer_1.weight.detach()[5, 0]
    factor = math.ceil(480 / 18)
    left = 2 * GAP + 9 * factor
    shown = some[-1, GAP : GAP + 9 * factor : factor, left : left + 9 * factor : factor].astype(int)
    orange_minus_blue = torch.from_numpy(shown[..., 0] - shown[..., 2])  # orange above zero, blue below
    distinct = orange_minus_blue.abs() > 20
    assert distinct.sum() > 3
    assert ((orange_minus_blue > 0) == (weight > 0))[distinct].all()


def test_the_command_shows_the_kernels_of_the_named_channels(run, tmp_path):
    sizes = []
    for channel in (None, "1,5"):
        options = ClipOptions(layer="layer_1", channel=channel, frames=2)
        path, _ = animate(run, "kernels", options=options, out=tmp_path / "kernels.gif")
        sizes.append(Image.open(path).size)
    assert sizes[0] != sizes[1]


def test_three_channels_between_layers_are_not_drawn_as_rgb(tmp_path):
    run = Run.create(tmp_path / "run", TrainingConfig.of(channels=3, widths=(3, 2)))
    run.write_snapshot(start_from_identity(SRCNN(3, widths=(3, 2))), 0, 0)
    film = kernel_clip(run.snapshots(), "layer_2")
    assert len(np.unique(film[0, :-40].reshape(-1, 3), axis=0)) <= MAP_SHADES + 1  # a mosaic in the signed shades


def test_a_sample_photograph_is_animated_by_its_name(run, tmp_path):
    path, _ = animate(run, "scan", ["samples:chelsea"], ClipOptions(crop=40, frames=2), out=tmp_path / "a.gif")
    assert path.exists()
    with pytest.raises(InputError, match=r"none\.png doesn't exist; check the path"):
        animate(run, "scan", [tmp_path / "none.png"], out=tmp_path / "b.gif")


def test_a_run_without_snapshots_is_refused(tmp_path):
    run = Run.create(tmp_path / "run", TrainingConfig.of())
    with pytest.raises(InputError, match="no snapshots yet"):
        animate(run, out=tmp_path / "a.gif")
    with pytest.raises(InputError, match="no snapshots to animate"):
        reconstruction_clip(run.snapshots(), photograph())


def test_a_picture_too_large_for_a_clip_is_refused(run):
    with pytest.raises(InputError, match="4000x1000 is too large, .* crop"):
        reconstruction_clip(run.snapshots(), torch.zeros(3, 1000, 4000))


def test_a_sample_gives_the_same_clip_as_its_photograph(run):
    snapshots = run.snapshots()
    sample = Sample(photograph(), run.model())
    assert (
        reconstruction_clip(snapshots, sample, frames=2) == reconstruction_clip(snapshots, photograph(), frames=2)
    ).all()


def test_the_command_degrades_each_photograph_once(run, tmp_path, monkeypatch):
    degraded = []
    monkeypatch.setattr(sample_module, "degrade", lambda *how: degraded.append(1) or degrade(*how))
    options = ClipOptions(channel="informative", frames=2)
    animate(run, "channel", [face(96)], options, out=tmp_path / "a.gif")
    assert len(degraded) == 1


def test_kernels_as_photographs_excite_them_are_the_projected_ones(run):
    inputs = [Sample(photograph(), run.model()).network_input]
    snapshots = run.snapshots()
    clip = kernel_clip(snapshots, "layer_1", limit=0.3, excited_by=inputs, frames=2)
    projected = project_kernels(run.model(), patch_statistics(inputs, 9), 1e-5)
    factor = math.ceil(480 / 72)
    expected = map_pixels(projected.layer_1.weight[0, 0], 0.3, signed=True)  # of channel 0, which stands first
    shown = clip[-1, GAP : GAP + 9 * factor : factor, GAP : GAP + 9 * factor : factor]
    assert (shown == expected).all()
    with pytest.raises(InputError, match="the kernels of layer_1 only, not of layer_2"):
        kernel_clip(snapshots, "layer_2", excited_by=inputs)


def test_animate_shows_excited_kernels_of_one_run(run, tmp_path):
    options = ClipOptions(layer="1", excited=True, frames=2)
    path, _ = animate(run, "kernels", [face(64)], options, out=tmp_path / "kernels.gif")
    assert path.stat().st_size > 500
    with pytest.raises(InputError, match="of one run"):
        animate([run, run], "kernels", [face(64)], options, out=tmp_path / "both.gif")
