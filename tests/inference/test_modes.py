"""The three modes of inference against plain loops; pictures with alpha, gray or color with any network."""

import dataclasses
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut
from torch.nn import functional as F

from srcnn_lib.data.color import from_network_channels, luminance, rgb_to_ycbcr, to_network_channels
from srcnn_lib.data.degradation import resize
from srcnn_lib.data.images import Picture
from srcnn_lib.errors import InputError
from srcnn_lib.inference import patches, upscaling
from srcnn_lib.inference.options import MODES, InferenceOptions
from srcnn_lib.inference.patches import positions
from srcnn_lib.inference.tiling import BicubicEnlargement, spans
from srcnn_lib.inference.upscaling import reconstruct, upscale, upscale_bands, upscale_picture
from srcnn_lib.model import SRCNN, start_from_identity

NETWORKS = [
    (3, (9, 5, 5), "replicate"),
    (1, (9, 1, 5), "replicate"),
    (1, (3, 1, 1), "zeros"),
    (3, (9, 5, 5), "zeros"),
]
networks = pytest.mark.parametrize(("channels", "filters", "padding_mode"), NETWORKS)


def _network(channels=1, filters=(9, 5, 5), padding_mode="replicate", widths=(6, 5), scale=2.0):
    torch.manual_seed(0)
    return SRCNN(channels, filters, widths, padding_mode, scale)


def _identity(channels):
    """Returns a network that copies its input where that is not negative: one channel per color, and no other."""
    return start_from_identity(_network(channels, widths=(3, 3) if channels == 3 else (1, 1)))


def _image(channels, height, width):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(1))


def _pass(image, model):
    """Runs the network over a whole (C, H, W) image, written out: no tiles, and none of the model's code."""
    layers = [(layer.weight.detach(), layer.bias.detach()) for layer in model.layers()]
    x = image[None]
    if model.padding_mode == "replicate":
        halo = sum(weight.shape[-1] // 2 for weight, _ in layers)
        rows = torch.arange(-halo, image.shape[-2] + halo).clamp(0, image.shape[-2] - 1)
        columns = torch.arange(-halo, image.shape[-1] + halo).clamp(0, image.shape[-1] - 1)
        x = x[:, :, rows][:, :, :, columns]
    for number, (weight, bias) in enumerate(layers):
        padding = weight.shape[-1] // 2 if model.padding_mode == "zeros" else 0
        x = F.conv2d(x, weight, bias, padding=padding)
        x = x.clamp(min=0) if number < 2 else x
    return x[0]


def _run(image, model, options=InferenceOptions()):
    """Returns what the network makes of an enlarged (C, H, W) image, in the image's channels, clamped."""
    output = reconstruct(to_network_channels(image, model.channels), model, options)
    return from_network_channels(output, image).clamp(0, 1)


def _starts(length, patch, stride):
    starts, start = [], 0
    while start + patch < length:
        starts.append(start)
        start += stride
    return [*starts, max(0, length - patch)]


@networks
@pytest.mark.parametrize("tile", [5, 16, 30, None])
def test_whole_equals_the_untiled_pass_whatever_the_tile(channels, filters, padding_mode, tile):
    model, image = _network(channels, filters, padding_mode), _image(channels, 21, 34)
    result = reconstruct(image, model, InferenceOptions(tile=tile))
    assert (result - _pass(image, model)).abs().max() <= 1e-5


@networks
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (5, 7), (9, 30)])
def test_whole_works_on_images_smaller_than_the_halo(channels, filters, padding_mode, size):
    model, image = _network(channels, filters, padding_mode), _image(channels, *size)
    for tile in (2, 11, None):
        assert (reconstruct(image, model, InferenceOptions(tile=tile)) - _pass(image, model)).abs().max() <= 1e-5


