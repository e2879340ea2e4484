"""The self-ensemble against the eight flips and rotations of the picture, written out."""

import dataclasses

import pytest
import torch

from srcnn_lib.data.images import Picture
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.inference.tiling import BicubicEnlargement
from srcnn_lib.inference.upscaling import reconstruct, upscale_bands
from srcnn_lib.model import SRCNN

NETWORKS = [(1, (9, 5, 5), "replicate"), (3, (5, 3, 3), "zeros")]


def _network(channels=1, filters=(5, 3, 3), padding_mode="replicate"):
    torch.manual_seed(0)
    return SRCNN(channels, filters, (6, 5), padding_mode).eval()


def _image(channels, height, width):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def _by_brute_force(image, run):
    """Returns the mean over eight: turn the picture, run it, turn the result back."""
    results = []
    for mirrored in (False, True):
        for quarters in range(4):
            turned = torch.rot90(image.flip(-1) if mirrored else image, quarters, (-2, -1))
            back = torch.rot90(run(turned), -quarters, (-2, -1))
            results.append(back.flip(-1) if mirrored else back)
    return torch.stack(results).mean(0)


@pytest.mark.parametrize(("channels", "filters", "padding_mode"), NETWORKS)
@pytest.mark.parametrize("tile", [11, None])
def test_it_is_the_mean_over_the_eight_flips_and_rotations(channels, filters, padding_mode, tile):
    model, image = _network(channels, filters, padding_mode), _image(channels, 21, 34)
    expected = _by_brute_force(image, lambda turned: model(turned[None])[0])
    assert (reconstruct(image, model, InferenceOptions(tile=tile, ensemble=True)) - expected).abs().max() < 1e-5
    assert (reconstruct(image, model) - expected).abs().max() > 1e-3  # the plain pass differs


@pytest.mark.parametrize(
    "options",
    [
        InferenceOptions("non-overlapping", patch=10),
        InferenceOptions("overlapping", patch=10, stride=5),
    ],
    ids=lambda options: options.mode,
)
def test_it_is_the_mean_in_the_patch_modes_as_well(options):
    model, image = _network(), _image(1, 30, 20)  # patches of 10 lie at the same places in all eight
    expected = _by_brute_force(image, lambda turned: reconstruct(turned, model, options))
    assert (reconstruct(image, model, dataclasses.replace(options, ensemble=True)) - expected).abs().max() < 1e-5


def test_it_is_the_mean_where_overlapping_patches_are_run_by_the_exact_method():
    model, image = _network(filters=(3, 1, 1)), _image(1, 9, 7)
    options = InferenceOptions("overlapping", patch=4)
    expected = _by_brute_force(image, lambda turned: reconstruct(turned, model, options))
    assert (reconstruct(image, model, dataclasses.replace(options, ensemble=True)) - expected).abs().max() < 1e-5


def test_it_equals_the_plain_pass_of_a_network_with_symmetric_filters():
    model, image = _network(), _image(1, 21, 34)
    for layer in model.layers():
        layer.weight.data = _by_brute_force(layer.weight.data, lambda weight: weight)
        eight = [layer.weight.data.rot90(quarters, (-2, -1)) for quarters in range(4)]
        layer.weight.data = sum(eight + [weight.mT for weight in eight]) / 8
    assert (reconstruct(image, model, InferenceOptions(ensemble=True)) - reconstruct(image, model)).abs().max() < 1e-6


def test_the_mean_is_taken_before_the_clamp():
    model, image = _network(), _image(1, 21, 34)
    with torch.no_grad():
        model.layer_3.weight *= 100
    options = InferenceOptions(ensemble=True)
    enlargement = BicubicEnlargement(Picture(image), 1.1)
    mean = reconstruct(enlargement.rows(0, enlargement.size[0])[0], model, options)
    assert mean.min() < 0 or mean.max() > 1
    [(_, band, _)] = upscale_bands(enlargement, model, options)
    assert torch.equal(band, mean.clamp(0, 1))


def test_the_network_itself_is_not_changed():
    model = _network()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    reconstruct(_image(1, 9, 9), model, InferenceOptions(ensemble=True))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.layer_1.weight.requires_grad


def test_progress_covers_all_eight_passes():
    calls = []
    options = InferenceOptions(tile=20, ensemble=True, arithmetic="exact")
    reconstruct(_image(1, 40, 40), _network(), options, progress=lambda *call: calls.append(call))
    assert calls == [(done, 32) for done in range(1, 33)]
