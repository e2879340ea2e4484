from .comparison import render_comparison as render_comparison
from .comparison import render_model_comparison as render_model_comparison
from .page import write_page as write_page
from .player import render_player as render_player
