"""What a network sees and learns: feature maps, kernels and curves as figures, clips and pages."""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from .animation import ClipOptions as ClipOptions
    from .animation import animate as animate
    from .animation import channel_clip as channel_clip
    from .animation import choose_snapshots as choose_snapshots
    from .animation import kernel_clip as kernel_clip
    from .animation import reconstruction_clip as reconstruction_clip
    from .animation import scan_clip as scan_clip
    from .channel_analysis import ChannelReport as ChannelReport
    from .channel_analysis import describe_channels as describe_channels
    from .channel_analysis import most_informative_channels as most_informative_channels
    from .curves import draw_loss as draw_loss
    from .curves import draw_psnr as draw_psnr
    from .curves import learning_curves_figure as learning_curves_figure
    from .curves import quality_over_time_figure as quality_over_time_figure
    from .curves import svg_chart as svg_chart
    from .figures import channel_figure as channel_figure
    from .figures import channels_figure as channels_figure
    from .figures import comparison_figure as comparison_figure
    from .figures import kernels_figure as kernels_figure
    from .figures import receptive_field_figure as receptive_field_figure
    from .html.comparison import render_comparison as render_comparison
    from .html.comparison import render_model_comparison as render_model_comparison
    from .html.page import write_page as write_page
    from .html.player import render_player as render_player
    from .inspector import Inspector as Inspector
    from .layers import LAYER_NAMES as LAYER_NAMES
    from .layers import ChannelAddress as ChannelAddress
    from .layers import layer_kernels as layer_kernels
    from .layers import receptive_field as receptive_field
    from .pictures import crop_to_largest_error as crop_to_largest_error
    from .pictures import open_picture as open_picture
    from .style import save_figure as save_figure
    from .video import write_clip as write_clip

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "animation": [
            "ClipOptions",
            "animate",
            "channel_clip",
            "choose_snapshots",
            "kernel_clip",
            "reconstruction_clip",
            "scan_clip",
        ],
        "channel_analysis": ["ChannelReport", "describe_channels", "most_informative_channels"],
        "curves": ["draw_loss", "draw_psnr", "learning_curves_figure", "quality_over_time_figure", "svg_chart"],
        "figures": [
            "channel_figure",
            "channels_figure",
            "comparison_figure",
            "kernels_figure",
            "receptive_field_figure",
        ],
        "html.comparison": ["render_comparison", "render_model_comparison"],
        "html.page": ["write_page"],
        "html.player": ["render_player"],
        "inspector": ["Inspector"],
        "layers": ["LAYER_NAMES", "ChannelAddress", "layer_kernels", "receptive_field"],
        "pictures": ["crop_to_largest_error", "open_picture"],
        "style": ["save_figure"],
        "video": ["write_clip"],
    },
)
