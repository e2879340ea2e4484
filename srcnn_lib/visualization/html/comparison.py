"""The comparison page: two of bicubic, SRCNN and the original on either side of a divider, with one zoom for both."""

import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ...data.degradation import check_scale, upscaled_size
from ...data.images import Picture, to_rgb_pixels
from ...errors import InputError
from ...evaluation.quality import PIXEL_BYTES, check_memory
from ...evaluation.sample import Sample
from ...inference.options import InferenceOptions
from ...inference.tiling import BicubicEnlargement
from ...inference.upscaling import upscale_picture
from ...metrics import Scores, psnr_text
from ...model import SRCNN
from ...runtime import memory
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
    pictures = {LABELS["bicubic"]: bicubic, LABELS["srcnn"]: srcnn}
    if original is not None:
        pictures[LABELS["original"]] = original
    labelled = {LABELS[name]: value for name, value in (scores or {}).items()}
    return render_pictures(pictures, labelled, title=title, notes=notes, center=center)


def render_pictures(
    pictures: Mapping[str, Tensor],
    scores: Mapping[str, Scores] | None = None,
    *,
    title: str,
    notes: tuple[str, ...] = (),
    center: tuple[int, int] | None = None,
) -> str:
    """Returns a self-contained HTML page that shows two of several pictures, one on each side of a divider.

    Args:
        pictures: {label: (C, H, W) in [0, 1], RGB or gray}, all of one size; the first two are shown at first.
        scores: {label: Scores}; PSNR and SSIM on Y are shown under these pictures.
        title, notes, center: as in `render_comparison`.

    Raises:
        InputError: for pictures of different sizes.
    """
    (first, reference), *others = pictures.items()
    height, width = reference.shape[-2:]
    for label, picture in others:
        if picture.shape[-2:] != reference.shape[-2:]:
            other_height, other_width = picture.shape[-2:]
            raise InputError(
                f"{label} is {other_width} × {other_height} pixels, expected {width} × {height} as {first}"
            )
    if height * width > MAX_EXACT_PIXELS:
        loss = "The pictures are stored with slight loss (JPEG, quality 95); PSNR and SSIM are those of the exact ones."
        notes = (*notes, loss if scores else loss.partition(";")[0] + ".")
    scores = scores or {}
    data = {
        "title": title,
        "notes": notes,
        "width": width,
        "height": height,
        "center": center,
        "pictures": {
            label: {
                "label": label,
                "score": _score_text(scores[label]) if label in scores else "",
                "source": _data_url(picture),
            }
            for label, picture in pictures.items()
        },
    }
    return render_page("comparison", title, data)


def render_model_comparison(
    source: str | Path | Picture,
    models: SRCNN | Mapping[str, SRCNN],
    scale: float | None = None,
    options: InferenceOptions = InferenceOptions(),
    *,
    original: bool = True,
) -> str:
    """Returns the comparison page of a photograph, with bicubic and one or more networks.

    Args:
        source: as in `open_picture`.
        models: the network, or {label: network}; two or more are shown first, bicubic after them.
        scale: None for the networks' own, which must then be the same.
        options: how the networks are run.
        original: whether the photograph is downscaled and upscaled again, and compared with itself, in dB. Otherwise it
            is enlarged, and there is nothing to measure.

    Raises:
        InputError: for a picture that can't be read or is too large for the memory, a scale out of range, or networks
            for different scales without one.
    """
    networks = {LABELS["srcnn"]: models} if isinstance(models, SRCNN) else dict(models)
    scale = _common_scale(networks) if scale is None else scale
    picture = open_picture(source)
    make = _restored if original else _enlarged
    pictures, scores, note = make(picture, networks, scale, options)
    bicubic = LABELS["bicubic"]  # the first two pictures are shown: bicubic and the network, or two networks
    order = [bicubic, *networks] if len(networks) == 1 else [*networks, bicubic]
    pictures = {label: pictures[label] for label in [*order, *(pictures.keys() - {*order})]}
    return render_pictures(pictures, scores, title=picture.name, notes=(*picture.notes, note))


def _common_scale(networks: Mapping[str, SRCNN]) -> float:
    scales = {network.scale for network in networks.values()}
    if len(scales) > 1:
        listed = " and ".join(f"×{scale:g}" for scale in sorted(scales))
        raise InputError(f"the networks are for {listed}; choose one with --scale")
    return scales.pop()


def _restored(
    picture: Picture, networks: Mapping[str, SRCNN], scale: float, options: InferenceOptions
) -> tuple[dict[str, Tensor], dict[str, Scores], str]:
    """Returns the pictures, the scores and a note of a photograph that is downscaled and restored."""
    check_memory(picture.name, picture.pixels)
    pictures: dict[str, Tensor] = {}
    scores: dict[str, Scores] = {}
    for label, network in networks.items():
        sample = Sample(picture.pixels, network, scale, max_pixels=None)
        if not pictures:  # bicubic and the original are the same for every network
            pictures = {LABELS["bicubic"]: sample.upsampled, LABELS["original"]: sample.original}
            scores = {LABELS["bicubic"]: sample.bicubic_scores}
        output = sample.reconstruct(network, options)
        pictures[label], scores[label] = sample.to_image(output), sample.scores(output)
    return pictures, scores, f"Reduced and restored ×{scale:g}; PSNR and SSIM on Y."


def _enlarged(
    picture: Picture, networks: Mapping[str, SRCNN], scale: float, options: InferenceOptions
) -> tuple[dict[str, Tensor], dict[str, Scores], str]:
    """Returns the enlargements of a photograph and a note; there are no scores without an original."""
    check_scale(scale)
    height, width = picture.pixels.shape[-2:]
    height, width = upscaled_size(height, width, scale)
    needed = PIXEL_BYTES * height * width * (1 + len(networks)) // 2
    memory.check(f"{picture.name}: to compare {width}×{height} pixels", needed, "cut the picture")
    bicubic, _ = BicubicEnlargement(picture, scale).rows(0, height)
    pictures = {LABELS["bicubic"]: bicubic.clamp(0, 1)}
    for label, network in networks.items():
        pictures[label] = upscale_picture(picture, network, scale, options).pixels
    return pictures, {}, f"Enlarged ×{scale:g}."


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
