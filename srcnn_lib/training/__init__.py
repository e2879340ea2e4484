"""Training: `fit` yields a record per step; `train` runs it in the terminal."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checkpointing": ["Checkpointer"],
        "control": ["TrainingControl"],
        "launch": ["train"],
        "progress": ["train_with_progress"],
        "state": ["TrainingState", "new_model"],
        "tensorboard": ["reconstruct_probe"],
        "trainer": ["Record", "fit", "load_data"],
        "validation": ["validate"],
    },
)

if TYPE_CHECKING:
    from .checkpointing import Checkpointer as Checkpointer
    from .control import TrainingControl as TrainingControl
    from .launch import train as train
    from .progress import train_with_progress as train_with_progress
    from .state import TrainingState as TrainingState
    from .state import new_model as new_model
    from .tensorboard import reconstruct_probe as reconstruct_probe
    from .trainer import Record as Record
    from .trainer import fit as fit
    from .trainer import load_data as load_data
    from .validation import validate as validate
