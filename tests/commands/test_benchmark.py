"""`srcnn benchmark`: its counts and comparisons. The measured times themselves are not tested."""

import multiprocessing
import time

import pytest
import torch
from command_line import assert_refused, srcnn
from PIL import Image
from skimage.data import chelsea
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import v2

from srcnn_lib.commands.benchmarks import inference, overlapping, quality, strides, timing, training
from srcnn_lib.commands.benchmarks.timing import Contestant, time_in_turn
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.sources import load_photographs
from srcnn_lib.errors import InputError
from srcnn_lib.evaluation.quality import evaluate
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.inference.upscaling import reconstruct
from srcnn_lib.model import SRCNN, start_from_identity

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch):
    monkeypatch.setattr(timing, "SIDE", 64)
    monkeypatch.setattr(timing, "SMALL_SIDE", 32)


def assert_heading(lines):
    assert lines[0] == timing.machine(CPU)
    assert lines[1].startswith("a matrix product: ")
    assert "GFLOPS in float32 and " in lines[1]
    assert lines[1].endswith("GFLOPS in bfloat16")


@pytest.mark.parametrize(("longest", "sides"), [(1e9, [32, 64] * 2), (0, [32, 32] * 2)])
def test_matrices_are_small_where_the_product_of_large_ones_would_take_too_long(monkeypatch, longest, sides):
    timed = []
    monkeypatch.setattr(timing, "LONGEST_PRODUCT", longest)
    monkeypatch.setattr(timing, "seconds_of_product", lambda side, *_: timed.append(side) or 0.5)
    assert timing.matrix_rates(CPU) == dict.fromkeys(("float32", "bfloat16"), sides[-1] ** 3 / 0.5)
    assert timed == sides


def test_inference_prints_a_table_with_every_contestant_and_names_what_is_missing(monkeypatch):
    found = inference.importlib.import_module

    def without_openvino(name):
        if name == "openvino":
            raise ImportError(name)
        return found(name)

    monkeypatch.setattr(inference.importlib, "import_module", without_openvino)
    lines = inference.benchmark_inference((24, 40), 1, (4, 3), turns=2, device="cpu")
    assert_heading(lines)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "×" in line and "|" in line]
    ours = [row for row in rows if row[1] == "ours"]
    assert [row[0] for row in ours] == ["24×24", "40×40"]
    assert {row[3] for row in ours} == {"1.00"}
    assert {"ours, exact", "PyTorch", "PyTorch, channels_last"} < {row[1] for row in rows}
    for package in ("onnxruntime", "openvino"):  # with a row, or with a line that tells how to install it
        told = f"{package} is not installed: pip install {package}" in lines
        assert told is not any(row[1] == package for row in rows)


def test_the_benchmark_of_inference_runs_the_contestants_that_are_asked_for():
    lines = inference.benchmark_inference((24,), 1, (4, 3), turns=1, device="cpu", only=["PyTorch"])
    rows = [line.split("|")[2].strip() for line in lines if line.startswith("| 24×24")]
    assert rows == ["ours", "PyTorch"]
    with pytest.raises(InputError, match="--only is torch, expected one of ours, "):
        inference.benchmark_inference((24,), 1, (4, 3), turns=1, device="cpu", only=["torch"])


def test_contestants_take_turns_and_the_first_turn_warms_up():
    turns = []
    contestants = [Contestant(name, lambda name=name: turns.append(name)) for name in "ab"]
    best = time_in_turn(contestants, 2, CPU)
    assert turns == list("ababab")
    assert set(best) == {"a", "b"}
    assert all(0 <= seconds < 1 for seconds in best.values())


def test_the_time_of_a_part_is_scaled_to_the_whole_work():
    best = time_in_turn([Contestant("a tenth", lambda: time.sleep(0.02), part=0.1)], 1, CPU)
    assert 0.2 <= best["a tenth"] < 5


@pytest.mark.parametrize("padding_mode", ["replicate", "zeros"])
def test_the_multiply_adds_of_a_training_step_are_those_that_torch_counts(padding_mode):
    model = SRCNN(3, (9, 5, 3), (6, 4), padding_mode=padding_mode)
    side = 20 + 2 * model.margin
    crops = torch.rand(2, 3, side, side)
    with FlopCounterMode(display=False) as counter:
        output = model.run_layers(crops)  # (2, 3, 20, 20)
        F.mse_loss(output, torch.rand(2, 3, 20, 20)).backward()
    assert counter.get_total_flops() / 2 == training.step_multiply_adds(model, 2, 20)


def test_the_plain_tiles_are_torchvisions_ten_crops_of_the_degraded_tile():
    tile = training.example_tiles(1)[0]
    crops = training.PlainTiles(tile[None], 2)[0]
    upsampled, _ = degrade(tile, 2)
    expected = torch.stack(v2.TenCrop(33)(upsampled.clamp(0, 1)))
    assert crops.shape == (10, 3, 33, 33)
    assert (crops - expected).abs().max() < 4 / 255  # PIL rounds to 8 bits after each step
    assert torch.equal(training.PlainTiles(tile[None], 1)[0][4], v2.CenterCrop(33)(tile))


def test_every_patch_is_run_in_batches_and_one_by_one():
    model = SRCNN(1, (9, 5, 5), (3, 2))
    image = torch.rand(1, 40, 36)
    every_patch = overlapping.EveryPatch(model, image, patch=33, patches=32)
    assert every_patch.count == 8 * 4
    assert torch.equal(every_patch.chosen[5], image[:, 1:34, 1:34])
    sizes = []
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    *batches, alone = every_patch.contestants()
    assert [contestant.part for contestant in batches] == [1] * 5
    assert alone.part == 1 / 32
    batches[2].run()
    alone.run()
    assert sizes == [16, 16, 1]


