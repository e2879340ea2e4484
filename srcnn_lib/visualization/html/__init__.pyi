from .comparison import render_comparison as render_comparison
from .comparison import render_model_comparison as render_model_comparison
from .laboratory import render_laboratory as render_laboratory
from .page import write_page as write_page
