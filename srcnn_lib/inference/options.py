"""The options of inference, in one frozen dataclass. It does not import torch, so that the command line starts fast."""

from dataclasses import dataclass

from ..errors import InputError

MODES = ("whole", "non-overlapping", "overlapping")
ARITHMETICS = ("float32", "exact", "bfloat16")


@dataclass(frozen=True)
class InferenceOptions:
    """How a network is run over a picture.

    Args:
        mode: "whole": one pass over the picture, in tiles that include their surround, so that no seam can appear.
            "non-overlapping": each patch once, alone; the last patch of a row or column is moved inside, and where
            two patches cover a pixel the later one (to the right, then further down) overwrites. "overlapping": a
            patch every `stride` pixels, alone; each pixel is the mean of all values that it got.
        patch: side of a patch in pixels. A picture smaller than that is one patch in that dimension.
        stride: pixels from one patch to the next, from 1 to `patch`; used in mode "overlapping" only.
        tile: largest side of a tile in pixels, in mode "whole"; None for a size that suits network, device and
            memory. A GPU that runs out of memory gets smaller tiles.
        batch_size: patches at a time; None for as many as take some 64 MB. A GPU that runs out of memory gets fewer.
        arithmetic: "float32": on a CPU by minimal filtering, within 2e-5 of the exact result. "exact": float32 by plain
            convolutions, slower on a CPU. "bfloat16": 16 bits for the first two layers.
        ensemble: average the outputs for the eight flips and rotations of the picture (or of each patch, where
            patches are run alone), at eight times the work.

    Raises:
        InputError: an unknown mode or arithmetic, a number below 1, or a stride above the patch.
    """

    mode: str = "whole"
    patch: int = 33
    stride: int = 1
    tile: int | None = None
    batch_size: int | None = None
    arithmetic: str = "float32"
    ensemble: bool = False

    def __post_init__(self):
        if self.mode not in MODES:
            raise InputError(f"mode is {self.mode!r}, expected one of {', '.join(MODES)}")
        for name in ("patch", "stride", "tile", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}, expected 1 or more")
        if self.stride > self.patch:
            raise InputError(
                f"stride is {self.stride}, expected from 1 to the patch's {self.patch}: pixels would be left out"
            )
        if self.arithmetic not in ARITHMETICS:
            raise InputError(f"arithmetic is {self.arithmetic!r}, expected one of {', '.join(ARITHMETICS)}")
