import dataclasses
import json
import math
import signal

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from srcnn_lib import metrics
from srcnn_lib.config import TrainingConfig
from srcnn_lib.data import training_data
from srcnn_lib.data.augmentation import inner
from srcnn_lib.data.color import luminance
from srcnn_lib.data.degradation import degrade
from srcnn_lib.data.images import read_image, write_image
from srcnn_lib.errors import InputError
from srcnn_lib.run import Run, weights_digest
from srcnn_lib.training.control import TrainingControl
from srcnn_lib.training.trainer import State, fit, measure, new_model


@pytest.fixture
def small(photograph_folder):
    """Settings for a training of a second."""
    return TrainingConfig.of(
        data=(str(photograph_folder),), validation=("0.25",), channels=1, filters=(5, 1, 3), widths=(8, 4),
        batch_size=8, steps=12, warmup=4, validation_patches=8, arithmetic="float32", device="cpu",
    )  # fmt: skip


def trained(config, path, **changes):
    config = dataclasses.replace(config, **changes)
    run = Run.create(path, config)
    records = list(fit(config, run))
    return run, records


def test_two_trainings_with_one_seed_are_bit_identical(small, tmp_path):
    first, _ = trained(small, tmp_path / "a")
    second, _ = trained(small, tmp_path / "b")
    a, b = (run.model().state_dict() for run in (first, second))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_deterministic_is_switched_on_for_the_training_alone(small):
    training = fit(dataclasses.replace(small, deterministic=True))
    next(training)
    assert torch.are_deterministic_algorithms_enabled()
    training.close()
    assert not torch.are_deterministic_algorithms_enabled()


def test_equal_trainings_have_files_of_equal_sums_whatever_the_runs_are_called(small, tmp_path):
    sums = [weights_digest(trained(small, tmp_path / name, steps=3)[0])[1] for name in ("a", "b")]
    assert sums[0] == sums[1]


def test_another_seed_gives_other_weights(small, tmp_path):
    first, _ = trained(small, tmp_path / "a")
    second, _ = trained(small, tmp_path / "b", seed=1)
    assert weights_digest(first)[1] != weights_digest(second)[1]


@pytest.mark.parametrize("recipe", ["best", "original"])
@pytest.mark.parametrize("crops", ["random", "ten"])
@pytest.mark.parametrize("channels", [1, 3])
def test_both_recipes_learn_with_both_kinds_of_crops(photograph_folder, recipe, crops, channels):
    config = TrainingConfig.of(
        recipe, data=(str(photograph_folder),), validation=("0.25",), channels=channels, filters=(5, 1, 3), widths=(8, 4),
        batch_size=16, steps=25, crops=crops, learning_rate=2e-3, warmup=0, validation_patches=8, device="cpu", arithmetic="float32",
    )  # fmt: skip
    losses = [float(record.loss) for record in fit(config)]
    assert len(losses) == 25
    assert all(math.isfinite(loss) for loss in losses)
    if recipe == "original":
        assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


@pytest.mark.parametrize("objective", ["mse", "rmse"])
@pytest.mark.parametrize("center", [0.0, 0.45])
def test_a_step_is_adams_on_the_errors_of_the_interior(small, objective, center):
    """One step against a plain one written here, of a network from whose input the center is taken."""
    config = dataclasses.replace(
        small, optimizer="adam", objective=objective, ema=0.0, warmup=0, schedule="constant", center=center
    )  # fmt: skip
    data = training_data.load_training_data(config)
    state = State(config, data)
    state.steps = 1
    torch.manual_seed(config.seed)
    model = new_model(config)
    with torch.no_grad():
        model.layer_1.bias += center * model.layer_1.weight.sum((1, 2, 3))
    upsampled, original = data.train.batch(0, 0, 8)
    shown = state.take_step(upsampled, original)

    features = F.relu(F.conv2d(upsampled - center, model.layer_1.weight, model.layer_1.bias))
    features = F.relu(F.conv2d(features, model.layer_2.weight, model.layer_2.bias))
    differences = F.conv2d(features, model.layer_3.weight, model.layer_3.bias) - original
    assert shown.item() == pytest.approx(differences.square().mean().item(), rel=1e-4)
    if objective == "mse":
        differences.square().mean().backward()
    else:
        sum(crop.square().mean().sqrt() for crop in differences).backward()
    with torch.no_grad():
        state.model.layer_1.bias += center * state.model.layer_1.weight.sum((1, 2, 3))
    # The first step of Adam moves every weight by its rate against the sign of the gradient.
    for name, parameter in model.named_parameters():
        rate = config.learning_rate * (config.last_layer_learning_rate if name.startswith("layer_3") else 1)
        rate *= 0.1 if center and name == "layer_1.bias" else 1
        moved = state.model.state_dict()[name] - parameter.detach()
        clear = parameter.grad.abs() > 1e-5
        assert clear.any()
        assert torch.allclose(moved[clear], -rate * parameter.grad.sign()[clear], rtol=2e-2, atol=1e-6)


