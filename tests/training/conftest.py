"""Settings of a training that takes a second."""

import pytest

from srcnn_lib.config import TrainingConfig


@pytest.fixture(scope="session")
def small(photograph_folder):
    """The settings of a small network, trained for twelve steps on four photographs."""
    return TrainingConfig.of(
        data=(str(photograph_folder),), validation=("0.25",), channels=1, filters=(5, 1, 3), widths=(8, 4),
        batch_size=8, steps=12, warmup=4, validation_patches=8, arithmetic="float32", device="cpu",
    )  # fmt: skip
