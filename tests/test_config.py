import dataclasses
import json

import pytest

from srcnn_lib.config import RECIPES, TrainingConfig
from srcnn_lib.errors import InputError


def test_settings_survive_the_round_trip_through_json():
    config = TrainingConfig.of("original", widths=(64, 32), validation=("0.2",), scale=3.0)
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_recipe_best_is_the_default():
    assert TrainingConfig() == TrainingConfig.of("best")


def test_recipe_original_has_the_student_projects_settings():
    original = TrainingConfig.of("original")
    assert (original.init, original.crops, original.padding, original.loss) == ("torch", "ten", "padded", "mse")
    assert (original.learning_rate, original.schedule, original.ema) == (1e-4, "constant", 0)
    assert original.arithmetic == "float32"
    assert (original.crop, original.patch, original.padding_mode) == (33, 33, "zeros")


def test_every_setting_of_a_recipe_can_be_changed():
    assert TrainingConfig.of("original", init="identity").init == "identity"


def test_a_valid_training_input_is_the_patch_with_its_halo():
    config = TrainingConfig()
    assert (config.halo, config.patch, config.crop) == (8, 33, 49)


def test_every_setting_has_a_help_text_and_a_group():
    for setting in dataclasses.fields(TrainingConfig):
        assert setting.metadata["help"].endswith("."), setting.name
        assert setting.metadata["group"] in ("Training", "Advanced"), setting.name


def test_advanced_settings_come_after_the_others():
    groups = [setting.metadata["group"] for setting in dataclasses.fields(TrainingConfig)]
    assert groups == sorted(groups, reverse=True)


def test_recipes_name_only_settings():
    names = {setting.name for setting in dataclasses.fields(TrainingConfig)}
    assert all(set(recipe) <= names for recipe in RECIPES.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", ()), ("data", "samples"), ("scale", 1.0), ("scale", float("nan")), ("scale", 100.0),
        ("channels", 2), ("filters", (9, 4, 5)), ("filters", (9, 5)), ("widths", (0, 32)), ("init", "zeros"),
        ("init", ""), ("scale_augmentation", (0.5, 1.0)), ("loss", "mae"), ("padding", "reflect"), ("crops", "five"),
        ("batch_size", 0), ("learning_rate", 0.0), ("learning_rate", float("inf")), ("minutes", -1.0),
        ("ema", 1.0), ("float32_fraction", 1.5), ("input_center", -0.1), ("reinit_dead_every", -1),
        ("last_layer_learning_rate", 11.0), ("steps", -1), ("device", "tpu"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_named_with_what_was_expected(name, value):
    with pytest.raises(InputError, match=f"^{name} is .*expected") as error:
        TrainingConfig.of(**{name: value})
    assert "\n" not in str(error.value)


def test_a_patch_too_large_for_the_ten_crops_is_refused():
    with pytest.raises(InputError, match="patch is 81, expected at most 96 pixels with its halo"):
        TrainingConfig.of(crops="ten", patch=81)


def test_more_than_one_end_is_refused():
    with pytest.raises(InputError, match="one of the three"):
        TrainingConfig.of(epochs=2, minutes=1.0)


def test_an_unknown_setting_is_named():
    with pytest.raises(InputError, match="no setting 'bach'"):
        TrainingConfig.of(bach=3)


def test_only_settings_that_may_change_on_resume_are_no_difference():
    config = TrainingConfig.of(steps=5)
    assert config.differences(TrainingConfig.of(minutes=1.0, device="cpu", keep_checkpoints=1)) == []
    assert config.differences(TrainingConfig.of(seed=1)) == ["seed was 0, now 1"]