@pytest.mark.parametrize("crops", [8, 7])
def test_a_batch_taken_in_parts_has_the_gradient_of_the_whole(small, monkeypatch, crops):
    data, gradients = training_data.load_training_data(small), []
    for at_once in (3, 100):
        monkeypatch.setattr("srcnn_lib.training.trainer.CACHED", at_once)
        state = State(small, data)
        state.steps = 1
        monkeypatch.setattr(state.optimizer, "step", lambda: None)
        loss = state.take_step(*data.train.batch(0, 0, crops))
        gradients.append(torch.cat([loss[None], *(part.grad.flatten() for part in state.model.parameters())]))
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-7)


def test_channels_that_are_never_active_begin_anew_and_the_picture_stays_as_it_is(small):
    data = training_data.load_training_data(small)
    state = State(dataclasses.replace(small, recycle=1, rate=1e-12, ema=0.0), data)
    state.steps = 10
    given = data.train_patches.y[0]
    with torch.no_grad():
        state.model.layer_1.bias[3] = state.model.layer_2.bias[2] = -100.0
        state.averaged.load_state_dict(state.model.state_dict())
        before = state.model.valid(given)
    for _ in range(6):
        state.take_step(*state.batch())
    for model in (state.model, state.averaged):
        with torch.no_grad():
            first = F.relu(model.layer_1(given))
            second = F.relu(model.layer_2(first))
            assert torch.allclose(model.valid(given), before, atol=1e-6)
        assert first[:, 3].max() > 1e-3
        assert second[:, 2].max() > 1e-3
        assert model.layer_1.weight[3].sum((1, 2)).abs().max() < 1e-5  # no answer to an even area
    with torch.no_grad():  # from here on what dies stays so: the end is for those that learn
        state.model.layer_1.bias[3] = -100.0
    state.take_step(*state.batch())
    assert state.model.layer_1.bias[3].item() == pytest.approx(-100)


