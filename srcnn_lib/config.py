"""Every setting of a training, in one frozen dataclass; importing it costs nothing (no torch)."""

import dataclasses
import json
import math
from dataclasses import dataclass, field

from .errors import InputError

RECIPES = {
    "best": {},
    # What the student project did: kept so that people can watch the difference.
    "original": {
        "init": "torch",
        "crops": "ten",
        "padding": "padded",
        "loss": "mse",
        "batch_size": 1280,
        "optimizer": "adam",
        "learning_rate": 1e-4,
        "warmup": 0,
        "schedule": "constant",
        "last_layer_learning_rate": 1.0,
        "ema": 0.0,
        "arithmetic": "float32",
        "float32_fraction": 0.0,
        "input_center": 0.0,
        "reinit_dead_every": 0,
    },
}

# What a run did that was made before a setting was there.
BEFORE = {"loss": "mse", "float32_fraction": 0.0, "input_center": 0.0, "reinit_dead_every": 0}
ENDS = ("epochs", "steps", "minutes")
FREE = (*ENDS, "device", "keep_checkpoints")  # what may change while a training goes on

CHOICES = {
    "recipe": tuple(RECIPES),
    "init": ("identity", "torch"),
    "crops": ("random", "ten"),
    "padding": ("valid", "padded"),
    "loss": ("rmse", "mse"),
    "optimizer": ("soap", "adam"),
    "schedule": ("cosine", "constant"),
    "arithmetic": ("auto", "float32", "bfloat16", "float16"),
    "device": ("auto", "cpu", "cuda", "mps"),
}


