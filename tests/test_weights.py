"""Weights files: written and read back, and refused where they are damaged, foreign or hostile."""

import json
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN
from srcnn_lib.weights import NAMES, load, save, to_bytes

CONFIGURATIONS = [(3, (9, 5, 5)), (1, (9, 1, 5)), (1, (3, 7, 1))]


def _network(channels=3, filters=(9, 5, 5), widths=(8, 6), **more):
    torch.manual_seed(0)
    return SRCNN(channels, filters, widths, **more)


def _same_weights(one, other):
    return all(torch.equal(one.state_dict()[name], other.state_dict()[name]) for name in NAMES)


@pytest.mark.parametrize("extension", [".pth", ".safetensors"])
@pytest.mark.parametrize(("channels", "filters"), CONFIGURATIONS)
def test_a_network_is_the_same_after_saving_and_loading(tmp_path, extension, channels, filters):
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


def test_a_pth_in_torchs_old_format_is_read(tmp_path):
    model = _network()
    torch.save(model.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert _same_weights(load(tmp_path / "old.pth"), model)


def test_half_precision_weights_are_read_as_float32(tmp_path):
    torch.save(_network().half().state_dict(), tmp_path / "half.pth")
    assert load(tmp_path / "half.pth").layer_1.weight.dtype == torch.float32


def test_safetensors_hold_settings_and_metadata(tmp_path):
    path = save(_network(scale=3, padding_mode="zeros"), tmp_path / "x3.safetensors", {"card": {"data": ["t91"]}})
    loaded = load(path)
    assert (loaded.scale, loaded.padding_mode, loaded.metadata["card"]) == (3, "zeros", {"data": ["t91"]})


def test_the_networks_own_settings_win_over_metadata_from_another_file(tmp_path):
    path = save(_network(scale=4), tmp_path / "x4.safetensors", {"scale": 2, "padding_mode": "zeros"})
    assert (load(path).scale, load(path).padding_mode) == (4, "replicate")


def test_safetensors_without_metadata_have_scale_two(tmp_path):
    (tmp_path / "bare.safetensors").write_bytes(safetensors.torch.save(_network().state_dict()))
    loaded = load(tmp_path / "bare.safetensors")
    assert (loaded.scale, loaded.padding_mode, loaded.metadata) == (2, "replicate", {})


def test_metadata_of_another_program_is_kept_as_text(tmp_path):
    content = safetensors.torch.save(_network().state_dict(), {"format": "pt"})
    (tmp_path / "other.safetensors").write_bytes(content)
    assert load(tmp_path / "other.safetensors").metadata == {"format": "pt"}


class Hostile:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_with_code_in_it_is_refused_and_never_run(tmp_path):
    mark = tmp_path / "code was run"
    content = {**_network().state_dict(), "layer_1.bias": Hostile(mark)}
    torch.save(content, tmp_path / "zip.pth")
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Hostile(mark)))
    (tmp_path / "text.pth").write_bytes(pickle.dumps(Hostile(mark), protocol=0))
    for name in ("zip.pth", "old.pth", "bare.pth"):
        assert "never run" in _refusal(tmp_path / name)
    _refusal(tmp_path / "text.pth")
    assert not mark.exists()
    torch.load(tmp_path / "zip.pth", weights_only=False)  # the attack works on an unsafe load
    assert mark.exists()


def _refusal(path):
    """Returns the one line with which `load` refuses a file; it must not warn as well."""
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


def test_a_file_that_is_not_a_weights_file_is_refused(tmp_path):
    assert "does not exist; expected a .safetensors or .pth file, or " in _refusal(tmp_path / "missing.pth")
    assert "is a folder" in _refusal(tmp_path)
    for name, content in {
        "empty.pth": b"",
        "text.pth": b"Please find the weights attached.\n",
        "page.pth": b"<!doctype html><title>Log in</title>",
        "picture.pth": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "brace.safetensors": (10**15).to_bytes(8, "little") + b"{}",
    }.items():
        (tmp_path / name).write_bytes(content)
        assert "damaged, or not a weights file" in _refusal(tmp_path / name)
    (tmp_path / "empty zip.pth").write_bytes(b"PK\x05\x06" + bytes(18))
    _refusal(tmp_path / "empty zip.pth")


