"""Low-resolution pictures that the user has: pairs with photographs of the same names, instead of bicubic reduction."""

import hashlib
from pathlib import PurePath

from torch import Tensor

from ..errors import InputError
from .degradation import low_resolution_size, resize, upscaled_size
from .sources import load_photographs


class LowResolutionPictures:
    """The low-resolution pictures of a source, found by the names of their photographs.

    Args:
        source: as in `load_photographs`, such as a folder. A picture belongs to the photograph of the same name; the
            extension does not count.
        scale: by which the photographs are larger.

    Raises:
        InputError: a source that can't be read, or two pictures of one name.
    """

    def __init__(self, source: str, scale: float):
        self.source = source
        self.scale = scale
        self._photographs = load_photographs(source)
        self._hash = hashlib.sha256()
        self._index: dict[str, int] = {}
        for index, name in enumerate(self._photographs.names):
            key = _key(name)
            if key in self._index:
                raise InputError(f"{source}: two low-resolution pictures are named {key}; keep one")
            self._index[key] = index

    def pair(self, name: str, original: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the bicubic enlargement of a photograph's low-resolution picture, and the photograph.

        Args:
            name: of the photograph.
            original: (C, H, W) in [0, 1].

        Returns:
            upsampled and original, both (C, H, W) and cropped to a multiple of the scale as in `degrade`; gray where
            the low-resolution picture is gray.

        Raises:
            InputError: no picture of that name, or one whose size is not the photograph's divided by the scale.
        """
        index = self._index.get(_key(name))
        if index is None:
            raise InputError(f"{self.source} holds no low-resolution picture for {name}; expected {_key(name)}.*")
        low = self._photographs[index].pixels
        height, width = original.shape[-2:]
        expected = low_resolution_size(height, width, self.scale)
        if tuple(low.shape[-2:]) != expected:
            raise InputError(
                f"{self.source}: {self._photographs.names[index]} has {low.shape[-1]}×{low.shape[-2]} pixels, expected "
                f"{expected[1]}×{expected[0]}: {name} has {width}×{height} and the scale is {self.scale:g}"
            )
        self._hash.update(low.contiguous().numpy().data)
        height, width = upscaled_size(*expected, self.scale)
        return resize(low, (height, width)), original[..., :height, :width]

    @property
    def digest(self) -> str:
        """The SHA-256 of the pictures that `pair` has returned so far, in their order."""
        return self._hash.hexdigest()


def _key(name: str) -> str:
    return str(PurePath(name).with_suffix(""))
