"""Memory that a computation uses again and again."""

import math

from torch import Tensor


class Workspace:
    """Memory that every block reuses: allocating new pages would take as long as the matrix products."""

    def __init__(self, like: Tensor):
        self.like = like
        self.tensors: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int) -> Tensor:
        """Returns a tensor of this shape with any values, in the memory with this name."""
        size = math.prod(shape)
        if name not in self.tensors or self.tensors[name].numel() < size:
            self.tensors[name] = self.like.new_zeros(size)  # zeros: what nobody reads is at least no NaN
        return self.tensors[name][:size].view(shape)
