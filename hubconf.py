"""Entry points of torch.hub: `torch.hub.load("OWNER/NAME", "srcnn", scale=2)`."""

dependencies = ["torch", "safetensors", "torchvision", "numpy", "PIL"]


def srcnn(scale: float = 2, channels: int = 1, pretrained: bool = True):
    """Returns a network that restores bicubic pictures: (N, C, H, W) in [0, 1] → the same shape, not clamped.

    Args:
        scale: the enlargement that the network was trained for: 2, 3 or 4.
        channels: 1 for a network on luminance (Y of BT.601 in studio range, divided by 255), 3 for RGB (only ×2).
        pretrained: whether to load the released weights; otherwise it copies its input.

    Raises:
        ValueError: no network was released for this scale and these channels.
    """
    from srcnn_lib.model import SRCNN, start_from_identity
    from srcnn_lib.pretrained import RELEASED, saved_folder
    from srcnn_lib.weights import load

    if not pretrained:
        return start_from_identity(SRCNN(channels, widths=(64, 32) if channels == 1 else (128, 64), scale=scale)).eval()
    for name in RELEASED.get(float(scale), ()):
        model = load(saved_folder() / name)
        if model.channels == channels:
            return model
    raise ValueError(f"no network was released for ×{scale:g} and {channels} channels; ×2, ×3, ×4 on Y, ×2 on RGB")