def test_the_averaged_weights_follow_the_published_decay(small):
    data = training_data.load_training_data(small)
    state = State(small, data)
    state.steps = 3
    expected = state.model.layer_1.weight.detach().clone()
    for step in (1, 2, 3):
        state.take_step(*data.train.batch(*state.place()))
        decay = min(0.999, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * state.model.layer_1.weight.detach()
    assert torch.allclose(state.averaged.layer_1.weight, expected, atol=1e-6)


def test_the_rate_warms_up_over_a_tenth_at_most_and_falls_as_a_cosine_to_zero(small, tmp_path):
    _, records = trained(small, tmp_path / "a", steps=20, warmup=5)
    rates = [record.rate for record in records]
    for step, rate in enumerate(rates):
        expected = small.rate * min(1, (step + 1) / 2) * 0.5 * (1 + math.cos(math.pi * step / 20))
        assert rate == pytest.approx(expected)


def test_what_a_run_holds(small, tmp_path):
    run, records = trained(small, tmp_path / "run", steps=0, epochs=2, batch=64)
    per_epoch = records[-1].step // 2
    early = [0] + [step for step in (1, 2, 4, 8, 16, 32, 64, 128) if step < per_epoch]
    assert [snapshot.step for snapshot in run.snapshots()] == [*early, per_epoch, 2 * per_epoch]
    history = run.history()
    assert [line["epoch"] for line in history] == [1, 2]
    assert history[1]["patches"] == 2 * training_data.load_training_data(small).train.per_epoch
    assert [record.metrics["step"] for record in records if record.epoch_ends] == [per_epoch, 2 * per_epoch]
    config = json.loads((run.path / "config.json").read_text())
    assert config["data"]["validation_names"]
    assert config["resolved"]["steps"] == 2 * per_epoch
    assert [tuple(image.shape) for image in run.probe()] == [(4, 3, 96, 96)] * 2
    assert list(run.path.glob("events.out.*"))
    assert run.checkpoints()


def test_test_metrics_are_each_patchs_db_then_the_mean(small):
    data = training_data.load_training_data(dataclasses.replace(small, channels=3))
    model = new_model(dataclasses.replace(small, channels=3))
    found = measure(model, data.validation_patches, batch=3)
    (rgb_in, rgb), _ = data.validation_patches.rgb, data.validation_patches.y
    made = model.valid(rgb_in).detach()
    assert found["psnr_rgb"] == pytest.approx(metrics.psnr(made, rgb).mean().item(), abs=1e-4)
    assert found["psnr_y"] == pytest.approx(metrics.psnr(made.clamp(0, 1), rgb, "y").mean().item(), abs=1e-4)
    margin = (rgb_in.shape[-1] - rgb.shape[-1]) // 2
    bicubic = metrics.psnr(inner(rgb_in, margin), rgb).mean().item()
    assert found["bicubic_psnr_rgb"] == pytest.approx(bicubic, abs=1e-4)


def test_an_interrupted_and_resumed_run_ends_with_the_same_bits(small, tmp_path):
    whole, _ = trained(small, tmp_path / "whole")
    broken = Run.create(tmp_path / "broken", small)
    for record in fit(small, broken):
        if record.step == 5:
            break
    resumed = Run(broken.path)
    steps = [record.step for record in fit(resumed.config, resumed)]
    assert steps[0] == 6
    assert weights_digest(whole)[1] != ""
    a, b = (run.model().state_dict() for run in (whole, resumed))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert [s.step for s in whole.snapshots()] == [s.step for s in resumed.snapshots()]


def test_ctrl_c_ends_at_the_steps_end_with_everything_saved(small, tmp_path):
    run = Run.create(tmp_path / "run", small)
    before = signal.getsignal(signal.SIGINT)
    taken = 0
    for record in fit(small, run):
        taken = record.step
        if taken == 3:
            signal.raise_signal(signal.SIGINT)
    assert taken == 3
    assert signal.getsignal(signal.SIGINT) is before
    assert run.read_checkpoint()[0]["step"] == 3


def test_minutes_become_a_number_of_steps(small):
    config = dataclasses.replace(small, steps=0, minutes=0.02)
    records = list(fit(config))
    assert records[-1].step == records[-1].steps >= 1


def test_steering_pauses_halves_adds_an_epoch_and_stops(small, tmp_path):
    control, run = TrainingControl(), Run.create(tmp_path / "run", small)
    training = fit(small, run, control=control)
    first = next(training)
    control.send("pause")
    assert next(training).paused
    assert next(training).step == first.step
    for command in ("resume", "halve", "epoch"):
        control.send(command)
    record = next(training)
    assert not record.paused
    assert record.steps > first.steps
    assert run.read_checkpoint()[0]["rate_factor"] == 0.5
    (run.path / "control").write_text("stop")
    control._asked = 0
    assert len(list(training)) <= 1
    assert not (run.path / "control").exists()


def test_a_photograph_in_both_parts_is_left_out_of_the_training(photograph_folder, tmp_path, small):
    one = sorted(photograph_folder.iterdir())[0]
    write_image(tmp_path / "copy.bmp", read_image(one))
    data = training_data.load_training_data(dataclasses.replace(small, test=(str(tmp_path),)))
    assert data.description["photographs"] == len(list(photograph_folder.iterdir())) - 1
    assert any("in the validation_photographs too" in note for note in data.notes)


def test_training_crops_are_cut_from_the_one_degradation(photograph_folder, tmp_path, small):
    """A photograph as large as a crop leaves one place to cut: the sample is the degraded photograph, turned."""
    photograph = read_image(photograph_folder / "1.png").pixels[:, :40, :40]
    write_image(tmp_path / "a.png", photograph)
    config = dataclasses.replace(small, data=(str(tmp_path),), test=(str(photograph_folder),), patch=34)
    upsampled, original = training_data.load_training_data(config).train.batch(0, 0, 8)
    expected = [luminance(image)[0] for image in degrade(photograph, 2.0)]
    turns = [torch.rot90(image, k) for image in (expected[0], expected[0].flip(-1)) for k in range(4)]
    for sample in upsampled:
        assert min((sample[0] - turn).abs().max() for turn in turns) < 1e-3  # kept in half precision
    assert upsampled.shape[-1] == original.shape[-1] + 2 * small.halo == 40


def test_photographs_are_trained_on_shrunk_as_well(photograph_folder, tmp_path, small):
    """Pillow shrinks a photograph to the size of a crop; the other size of it is far larger."""
    whole = Image.open(photograph_folder / "0.png").convert("RGB").crop((0, 0, 80, 80))
    (tmp_path / "photographs").mkdir()
    whole.save(tmp_path / "photographs" / "a.png")
    config = dataclasses.replace(
        small, data=(str(tmp_path / "photographs"),), test=(str(photograph_folder),), channels=3, patch=34,
        shrink=(0.5,),
    )  # fmt: skip
    crops = training_data.load_training_data(config).train
    assert (
        crops.per_epoch
        == 2 * training_data.load_training_data(dataclasses.replace(config, scale_augmentation=())).train.per_epoch
    )
    assert (
        training_data.load_training_data(dataclasses.replace(config, scale_augmentation=(0.4,))).train.per_epoch
        == crops.per_epoch / 2
    )  # too small
    whole.resize((40, 40), Image.Resampling.BICUBIC).save(tmp_path / "small.png")
    expected = degrade(read_image(tmp_path / "small.png").pixels, 2.0)[0]
    turns = [torch.rot90(image, k, (-2, -1)) for image in (expected, expected.flip(-1)) for k in range(4)]
    inputs = crops.batch(0, 0, 40)[0]
    assert 1 <= sum(min((sample - turn).abs().max() for turn in turns) < 0.01 for sample in inputs) < 40


def test_photographs_too_small_for_ten_crops_are_said(tmp_path, photograph_folder, small):
    write_image(tmp_path / "tiny.png", torch.rand(3, 60, 60))
    sources = (str(photograph_folder), str(tmp_path))
    data = training_data.load_training_data(
        dataclasses.replace(small, data=sources, crops="ten", test=(str(photograph_folder / "0.png"),))
    )
    assert any("smaller than 96×96" in note for note in data.notes)


def test_nothing_large_enough_is_refused(tmp_path, small):
    for number in range(3):
        write_image(tmp_path / f"{number}.png", torch.rand(3, 30, 30))
    with pytest.raises(InputError, match="no photograph of"):
        training_data.load_training_data(dataclasses.replace(small, data=(str(tmp_path),), test=("0.4",)))


def test_pairs_beyond_memory_go_to_a_file_and_are_the_same(small, monkeypatch):
    in_memory = training_data.load_training_data(small).train.batch(0, 0, 8)
    monkeypatch.setattr(training_data, "IN_MEMORY", 0)
    on_disk = training_data.load_training_data(small).train.batch(0, 0, 8)
    assert all(torch.equal(a, b) for a, b in zip(in_memory, on_disk, strict=True))


def test_other_photographs_than_the_runs_are_refused(small, tmp_path, photograph_folder):
    run, _ = trained(small, tmp_path / "run")
    other = tmp_path / "other"
    other.mkdir()
    for number in range(4):
        write_image(other / f"{number}.png", read_image(photograph_folder / f"{number}.png").pixels.flip(-1))
    data = training_data.load_training_data(dataclasses.replace(small, data=(str(other),)))
    with pytest.raises(InputError, match="other photographs"):
        next(fit(small, run, data))


def test_more_steps_than_first_asked_for_stretch_the_cosine_and_say_so(small, tmp_path):
    run, _ = trained(small, tmp_path / "run")
    more = dataclasses.replace(small, steps=16)
    records = list(fit(more, Run(run.path)))
    assert [record.step for record in records] == [13, 14, 15, 16]
    assert "the cosine now ends at step 16" in records[0].notes[0]


def test_other_settings_than_the_runs_are_refused_with_what_differs(small, tmp_path):
    run, _ = trained(small, tmp_path / "run")
    with pytest.raises(InputError, match=f"rate was {small.rate}, now 0.1"):
        next(fit(dataclasses.replace(small, rate=0.1), run))


def test_an_error_in_the_middle_of_a_step_is_not_saved(small, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", small)
    training = fit(small, run)
    for _ in range(3):
        next(training)
    monkeypatch.setattr(State, "_average", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(training)
    assert run.read_checkpoint()[0]["step"] == 0


def test_photographs_that_are_all_in_the_test_are_refused(photograph_folder, tmp_path, small):
    for copy in ("a", "b"):
        (tmp_path / copy).mkdir()
        write_image(tmp_path / copy / f"{copy}.png", read_image(photograph_folder / "0.png"))
    with pytest.raises(InputError, match="in the validation_photographs too"):
        training_data.load_training_data(
            dataclasses.replace(small, data=(str(tmp_path / "a"),), test=(str(tmp_path / "b"),))
        )


def test_the_last_steps_of_a_training_in_16_bits_are_taken_in_float32(small):
    config = dataclasses.replace(small, arithmetic="bfloat16", steps=10, finish=0.3)
    state = State(config, training_data.load_training_data(config))
    kinds = []
    state.model.layer_2.register_forward_hook(lambda layer, given, made: kinds.append(made.dtype))
    while state.step < state.steps:
        state.take_step(*state.batch())
    assert kinds == 7 * [torch.bfloat16] + 3 * [torch.float32]


def test_a_run_whose_checkpoints_are_gone_is_not_begun_again(small, tmp_path):
    run, _ = trained(small, tmp_path / "run")
    for checkpoint in run.checkpoints():
        checkpoint.unlink()
    with pytest.raises(InputError, match="checkpoints are gone"):
        next(fit(small, run))
    assert run.snapshots()[-1].step == 12


def test_a_checkpoint_of_something_else_counts_as_damaged(small, tmp_path):
    run, _ = trained(small, tmp_path / "run")
    run.checkpoints()[0].unlink()
    torch.save({"x": 1}, run.path / "checkpoints" / "step-00000012.pt")
    records = list(fit(small, run))
    assert any("damaged" in note for note in records[0].notes)
    assert records[-1].step == 12


def test_weights_that_are_no_numbers_any_more_are_not_kept_and_said(small, tmp_path):
    run = Run.create(tmp_path / "run", dataclasses.replace(small, optimizer="adam", rate=1e30))
    with pytest.raises(InputError, match="no number any more; start a new run with a smaller rate"):
        list(fit(run.config, run))
    assert all(part.isfinite().all() for part in run.read_checkpoint()[0]["model"].values())


def test_an_earlier_end_than_was_asked_for_first_is_kept_to(small, tmp_path):
    run = Run.create(tmp_path / "run", small)
    training = fit(small, run)
    assert [next(training).step for _ in range(3)] == [1, 2, 3]
    training.close()
    records = list(fit(dataclasses.replace(small, steps=5), run))
    assert [record.step for record in records] == [4, 5]
    assert "the cosine now ends at step 5" in records[0].notes[0]
    assert not list(fit(dataclasses.replace(small, steps=2), run))
    assert run.snapshots()[-1].step == 5


def test_interrupted_while_the_first_steps_are_timed_the_run_is_as_it_was(small, tmp_path):
    run = Run.create(tmp_path / "run", dataclasses.replace(small, steps=0, minutes=1.0))
    data = training_data.load_training_data(run.config)
    batch = data.train.batch
    data.train.batch = lambda *place: signal.raise_signal(signal.SIGINT) or batch(*place)
    assert list(fit(run.config, run, data)) == []
    assert [path.name for path in run.path.iterdir()] == ["config.json"]


def test_a_lost_probe_is_cut_again(small, tmp_path):
    run, _ = trained(small, tmp_path / "run", steps=6)
    before = run.probe()
    (run.path / "probe.safetensors").unlink()
    list(fit(dataclasses.replace(small, steps=9), run))
    assert all(torch.equal(a, b) for a, b in zip(before, run.probe(), strict=True))


def test_what_is_asked_of_a_new_run_before_its_first_step_is_heard(small, tmp_path):
    run = Run.create(tmp_path / "run", small)
    (run.path / "control").write_text("pause PAUSE \N{SNOWMAN}")
    assert next(fit(small, run)).paused


def test_a_run_from_before_a_setting_was_there_goes_on_as_it_began(small):
    values = small.to_dict()
    del values["objective"], values["finish"]
    assert (TrainingConfig.from_dict(values).objective, TrainingConfig.from_dict(values).finish) == ("mse", 0)
