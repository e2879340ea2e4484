"""ONNX files, run by ONNX Runtime and compared with PyTorch."""

import pytest
import torch

from srcnn_lib.errors import InputError
from srcnn_lib.model import SRCNN

pytest.importorskip("onnx", reason="needs the package onnx")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")

from srcnn_lib.onnx_file import export_onnx  # noqa: E402


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("padding_mode", ["replicate", "zeros"])
@pytest.mark.parametrize("filters", [(9, 5, 5), (9, 1, 5)])
def test_onnx_runtime_gives_the_pixels_of_pytorch_at_any_size(tmp_path, channels, padding_mode, filters):
    torch.manual_seed(0)
    model = SRCNN(channels, filters, (8, 6), padding_mode)
    run = session(export_onnx(model, tmp_path / "net.onnx"))
    for shape in ((1, channels, 33, 48), (2, channels, 5, 70)):
        picture = torch.rand(shape)
        (restored,) = run.run(["restored"], {"bicubic": picture.numpy()})
        with torch.no_grad():
            assert (torch.from_numpy(restored) - model(picture)).abs().max() < 1e-5


def test_the_metadata_says_channels_scale_and_border_rule(tmp_path):
    run = session(export_onnx(SRCNN(1, widths=(4, 3), scale=3), tmp_path / "net.onnx"))
    facts = run.get_modelmeta().custom_metadata_map
    assert (facts["channels"], facts["scale"], facts["padding_mode"]) == ("Y", "3", "replicate")


def test_the_same_network_always_gives_the_same_bytes(tmp_path):
    model = SRCNN(1, widths=(4, 3))
    files = [export_onnx(model, tmp_path / f"{name}.onnx").read_bytes() for name in "ab"]
    assert files[0] == files[1]


def test_another_extension_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match="written as .onnx"):
        export_onnx(SRCNN(1, widths=(4, 3)), tmp_path / "net.pth")
    assert not list(tmp_path.iterdir())
