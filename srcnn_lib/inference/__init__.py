"""Running a network over pictures: whole or in patches, in memory that does not grow with the picture."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "jobs": ["Job", "plan"],
        "options": ["ARITHMETICS", "MODES", "InferenceOptions"],
        "upscale_files": ["Upscaled", "upscale_file"],
        "upscaling": ["reconstruct", "upscale", "upscale_picture"],
    },
)

if TYPE_CHECKING:
    from .jobs import Job as Job
    from .jobs import plan as plan
    from .options import ARITHMETICS as ARITHMETICS
    from .options import MODES as MODES
    from .options import InferenceOptions as InferenceOptions
    from .upscale_files import Upscaled as Upscaled
    from .upscale_files import upscale_file as upscale_file
    from .upscaling import reconstruct as reconstruct
    from .upscaling import upscale as upscale
    from .upscaling import upscale_picture as upscale_picture
