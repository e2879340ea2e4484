"""Fixtures for all tests: a web server on this machine, and a folder of photographs."""

import pytest
import skimage.data
from PIL import Image
from web_server import Web


@pytest.fixture
def web(tmp_path_factory, monkeypatch):
    """A web server on this machine: see `Web`."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Web(tmp_path_factory.mktemp("web"))
    yield server
    server.close()


@pytest.fixture(scope="session")
def photograph_folder(tmp_path_factory):
    """A folder of four small color photographs, 0.png to 3.png, cut from scikit-image's astronaut."""
    folder = tmp_path_factory.mktemp("photographs")
    astronaut = skimage.data.astronaut()
    for number, (top, left) in enumerate(((0, 150), (40, 0), (180, 300), (300, 80))):
        Image.fromarray(astronaut[top : top + 120 + 10 * number, left : left + 150]).save(folder / f"{number}.png")
    return folder
