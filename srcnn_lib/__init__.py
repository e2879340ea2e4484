"""Train SRCNN, watch it learn, look into it, use it.

The names below are all that most programs need. Each is imported from its module when it is first used, so that
importing the package costs nothing.
"""

from importlib import import_module

_HOME = {
    "SRCNN": "model",
    "load": "weights",
    "save": "weights",
    "read_image": "data.images",
    "write_image": "data.images",
    "degrade": "data.degradation",
    "upscale": "inference.upscaling",
    "psnr": "metrics",
    "ssim": "metrics",
    "evaluate": "evaluation.quality",
    "TrainingConfig": "config",
    "InputError": "errors",
    "fit": "training.trainer",
    "Run": "run",
    "load_photographs": "data.sources",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(f".{_HOME[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
