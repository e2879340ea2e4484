"""Two processes that train one network together, and divide the pictures to upscale among them."""

import contextlib
import os
import pickle
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch
import two_ranks
from PIL import Image

from srcnn_lib.errors import InputError
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.runtime import devices, distributed
from srcnn_lib.training.trainer import fit

pytestmark = pytest.mark.distributed

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(two_ranks.__file__).parent.parent), "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, photograph_folder):
    """The folder that two_ranks.py has filled, with five pictures to upscale and a file that is no picture."""
    folder = tmp_path_factory.mktemp("ranks")
    for name in ("pictures", "bad"):
        (folder / name).mkdir()
    for number in range(5):
        Image.open(photograph_folder / f"{number % 4}.png").crop((0, 0, 40, 30)).save(folder / f"pictures/{number}.png")
    (folder / "bad" / "bad.png").write_text("no picture")
    command = [sys.executable, two_ranks.__file__, str(folder), str(photograph_folder)]
    status, _, err = finished(command, 600)
    assert status == 0, err
    return folder


def finished(command: list[str], seconds: float, **options) -> tuple[int, str, str]:
    """Runs a command and returns its status, output and errors; after a time-out, ends it and all that it started.

    `subprocess.run` would end the launcher only: each of its workers has a session of its own.
    """
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except BaseException:
        started = []
        with contextlib.suppress(psutil.NoSuchProcess):
            started = psutil.Process(process.pid).children(recursive=True)
        for one in (process, *started):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.communicate()
        psutil.wait_procs(started, timeout=5)
        raise
    return process.returncode, out, err


@pytest.fixture(scope="module")
def found(folder):
    return pickle.loads((folder / "found.pickle").read_bytes())


def alone(folder, photograph_folder, name, **changes):
    """Returns the records and the weights of the same training in one process."""
    config = two_ranks.config_for(photograph_folder, **changes)
    run = Run.create(folder / name / "alone", config)
    records = list(fit(config, run))
    return records, two_ranks.weights(run)


@pytest.mark.parametrize("name", two_ranks.TRAININGS)
def test_two_ranks_train_the_same_weights_as_one(found, folder, photograph_folder, name):
    records, weights = alone(folder, photograph_folder, name, **two_ranks.TRAININGS[name])
    main, other = (rank["gave"] for rank in found[name])
    for layer, expected in weights.items():
        assert abs(found[name][0]["weights"][layer] - expected).max() < 1e-5, layer
    assert main["losses"] == other["losses"] == pytest.approx([float(record.loss) for record in records], rel=1e-4)
    expected = records[-1].metrics
    for key in expected.keys() - {"seconds"}:
        assert main["history"][key] == other["history"][key] == pytest.approx(expected[key], rel=1e-4), key


def test_ranks_keep_the_same_weights_on_different_processors(found):
    """SOAP amplifies a difference in the last bit, so that the main rank's weights must be used by all."""
    losses = [rank["gave"] for name in ("soap", "soap on two processors") for rank in found[name]]
    assert len(losses[0]) == 20
    assert losses == [losses[0]] * 4


@pytest.mark.parametrize("name", two_ranks.TRAININGS)
def test_ranks_take_disjoint_crops_that_together_are_those_of_one_process(found, name):
    taken = [
        {(epoch, index) for epoch, start, stop in rank["gave"]["taken"] for index in range(start, stop)}
        for rank in found[name]
    ]
    per_epoch, batch = found[name][0]["gave"]["per epoch"], two_ranks.TRAININGS[name].get("batch_size", 8)
    whole = [(epoch, index) for epoch in range(9) for index in range(per_epoch)]
    steps_an_epoch = -(-per_epoch // batch)
    expected = {place for place in whole if place[0] * steps_an_epoch + place[1] // batch < 20}
    if name == "uneven":  # a rank without a crop in the last, short batch looks at one for its shape
        taken[0] -= {(epoch, per_epoch - 1) for epoch in range(9)}
    assert not taken[0] & taken[1]
    assert taken[0] | taken[1] == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_scores_are_exact_for_a_number_of_patches_that_can_not_be_divided_evenly(found, channels):
    for rank in found[f"measured {channels}"]:
        together, by_one = rank["gave"]
        assert together == pytest.approx(by_one, rel=1e-9)


@pytest.mark.parametrize("name", two_ranks.TRAININGS)
def test_only_the_main_rank_writes(found, name):
    main, other = (rank["gave"]["written"] for rank in found[name])
    assert any("checkpoints" in path for path in main)
    assert other == []


@pytest.mark.parametrize("name", ["break", "signal", "kill"])
def test_one_rank_ends_the_training_for_all_and_they_resume_to_the_same_bits(found, name):
    main, other = found[name]
    if name == "kill":
        assert other["status"] == -9
        assert "another process of this work has ended" in main["err"]
    else:
        assert main["gave"] == other["gave"] == list(range(1, 10))
        assert found[f"{name}, resumed"][0]["gave"][0] == 10
    assert found[f"{name}, resumed"][0]["gave"] == found[f"{name}, resumed"][1]["gave"]
    assert main["same"]


def test_commands_to_the_main_rank_take_effect_on_all(found):
    main, other = (rank["gave"] for rank in found["commands"])
    assert main == other
    assert [paused for *_, paused in main].count(True) >= 1
    assert main[-1][0] == 25
    rates = dict((step, rate) for step, rate, *_ in main)
    assert rates[6] < 0.6 * rates[5]


def test_minutes_become_the_same_number_of_steps_on_all_ranks(found):
    main, other = found["minutes"]
    assert (main["status"], other["status"]) == (0, 0)
    assert main["out"].count("SHA-256") == 1
    assert other["out"] == ""


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("refused setting", "filters is 9,4,5"),
        ("refused run", "exists already"),
        ("refused data", "missing"),
        ("refused by one", "process 1: there is no file"),
        ("full disk", "No space left on device"),
    ],
)
def test_a_user_error_ends_every_rank_with_one_line_in_all_and_status_2(found, folder, name, word):
    assert [rank["status"] for rank in found[name]] == [2, 2]
    (line,) = "".join(rank["err"] for rank in found[name]).splitlines()
    assert line.startswith("srcnn:")
    assert word in line
    assert not (folder / "never").exists()


