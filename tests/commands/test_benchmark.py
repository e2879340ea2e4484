"""What a benchmark counts is right; how long anything takes is nobody's business here."""

import multiprocessing

import pytest
import torch
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import v2

from srcnn_lib.commands import benchmark
from srcnn_lib.data.degradation import degrade
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.weights import save

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch):
    monkeypatch.setattr(benchmark, "SIDE", 64)
    monkeypatch.setattr(benchmark, "SMALL", 32)


@pytest.mark.parametrize(("longest", "sides"), [(1e9, [32, 64] * 2), (0, [32, 32] * 2)])
def test_a_product_that_would_take_too_long_is_a_small_one_in_both_arithmetics(monkeypatch, longest, sides):
    asked = []
    monkeypatch.setattr(benchmark, "LONGEST", longest)
    monkeypatch.setattr(benchmark, "_seconds_of_product", lambda side, *_: asked.append(side) or 0.5)
    assert benchmark.matrix_rates(CPU) == dict.fromkeys(("float32", "bfloat16"), sides[-1] ** 3 / 0.5)
    assert asked == sides


def heading_is_there(lines):
    assert lines[0] == benchmark.machine(CPU)
    assert lines[1].startswith("a matrix product: ")
    assert "GFLOPS in float32 and " in lines[1]
    assert lines[1].endswith("GFLOPS in bfloat16")


@pytest.mark.parametrize("padding_mode", ["replicate", "zeros"])
def test_the_multiply_adds_of_a_step_are_those_that_torch_counts(padding_mode):
    model = SRCNN(3, (9, 5, 3), (6, 4), padding_mode=padding_mode)
    side = 20 if padding_mode == "zeros" else 20 + 2 * model.halo
    with FlopCounterMode(display=False) as counter:
        predicted = model(torch.rand(2, 3, side, side)) if padding_mode == "zeros" else model.valid(
            torch.rand(2, 3, side, side)
        )  # fmt: skip
        F.mse_loss(predicted, torch.rand(2, 3, 20, 20)).backward()
    # The last layer to few channels is done by rows: the rows above and below, which are then cut off, count as well.
    surplus = 3 * 2 * model.layer_3.weight.numel() * 20 * (22 - 20)
    assert counter.get_total_flops() / 2 == benchmark.multiply_adds(model, 2, 20) + surplus


def test_contestants_take_turns_and_the_first_turn_warms_up():
    took = []
    contestants = {name: (lambda name=name: took.append(name)) for name in "ab"}
    best = benchmark.in_turn(contestants, 2, CPU)
    assert took == list("ababab")
    assert set(best) == {"a", "b"}
    assert all(0 <= seconds < 1 for seconds in best.values())


def test_the_plain_ways_tiles_are_torchvisions_ten_crops_of_the_degraded_tile():
    tile = benchmark._tiles(1)[0]
    crops = benchmark.PlainTiles(tile[None], 2)[0]
    upsampled, _ = degrade(tile, 2)
    expected = torch.stack(v2.TenCrop(33)(upsampled.clamp(0, 1)))
    assert crops.shape == (10, 3, 33, 33)
    assert (crops - expected).abs().max() < 4 / 255  # PIL rounds to 8 bits after each step
    assert torch.equal(benchmark.PlainTiles(tile[None], 1)[0][4], v2.CenterCrop(33)(tile))


def test_the_benchmark_of_overlapping_says_how_often_each_contestant_takes_our_time():
    lines = benchmark.benchmark_overlap(36, 1, (3, 2), patches=8, turns=1, device="cpu")
    heading_is_there(lines)
    rows = [line for line in lines if line.startswith(("overlapping", "every patch", "whole", "non-overlapping"))]
    found = {line[:34].strip(): float(line.split()[-1]) for line in rows}
    assert found["overlapping, exact"] == 1
    assert {"whole", "non-overlapping", "every patch, the original's loop"} < set(found)
    assert any("times fewer" in line for line in lines)


def test_the_benchmark_of_training_says_how_often_each_is_faster_than_the_plain_way(monkeypatch):
    monkeypatch.setattr(benchmark, "_start_up", lambda device: 1.5)  # a new interpreter takes long on a busy machine
    lines = benchmark.benchmark_train(1, "cpu", 1, (3, 2), per_step=2, plain_widths=(3, 2), best_steps=3)
    heading_is_there(lines)
    plain = next(line for line in lines if line.startswith("the plain way"))
    assert plain.split()[-2] == "1.00"
    assert any(line.startswith("ours, float32") for line in lines)
    assert "of the matrix rate" in lines[-2]
    assert lines[-1].startswith("start-up: 1.5 s")


def test_the_plain_way_takes_every_crop_once_and_its_workers_end_with_it():
    plain = benchmark.PlainWay(benchmark._tiles(4), 2, (3, 2))
    assert plain.steps() == 40
    assert not multiprocessing.active_children()


def test_the_benchmark_of_strides_measures_every_way(tmp_path):
    from PIL import Image
    from skimage.data import chelsea

    Image.fromarray(chelsea()[100:148, 100:160]).save(tmp_path / "cat.png")
    save(start_from_identity(SRCNN(1, (9, 5, 5), (3, 2))), tmp_path / "mine.pth")
    from srcnn_lib import load

    lines = benchmark.benchmark_strides(load(tmp_path / "mine.pth"), str(tmp_path / "cat.png"), (16, 8))
    heading_is_there(lines)
    assert [line.split("  ")[0] for line in lines[5:]] == [
        "whole", "non-overlapping", "overlapping, stride 16", "overlapping, stride 8",
    ]  # fmt: skip
    assert lines[5].split()[2] == "1.00"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_benchmark_of_strides_scores_as_evaluate_does(channels):
    model = start_from_identity(SRCNN(channels, (9, 5, 5), (3, 3)))
    found = benchmark.photographs("samples:chelsea")
    *_, whole, _ = benchmark.benchmark_strides(model, "samples:chelsea", ())
    expected = benchmark.evaluate(model, found, found.names)["srcnn"]
    assert whole.split()[-2:] == [f"{expected['psnr_y']:.2f}", f"{expected['ssim_y']:.4f}"]


def test_quality_is_measured_on_the_way_and_the_plot_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr(
        benchmark, "load_photographs", lambda source, old=benchmark.load_photographs: old("samples:chelsea")
    )
    monkeypatch.setattr("srcnn_lib.training.trainer.steps_in", lambda state, seconds: 3)
    lines = benchmark.benchmark_quality(
        1, out=tmp_path / "plot.svg", data=("samples:rocket",), test=("samples:coffee",), widths=(3, 2), batch=4,
        validation_patches=4,
    )  # fmt: skip
    heading_is_there(lines)
    assert sum("validation" in line for line in lines) == 2
    assert [line.split()[1] for line in lines if "dB on Y" in line] == ["best:", "original:"]
    assert sum("it chose nothing" in line for line in lines) == 2
    assert (tmp_path / "plot.svg").read_text("utf-8").count("<path") > 5
