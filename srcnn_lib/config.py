"""Every setting of a training, in one frozen dataclass. Importing it is quick: it needs no torch."""

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import InputError

RECIPES: dict[str, dict[str, Any]] = {
    "best": {},
    # The student project's training, kept so that the two can be compared.
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
        "kernel_ridge": 0.0,
    },
}

RANDOM_STARTS = ("identity", "torch")  # initial weights that are not taken from a file
CHOICES = {
    "recipe": tuple(RECIPES),
    "crops": ("random", "ten"),
    "padding": ("valid", "padded"),
    "loss": ("rmse", "mse"),
    "optimizer": ("soap", "adam"),
    "schedule": ("cosine", "constant"),
    "arithmetic": ("auto", "float32", "bfloat16", "float16"),
    "device": ("auto", "cpu", "cuda", "mps"),
}
ARTIFACTS = {"jpeg": (1, 100), "noise": (0, 50)}  # the limits of their strengths
ENDS = ("epochs", "steps", "minutes")
FREE = (*ENDS, "device", "keep_checkpoints")  # settings that may change when a training is resumed

LARGEST_BATCH = 2**30  # pixels
LARGEST_NETWORK = 10**8  # weights


@dataclass(frozen=True)
class Artifact:
    """What a low-resolution picture suffers beside its reduction; the strength is drawn from a range.

    kind: "jpeg", compression of a quality from 1 to 100; or "noise", Gaussian, with a standard deviation in levels of
        8 bits.
    low, high: the range of the strength.
    """

    kind: str
    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> "Artifact":
        """Returns the artifact of a text such as "jpeg:30-95", "jpeg:50" or "noise:0-10".

        Raises:
            InputError: another kind, no number, or a strength out of range.
        """
        kind, _, strength = text.partition(":")
        low, _, high = strength.partition("-")
        try:
            artifact = cls(kind, float(low), float(high or low))
            smallest, largest = ARTIFACTS[kind]
            valid = smallest <= artifact.low <= artifact.high <= largest
        except (ValueError, KeyError):
            valid = False
        if not valid:
            raise InputError(
                f"degrade is {text!r}, expected jpeg:LOW-HIGH from 1 to 100 or noise:LOW-HIGH from 0 to 50"
            )
        return artifact

    def __str__(self) -> str:
        """Returns the text that `parse` reads: "jpeg:30-95", or "jpeg:50" for a single strength."""
        return f"{self.kind}:{self.low:g}" + (f"-{self.high:g}" if self.high > self.low else "")


def _training(default: Any, help: str) -> Any:
    """Returns a setting that many people change."""
    return field(default=default, metadata={"help": help, "group": "Training"})


def _advanced(default: Any, help: str) -> Any:
    """Returns a setting whose default was measured and that seldom needs a change."""
    return field(default=default, metadata={"help": help, "group": "Advanced"})


