"""Self-contained HTML pages: the player of a training, and the comparison of two pictures."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .comparison import render_comparison as render_comparison
    from .comparison import render_model_comparison as render_model_comparison
    from .page import write_page as write_page
    from .player import render_player as render_player

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison": ["render_comparison", "render_model_comparison"],
        "page": ["write_page"],
        "player": ["render_player"],
    },
)
