"""A short version of each attack, with a fixed seed; `make attack` runs them in full."""

import os
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

if not hasattr(os, "fork"):
    pytest.skip("the attacks need os.fork", allow_module_level=True)

from registry import ATTACKS

COUNTS = {
    "mutated pictures": 150,
    "mutated weights": 120,
    "archives and addresses": 20,
    "mutated runs": 12,
    "ended trainings": 5,
    "failing disks": 5,
    "two at once": 5,
    "failing Drive": 8,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COUNTS)
def test_nothing_is_lost_and_nothing_let_in(name, tmp_path, monkeypatch):
    monkeypatch.setattr("srcnn_lib.training.checkpointing.CHECKPOINT_SECONDS", 60)  # the attacks change it
    monkeypatch.setattr("srcnn_lib.training.tensorboard.TensorBoardWriter.write", lambda *_: None)
    (attack,) = (attack for attack in ATTACKS if attack.name == name)
    tally = attack.run(0, COUNTS[name], tmp_path)
    assert tally.failures == []


@pytest.mark.slow
@pytest.mark.browser
def test_hostile_names_are_shown_as_text(tmp_path):
    (attack,) = (attack for attack in ATTACKS if attack.name == "hostile names")
    assert attack.run(0, 5, tmp_path).failures == []
