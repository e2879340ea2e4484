import os
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def kernel_finds_the_library(tmp_path_factory):
    """Lets kernels import the library as an installed package, and gives IPython and Jupyter folders of their own."""
    root = str(Path(__file__).parents[2])
    folder = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR"):
            patch.setenv(name, str(folder / name))
        yield
