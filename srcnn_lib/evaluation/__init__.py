"""Measuring networks on photographs: PSNR and SSIM beside bicubic's and the paper's, and model cards."""

from typing import TYPE_CHECKING

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "model_card": ["release"],
        "published_results": ["Comparison", "compare_with_paper"],
        "quality": ["Evaluation", "compare", "evaluate"],
        "report": ["print_table"],
        "sample": ["Sample"],
    },
)

if TYPE_CHECKING:
    from .model_card import release as release
    from .published_results import Comparison as Comparison
    from .published_results import compare_with_paper as compare_with_paper
    from .quality import Evaluation as Evaluation
    from .quality import compare as compare
    from .quality import evaluate as evaluate
    from .report import print_table as print_table
    from .sample import Sample as Sample