@networks
@pytest.mark.parametrize("size", [(70, 50), (33, 66), (20, 40), (1, 1)])
def test_non_overlapping_equals_a_plain_loop(channels, filters, padding_mode, size):
    model, image = _network(channels, filters, padding_mode), _image(channels, *size)
    expected = torch.full_like(image, torch.nan)
    for top in _starts(size[0], 33, 33):
        for left in _starts(size[1], 33, 33):
            patch = _pass(image[:, top : top + 33, left : left + 33], model)
            expected[:, top : top + 33, left : left + 33] = patch
    for batch_size in (1, 3, None):
        result = reconstruct(image, model, InferenceOptions("non-overlapping", batch_size=batch_size))
        assert (result - expected).abs().max() <= 1e-5


def test_the_originals_pictures_come_back_from_zero_padding():
    model, image = _network(3, padding_mode="zeros"), _image(3, 50, 80)
    weights = model.state_dict()
    expected = torch.zeros(3, 50, 80)
    for top in (0, 17):
        for left in (0, 33, 47):
            x = image[None, :, top : top + 33, left : left + 33]
            x = F.conv2d(x, weights["layer_1.weight"], weights["layer_1.bias"], padding=4).clamp(min=0)
            x = F.conv2d(x, weights["layer_2.weight"], weights["layer_2.bias"], padding=2).clamp(min=0)
            x = F.conv2d(x, weights["layer_3.weight"], weights["layer_3.bias"], padding=2)
            expected[:, top : top + 33, left : left + 33] = x[0].clamp(0, 1)
    assert (_run(image, model, InferenceOptions("non-overlapping")) - expected).abs().max() <= 1e-5


@networks
@pytest.mark.parametrize(("size", "patch", "stride"), [((15, 13), 9, 1), ((20, 17), 9, 4), ((5, 30), 12, 12)])
def test_overlapping_equals_a_plain_loop(channels, filters, padding_mode, size, patch, stride):
    model, image = _network(channels, filters, padding_mode), _image(channels, *size)
    values = [[[] for _ in range(size[1])] for _ in range(size[0])]
    for top in _starts(size[0], patch, stride):
        for left in _starts(size[1], patch, stride):
            result = _pass(image[:, top : top + patch, left : left + patch], model).double()
            for y in range(result.shape[1]):
                for x in range(result.shape[2]):
                    values[top + y][left + x].append(result[:, y, x])
    expected = torch.stack([torch.stack([torch.stack(pixel).mean(0) for pixel in row]) for row in values])
    for batch_size in (4, None):
        options = InferenceOptions("overlapping", patch, stride, batch_size=batch_size)
        result = reconstruct(image, model, options)
        assert (result - expected.permute(2, 0, 1)).abs().max() <= 1e-5


def test_overlapping_takes_the_mean_before_any_clamp():
    model = _network()
    with torch.no_grad():
        model.layer_3.weight *= 100
    image = _image(1, 12, 12)
    options = InferenceOptions("overlapping", patch=10)
    result = reconstruct(image, model, options)
    assert result.min() < 0 or result.max() > 1
    [(_, band, _)] = upscale_bands(BicubicEnlargement(Picture(image), 2), model, options)
    enlarged = reconstruct(resize(image, (24, 24)), model, options)
    assert enlarged.min() < 0 or enlarged.max() > 1
    assert torch.equal(band, enlarged.clamp(0, 1))


def test_a_patch_of_the_pictures_size_makes_the_three_modes_agree():
    model, image = _network(), _image(1, 20, 20)
    for mode in MODES:
        assert (reconstruct(image, model, InferenceOptions(mode, patch=33)) - _pass(image, model)).abs().max() <= 1e-5


@given(length=st.integers(1, 400), patch=st.integers(1, 60), data=st.data())
def test_patches_cover_every_pixel_and_stay_inside_the_picture(length, patch, data):
    stride = data.draw(st.integers(1, patch))
    starts = positions(length, patch, stride)
    size = min(patch, length)
    assert all(start >= 0 and start + size <= length for start in starts)
    assert {pixel for start in starts for pixel in range(start, start + size)} == set(range(length))
    assert starts == sorted(set(starts)) == _starts(length, patch, stride)