def test_the_benchmark_of_overlapping_patches_relates_each_time_to_ours():
    lines = overlapping.benchmark_overlap(36, 1, (3, 2), patches=8, turns=1, device="cpu")
    assert_heading(lines)
    rows = [line for line in lines if line.startswith(("overlapping", "every patch", "whole", "non-overlapping"))]
    found = {line[:34].strip(): float(line.split()[-1]) for line in rows}
    assert found["overlapping, exact"] == 1
    assert {"whole", "non-overlapping", "every patch, the original's loop"} < set(found)
    assert any("times fewer" in line for line in lines)


def test_running_every_patch_gives_the_same_picture_as_our_overlapping_patches():
    model = start_from_identity(SRCNN(1, (9, 5, 5), (3, 2)))
    image = overlapping.example_image(36, 1)
    ours = reconstruct(image, model, InferenceOptions("overlapping"))
    every_patch = overlapping.EveryPatch(model, image, patch=33, patches=16)
    with torch.no_grad():
        outputs = model(every_patch.chosen)  # (16, 1, 33, 33), row by row
    total = torch.zeros(36, 36)
    count = torch.zeros(36, 36)
    for number, output in enumerate(outputs):
        top, left = divmod(number, 4)
        total[top : top + 33, left : left + 33] += output[0]
        count[top : top + 33, left : left + 33] += 1
    assert (ours[0] - total / count).abs().max() < 1e-5


def test_the_tiles_of_the_benchmark_are_those_of_all_samples_gray_ones_included():
    assert training.example_tiles(400).shape == (400, 3, 96, 96)


@pytest.mark.slow
def test_the_benchmark_of_training_relates_each_speed_to_the_plain_one(monkeypatch):
    monkeypatch.setattr(training, "start_up_seconds", lambda device: 1.5)  # a new interpreter takes long
    lines = training.benchmark_train(1, "cpu", 1, (3, 2), tiles_per_step=2, plain_widths=(3, 2), best_steps=3)
    assert_heading(lines)
    plain = next(line for line in lines if line.startswith("the plain way"))
    assert plain.split()[-2] == "1.00"
    assert any(line.startswith("ours, float32") for line in lines)
    assert "of the matrix rate" in lines[-3]
    assert "torch, bfloat16" in lines[-2]
    assert lines[-1].startswith("start-up: 1.5 s")


@pytest.mark.slow
def test_the_code_of_the_start_up_time_takes_one_step():
    names = {}
    exec(training.FIRST_STEP.format(device="cpu"), names)
    assert names["_"].step == names["config"].steps == 1


@pytest.mark.slow
def test_plain_training_uses_every_crop_once_and_its_workers_end_with_it():
    plain = training.PlainTraining(training.example_tiles(4), 2, (3, 2))
    assert plain.run() == 40
    assert not multiprocessing.active_children()


def test_our_training_uses_every_crop_once():
    ours = training.OurTraining(training.example_tiles(4), 2, 20, (3, 2), "float32", CPU)
    assert ours.run() == 40


def test_the_benchmark_of_strides_has_a_row_for_each_mode_and_stride(tmp_path):
    Image.fromarray(chelsea()[100:148, 100:160]).save(tmp_path / "cat.png")
    model = start_from_identity(SRCNN(1, (9, 5, 5), (3, 2)))
    lines = strides.benchmark_strides(model, str(tmp_path / "cat.png"), (16, 8))
    assert_heading(lines)
    names = [line.split("  ")[0] for line in lines[5:]]
    assert names == ["whole", "non-overlapping", "overlapping, stride 16", "overlapping, stride 8"]
    assert lines[5].split()[2] == "1.00"


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_the_benchmark_of_strides_has_the_scores_of_evaluate(channels):
    model = start_from_identity(SRCNN(channels, (9, 5, 5), (3, 3)))
    photographs = load_photographs("samples:chelsea")
    *_, whole, _ = strides.benchmark_strides(model, "samples:chelsea", ())
    expected = evaluate(model, photographs, photographs.names).srcnn
    assert whole.split()[-2:] == [f"{expected.psnr_y:.2f}", f"{expected.ssim_y:.4f}"]


@pytest.mark.slow
def test_the_benchmark_of_quality_measures_on_the_way_and_draws_the_plot(tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "load_photographs", lambda source: load_photographs("samples:chelsea"))
    monkeypatch.setattr(quality, "plan_steps", lambda state, seconds: setattr(state, "steps", 3))
    lines = quality.benchmark_quality(
        1, out=tmp_path / "plot.svg", seeds=2, data=("samples:rocket",), validation=("samples:coffee",), widths=(3, 2),
        batch_size=4, validation_patches=4,
    )  # fmt: skip
    assert_heading(lines)
    assert sum("validation" in line for line in lines) == 4
    assert [line.split()[1] for line in lines if "dB on Y" in line] == ["best:", "original:"]
    assert sum("it chose nothing" in line for line in lines) == 2
    assert sum("bicubic: " in line and line.count("minutes") + line.count("not reached") == 2 for line in lines) == 2
    assert (tmp_path / "plot.svg").read_text("utf-8").count("<path") > 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["luck"], ["what is luck", "overlap, strides, train, quality"]),
        (["overlap", "--widths", "128"], ["--widths is 128", "such as 64,32"]),
        (["overlap", "--device", "tpu"], ["tpu"]),
    ],
)
def test_an_unknown_benchmark_or_value_is_refused(arguments, words):
    assert_refused(srcnn("benchmark", *arguments), *words)
