"""Trainings whose process is killed (kill -9) at random moments and in the middle of a save, and resumed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import killing
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator

from srcnn_lib.commands.train import choose_run
from srcnn_lib.config import TrainingConfig
from srcnn_lib.errors import InputError
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.runtime.files import digest
from srcnn_lib.runtime.temporary_files import temporary_name

pytestmark = pytest.mark.slow

CASES = [*killing.TIMES, *killing.PLACES]


@pytest.fixture(scope="module")
def runs(tmp_path_factory, photograph_folder):
    """A finished run per case, and "whole": the one that was not killed."""
    folder = tmp_path_factory.mktemp("killed")
    script = Path(killing.__file__)
    environment = {**os.environ, "PYTHONPATH": str(script.parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(folder), str(photograph_folder)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr
    return {case: Run(folder / case) for case in ["whole", *CASES]}


def identical(left, right) -> bool:
    """Returns whether two states are bit-identical."""
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(identical(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(identical, left, right))
    return left == right


def without_seconds(records: list[dict]) -> list[dict]:
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


@pytest.mark.parametrize("case", CASES)
def test_weights_and_state_are_bit_identical_to_those_of_the_uninterrupted_run(runs, case):
    assert weights_digest(runs[case])[1] == weights_digest(runs["whole"])[1]
    states = [runs[name].read_checkpoint().state for name in (case, "whole")]
    for state in states:
        state["history"] = without_seconds(state["history"])
        del state["seconds"]
    assert states[1]["rate_factor"] == 0.5
    assert states[1]["step"] == states[1]["steps"] > killing.STEPS
    assert identical(*states)


@pytest.mark.parametrize("case", CASES)
def test_history_and_snapshots_have_no_gap_and_no_duplicate(runs, case):
    killed, whole = runs[case], runs["whole"]
    assert [record["step"] for record in whole.history()] == [14, 28, 42, 56, 70, 74]
    assert without_seconds(killed.history()) == without_seconds(whole.history())
    snapshots = [{path.name: digest(path) for path in (run.path / "snapshots").iterdir()} for run in (killed, whole)]
    assert snapshots[0] == snapshots[1]
    assert not [path for path in killed.path.rglob(".*")], "half-written files remain"


def read_events(run: Run) -> dict:
    """Returns what TensorBoard reads from a run: {tag: [(step, value)]}."""
    events = EventAccumulator(str(run.path), STORE_EVERYTHING_SIZE_GUIDANCE).Reload()
    tags = events.Tags()
    found = {}
    for tag in tags["scalars"]:
        found[tag] = [(event.step, event.value) for event in events.Scalars(tag)]
    for tag in tags["images"]:
        found[tag] = [(event.step, event.encoded_image_string) for event in events.Images(tag)]
    for tag in tags["histograms"]:
        found[tag] = [(event.step, event.histogram_value) for event in events.Histograms(tag)]
    for tag in tags["tensors"]:
        found[tag] = [(event.step, event.tensor_proto.string_val) for event in events.Tensors(tag)]
    return found


@pytest.fixture(scope="module")
def expected(runs):
    return read_events(runs["whole"])


@pytest.mark.parametrize("case", CASES)
def test_tensorboard_shows_no_gap_and_no_duplicate(runs, expected, case):
    assert [step for step, _ in expected["psnr/validation"]] == [record["step"] for record in runs["whole"].history()]
    assert read_events(runs[case]) == expected


def test_resuming_a_training_that_was_killed_before_its_config_was_written_begins_it(tmp_path):
    (tmp_path / temporary_name(Path("config.json"))).write_text("{")
    assert choose_run({"steps": 7}, tmp_path, resume=True) == (TrainingConfig.of(steps=7), tmp_path)
    assert Run.create(tmp_path, TrainingConfig()).config == TrainingConfig()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photograph.png").touch()
    with pytest.raises(InputError, match="is no run"):
        choose_run({}, tmp_path / "mine", resume=True)


def test_a_finished_run_has_the_config_of_the_uninterrupted_one(runs):
    configs = [json.loads((runs[name].path / "config.json").read_text()) for name in ("whole", *CASES)]
    assert all(config == configs[0] for config in configs)