def test_a_pth_without_a_state_dict_is_refused(tmp_path):
    for content in ([1, 2], {"model": {}}, torch.ones(3)):
        torch.save(content, tmp_path / "other.pth")
        assert "does not hold a state dict" in _refusal(tmp_path / "other.pth")


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
def test_another_network_is_refused_and_the_first_different_tensor_named(tmp_path, extension, change, words):
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
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    model = _network()
    with torch.no_grad():
        model.layer_2.weight[0, 0, 0, 0] = value
    for extension in (".pth", ".safetensors"):
        message = _refusal(save(model, tmp_path / f"nan{extension}"))
        assert "layer_2.weight holds values that are not finite numbers" in message


def test_tensors_of_other_kinds_are_refused(tmp_path):
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
def test_invalid_metadata_is_refused(tmp_path, name, value):
    content = safetensors.torch.save(_network().state_dict(), {name: json.dumps(value)})
    (tmp_path / "odd.safetensors").write_bytes(content)
    _refusal(tmp_path / "odd.safetensors")


def test_another_extension_is_refused_and_no_file_is_left(tmp_path):
    with pytest.raises(InputError, match=r"\.safetensors or \.pth"):
        save(_network(), tmp_path / "weights.bin")
    assert not list(tmp_path.iterdir())


def test_the_same_network_always_gives_the_same_bytes():
    card = {"data": ["t91"], "place": "Göteborg", "psnr": 36.5}
    content = to_bytes(_network(), card)
    assert all(to_bytes(_network(), dict(sorted(card.items(), reverse=turn))) == content for turn in (False, True))
    assert torch.equal(safetensors.torch.load(content)["layer_2.weight"], _network().layer_2.weight)


@pytest.mark.parametrize("name", ["bird.png", "bird.JPG"])
def test_the_name_of_a_picture_is_refused_with_the_function_for_pictures(tmp_path, name):
    with pytest.raises(InputError, match="srcnn_lib.write_image writes pictures"):
        save(_network(), tmp_path / name)
    assert "srcnn_lib.read_image reads pictures" in _refusal(tmp_path / name)


def test_a_tensor_larger_than_its_file_is_refused_before_memory_is_taken(tmp_path):
    state = _network().state_dict()
    state["layer_2.weight"] = torch.zeros(1).expand(30_000, 30_000, 5, 5)
    torch.save(state, tmp_path / "large.pth")
    assert "expected plain tensors of the size of the file" in _refusal(tmp_path / "large.pth")


def test_a_compressed_zip_of_weights_is_refused(tmp_path):
    torch.save(_network().state_dict(), tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "small.pth", "w", 8) as packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    _refusal(tmp_path / "small.pth")


def test_weights_with_which_values_overflow_are_refused(tmp_path):
    model = _network()
    with torch.no_grad():
        model.layer_1.weight.fill_(1e20)
        model.layer_2.weight.fill_(1e20)
    assert "so large" in _refusal(save(model, tmp_path / "large.safetensors"))


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 400, "9" * 5000, "null", "{}", '"2"', "1e400", '"\\ud800"'])
@pytest.mark.parametrize("name", ["scale", "padding_mode", "training_config"])
def test_deep_long_or_empty_metadata_is_read_or_refused_in_one_line(tmp_path, name, value):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(safetensors.torch.save(_network().state_dict(), {name: value}))
    if name == "training_config":
        load(path)
    else:
        assert len(_refusal(path)) < 400 + len(str(path))


def test_a_dictionary_that_contains_itself_is_refused(tmp_path):
    content = {}
    content["model"] = content
    torch.save(content, tmp_path / "circle.pth")
    _refusal(tmp_path / "circle.pth")


@pytest.mark.parametrize("card", [b"[" * 100_000, b"null", b"{}", b'{"sha256": 1}', b"\xff"])
def test_a_damaged_card_is_passed_over(tmp_path, card):
    path = save(_network(), tmp_path / "weights.pth")
    path.with_suffix(".json").write_bytes(card)
    assert load(path).scale == 2
