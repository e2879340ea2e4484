"""Pictures to show: opened by name, address or file, and cropped to where bicubic's error is largest."""

import contextlib
import dataclasses
import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from ..data import images
from ..data.degradation import degrade
from ..data.download import is_url
from ..data.images import Picture
from ..data.regions import Box, largest_error_region
from ..data.sources import is_on_this_machine, load_photographs
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
    return _without_alpha(open_photograph(name))


def open_photograph(source: str | Path) -> Picture:
    """Opens a photograph, with its transparency.

    Args:
        source: an address, a file, or a source of `load_photographs`, whose first photograph is taken.

    Raises:
        InputError: for a source that is none of these, or a picture that can't be read.
    """
    name = os.path.expanduser(str(source))
    return images.read_image(name) if _is_single(name) else load_photographs(name)[0]


def open_pictures(sources: Iterable[str | Path], run: Run | None = None) -> Iterator[Picture]:
    """Opens all photographs of some sources one by one, without their transparency.

    Args:
        sources: as `open_picture` takes them; of a folder, a glob or a set, all photographs are opened.
        run: the run that "probe:0" refers to.

    Raises:
        InputError: as `open_picture`, when the photograph's turn comes.
    """
    for source in sources:
        if _is_single(str(source)):
            yield open_picture(source, run)
        else:
            yield from map(_without_alpha, load_photographs(str(source)))


def _is_single(name: str) -> bool:
    """Returns whether a source names one picture: a tile of a probe, an address or a file."""
    path = Path(name)
    # A name with an extension is a file: if it does not exist, the message must not be about unknown sets.
    is_file = path.is_file() or bool(path.suffix and not path.is_dir() and not glob.has_magic(name))
    return name.startswith("probe:") or is_url(name) or is_file


def _without_alpha(picture: Picture) -> Picture:
    if picture.alpha is None:
        return picture
    note = f"{picture.name}: transparency is left out"
    return dataclasses.replace(picture, alpha=None, notes=(*picture.notes, note))


def is_training_photograph(picture: Picture, run: Run) -> bool:
    """Returns whether a run was trained on a picture, so that its result on it says nothing about others.

    The training photographs are looked for on this machine, by name; one that is not there is not recognized.
    """
    config, held_out = run.config, set(run.metadata.get("data", {}).get("validation_names", ()))
    for source in filter(is_on_this_machine, config.data):
        with contextlib.suppress(InputError, OSError):  # what the run was trained on may be gone or damaged
            photographs = load_photographs(source, config.limit)
            for number, name in enumerate(photographs.names):
                if Path(name).stem != Path(picture.name).stem or name in held_out:
                    continue
                if torch.equal(photographs[number].pixels, picture.pixels):
                    return True
    return False


def crop_to_largest_error(picture: Picture, side: int, scale: float) -> Picture:
    """Returns the square of at most `side` pixels in which bicubic's error is largest.

    Args:
        picture: of any size; a picture that is small enough is returned as it is.
        side: in pixels.
        scale: the factor by which the picture is reduced and enlarged again.

    Returns:
        the cropped picture; its `notes` say which part of a larger picture it is.
    """
    region = region_of_largest_error(picture, side, scale)
    return crop_picture(picture, region, ", where bicubic errs most") if region else picture


def region_of_largest_error(picture: Picture, side: int, scale: float) -> Box | None:
    """Returns the square that `crop_to_largest_error` cuts out; None for a picture that is small enough."""
    upsampled, original = degrade(picture.pixels, scale)
    if max(original.shape[-2:]) <= side:
        return None
    return largest_error_region(original, upsampled, (side, side))


def region_at(picture: Picture, side: int, at: tuple[int, int]) -> Box | None:
    """Returns the square of at most `side` pixels whose top left pixel is `at`, moved inside where it would not fit.

    Args:
        picture: of any size; None is returned for one that is small enough.
        side: in pixels.
        at: (row, column).
    """
    height, width = picture.pixels.shape[-2:]
    if max(height, width) <= side:
        return None
    tall, wide = min(side, height), min(side, width)
    top, left = (max(0, min(place, room)) for place, room in zip(at, (height - tall, width - wide), strict=True))
    return top, left, tall, wide


def crop_picture(picture: Picture, region: Box, why: str = "") -> Picture:
    """Returns a region of a picture; its `notes` say which part it is, and `why`."""
    top, left, tall, wide = region
    note = f"Shown: a {wide} × {tall} crop at x = {left}, y = {top}{why}."
    pixels = picture.pixels[:, top : top + tall, left : left + wide].clone()
    return dataclasses.replace(picture, pixels=pixels, alpha=None, notes=(*picture.notes, note))