@given(start=st.integers(0, 90), length=st.integers(1, 400), tile=st.integers(1, 500))
def test_tiles_split_a_range_without_gap_or_overlap(start, length, tile):
    parts = spans(start, start + length, tile)
    assert [pixel for first, end in parts for pixel in range(first, end)] == list(range(start, start + length))
    assert all(0 < end - first <= tile for first, end in parts)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), tile=st.integers(1, 45), zeros=st.booleans())
def test_no_size_and_no_tile_changes_the_result(height, width, tile, zeros):
    model, image = _network(1, (5, 3, 3), "zeros" if zeros else "replicate", (3, 2)), _image(1, height, width)
    assert (reconstruct(image, model, InferenceOptions(tile=max(tile, 4))) - _pass(image, model)).abs().max() <= 1e-5


@pytest.mark.parametrize("widths", [(64, 32), (128, 64), (8, 200), (1, 1)])
def test_the_default_batch_keeps_feature_maps_within_its_bytes(widths):
    model = SRCNN(3, widths=widths)
    most = 4 * max(2 * widths[0], widths[0] + 2 * widths[1])  # bytes a pixel
    assert 0.9 * 2**26 < patches.batch_for(model, 33) * (33 + 2 * model.halo) ** 2 * most <= 2**26


def test_the_network_never_gets_more_than_a_tile_or_a_batch(monkeypatch):
    model, image = _network(), _image(1, 90, 100)
    seen = []
    run_layers = SRCNN.run_layers
    monkeypatch.setattr(SRCNN, "run_layers", lambda self, x: seen.append(x.shape) or run_layers(self, x))
    reconstruct(image, model, InferenceOptions(tile=20, arithmetic="exact"))
    assert max(shape[-1] for shape in seen) <= 20 + 2 * model.halo
    seen.clear()
    reconstruct(image, model, InferenceOptions("overlapping", stride=5, batch_size=7, arithmetic="exact"))
    assert {shape[0] for shape in seen[:-1]} == {7}
    assert {shape[-1] for shape in seen} == {33 + 2 * model.halo}


class SmallGPU(SRCNN):
    """A network on a GPU with memory for `capacity` patches at a time."""

    capacity = 5
    batches: list[int] = []  # of the class, because a copy of the network is run

    def forward(self, upsampled):
        self.batches.append(len(upsampled))
        if len(upsampled) > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(upsampled)


@pytest.mark.parametrize("mode", ["non-overlapping", "overlapping"])
def test_a_batch_beyond_a_gpus_memory_is_halved_with_one_warning(mode):
    torch.manual_seed(0)
    SmallGPU.batches.clear()
    model, image, calls = SmallGPU(1, (5, 3, 3), (3, 2)), _image(1, 50, 40), []
    options = InferenceOptions(mode, patch=10, stride=9, batch_size=16, arithmetic="exact")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        result = reconstruct(image, model, options, progress=lambda *call: calls.append(call))
    assert [str(warning.message)[:21] for warning in caught] == ["the GPU has no memory"]
    assert model.batches[:3] == [16, 8, 4]
    assert set(model.batches[3:-1]) == {4}
    assert calls[-1][0] == calls[-1][1]
    torch.testing.assert_close(result, reconstruct(image, _network(1, (5, 3, 3), widths=(3, 2)), options))
    model.capacity = 0
    with pytest.warns(UserWarning, match="fewer are run"), pytest.raises(torch.OutOfMemoryError):
        reconstruct(image, model, options)


@pytest.mark.parametrize("mode", MODES)
def test_progress_ends_at_its_total(mode):
    calls = []
    options = InferenceOptions(mode, stride=9, tile=20, batch_size=4)
    reconstruct(_image(1, 50, 70), _network(), options, progress=lambda *call: calls.append(call))
    done, totals = zip(*calls, strict=True)
    assert len(set(totals)) == 1
    assert done[-1] == totals[0]
    assert list(done) == sorted(set(done))
    assert len(calls) > 1


