import dataclasses
import math

import pytest
import torch
from torch.nn import functional as F

from srcnn_lib.data.training_data import load_training_data
from srcnn_lib.kernel_projection import patch_statistics
from srcnn_lib.training import TrainingState, fit, new_model


@pytest.mark.parametrize("loss", ["mse", "rmse"])
@pytest.mark.parametrize("center", [0.0, 0.45])
def test_a_step_equals_a_step_of_adam_written_out(small, loss, center):
    """One step against a plain one, written here, of a network whose input has the center subtracted."""
    config = dataclasses.replace(
        small,
        optimizer="adam",
        loss=loss,
        ema=0.0,
        warmup=0,
        schedule="constant",
        input_center=center,
        kernel_ridge=0.0,
    )
    data = load_training_data(config)
    state = TrainingState(config, data)
    state.steps = 1
    torch.manual_seed(config.seed)
    model = new_model(config)
    with torch.no_grad():
        model.layer_1.bias += center * model.layer_1.weight.sum((1, 2, 3))
    upsampled, original = data.train.batch(0, 0, 8)
    returned = state.take_step(upsampled, original)

    features = F.relu(F.conv2d(upsampled - center, model.layer_1.weight, model.layer_1.bias))
    features = F.relu(F.conv2d(features, model.layer_2.weight, model.layer_2.bias))
    differences = F.conv2d(features, model.layer_3.weight, model.layer_3.bias) - original
    assert returned.item() == pytest.approx(differences.square().mean().item(), rel=1e-4)
    if loss == "mse":
        differences.square().mean().backward()
    else:
        sum(crop.square().mean().sqrt() for crop in differences).backward()
    with torch.no_grad():
        state.model.layer_1.bias += center * state.model.layer_1.weight.sum((1, 2, 3))
    # The first step of Adam moves every weight by its learning rate, against the sign of the gradient.
    for name, parameter in model.named_parameters():
        rate = config.learning_rate * (config.last_layer_learning_rate if name.startswith("layer_3") else 1)
        rate *= 0.1 if center and name == "layer_1.bias" else 1
        change = state.model.state_dict()[name] - parameter.detach()
        clear = parameter.grad.abs() > 1e-5
        assert clear.any()
        assert torch.allclose(change[clear], -rate * parameter.grad.sign()[clear], rtol=2e-2, atol=1e-6)


@pytest.mark.parametrize("crops", [8, 7])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(small, monkeypatch, crops):
    data = load_training_data(small)
    gradients = []
    for at_once in (3, 100):
        monkeypatch.setattr("srcnn_lib.training.state.CROPS_IN_CACHE", at_once)
        state = TrainingState(small, data)
        state.steps = 1
        monkeypatch.setattr(state.optimizer, "step", lambda: None)
        loss = state.take_step(*data.train.batch(0, 0, crops))
        gradients.append(torch.cat([loss[None], *(part.grad.flatten() for part in state.model.parameters())]))
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-7)


def test_dead_channels_are_reinitialized_without_a_change_of_the_output(small):
    data = load_training_data(small)
    config = dataclasses.replace(small, reinit_dead_every=1, learning_rate=1e-12, ema=0.0, kernel_ridge=0.0)
    state = TrainingState(config, data)
    state.steps = 10
    inputs = data.train_patches.y[0]
    with torch.no_grad():
        state.model.layer_1.bias[3] = state.model.layer_2.bias[2] = -100.0
        state.averaged.load_state_dict(state.model.state_dict())
        before = state.model.run_layers(inputs)
    for _ in range(6):
        state.take_step(*state.next_batch())
    for model in (state.model, state.averaged):
        with torch.no_grad():
            first = F.relu(model.layer_1(inputs))
            second = F.relu(model.layer_2(first))
            assert torch.allclose(model.run_layers(inputs), before, atol=1e-6)
        assert first[:, 3].max() > 1e-3
        assert second[:, 2].max() > 1e-3
        assert model.layer_1.weight[3].sum((1, 2)).abs().max() < 1e-5  # no response to a flat area
    with torch.no_grad():  # after 60 % of the steps, dead channels stay dead
        state.model.layer_1.bias[3] = -100.0
    state.take_step(*state.next_batch())
    assert state.model.layer_1.bias[3].item() == pytest.approx(-100)


def test_first_layer_kernels_shrink_where_bicubic_pictures_hardly_vary(small):
    data = load_training_data(small)
    statistics = patch_statistics([data.train_patches.y[0]], small.filters[0])
    variance, directions = torch.linalg.eigh(statistics.covariance)
    for ridge, shrinks in ((0.0, False), (1e-6, True)):
        state = TrainingState(dataclasses.replace(small, kernel_ridge=ridge, learning_rate=1e-12, warmup=0), data)
        state.steps = 100
        energies = []
        for _ in range(2):
            kernels = state.model.layer_1.weight.detach().double().flatten(1)
            energies.append((kernels @ directions).square().sum(0))
            for _ in range(10):
                state.take_step(*state.next_batch())
        change = energies[1] / energies[0]
        assert change[variance > 1e-3].min() > 0.95
        assert (change[variance < 1e-7].max() < 0.2) == shrinks


def test_the_averaged_weights_follow_the_documented_decay(small):
    state = TrainingState(small, load_training_data(small))
    state.steps = 3
    expected = state.model.layer_1.weight.detach().clone()
    for step in (1, 2, 3):
        state.take_step(*state.next_batch())
        decay = min(0.999, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * state.model.layer_1.weight.detach()
    assert torch.allclose(state.averaged.layer_1.weight, expected, atol=1e-6)


def test_the_learning_rate_warms_up_over_at_most_a_tenth_and_falls_as_a_cosine(small):
    records = list(fit(dataclasses.replace(small, steps=20, warmup=5)))
    for step, record in enumerate(records):
        expected = small.learning_rate * min(1, (step + 1) / 2) * 0.5 * (1 + math.cos(math.pi * step / 20))
        assert record.learning_rate == pytest.approx(expected)


def test_the_last_steps_of_a_training_in_16_bits_are_taken_in_float32(small):
    config = dataclasses.replace(small, arithmetic="bfloat16", steps=10, float32_fraction=0.3)
    state = TrainingState(config, load_training_data(config))
    dtypes = []
    state.model.layer_2.register_forward_hook(lambda layer, inputs, output: dtypes.append(output.dtype))
    while state.step < state.steps:
        state.take_step(*state.next_batch())
    assert dtypes == 7 * [torch.bfloat16] + 3 * [torch.float32]
