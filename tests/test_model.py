"""The network against a hand-written pass, and the files that hold it: whole, damaged, foreign and hostile."""

import json
import pickle
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from skimage.data import astronaut
from torch.nn import functional as F

from srcnn_lib.convolution import Convolution
from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.weights import NAMES, load, save, to_bytes


def _network(channels=3, filters=(9, 5, 5), widths=(8, 6), **more):
    torch.manual_seed(0)
    return SRCNN(channels, filters, widths, **more)


def _image(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


def _same_weights(one, other):
    return all(torch.equal(one.state_dict()[name], other.state_dict()[name]) for name in NAMES)


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize(
    ("inputs", "outputs", "size"), [(1, 6, 9), (1, 1, 3), (6, 1, 5), (6, 3, 5), (6, 3, 1), (3, 6, 9)]
)
def test_a_convolution_by_rows_is_torchs_with_its_gradients(inputs, outputs, size, padding):
    torch.manual_seed(0)
    ours = Convolution(inputs, outputs, size, padding=padding).double()
    theirs = torch.nn.Conv2d(inputs, outputs, size, padding=padding).double()
    theirs.load_state_dict(ours.state_dict())
    image = _image(2, inputs, 13, 11).double().requires_grad_()
    made, expected = ours(image), theirs(image)
    weights = torch.rand_like(expected)
    gradients = [
        torch.autograd.grad((result * weights).sum(), [image, *layer.parameters()])
        for result, layer in ((made, ours), (expected, theirs))
    ]
    for one, other in zip([made, *gradients[0]], [expected, *gradients[1]], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


CONFIGURATIONS = [(3, (9, 5, 5)), (1, (9, 1, 5)), (1, (3, 7, 1))]


@pytest.mark.parametrize(("channels", "filters"), CONFIGURATIONS)
@pytest.mark.parametrize("padding_mode", ["replicate", "zeros"])
def test_forward_equals_a_pass_written_out(channels, filters, padding_mode):
    model, image = _network(channels, filters, padding_mode=padding_mode), _image(2, channels, 13, 9)
    halo = sum(size // 2 for size in filters)
    weights = model.state_dict()
    if padding_mode == "zeros":
        x, padding = image, [size // 2 for size in filters]
    else:
        rows, columns = (torch.arange(-halo, length + halo).clamp(0, length - 1) for length in (13, 9))
        x, padding = image[:, :, rows][:, :, :, columns], [0, 0, 0]
    x = F.conv2d(x, weights["layer_1.weight"], weights["layer_1.bias"], padding=padding[0]).clamp(min=0)
    x = F.conv2d(x, weights["layer_2.weight"], weights["layer_2.bias"], padding=padding[1]).clamp(min=0)
    x = F.conv2d(x, weights["layer_3.weight"], weights["layer_3.bias"], padding=padding[2])
    result = model(image)
    assert result.shape == image.shape
    assert (result - x).abs().max() <= 1e-6
    assert model.halo == halo


def test_the_valid_pass_is_the_inside_of_forward():
    model, image = _network(), _image(2, 3, 30, 25)
    assert model.valid(image).shape == (2, 3, 14, 9)
    assert (model.valid(image) - model(image)[..., 8:-8, 8:-8]).abs().max() <= 1e-6


def test_zero_padding_has_no_valid_pass():
    with pytest.raises(InputError, match="no valid pass"):
        _network(padding_mode="zeros").valid(_image(1, 3, 30, 30))


def test_the_last_layer_stays_in_float32_under_autocast():
    with torch.autocast("cpu", torch.bfloat16):
        assert _network()(_image(1, 3, 12, 12)).dtype == torch.float32


@pytest.mark.parametrize(("channels", "widths"), [(1, (64, 32)), (3, (64, 32)), (3, (128, 64)), (1, (1, 1))])
def test_a_start_from_the_identity_nearly_copies(channels, widths):
    image = torch.from_numpy(astronaut()[60:120, 180:240]).permute(2, 0, 1)[None, :channels] / 255
    with torch.no_grad():
        difference = start_from_identity(_network(channels, widths=widths))(image) - image
        untrained = _network(channels, widths=widths)(image) - image
    assert difference.square().mean().sqrt() < 0.02
    assert difference.square().mean() < 0.01 * untrained.square().mean()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"channels": 2}, "channels is 2"),
        ({"filters": (9, 4, 5)}, "three odd sizes"),
        ({"filters": (9, 5)}, "three odd sizes"),
        ({"widths": (64, 0)}, "two positive numbers"),
        ({"padding_mode": "reflect"}, "'replicate' or 'zeros'"),
    ],
)
def test_settings_that_make_no_network_are_refused(config, words):
    with pytest.raises(InputError, match=words):
        SRCNN(**config)


