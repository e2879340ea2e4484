"""Train SRCNN, watch it learn, look into it, use it.

These names are all that most programs need. Each is imported when it is first used, so importing the package is
quick; the rest is in the sub-packages (see docs/architecture.md).
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .config import TrainingConfig as TrainingConfig
    from .data.degradation import degrade as degrade
    from .data.images import read_image as read_image
    from .data.images import write_image as write_image
    from .data.sources import load_photographs as load_photographs
    from .errors import InputError as InputError
    from .evaluation.quality import evaluate as evaluate
    from .inference.upscaling import upscale as upscale
    from .metrics import psnr as psnr
    from .metrics import ssim as ssim
    from .model import SRCNN as SRCNN
    from .run import Run as Run
    from .training.trainer import fit as fit
    from .weights import load as load
    from .weights import save as save

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "config": ["TrainingConfig"],
        "data.degradation": ["degrade"],
        "data.images": ["read_image", "write_image"],
        "data.sources": ["load_photographs"],
        "errors": ["InputError"],
        "evaluation.quality": ["evaluate"],
        "inference.upscaling": ["upscale"],
        "metrics": ["psnr", "ssim"],
        "model": ["SRCNN"],
        "run": ["Run"],
        "training.trainer": ["fit"],
        "weights": ["load", "save"],
    },
)
