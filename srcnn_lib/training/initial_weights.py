"""The weights that a training starts from: the identity, torch's random ones, or those of a file or a run."""

from typing import Any

from ..config import RANDOM_STARTS, TrainingConfig
from ..errors import InputError
from ..model import SRCNN, start_from_identity
from ..pretrained import open_weights
from ..runtime.files import digest


def new_model(config: TrainingConfig) -> SRCNN:
    """Returns an untrained network as the settings describe it; the weights of a file are not loaded yet."""
    model = SRCNN(config.channels, config.filters, config.widths, config.padding_mode, config.scale)
    return start_from_identity(model) if config.init == "identity" else model


def load_initial_weights(config: TrainingConfig) -> tuple[SRCNN, dict[str, Any]] | None:
    """Opens the network that `config.init` names; None where it names none.

    Returns:
        The network; and {"file", "sha256"} to record in the run, so that a training can be repeated.

    Raises:
        InputError: no such file or run, or a network of other channels, filters or widths than the settings'.
    """
    if config.init in RANDOM_STARTS:
        return None
    model, path = open_weights(config.init)
    found = {"channels": (model.channels,), "filters": model.filters, "widths": model.widths}
    expected = {"channels": (config.channels,), "filters": config.filters, "widths": config.widths}
    differing = [name for name in found if tuple(found[name]) != tuple(expected[name])]
    if differing:
        has, wants = (
            ", ".join(f"{name} {','.join(map(str, values[name]))}" for name in differing)
            for values in (found, expected)
        )
        options = " ".join(f"--{name} {','.join(map(str, found[name]))}" for name in differing)
        raise InputError(f"init: {path} has {has}, the training {wants}; train with {options}")
    return model, {"file": str(path), "sha256": digest(path)}
