import dataclasses

import pytest
import torch

from srcnn_lib import metrics
from srcnn_lib.data.augmentation import remove_border
from srcnn_lib.data.training_data import Patches, load_training_data
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.training import new_model, validate


def test_scores_are_the_mean_of_the_patches_psnr(small):
    config = dataclasses.replace(small, channels=3)
    patches = load_training_data(config).validation_patches
    model = new_model(config)
    scores = validate(model, patches, batch_size=3)
    inputs, targets = patches.rgb
    output = model.run_layers(inputs).detach()
    bicubic = remove_border(inputs, config.halo)
    assert scores["psnr_rgb"] == pytest.approx(metrics.psnr(output, targets).mean().item(), abs=1e-4)
    assert scores["psnr_y"] == pytest.approx(metrics.psnr(output.clamp(0, 1), targets, "y").mean().item(), abs=1e-4)
    assert scores["bicubic_psnr_rgb"] == pytest.approx(metrics.psnr(bicubic, targets).mean().item(), abs=1e-4)
    assert scores["mse"] == pytest.approx(scores["loss"] * 255**2)


def test_a_patch_that_is_reproduced_without_error_counts_100_db():
    """Otherwise its infinity would swallow the mean."""
    model = start_from_identity(SRCNN(1, (3, 1, 3), (2, 2)))
    with torch.no_grad():
        model.layer_3.weight[:, 1:] = 0
    flat = torch.full((2, 1, 9, 9), 0.5)
    target = remove_border(flat, model.halo)
    patches = Patches((flat.expand(-1, 3, -1, -1), target.expand(-1, 3, -1, -1)), (flat, target))
    assert validate(model, patches)["psnr_y"] == 100
