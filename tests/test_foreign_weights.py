"""State dicts of other implementations, against networks that are written here as theirs are."""

import pytest
import torch
from command_line import srcnn
from torch import nn
from torch.nn import functional as F

from srcnn_lib import weights
from srcnn_lib.errors import InputError
from srcnn_lib.foreign_weights import scale_in_name


class ConvNet(nn.Module):
    """conv1, conv2, conv3 with zero padding, as in yjn870's SRCNN-pytorch."""

    def __init__(self, channels=1):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 8, 9, padding=4)
        self.conv2 = nn.Conv2d(8, 6, 5, padding=2)
        self.conv3 = nn.Conv2d(6, channels, 5, padding=2)

    def forward(self, x):
        return self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))


class SequentialNet(nn.Module):
    """features, map, reconstruction, as in Lornatang's SRCNN-PyTorch."""

    def __init__(self, channels=1):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, 8, 9, padding=4), nn.ReLU())
        self.map = nn.Sequential(nn.Conv2d(8, 6, 5, padding=2), nn.ReLU())
        self.reconstruction = nn.Conv2d(6, channels, 5, padding=2)

    def forward(self, x):
        return self.reconstruction(self.map(self.features(x)))


class OtherNet(ConvNet):
    """The same layers under names of no known implementation."""

    def __init__(self):
        super().__init__()
        self.patches, self.mapping, self.out = self.conv1, self.conv2, self.conv3
        del self.conv1, self.conv2, self.conv3


@pytest.mark.parametrize("net", [ConvNet, SequentialNet])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "best_psnr": 36.5, "state_dict": state, "optimizer": {"lr": 1e-4}},
        lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
        lambda state: dict(reversed(state.items())),
    ],
    ids=["bare", "checkpoint", "DataParallel", "other order"],
)
def test_the_network_gives_what_its_own_code_gives(tmp_path, net, channels, wrap):
    theirs = net(channels)
    torch.save(wrap(theirs.state_dict()), tmp_path / "srcnn_x3.pth")
    ours = weights.load(tmp_path / "srcnn_x3.pth")
    pictures = torch.rand(2, channels, 20, 24)
    with torch.no_grad():
        assert torch.allclose(ours(pictures), theirs(pictures), atol=1e-6)
    assert (ours.scale, ours.padding_mode) == (3.0, "zeros")


def test_a_file_without_a_scale_asks_for_it_in_one_line(tmp_path):
    torch.save(ConvNet().state_dict(), tmp_path / "best.pth")
    with pytest.raises(InputError) as error:
        weights.load(tmp_path / "best.pth")
    assert "does not say its scale" in str(error.value)
    assert str(error.value).endswith(f"srcnn convert {tmp_path}/best.pth --scale N --padding zeros")
    assert weights.load(tmp_path / "best.pth", scale=4).scale == 4


def test_unknown_names_ask_for_the_padding(tmp_path):
    torch.save(OtherNet().state_dict(), tmp_path / "net_x2.pth")
    with pytest.raises(InputError, match="how its layers patches, mapping, out pad: .*--scale 2 --padding zeros.repl"):
        weights.load(tmp_path / "net_x2.pth")
    assert weights.load(tmp_path / "net_x2.pth", padding_mode="replicate").padding_mode == "replicate"


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("srcnn_x2.pth", 2), ("SRCNN-X4.pth.tar", 4), ("x3.pth", 3), ("best.pth", None), ("srcnn9x5_x2.pth", 2),
        ("x2_from_x3.pth", None), ("x20.pth", None), ("fox2.pth", None),
    ],
)  # fmt: skip
def test_the_scale_is_read_from_the_file_name(name, scale):
    assert scale_in_name(name) == scale


@pytest.mark.parametrize(
    "state",
    [
        {"conv1.weight": torch.rand(8, 1, 9, 9), "conv1.bias": torch.rand(8)},
        {**ConvNet().state_dict(), "extra.weight": torch.rand(1, 6, 3, 3), "extra.bias": torch.rand(1)},
        {**ConvNet().state_dict(), "conv2.weight": torch.rand(6, 7, 5, 5)},
        {**ConvNet().state_dict(), "conv1.weight": torch.rand(8, 1, 8, 8)},
        {**ConvNet().state_dict(), "conv1.weight": torch.full((8, 1, 9, 9), float("nan"))},
    ],
    ids=["too few layers", "too many layers", "layers that do not fit", "an even filter", "NaN"],
)
def test_other_networks_are_refused(tmp_path, state):
    torch.save(state, tmp_path / "other_x2.pth")
    with pytest.raises(InputError):
        weights.load(tmp_path / "other_x2.pth")


def test_convert_writes_a_file_that_says_what_was_asked_for(tmp_path):
    torch.save(OtherNet().state_dict(), tmp_path / "theirs.pth.tar")
    result = srcnn("convert", tmp_path / "theirs.pth.tar", "--scale", "2", "--padding", "zeros")
    assert result.returncode == 0, result.stderr
    model = weights.load(tmp_path / "theirs.safetensors")
    assert (model.scale, model.padding_mode, model.widths) == (2.0, "zeros", (8, 6))
