"""The comparison slider: bicubic, SRCNN and the original under one divider and one zoom, as one HTML page."""

from pathlib import Path

from torch import Tensor

from ...data.images import Picture
from ...errors import InputError
from ...evaluation import quality
from ...model import SRCNN
from ..inspector import open_picture
from . import page

LABELS = {"bicubic": "Bicubic", "srcnn": "SRCNN", "original": "Original"}
EXACT = 700_000  # pixels up to which a picture is kept as it is; three larger ones would swell a notebook


def slider(
    original: Tensor | None,
    bicubic: Tensor,
    srcnn: Tensor,
    scores: dict[str, tuple[float, float | None]] | None = None,
    *,
    title: str = "Bicubic and SRCNN",
    notes: tuple[str, ...] = (),
) -> str:
    """Two of three pictures, one on each side of a divider, as a self-contained HTML page.

    `pages.write(text, path)` writes it, IPython's `HTML(text)` shows it.

    Args:
        original: (C, H, W) in [0, 1], RGB or grey; None where there is none, as of an enlarged photograph.
        bicubic, srcnn: the same size.
        scores: {"bicubic": (PSNR in dB, SSIM or None), "srcnn": …}, as metrics measures them.
        title, notes: what stands above.

    Raises:
        InputError: pictures of different sizes.
    """
    pictures = {"bicubic": bicubic, "srcnn": srcnn, "original": original}
    pictures = {name: picture for name, picture in pictures.items() if picture is not None}
    height, width = bicubic.shape[-2:]
    for name, picture in pictures.items():
        if picture.shape[-2:] != (height, width):
            tall, wide = picture.shape[-2:]
            raise InputError(f"{name} is {wide} × {tall} pixels, expected {width} × {height} as bicubic")
    notes = [*notes]
    if height * width > EXACT:
        notes.append("Kept with slight loss (JPEG, quality 95): the figures are those of the exact pictures.")
    shown = {
        name: {"label": LABELS[name], "score": _score(name, scores or {}), "source": _source(picture)}
        for name, picture in pictures.items()
    }
    data = {"title": title, "notes": notes, "width": width, "height": height, "pictures": shown}
    return page.render_page("slider", title, data)


def compare(source: str | Path | Picture, model: SRCNN, scale: float | None = None, **how) -> str:
    """A photograph degraded, brought back by bicubic and by the network, and shown by `slider`, with dB and SSIM.

    Args:
        source: as in `lens.open_picture`.
        scale: None for the network's own.
        how: mode, patch, stride … as in `inference.reconstruct`.

    Raises:
        InputError: a picture that can't be read, or a scale outside the range.
    """
    picture = open_picture(source)
    scale = model.scale if scale is None else scale
    quality.check_memory(picture.name, picture.pixels)
    bicubic, srcnn, original = quality.restore(model, picture.pixels, scale, **how)
    measured = {"bicubic": bicubic, "srcnn": srcnn}
    measured = {name: quality.score(made, original, scale) for name, made in measured.items()}
    scores = {name: (figures["psnr_y"], figures["ssim_y"]) for name, figures in measured.items()}
    notes = (*picture.notes, f"Reduced and brought back ×{scale:g}; PSNR and SSIM on Y.")
    return slider(original["rgb"], bicubic["rgb"], srcnn["rgb"], scores, title=picture.name, notes=notes)


def _score(name: str, scores: dict[str, tuple[float, float | None]]) -> str:
    """What stands under a picture: "30.12 dB, SSIM 0.912, +1.23 dB"."""
    if name not in scores:
        return ""
    psnr, ssim = scores[name]
    parts = [f"{psnr:.2f} dB".replace("inf", "∞")]
    if ssim is not None and ssim == ssim:  # nan: too small for the window
        parts.append(f"SSIM {ssim:.3f}")
    return ", ".join(parts)


def _source(picture: Tensor) -> str:
    """(C, H, W) → a data address."""
    pixels = page.bytes_of(picture.expand(3, -1, -1)).permute(1, 2, 0)  # (H, W, 3)
    if pixels.shape[0] * pixels.shape[1] <= EXACT:
        return "data:image/webp;base64," + page.encoded(pixels)
    # Without subsampling: color edges are part of what is compared.
    return "data:image/jpeg;base64," + page.encoded(pixels, "jpeg", quality=95, subsampling=0)