def test_upscale_divides_the_files_among_the_ranks(found, folder):
    lines = [rank["out"].splitlines() for rank in found["upscale"]]
    assert [len(part) for part in lines] == [3, 2]
    assert {line.split()[0] for part in lines for line in part} == {
        str(folder / "pictures" / f"{number}_upscaled.png") for number in range(5)
    }
    assert all(Image.open(folder / f"pictures/{number}_upscaled.png").size == (80, 60) for number in range(5))
    assert [rank["status"] for rank in found["upscale"]] == [0, 0]


def test_upscale_ends_all_ranks_with_status_2_after_one_bad_picture(found, folder):
    assert [rank["status"] for rank in found["upscale, one bad"]] == [2, 2]
    assert len(list((folder / "large").iterdir())) == 5
    (line,) = "".join(rank["err"] for rank in found["upscale, one bad"]).splitlines()
    assert "bad.png" in line


def test_upscale_refuses_a_collision_before_any_rank_works(found, folder):
    assert [rank["status"] for rank in found["upscale, collision"]] == [2, 2]
    assert "both be written" in found["upscale, collision"][0]["err"]
    assert found["upscale, collision"][1]["err"] == ""
    assert not (folder / "none").exists()


def test_notebook_launcher_trains_the_same_weights_after_the_notebook_has_used_threads(found):
    assert found["notebook"]


def test_accelerate_launch_trains_the_same_weights_and_prints_once(folder, found, photograph_folder, tmp_path):
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
                "--num_machines", "1", "--main_process_port", two_ranks.free_port()]  # fmt: skip
    command = [*launcher, "-m", "srcnn_lib", "train", *two_ranks.flags(photograph_folder), "--out", "run"]
    status, out, err = finished(command, 300, cwd=tmp_path)
    assert status == 0, err
    assert out.count(weights_digest(Run(folder / "even" / "run"))[1]) == 1
    assert out.count("SHA-256") == 1


def test_a_launcher_that_takes_too_long_leaves_no_process_behind(tmp_path):
    """The worker has a session of its own, as those of `accelerate launch` have."""
    worker = "import os, pathlib, time; pathlib.Path('worker').write_text(str(os.getpid())); time.sleep(60)"
    launcher = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], start_new_session=True)"
    with pytest.raises(subprocess.TimeoutExpired):
        finished([sys.executable, "-c", launcher, worker], 4, cwd=tmp_path)
    worker = int((tmp_path / "worker").read_text())
    # In a container whose first process does not wait for orphans, an ended one stays in the table as a zombie.
    assert not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [0, 1, 2, 7])
def test_shares_cover_the_whole_without_overlap(size, length):
    group, parts = distributed.ProcessGroup(), []
    for group.rank in range(size):
        group.size = size
        parts.append(range(*group.share(10, 10 + length)))
    assert [index for part in parts for index in part] == list(range(10, 10 + length))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_note_says_that_accelerate_has_started_one_process_only(monkeypatch):
    assert distributed.process_group().note is None
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    assert "--multi_gpu" in distributed.process_group().note


def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(InputError, match="3 processes were started for 2 GPUs"):
        devices.resolve_device("auto")
    assert devices.resolve_device("cpu").type == "cpu"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert devices.resolve_device("auto").type == "cpu"


def test_in_a_notebook_the_gpus_driver_is_not_initialized_before_the_training(monkeypatch):
    """A process forked after that could not use them: `notebook_launcher` forks."""

    def awake(*_):
        pytest.fail("the driver was asked")

    monkeypatch.setitem(sys.modules, "ipykernel", distributed)
    monkeypatch.setattr(torch.cuda, "is_available", awake)
    monkeypatch.setattr(torch.cuda, "get_device_name", awake)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("accelerate.utils.get_gpu_info", lambda: (["Some GPU", "Some GPU"], 2))
    assert devices.describe_device(devices.resolve_device("auto")) == "Some GPU"
