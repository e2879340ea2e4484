"""A small network and a picture for the commands."""

import pytest
import torch
from PIL import Image

from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.weights import save


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A weights file of a small Y network."""
    torch.manual_seed(0)
    model = start_from_identity(SRCNN(1, (5, 1, 3), (8, 4)))
    return save(model, tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture
def picture(photograph_folder, tmp_path):
    """bird.png, a picture of 40×30 pixels, alone in its folder."""
    path = tmp_path / "bird.png"
    Image.open(photograph_folder / "0.png").crop((0, 0, 40, 30)).save(path)
    return path