@pytest.mark.parametrize("mode", MODES)
def test_the_result_is_an_ordinary_tensor_that_training_can_use(mode):
    image = _image(1, 12, 12).requires_grad_()
    result = reconstruct(image, _network(), InferenceOptions(mode, patch=9))
    assert not result.is_inference()
    assert not result.requires_grad
    assert result.dtype == torch.float32
    result += 1  # tensors made in inference mode refuse this


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mode": "patches"}, "expected one of whole, non-overlapping, overlapping"),
        ({"patch": 0}, "patch is 0, expected 1 or more"),
        ({"mode": "overlapping", "stride": 0}, "stride is 0, expected 1 or more"),
        ({"mode": "overlapping", "patch": 9, "stride": 10}, "stride is 10, expected from 1 to the patch's 9"),
        ({"tile": 0}, "tile is 0"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"arithmetic": "float16"}, "arithmetic is 'float16', expected one of float32, exact, bfloat16"),
        ({"mode": "overlapping", "patch": 20, "arithmetic": "bfloat16"}, "at stride 1 are run in float32 only"),
    ],
)
def test_invalid_options_are_refused_with_one_line(arguments, words):
    with pytest.raises(InputError, match=words) as caught:
        upscale(_image(1, 20, 20), _network(), **arguments)
    assert "\n" not in str(caught.value)


def test_images_of_other_shapes_and_types_are_refused():
    for image in (_image(3, 9, 9), _image(1, 9, 9)[0], torch.rand(1, 0, 9)):
        with pytest.raises(InputError, match="network's channels, 1"):
            reconstruct(image, _network())
    with pytest.raises(InputError, match="float32"):
        reconstruct(torch.zeros(1, 9, 9, dtype=torch.uint8), _network())
    with pytest.raises(InputError, match="1 or 3 channels"):
        upscale(_image(4, 9, 9), _network())
    with pytest.raises(InputError, match=r"0\.1 to 8"):
        upscale(_image(1, 9, 9), _network(), scale=100)


@pytest.mark.parametrize(("scale", "size"), [(None, (30, 21)), (2, (20, 14)), (1.25, (13, 9)), (8, (80, 56))])
def test_upscale_uses_the_given_scale_or_the_networks(scale, size):
    model, image = _network(3, scale=3.0), _image(3, 10, 7)
    result = upscale(image, model, scale)
    assert result.shape == (3, *size)
    assert (result - _pass(resize(image, size), model).clamp(0, 1)).abs().max() <= 1e-5


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", [1, 3])
def test_a_network_that_copies_leaves_the_bicubic_picture(channels, network):
    image = torch.from_numpy(astronaut()[60:80, 180:203]).permute(2, 0, 1)[:channels] / 255
    expected = resize(image, (40, 46)).clamp(0, 1)
    assert (upscale(image, _identity(network)) - expected).abs().max() < 2e-3


def test_a_y_network_leaves_cb_and_cr_to_bicubic():
    model, image = _network(1), 0.3 + 0.4 * _image(3, 12, 14)
    with torch.no_grad():
        model.layer_3.bias.fill_(0.5)  # mid-gray: nothing is clamped
    result = rgb_to_ycbcr(_run(image, model))
    assert (result[1:] - rgb_to_ycbcr(image)[1:]).abs().max() < 1e-5
    assert (result[:1] - _pass(luminance(image), model)).abs().max() < 1e-5


def test_an_rgb_network_gets_gray_three_times_and_its_luma_is_returned():
    model, image = _network(3), _image(1, 12, 14)
    with torch.no_grad():
        model.layer_3.bias.fill_(0.5)
    red, green, blue = _pass(image.repeat(3, 1, 1), model)
    expected = 0.299 * red + 0.587 * green + 0.114 * blue
    assert (_run(image, model)[0] - expected).abs().max() < 1e-5