def _setting(default, help):
    if isinstance(default, (list, tuple)):
        return field(default=tuple(default), metadata={"help": help})
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class TrainingConfig:
    """What decides a training. Written as JSON into the run; each field is a flag of `srcnn train`.

    Reference: Dong et al., arXiv 1501.00092, section 3, for the network; the defaults were chosen by measurement.
    """

    data: tuple[str, ...] = _setting(
        ("samples",),
        "Photographs to train on: samples, stl10, a named set, a folder, glob, zip or tar. May be repeated.",
    )
    validation: tuple[str, ...] = _setting(
        ("0.1",), "Photographs to measure on: a source like --data, or the fraction of the photographs to keep out."
    )
    limit: int = _setting(0, "Use at most this many photographs of each source; 0 for all.")
    scale_augmentation: tuple[float, ...] = _setting(
        (),
        "Train on each photograph shrunk by these factors as well, such as 0.8,0.6: sharper, less of JPEG's traces.",
    )
    recipe: str = _setting("best", "Defaults for everything below: best, or original (the student project's).")
    scale: float = _setting(2.0, "How much the network is to enlarge, from 1.1 to 8.")
    channels: int = _setting(3, "3 for a network on RGB, 1 for one on luminance (Y), which leaves color to bicubic.")
    filters: tuple[int, ...] = _setting((9, 5, 5), "Filter sizes of the three layers, odd.")
    widths: tuple[int, ...] = _setting((128, 64), "Channels after the first and the second layer.")
    # A network that starts as "copy the bicubic picture" beats bicubic within seconds; one from torch's default
    # needs thousands of steps to get there.
    init: str = _setting("identity", "identity starts from the bicubic picture, torch from nothing.")
    crops: str = _setting(
        "random", "random crops of whole photographs with eight flips and rotations, or ten (TenCrop)."
    )
    # Zero padding is felt eight pixels deep in a 33x33 patch; a loss there trains the network for two masters.
    padding: str = _setting(
        "valid", "valid: on what the valid convolutions give; padded: 33x33 in and out, zeros outside."
    )
    # What is measured is the mean of the dB, in which an easy picture counts as much as a hard one; in the mean squared
    # error of a batch the hardest crops are nearly all there is.
    loss: str = _setting(
        "rmse", "What is made small: the mean over the crops of each one's root mean squared error (rmse), or mse."
    )
    patch: int = _setting(33, "Side of the target patch in pixels.")
    # Many small steps: after a minute on two cores 8 crops a step were half a dB ahead of 24 (Set5 ×2).
    batch_size: int = _setting(8, "Crops a step.")
    # After 1 500 steps (validation photographs, ×2) SOAP is at 35.14 dB where Adam at 1e-3 is at 34.58; a step takes
    # three per cent longer.
    optimizer: str = _setting("soap", "soap (Adam in the eigenbasis of the gradients' covariance) or adam.")
    learning_rate: float = _setting(3e-3, "Learning rate; Adam wants a third of it.")
    warmup: int = _setting(200, "Steps over which the rate rises from nothing; a tenth of all at most.")
    schedule: str = _setting("cosine", "cosine to zero at the end of the training, or constant.")
    # The last layer writes pixels directly: at the full rate its noise is the picture's noise (paper, section 4.1).
    last_layer_learning_rate: float = _setting(0.1, "The last layer's rate as a share of the others'.")
    ema: float = _setting(0.999, "Decay of the averaged weights that are tested and kept; 0 for none.")
    epochs: int = _setting(0, "Stop after this many passes over the crops.")
    steps: int = _setting(0, "Stop after this many steps.")
    minutes: float = _setting(
        0.0, "Stop after this many minutes (a number of steps, fixed by timing a few); 10 if no other end is given."
    )
    seed: int = _setting(0, "Decides the split, the order, the crops and the first weights.")
    validation_patches: int = _setting(512, "At most this many target patches are measured after each epoch.")
    arithmetic: str = _setting(
        "auto", "auto, float32, bfloat16 or float16 (autocast but for the last layer and the loss)."
    )
    # As the rate goes to zero the rounded weights of 16 bits stand still, and those behind them, which are kept, drift
    # off: 80 000 steps to the end in bfloat16 lost 0.3 dB of the test patches (×3).
    float32_fraction: float = _setting(0.1, "Share of the steps, the last ones, that are taken in float32 in any case.")
    # A channel of the first layer that ReLU lets through nowhere has no gradient any more. What takes it there is the
    # sum of its kernel, by which it answers to even areas: without these two, 39 of 64 were lost in 20 000 steps.
    input_center: float = _setting(
        0.45,
        "The first layer learns as if this were taken from the picture, its bias at a tenth of the rate; 0: no.",
    )
    reinit_dead_every: int = _setting(
        500, "Every so many steps, up to six tenths of all, channels that are never active begin anew; 0: they don't."
    )
    device: str = _setting("auto", "auto, cpu, cuda or mps.")
    deterministic: bool = _setting(False, "Bit-identical results on CUDA as well, at some cost in speed.")
    keep_checkpoints: int = _setting(3, "How many of the latest checkpoints are kept, beside the best.")

    def __post_init__(self):
        for name, choices in CHOICES.items():
            _check(getattr(self, name) in choices, name, getattr(self, name), "one of " + ", ".join(choices))
        for name in ("data", "validation"):
            sources = getattr(self, name)
            named = isinstance(sources, tuple) and bool(sources) and all(isinstance(source, str) for source in sources)
            _check(named, name, sources, "at least one source")
        _check(math.isfinite(self.scale) and 1.1 <= self.scale <= 8, "scale", self.scale, "from 1.1 to 8")
        _check(self.channels in (1, 3), "channels", self.channels, "1 (Y) or 3 (RGB)")
        _check(
            len(self.filters) == 3 and all(size > 0 and size % 2 for size in self.filters),
            "filters", _joined(self.filters), "three odd sizes such as 9,5,5",
        )  # fmt: skip
        _check(
            len(self.widths) == 2 and all(width > 0 for width in self.widths),
            "widths", _joined(self.widths), "two positive numbers such as 64,32",
        )  # fmt: skip
        _check(
            all(0.1 <= factor < 1 for factor in self.scale_augmentation),
            "scale_augmentation", _joined(self.scale_augmentation), "factors from 0.1 to below 1 such as 0.8,0.6",
        )  # fmt: skip
        for name in ("patch", "batch_size", "validation_patches", "keep_checkpoints"):
            _check(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("limit", "warmup", "reinit_dead_every", "epochs", "steps", "seed"):
            _check(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _check(
            math.isfinite(self.learning_rate) and self.learning_rate > 0,
            "learning_rate",
            self.learning_rate,
            "a positive number such as 5e-4",
        )
        _check(math.isfinite(self.minutes) and self.minutes >= 0, "minutes", self.minutes, "0 or more")
        _check(0 <= self.ema < 1, "ema", self.ema, "from 0 to below 1")
        _check(0 <= self.float32_fraction <= 1, "float32_fraction", self.float32_fraction, "from 0 to 1")
        _check(0 <= self.input_center <= 1, "input_center", self.input_center, "from 0 to 1")
        _check(
            0 <= self.last_layer_learning_rate <= 10,
            "last_layer_learning_rate",
            self.last_layer_learning_rate,
            "from 0 to 10",
        )
        _check(
            sum(bool(limit) for limit in (self.epochs, self.steps, self.minutes)) <= 1,
            "epochs, steps, minutes", "more than one", "one of the three",
        )  # fmt: skip
        expected = "at most 96 pixels with its halo: the ten crops are cut from tiles of that size"
        _check(self.crops == "random" or self.crop <= 96, "patch", self.patch, expected)

    @property
    def halo(self) -> int:
        """How far, in pixels, the convolutions look beyond an output pixel: 8 for 9-5-5."""
        return sum(size // 2 for size in self.filters)

    @property
    def crop(self) -> int:
        """Side of a training input: the target with its halo, or the bare patch where the loss is padded."""
        return self.patch if self.padding == "padded" else self.patch + 2 * self.halo

    @property
    def padding_mode(self) -> str:
        """What the network sees beyond the border: a run trained through zero padding is run through it as well."""
        return "zeros" if self.padding == "padded" else "replicate"

    @classmethod
    def of(cls, recipe: str = "best", **given) -> "TrainingConfig":
        """The recipe's settings with those `given` in place of its own.

        Raises:
            InputError: for an unknown recipe, name or value, with the valid choices.
        """
        if recipe not in RECIPES:
            raise InputError(f"recipe is {recipe!r}, expected one of {', '.join(RECIPES)}")
        names = {f.name for f in dataclasses.fields(cls)}
        for name in given:
            if name not in names:
                raise InputError(f"there is no setting {name!r}; the settings are {', '.join(sorted(names))}")
        return cls(**{**RECIPES[recipe], "recipe": recipe, **given})

    def differences(self, now: "TrainingConfig") -> list[str]:
        """What stands between a training that has begun and one with the settings `now`, a text each.

        Where it ends is no difference, since a run may be asked for more; nor is the device.
        """
        before, after = self.to_dict(), now.to_dict()
        return [f"{name} was {before[name]}, now {after[name]}" for name in before if before[name] != after[name]
                and name not in FREE]  # fmt: skip

    def to_dict(self) -> dict:
        """Plain values, ready for JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: dict) -> "TrainingConfig":
        """The inverse of `to_dict`. Names that this version does not know are refused by name."""
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        values = BEFORE | values
        return cls.of(**values)


def _check(right: bool, name: str, value, expected: str) -> None:
    if not right:
        raise InputError(f"{name} is {value}, expected {expected}")


def _joined(values) -> str:
    return ",".join(map(str, values))
