"""Photographs: reading and writing pictures, named sets, degradation, and crops to train on."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "augmentation": ["RandomCrops", "TenCrops", "ten_crops"],
        "color": ["from_network_channels", "luminance", "rgb_to_ycbcr", "to_network_channels", "ycbcr_to_rgb"],
        "degradation": ["degrade", "downscale", "resize"],
        "images": ["Picture", "PictureWriter", "read_image", "write_image"],
        "named_sets": ["NAMED_SETS", "SAMPLES", "data_folder"],
        "regions": ["largest_error_region"],
        "sources": ["Photographs", "load_photographs", "split_photographs"],
        "training_data": ["Patches", "TrainingData", "load_training_data"],
    },
)

if TYPE_CHECKING:
    from .augmentation import RandomCrops as RandomCrops
    from .augmentation import TenCrops as TenCrops
    from .augmentation import ten_crops as ten_crops
    from .color import from_network_channels as from_network_channels
    from .color import luminance as luminance
    from .color import rgb_to_ycbcr as rgb_to_ycbcr
    from .color import to_network_channels as to_network_channels
    from .color import ycbcr_to_rgb as ycbcr_to_rgb
    from .degradation import degrade as degrade
    from .degradation import downscale as downscale
    from .degradation import resize as resize
    from .images import Picture as Picture
    from .images import PictureWriter as PictureWriter
    from .images import read_image as read_image
    from .images import write_image as write_image
    from .named_sets import NAMED_SETS as NAMED_SETS
    from .named_sets import SAMPLES as SAMPLES
    from .named_sets import data_folder as data_folder
    from .regions import largest_error_region as largest_error_region
    from .sources import Photographs as Photographs
    from .sources import load_photographs as load_photographs
    from .sources import split_photographs as split_photographs
    from .training_data import Patches as Patches
    from .training_data import TrainingData as TrainingData
    from .training_data import load_training_data as load_training_data