@pytest.mark.parametrize("extension", [".pth", ".safetensors"])
@pytest.mark.parametrize(("channels", "filters"), CONFIGURATIONS)
def test_a_file_gives_the_network_back(tmp_path, extension, channels, filters):
    model = _network(channels, filters)
    loaded = load(save(model, tmp_path / f"weights{extension}"))
    assert (loaded.channels, loaded.filters, loaded.widths) == (channels, filters, (8, 6))
    assert _same_weights(loaded, model)
    assert not loaded.training
    assert [path.name for path in tmp_path.iterdir()] == [f"weights{extension}"]


def test_the_pth_is_a_plain_state_dict_in_the_originals_format(tmp_path):
    state = torch.load(save(_network(), tmp_path / "isr_best.pth"), weights_only=True)
    assert list(state) == [f"layer_{number}.{part}" for number in (1, 2, 3) for part in ("weight", "bias")]
    assert state["layer_2.weight"].shape == (6, 8, 5, 5)


def test_an_old_pth_that_is_no_zip_is_read(tmp_path):
    model = _network()
    torch.save(model.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert _same_weights(load(tmp_path / "old.pth"), model)


def test_half_precision_weights_are_read_as_float32(tmp_path):
    torch.save(_network().half().state_dict(), tmp_path / "half.pth")
    assert load(tmp_path / "half.pth").layer_1.weight.dtype == torch.float32


def test_safetensors_keep_settings_and_card(tmp_path):
    path = save(_network(scale=3, padding_mode="zeros"), tmp_path / "x3.safetensors", {"card": {"data": ["t91"]}})
    loaded = load(path)
    assert (loaded.scale, loaded.padding_mode, loaded.metadata["card"]) == (3, "zeros", {"data": ["t91"]})


def test_a_file_says_what_its_network_is_whatever_the_metadata_handed_on(tmp_path):
    path = save(_network(scale=4), tmp_path / "x4.safetensors", {"scale": 2, "padding_mode": "zeros"})
    assert (load(path).scale, load(path).padding_mode) == (4, "replicate")


def test_safetensors_without_metadata_are_times_two(tmp_path):
    (tmp_path / "bare.safetensors").write_bytes(safetensors.torch.save(_network().state_dict()))
    loaded = load(tmp_path / "bare.safetensors")
    assert (loaded.scale, loaded.padding_mode, loaded.metadata) == (2, "replicate", {})


def test_metadata_of_another_program_is_kept_as_text(tmp_path):
    content = safetensors.torch.save(_network().state_dict(), {"format": "pt"})
    (tmp_path / "other.safetensors").write_bytes(content)
    assert load(tmp_path / "other.safetensors").metadata == {"format": "pt"}


class Hostile:
    """Unpickled without care, it touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_with_code_in_it_is_refused_and_never_run(tmp_path):
    mark = tmp_path / "was run"
    content = {**_network().state_dict(), "layer_1.bias": Hostile(mark)}
    torch.save(content, tmp_path / "zip.pth")
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Hostile(mark)))
    (tmp_path / "text.pth").write_bytes(pickle.dumps(Hostile(mark), protocol=0))
    for name in ("zip.pth", "old.pth", "bare.pth"):
        assert "never run" in _refusal(tmp_path / name)
    _refusal(tmp_path / "text.pth")
    assert not mark.exists()
    torch.load(tmp_path / "zip.pth", weights_only=False)  # it would have worked
    assert mark.exists()


def _refusal(path):
    """The one line with which `load` refuses a file, without a warning beside it."""
    with warnings.catch_warnings(action="error"), pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("extension", [".pth", ".safetensors"])
def test_every_truncation_of_a_file_is_refused(tmp_path, extension):
    content = save(_network(1, (3, 1, 1), (2, 2)), tmp_path / f"weights{extension}").read_bytes()
    for length in [*range(0, 40), *range(40, len(content) - 40, 97), *range(len(content) - 40, len(content))]:
        path = tmp_path / f"cut{extension}"
        path.write_bytes(content[:length])
        _refusal(path)


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    assert "can't be read (No such file or directory)" in _refusal(tmp_path / "missing.pth")
    assert "is a folder" in _refusal(tmp_path)
    for name, content in {
        "empty.pth": b"",
        "text.pth": b"Please find the weights attached.\n",
        "page.pth": b"<!doctype html><title>Log in</title>",
        "picture.pth": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "brace.safetensors": (10**15).to_bytes(8, "little") + b"{}",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert "damaged, or no file of weights" in _refusal(tmp_path / name)
    (tmp_path / "empty zip.pth").write_bytes(b"PK\x05\x06" + bytes(18))
    _refusal(tmp_path / "empty zip.pth")


def test_a_pth_that_is_no_state_dict_is_refused(tmp_path):
    for content in ([1, 2], {"model": {}}, torch.ones(3)):
        torch.save(content, tmp_path / "other.pth")
        assert "no state dict" in _refusal(tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layer_1.weight": None}, "layer_1.weight is missing; the file holds layer_"),
        ({"layer_3.bias": None}, "layer_3.bias is missing"),
        ({"layer_1.weight": (8, 2, 9, 9)}, "layer_1.weight has the shape (8, 2, 9, 9), expected 1 or 3 input channels"),
        (
            {"layer_1.weight": (8, 3, 9, 7)},
            "layer_1.weight has the shape (8, 3, 9, 7), expected (outputs, channels, odd",
        ),
        ({"layer_1.weight": (8, 3, 4, 4)}, "layer_1.weight has the shape (8, 3, 4, 4)"),
        ({"layer_1.weight": (8, 3)}, "layer_1.weight has the shape (8, 3)"),
        ({"layer_1.bias": (9,)}, "layer_1.bias has the shape (9,), expected (8,)"),
        ({"layer_2.weight": (6, 9, 5, 5)}, "layer_2.weight has the shape (6, 9, 5, 5), expected (outputs, 8, odd"),
        ({"layer_3.weight": (1, 6, 5, 5)}, "layer_3.weight has the shape (1, 6, 5, 5), expected 3 outputs"),
        ({"layer_4.weight": (3, 3, 5, 5)}, "layer_4.weight is not part of this network"),
    ],
)
@pytest.mark.parametrize("extension", [".pth", ".safetensors"])
def test_another_network_is_refused_by_the_first_tensor_that_differs(tmp_path, extension, change, words):
    tensors = dict(_network().state_dict())
    for name, shape in change.items():
        tensors.pop(name, None)
        if shape:
            tensors[name] = torch.zeros(shape)
    path = tmp_path / f"other{extension}"
    write = torch.save if extension == ".pth" else safetensors.torch.save_file
    write(tensors, path)
    assert words in _refusal(path)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_no_numbers_are_refused(tmp_path, value):
    model = _network()
    with torch.no_grad():
        model.layer_2.weight[0, 0, 0, 0] = value
    for extension in (".pth", ".safetensors"):
        message = _refusal(save(model, tmp_path / f"nan{extension}"))
        assert "layer_2.weight holds values that are no finite numbers" in message


def test_tensors_of_an_odd_kind_are_refused(tmp_path):
    state = _network().state_dict()
    for tensor in (
        state["layer_1.bias"].to("meta"),
        state["layer_1.bias"].to_sparse(),
        state["layer_1.bias"].int(),
        state["layer_1.bias"].to(torch.complex64),
    ):
        torch.save({**state, "layer_1.bias": tensor}, tmp_path / "odd.pth")
        _refusal(tmp_path / "odd.pth")
    torch.save({5: torch.ones(1)}, tmp_path / "odd.pth")
    assert "the file holds 5" in _refusal(tmp_path / "odd.pth")


@pytest.mark.parametrize(("name", "value"), [("scale", "wide"), ("scale", None), ("scale", 100), ("padding_mode", [1])])
def test_metadata_that_make_no_network_are_refused(tmp_path, name, value):
    content = safetensors.torch.save(_network().state_dict(), {name: json.dumps(value)})
    (tmp_path / "odd.safetensors").write_bytes(content)
    _refusal(tmp_path / "odd.safetensors")


def test_another_extension_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match=r"\.safetensors or \.pth"):
        save(_network(), tmp_path / "weights.bin")
    assert not list(tmp_path.iterdir())


def test_the_same_network_gives_the_same_bytes():
    card = {"data": ["t91"], "place": "Göteborg", "psnr": 36.5}
    content = to_bytes(_network(), card)
    assert all(to_bytes(_network(), dict(sorted(card.items(), reverse=turn))) == content for turn in (False, True))
    assert torch.equal(safetensors.torch.load(content)["layer_2.weight"], _network().layer_2.weight)