def halo_of(filters: Sequence[int]) -> int:
    """Returns how far, in pixels, three convolutions look beyond an output pixel: 8 for filters of 9, 5 and 5."""
    return sum(size // 2 for size in filters)


def _of_kind(value: Any, kind: Any) -> tuple[bool, str]:
    """Returns whether a value is of a setting's type, and the type in words; a whole number is a float as well."""
    if kind in (tuple[int, ...], tuple[float, ...], tuple[str, ...]):
        (item,) = set(kind.__args__) - {...}
        right = isinstance(value, tuple) and all(_of_kind(each, item)[0] for each in value)
        return right, f"a list, {_WORDS[item]} each"
    kinds = (int, float) if kind is float else (kind,)
    right = isinstance(value, kinds) and (kind is bool or not isinstance(value, bool))
    if right and kind in (int, float):
        right = not abs(value) >= (2**63 if kind is int else 1e300)  # NaN has a message of its own
    return right, _WORDS[kind]


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training. They are written as JSON into the run; each is a flag of `srcnn train`.

    `TrainingConfig.of("original", channels=1)` takes a recipe's defaults instead of the fields' own.

    Reference: Dong et al., arXiv 1501.00092, section 3, for the network; the defaults were chosen by measurement.
    """

    data: tuple[str, ...] = _training(
        ("samples",),
        "Photographs to train on: samples, stl10, a named set, a folder, glob, zip or tar. May be repeated.",
    )
    validation: tuple[str, ...] = _training(
        ("0.1",), "Photographs to measure on: a source like --data, or the fraction of the photographs to hold out."
    )
    limit: int = _training(0, "Use at most this many photographs of each source; 0 for all.")
    recipe: str = _training("best", "Default values of the other settings: best, or original (the student project's).")
    scale: float = _training(2.0, "Upscaling factor to train for, from 1.1 to 8.")
    degrade: tuple[str, ...] = _training(
        (),
        "Also compress the low-resolution pictures or add noise to them, such as jpeg:30-95 or noise:0-10 (drawn anew "
        "each epoch). May be repeated.",
    )
    low_resolution: str = _training(
        "", "Low-resolution pictures of the photographs, under the same names: a source like --data; none is reduced."
    )
    channels: int = _training(3, "3 for a network on RGB, 1 for one on luminance (Y), which leaves color to bicubic.")
    filters: tuple[int, ...] = _training((9, 5, 5), "Filter sizes of the three layers, odd.")
    widths: tuple[int, ...] = _training((128, 64), "Channels after the first and the second layer.")
    crops: str = _training(
        "random", "random crops of whole photographs with eight flips and rotations, or ten (TenCrop)."
    )
    patch: int = _training(33, "Side of the target patch in pixels.")
    # Many small steps: after a minute on two cores 8 crops a step were half a dB ahead of 24 (Set5 ×2).
    batch_size: int = _training(8, "Crops per step.")
    # After 1 500 steps (validation photographs, ×2) SOAP is at 35.13 dB where Adam at 1e-3 is at 34.58; a step takes
    # three per cent longer.
    optimizer: str = _training("soap", "soap (Adam in the eigenbasis of the gradients' covariance) or adam.")
    learning_rate: float = _training(3e-3, "Learning rate; for adam, 1e-3 is a good value.")
    epochs: int = _training(0, "Stop after this many passes over the crops.")
    steps: int = _training(0, "Stop after this many steps.")
    minutes: float = _training(
        0.0,
        "Stop after about this many minutes: a few steps are timed to fix a number of steps. "
        "10 if no other end is given.",
    )
    seed: int = _training(0, "Seed of the split, the order, the crops and the initial weights.")
    device: str = _training("auto", "auto, cpu, cuda or mps.")

    # A network that starts as "copy the bicubic picture" beats bicubic within seconds; one from torch's default
    # needs thousands of steps to get there.
    init: str = _advanced(
        "identity",
        "Initial weights: identity (copies the bicubic picture), torch's default, or those of a weights file or a run.",
    )
    # Zero padding changes the outer eight pixels of a 33x33 patch: a loss on them makes the network learn two tasks.
    padding: str = _advanced(
        "valid", "valid: no padding, 49x49 in and 33x33 out; padded: 33x33 in and out, zeros around every layer."
    )
    # The metric is the mean of the dB, in which an easy picture counts as much as a hard one; the mean squared error
    # of a batch comes almost entirely from its hardest crops.
    loss: str = _advanced("rmse", "rmse (the mean of the crops' root mean squared errors) or mse.")
    scale_augmentation: tuple[float, ...] = _advanced(
        (),
        "Also train on each photograph downscaled by these factors, such as 0.8,0.6: sharper, with fewer JPEG traces.",
    )
    schedule: str = _advanced("cosine", "Learning rate over time: cosine to zero at the end, or constant.")
    warmup: int = _advanced(200, "Steps over which the learning rate rises from zero; a tenth of all at most.")
    # The last layer's output is the picture: at the full rate its noise appears there (paper, section 4.1).
    last_layer_learning_rate: float = _advanced(0.1, "Learning rate of the last layer, as a fraction of the others'.")
    ema: float = _advanced(
        0.999, "Decay of the exponential moving average of the weights, which is measured and kept; 0 for none."
    )
    # A channel of the first layer whose output is negative everywhere is dead: behind ReLU it has no gradient. Most die
    # by the sum of their kernel, the response to flat areas: without these two, 39 of 64 died in 20 000 steps.
    input_center: float = _advanced(
        0.45,
        "Subtract this value from layer 1's input when updating, its bias at a tenth of the rate; 0 disables.",
    )
    reinit_dead_every: int = _advanced(
        500, "Reinitialize dead channels every N steps during the first 60 % of the training; 0 disables."
    )
    # A bicubic picture has hardly any high frequencies, so no gradient corrects what a kernel does there. Without this,
    # a third of the first layer's energy is noise after 4 000 steps, and half of it after 40 000.
    kernel_ridge: float = _advanced(
        2e-8,
        "Shrink layer 1's kernels at each step in directions of less variance than this times the remaining steps; "
        "0 disables.",
    )
    arithmetic: str = _advanced(
        "auto", "auto, float32, bfloat16 or float16 (autocast except for the last layer and the loss)."
    )
    # As the rate goes to zero, weights rounded to 16 bits stop changing, while the float32 weights, which are saved,
    # drift: 80 000 steps to the end in bfloat16 lost 0.3 dB on the validation patches (×3).
    float32_fraction: float = _advanced(0.1, "Fraction of the steps, at the end, that are always taken in float32.")
    deterministic: bool = _advanced(False, "Bit-identical results on CUDA as well, at some cost in speed.")
    validation_patches: int = _advanced(512, "Measure at most this many target patches after each epoch.")
    keep_checkpoints: int = _advanced(3, "How many of the latest checkpoints to keep, beside the best.")

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            self._require(setting.name, *_of_kind(getattr(self, setting.name), setting.type))
        for name, choices in CHOICES.items():
            self._require(name, getattr(self, name) in choices, "one of " + ", ".join(choices))
        for name in ("data", "validation"):
            sources = getattr(self, name)
            self._require(name, bool(sources), "at least one source")

        start = isinstance(self.init, str) and (self.init in RANDOM_STARTS or bool(set(self.init) & set("./\\")))
        self._require("init", start, "identity, torch, or the path of a weights file or a run")
        self._require("scale", math.isfinite(self.scale) and 1.1 <= self.scale <= 8, "from 1.1 to 8")
        for text in self.degrade:
            Artifact.parse(text)
        alone = not self.low_resolution or not (self.degrade or self.scale_augmentation)
        self._require("low_resolution", alone, "no degrade and no scale_augmentation beside pairs of your own")
        self._require("channels", self.channels in (1, 3), "1 (Y) or 3 (RGB)")
        odd = all(size > 0 and size % 2 for size in self.filters)
        self._require("filters", len(self.filters) == 3 and odd, "three odd sizes such as 9,5,5")
        positive = all(width > 0 for width in self.widths)
        self._require("widths", len(self.widths) == 2 and positive, "two positive numbers such as 64,32")
        factors = all(0.1 <= factor < 1 for factor in self.scale_augmentation)
        self._require("scale_augmentation", factors, "factors from 0.1 to below 1 such as 0.8,0.6")

        for name in ("patch", "batch_size", "validation_patches", "keep_checkpoints"):
            self._require(name, getattr(self, name) >= 1, "1 or more")
        for name in ("limit", "warmup", "reinit_dead_every", "epochs", "steps", "seed"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("float32_fraction", "input_center"):
            self._require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        self._require("kernel_ridge", 0 <= self.kernel_ridge <= 1, "from 0 to 1, such as 2e-8")
        usable = math.isfinite(self.learning_rate) and self.learning_rate > 0
        self._require("learning_rate", usable, "a positive number such as 5e-4")
        self._require("minutes", math.isfinite(self.minutes) and self.minutes >= 0, "0 or more")
        self._require("ema", 0 <= self.ema < 1, "from 0 to below 1")
        self._require("last_layer_learning_rate", 0 <= self.last_layer_learning_rate <= 10, "from 0 to 10")

        if sum(bool(end) for end in (self.epochs, self.steps, self.minutes)) > 1:
            raise InputError("epochs, steps, minutes is more than one, expected one of the three")
        fits = self.crops == "random" or self.crop <= 96
        # A run may come from somebody else: these would take all memory before anything else is looked at.
        filled = self.batch_size * self.crop**2 <= LARGEST_BATCH
        self._require("batch_size", filled, f"at most {LARGEST_BATCH:,} pixels in the crops of a step")
        (first, second, third), (wide, narrow) = self.filters, self.widths
        weights = wide * (self.channels * first**2 + narrow * second**2) + narrow * self.channels * third**2
        self._require("widths", weights <= LARGEST_NETWORK, f"a network of at most {LARGEST_NETWORK:,} weights")
        self._require("patch", fits, "at most 96 pixels with its halo: the ten crops are cut from tiles of that size")

    def _require(self, name: str, valid: bool, expected: str) -> None:
        """Raises an InputError that names the setting, its value and what was expected, unless it is valid."""
        if not valid:
            value = getattr(self, name)
            if isinstance(value, tuple) and value:
                value = ",".join(map(str, value))
            raise InputError(f"{name} is {value}, expected {expected}")

    @property
    def halo(self) -> int:
        """Pixels that the convolutions reach beyond an output pixel, on each side: 8 for 9-5-5."""
        return halo_of(self.filters)

    @property
    def margin(self) -> int:
        """Pixels by which a training input is larger than its target, on each side: as in `SRCNN.margin`."""
        return 0 if self.padding == "padded" else self.halo

    @property
    def crop(self) -> int:
        """Side of a training input: the target with its margin."""
        return self.patch + 2 * self.margin

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """What `degrade` names."""
        return tuple(Artifact.parse(text) for text in self.degrade)

    @property
    def psnr_channel(self) -> str:
        """The channel that PSNR is shown for: "y" where the network works on luminance, otherwise "rgb"."""
        return "y" if self.channels == 1 else "rgb"

    @property
    def padding_mode(self) -> str:
        """The network's border rule: one that is trained through zero padding is also run through it."""
        return "zeros" if self.padding == "padded" else "replicate"

    @classmethod
    def of(cls, recipe: str = "best", **changes: Any) -> "TrainingConfig":
        """Returns a recipe's settings with some of them changed.

        Raises:
            InputError: for an unknown recipe, name or value, with the valid choices.
        """
        if not isinstance(recipe, str) or recipe not in RECIPES:
            raise InputError(f"recipe is {recipe!r}, expected one of {', '.join(RECIPES)}")
        names = {setting.name for setting in dataclasses.fields(cls)}
        for name in changes:
            if name not in names:
                raise InputError(f"there is no setting {name!r}; the settings are {', '.join(sorted(names))}")
        return cls(**{**RECIPES[recipe], "recipe": recipe, **changes})

    def differences(self, other: "TrainingConfig") -> list[str]:
        """Describes each setting that differs in `other` and may not change when a training is resumed."""
        before = self.to_dict()
        now = other.to_dict()
        changed = [name for name in before if name not in FREE and before[name] != now[name]]
        return [f"{name} was {before[name]}, now {now[name]}" for name in changed]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, ready for JSON."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainingConfig":
        """Returns the settings of which `to_dict` made `values`.

        Raises:
            InputError: for an unknown name or value.
        """
        if not isinstance(values, dict):
            raise InputError("the settings are no object of JSON")
        lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls.of(**{**values, **lists})
