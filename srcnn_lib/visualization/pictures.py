"""Pictures to show: opened by name, address or file, and cropped to where bicubic's error is largest."""

import dataclasses
import glob
from pathlib import Path

from ..data import images
from ..data.degradation import degrade
from ..data.download import is_url
from ..data.images import Picture
from ..data.regions import largest_error_region
from ..data.sources import load_photographs
from ..errors import InputError
from ..run import Run


def open_picture(source: Picture | str | Path, run: Run | None = None) -> Picture:
    """Opens a photograph and removes its transparency, which a network does not take.

    Args:
        source: a picture, an address, a file, the first photograph of a source of `load_photographs` such as
            "samples:astronaut", or "probe:0" to "probe:3" for a tile of the run's probe.
        run: the run that "probe:0" refers to.

    Returns:
        the picture; its `notes` say where transparency was removed.

    Raises:
        InputError: for a source that is none of these, or a picture that can't be read.
    """
    if isinstance(source, Picture):
        return _without_alpha(source)
    name = str(source)
    if name.startswith("probe:"):
        if run is None or name[6:] not in ("0", "1", "2", "3"):
            raise InputError(f"{name} is no picture: only runs have a probe, with the tiles probe:0 to probe:3")
        return Picture(run.probe()[1][int(name[6:])], name=name)
    path = Path(name)
    # A name with an extension is a file: if it does not exist, the message must not be about unknown sets.
    is_file = path.is_file() or (path.suffix and not path.is_dir() and not glob.has_magic(name))
    return _without_alpha(images.read_image(name) if is_url(name) or is_file else load_photographs(name)[0])


def _without_alpha(picture: Picture) -> Picture:
    if picture.alpha is None:
        return picture
    note = f"{picture.name}: transparency is left out"
    return dataclasses.replace(picture, alpha=None, notes=(*picture.notes, note))


def crop_to_largest_error(picture: Picture, side: int, scale: float) -> Picture:
    """Returns the square of at most `side` pixels in which bicubic's error is largest.

    Args:
        picture: of any size; a picture that is small enough is returned as it is.
        side: in pixels.
        scale: the factor by which the picture is reduced and enlarged again.

    Returns:
        the cropped picture; its `notes` say which part of a larger picture it is.
    """
    upsampled, original = degrade(picture.pixels, scale)
    height, width = original.shape[-2:]
    if max(height, width) <= side:
        return picture
    top, left, tall, wide = largest_error_region(original, upsampled, (side, side))
    note = f"Of {width} × {height} pixels {wide} × {tall} are shown, at {left}, {top}: where bicubic loses most."
    pixels = original[:, top : top + tall, left : left + wide].clone()
    return dataclasses.replace(picture, pixels=pixels, alpha=None, notes=(*picture.notes, note))
