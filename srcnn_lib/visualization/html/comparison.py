"""The comparison page: two of bicubic, SRCNN and the original on either side of a divider, with one zoom for both."""

import math
from pathlib import Path

from torch import Tensor

from ...data.images import Picture, to_rgb_pixels
from ...errors import InputError
from ...evaluation.quality import check_memory
from ...evaluation.sample import Sample
from ...inference.options import InferenceOptions
from ...metrics import Scores, psnr_text
from ...model import SRCNN
from ..pictures import open_picture
from .page import encode_picture, render_page

LABELS = {"bicubic": "Bicubic", "srcnn": "SRCNN", "original": "Original"}
MAX_EXACT_PIXELS = 700_000  # of a picture that is stored without loss; three larger ones would bloat a notebook


def render_comparison(
    original: Tensor | None,
    bicubic: Tensor,
    srcnn: Tensor,
    scores: dict[str, Scores] | None = None,
    *,
    title: str = "Bicubic and SRCNN",
    notes: tuple[str, ...] = (),
    center: tuple[int, int] | None = None,
) -> str:
    """Returns a self-contained HTML page that shows two of three pictures, one on each side of a divider.

    `write_page(text, path)` writes it, IPython's `HTML(text)` displays it.

    Args:
        original: (C, H, W) in [0, 1], RGB or gray; None for a photograph that was enlarged, which has none.
        bicubic, srcnn: of the same size.
        scores: of "bicubic" and "srcnn"; PSNR and SSIM on Y are shown under the pictures.
        title, notes: shown above the pictures.
        center: the pixel (x, y) around which the pictures are shown at first, one pixel for each of the screen's; None
            shows the whole pictures.

    Raises:
        InputError: for pictures of different sizes.
    """
    pictures = {"bicubic": bicubic, "srcnn": srcnn}
    if original is not None:
        pictures["original"] = original
    height, width = bicubic.shape[-2:]
    for name, picture in pictures.items():
        if picture.shape[-2:] != bicubic.shape[-2:]:
            other_height, other_width = picture.shape[-2:]
            raise InputError(f"{name} is {other_width} × {other_height} pixels, expected {width} × {height} as bicubic")
    if height * width > MAX_EXACT_PIXELS:
        loss = "The pictures are stored with slight loss (JPEG, quality 95); PSNR and SSIM are those of the exact ones."
        notes = (*notes, loss)
    scores = scores or {}
    data = {
        "title": title,
        "notes": notes,
        "width": width,
        "height": height,
        "center": center,
        "pictures": {
            name: {
                "label": LABELS[name],
                "score": _score_text(scores[name]) if name in scores else "",
                "source": _data_url(picture),
            }
            for name, picture in pictures.items()
        },
    }
    return render_page("comparison", title, data)


def render_model_comparison(
    source: str | Path | Picture,
    model: SRCNN,
    scale: float | None = None,
    options: InferenceOptions = InferenceOptions(),
) -> str:
    """Returns the comparison page of a photograph that is downscaled, and upscaled again by bicubic and the network.

    Args:
        source: as in `open_picture`.
        model: the network.
        scale: by which the photograph is downscaled; None for the network's own.
        options: how the network is run.

    Raises:
        InputError: for a picture that can't be read or is too large for the memory, or a scale out of range.
    """
    picture = open_picture(source)
    check_memory(picture.name, picture.pixels)
    sample = Sample(picture.pixels, model, scale, max_pixels=None)
    output = sample.reconstruct(model, options)
    scores = {"bicubic": sample.bicubic_scores, "srcnn": sample.scores(output)}
    notes = (*picture.notes, f"Reduced and restored ×{sample.scale:g}; PSNR and SSIM on Y.")
    return render_comparison(
        sample.original, sample.upsampled, sample.to_image(output), scores, title=picture.name, notes=notes
    )


def _score_text(scores: Scores) -> str:
    """Returns the text under a picture, such as "30.12 dB, SSIM 0.912"."""
    psnr = psnr_text(scores.psnr_y)
    return psnr if math.isnan(scores.ssim_y) else f"{psnr}, SSIM {scores.ssim_y:.3f}"


def _data_url(picture: Tensor) -> str:
    pixels = to_rgb_pixels(picture)  # (H, W, 3)
    if pixels.shape[0] * pixels.shape[1] <= MAX_EXACT_PIXELS:
        return "data:image/webp;base64," + encode_picture(pixels)
    # Without subsampling: the edges of colors are part of what is compared.
    return "data:image/jpeg;base64," + encode_picture(pixels, "jpeg", quality=95, subsampling=0)
