import dataclasses
import json

import pytest

from srcnn_lib.config import RECIPES, TrainingConfig
from srcnn_lib.errors import InputError


def test_settings_survive_the_way_through_json():
    config = TrainingConfig.of("original", widths=(64, 32), validation=("0.2",), scale=3.0)
    assert TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_recipe_best_is_the_default():
    assert TrainingConfig() == TrainingConfig.of("best")


def test_recipe_original_is_what_the_student_project_did():
    original = TrainingConfig.of("original")
    assert (original.init, original.crops, original.loss) == ("torch", "ten", "padded")
    assert (original.rate, original.schedule, original.ema, original.arithmetic) == (1e-4, "constant", 0, "float32")
    assert (original.crop, original.patch, original.padding_mode) == (33, 33, "zeros")


def test_every_field_of_a_recipe_can_be_overridden():
    assert TrainingConfig.of("original", init="identity").init == "identity"


def test_a_valid_training_input_is_the_patch_with_its_halo():
    config = TrainingConfig()
    assert (config.halo, config.patch, config.crop) == (8, 33, 49)


def test_every_setting_has_a_help_text():
    assert all(field.metadata["help"].endswith(".") for field in dataclasses.fields(TrainingConfig))


def test_recipes_name_only_settings():
    names = {field.name for field in dataclasses.fields(TrainingConfig)}
    assert all(set(recipe) <= names for recipe in RECIPES.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", 1.0), ("scale", float("nan")), ("scale", 100.0), ("channels", 2), ("filters", (9, 4, 5)),
        ("filters", (9, 5)), ("widths", (0, 32)), ("init", "zeros"), ("shrink", (0.5, 1.0)),
        ("objective", "mae"), ("crops", "five"), ("batch", 0), ("rate", 0.0),
        ("rate", float("inf")), ("minutes", -1.0), ("ema", 1.0), ("steps", -1), ("device", "tpu"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_what_was_expected(name, value):
    with pytest.raises(InputError, match=f"^{name} is .*expected") as error:
        TrainingConfig.of(**{name: value})
    assert "\n" not in str(error.value)


def test_two_ends_are_refused():
    with pytest.raises(InputError, match="one of the three"):
        TrainingConfig.of(epochs=2, minutes=1.0)


def test_an_unknown_setting_is_named():
    with pytest.raises(InputError, match="no setting 'bach'"):
        TrainingConfig.of(bach=3)
