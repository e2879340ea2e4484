from .model_card import release as release
from .published_results import Comparison as Comparison
from .published_results import compare_with_paper as compare_with_paper
from .quality import Evaluation as Evaluation
from .quality import compare as compare
from .quality import evaluate as evaluate
from .report import print_table as print_table
from .sample import Sample as Sample