OPTIONS = [
    InferenceOptions("whole", tile=9),
    InferenceOptions("non-overlapping", patch=7),
    InferenceOptions("overlapping", patch=7, stride=3),
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.mode)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", [1, 3])
def test_bands_equal_the_same_rows_of_a_pass_over_the_whole_enlargement(monkeypatch, options, channels, network):
    monkeypatch.setattr(upscaling, "BAND", 20)
    model, image = _network(network, (5, 3, 3)), _image(channels, 31, 12)
    expected = _run(resize(image, (62, 24)), model, options)
    ends, rows = [], []
    for top, pixels, alpha in upscale_bands(
        BicubicEnlargement(Picture(image), 2), model, options, progress=lambda *call: rows.append(call)
    ):
        assert (pixels - expected[:, top : top + pixels.shape[1]]).abs().max() < 1e-5
        assert alpha is None
        ends.append((top, top + pixels.shape[1]))
    assert [top for top, _ in ends] == [0, *(bottom for _, bottom in ends[:-1])]
    assert ends[-1][1] == 62
    assert (len(ends) > 2) == (options.mode != "overlapping")
    assert rows == sorted(rows)
    assert rows[-1] == (62, 62)


def test_bfloat16_rounds_the_first_two_layers_and_not_the_last():
    model, image = _network(3), _image(3, 30, 20)
    for options in OPTIONS:
        exact, short = (
            reconstruct(image, model, dataclasses.replace(options, arithmetic=arithmetic))
            for arithmetic in ("exact", "bfloat16")
        )
        assert 1e-6 < (short - exact).abs().max() < 2e-2
        assert short.dtype == torch.float32
    with torch.no_grad():
        model.layer_3.weight.fill_(0)
        model.layer_3.bias.fill_(0.123456789)
    assert torch.equal(
        reconstruct(image, model, InferenceOptions(arithmetic="bfloat16")), torch.full((3, 30, 20), 0.123456789)
    )


def _picture(pixels, alpha=None, bits=8):
    return Picture(pixels=pixels, alpha=alpha, bits=bits, name="bird.png", notes=("a note",))


def test_a_picture_keeps_its_name_bits_and_notes():
    picture = _picture(_image(3, 9, 9), bits=16)
    result = upscale_picture(picture, _network(3))
    assert (result.name, result.bits, result.notes, result.alpha) == ("bird.png", 16, ("a note",), None)
    assert torch.equal(result.pixels, upscale(picture.pixels, _network(3)))


def test_an_opaque_picture_is_upscaled_as_one_without_alpha():
    model, pixels = _network(3), _image(3, 12, 12).round()  # black and white: bicubic overshoots most
    result = upscale_picture(_picture(pixels, torch.ones(1, 12, 12)), model)
    assert (result.pixels - upscale(pixels, model)).abs().max() < 1e-5
    assert result.alpha.shape == (1, 24, 24)
    assert (result.alpha - 1).abs().max() < 1e-6


@pytest.mark.parametrize("hidden", [0.0, 1.0])
@pytest.mark.parametrize("scale", [2, 3, 4.7])
def test_colors_under_alpha_leave_no_fringe(hidden, scale):
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    alpha = (8.5 - torch.hypot(rows - 12, columns - 12)).clamp(0, 1)[None]  # a disc with a soft edge
    orange = torch.tensor([0.9, 0.5, 0.2])[:, None, None]
    pixels = torch.where(alpha > 0, orange, hidden)
    result = upscale_picture(_picture(pixels, alpha), _identity(3), scale)
    visible = result.alpha > 0.02
    assert ((result.pixels - orange).abs() * visible).max() < 2e-3
    assert (upscale(pixels, _identity(3), scale) - orange).abs().mul(visible).max() > 0.1  # the fringe without alpha
    assert result.pixels.min() >= 0
    assert result.pixels.max() <= 1
    assert not result.pixels.isnan().any()


def test_an_invisible_picture_keeps_its_bicubic_color_and_its_alpha_in_range():
    model, pixels = _network(3), _image(3, 9, 9)
    result = upscale_picture(_picture(pixels, torch.zeros(1, 9, 9)), model)
    assert torch.equal(result.pixels, upscale(pixels, model))
    result = upscale_picture(_picture(pixels, _image(1, 9, 9).round()), model)
    assert result.alpha.min() >= 0
    assert result.alpha.max() <= 1
