"""Self-contained HTML pages: the laboratory, and the comparison of two pictures."""

import lazy_loader

# __init__.pyi lists the names; each is imported when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
