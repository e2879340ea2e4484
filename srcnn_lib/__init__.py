"""Train SRCNN, watch it learn, look into it, use it.

These names are all that most programs need. Each is imported when it is first used, so importing the package is
quick; the rest is in the sub-packages (see docs/architecture.md).
"""

import lazy_loader

# __init__.pyi lists the names; each is imported when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
