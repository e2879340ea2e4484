"""`srcnn info` and `srcnn release`."""

import hashlib
import json

import pytest
import yaml
from command_line import assert_refused, srcnn
from PIL import Image
from skimage.data import chelsea
from small_runs import small_run

from srcnn_lib.pretrained import saved_folder


def test_info_summarizes_a_weights_file(weights):
    found = srcnn("info", weights)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    assert lines[0].split() == ["weights", str(weights)]
    assert lines[1].split(maxsplit=1) == ["network", "Y (luminance), filters 5-1-3, widths 8-4, 281 parameters"]
    assert lines[2].split() == ["scale", "×2"]


def test_info_names_training_and_scores_of_a_released_network():
    path = saved_folder() / "srcnn_y_x2.safetensors"
    found = srcnn("info", path).stdout
    assert "{" not in found
    for words in (
        "recipe      best",
        "steps       78,000",
        "set5        37.07 dB on Y (bicubic 33.69)",
        "srcnn train --data",
    ):
        assert words in found
    assert found.splitlines()[-1].endswith(f"srcnn info {path} --json")


def test_info_summarizes_a_run(tmp_path):
    run = small_run(tmp_path / "run")
    found = srcnn("info", run.path)
    assert found.returncode == 0, found.stderr
    assert "snapshots  6, the newest of step 16" in found.stdout
    assert json.loads(srcnn("info", run.path, "--json").stdout) == run.metadata


def test_info_with_json_prints_everything_that_is_recorded():
    found = json.loads(srcnn("info", saved_folder() / "srcnn_y_x2.safetensors", "--json").stdout)
    assert found["steps"] == 78_000
    assert {"training_config", "results", "protocol", "command"} <= set(found)


def test_info_refuses_what_is_neither_weights_nor_a_run(tmp_path):
    (tmp_path / "text.pth").write_text("no weights")
    assert_refused(srcnn("info", tmp_path / "text.pth"), "text.pth")
    assert_refused(srcnn("info", tmp_path / "nowhere"), "nowhere")


def test_release_writes_weights_and_a_card_and_prints_the_scores(tmp_path, photograph_folder):
    run = small_run(tmp_path / "run")
    picture = tmp_path / "bird.png"
    Image.open(photograph_folder / "0.png").crop((0, 0, 40, 30)).save(picture)
    out = tmp_path / "mine.safetensors"
    found = srcnn("release", run.path, "--out", out, "--on", picture)
    assert found.returncode == 0, found.stderr
    card = json.loads((tmp_path / "mine.json").read_text("utf-8"))
    assert card["sha256"] in found.stdout
    psnr = card["results"][str(picture)]["srcnn"]["psnr_y"]
    assert f"bird.png ×2: {psnr:.2f} dB on Y" in found.stdout


def test_a_card_and_info_state_the_degradation_of_the_training(tmp_path, cat):
    config = json.loads((small_run(tmp_path / "run").path / "config.json").read_text("utf-8"))
    config["training_config"]["degrade"] = ["jpeg:30-95"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config), "utf-8")
    found = srcnn("release", tmp_path / "run", "--hub", tmp_path / "hub", "--on", cat, "--degrade", "jpeg:50")
    assert "cat.png jpeg:50 ×2:" in found.stdout, found.stderr
    readme = (tmp_path / "hub" / "README.md").read_text("utf-8")
    for fact in ("reduced, then given jpeg:30-95.", "--degrade jpeg:30-95", "cat.png jpeg:50 | ×2 |", "given jpeg:50 "):
        assert fact in readme
    assert "reduced, then jpeg:30-95" in srcnn("info", tmp_path / "run").stdout


@pytest.mark.parametrize("command", [["release", "run", "--out", "x.pth"], ["info", "run"]])
def test_a_folder_that_is_no_run_is_refused(tmp_path, command):
    (tmp_path / "run").mkdir()
    assert_refused(srcnn(*command, cwd=tmp_path), "run")


@pytest.fixture
def cat(tmp_path):
    path = tmp_path / "cat.png"
    Image.fromarray(chelsea()[100:148, 100:160]).save(path)
    return path


@pytest.mark.parametrize("with_out", [False, True])
def test_release_writes_a_folder_that_is_ready_for_the_hub(tmp_path, cat, with_out):
    run = small_run(tmp_path / "run")
    more = ("--out", tmp_path / "mine.pth") if with_out else ()
    found = srcnn("release", run.path, "--hub", tmp_path / "srcnn-x2", "--on", cat, *more)
    assert found.returncode == 0, found.stderr
    folder = tmp_path / "srcnn-x2"
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    _, front, text = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["pipeline_tag"] == "image-to-image"
    (result,) = facts["model-index"][0]["results"]
    expected = json.loads(srcnn("evaluate", folder / "model.safetensors", cat, "--json").stdout)["cat.png"]
    assert result["metrics"][0]["value"] == pytest.approx(expected["srcnn"]["psnr_y"], abs=0.006)
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() in text
    assert json.loads((folder / "config.json").read_text())["scale"] == 2


def test_release_leaves_a_folder_with_other_files_alone(tmp_path, cat):
    run = small_run(tmp_path / "run")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "thesis.txt").write_text("mine")
    assert_refused(srcnn("release", run.path, "--hub", tmp_path / "hub", "--on", cat), "holds thesis.txt")
    assert_refused(srcnn("release", run.path), "--out, or a folder with --hub")
    assert [path.name for path in (tmp_path / "hub").iterdir()] == ["thesis.txt"]
