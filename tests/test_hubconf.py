"""torch.hub finds the released networks in a checkout."""

from pathlib import Path

import pytest
import torch

from srcnn_lib import load

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("scale", "channels", "name"),
    [(2, 1, "srcnn_y_x2.safetensors"), (4, 1, "srcnn_y_x4.safetensors"), (2, 3, "isr_best.pth")],
)
def test_torch_hub_gives_the_released_network(scale, channels, name):
    model = torch.hub.load(str(ROOT), "srcnn", source="local", scale=scale, channels=channels)
    expected = load(ROOT / "saved" / name).state_dict()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in model.state_dict().items())
    assert not model.training


def test_a_network_that_was_not_released_is_refused():
    with pytest.raises(ValueError, match="no network was released for ×3 and 3 channels"):
        torch.hub.load(str(ROOT), "srcnn", source="local", scale=3, channels=3)


def test_without_pretrained_weights_it_copies_its_input():
    model = torch.hub.load(str(ROOT), "srcnn", source="local", pretrained=False)
    picture = torch.rand(1, 1, 20, 20)
    with torch.no_grad():
        assert (model(picture) - picture).abs().mean() < 0.1
