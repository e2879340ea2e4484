"""The table that compares released networks with the paper: bicubic, the paper's network, ours."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from ..data.sources import load_photographs
from ..errors import InputError
from ..model import SRCNN
from .quality import evaluate

GATE = 0.04  # dB that bicubic may be off the published figure before a comparison means nothing
SCALES = (2.0, 3.0, 4.0)

# How many photographs; PSNR on Y in dB and SSIM, ×2, ×3, ×4: bicubic's, and of the journal model 9-5-5, 64-32,
# trained on ImageNet.
# Reference: arXiv 1501.00092, tables 2 to 4, and for the larger sets the later papers that measured its network.
PUBLISHED = {
    "set5": {
        "images": 5,
        "bicubic": ((33.66, 0.9299), (30.39, 0.8682), (28.42, 0.8104)),
        "paper": ((36.66, 0.9542), (32.75, 0.9090), (30.49, 0.8628)),
    },
    "set14": {
        "images": 14,
        "bicubic": ((30.23, 0.8687), (27.54, 0.7736), (26.00, 0.7019)),
        "paper": ((32.45, 0.9067), (29.30, 0.8215), (27.50, 0.7513)),
    },
    "bsd100": {
        "images": 100,
        "bicubic": ((29.56, None), (27.21, None), (25.96, None)),
        "paper": ((31.36, 0.8879), (28.41, 0.7863), (26.90, 0.7101)),
    },
    "urban100": {
        "images": 100,
        "bicubic": ((26.88, None), (24.46, None), (23.14, None)),
        "paper": ((29.50, 0.8946), (26.24, 0.7989), (24.52, 0.7221)),
    },
}


def rows(
    networks: Sequence[tuple[SRCNN, Path]], sources: Sequence[str], progress: Callable[[str, int, int], None] | None = None,
    **how,
) -> list[dict]:  # fmt: skip
    """Measure each network on each set at its own scale.

    Args:
        networks: with the file each came from.
        sources: as for `datasets.photographs`.
        progress: called with what is measured, how many photographs of it are done, and of how many.
        how: as for `evaluation.evaluate`.

    Returns:
        A dict a row: "set", "scale", "file", "bicubic" and "srcnn" as `evaluation.evaluate` has them, "paper" (the
        published bicubic and network, each (dB, SSIM), or None), "why" (why the paper is left out, or None).
    """
    found = []
    for source in sources:
        pictures = load_photographs(source)
        for model, path in networks:
            told = (
                (lambda done, total, name=f"{source} ×{model.scale:g}": progress(name, done, total))
                if progress
                else None
            )
            measured = evaluate(model, pictures, pictures.names, progress=told, **how)
            paper, why = published(source, model.scale, measured["bicubic"]["psnr_y"], measured["images"])
            figures = {method: measured[method] for method in ("bicubic", "srcnn")}
            found.append(
                {"set": source, "scale": model.scale, "file": path.name, **figures, "paper": paper, "why": why}
            )
    return found


def published(source: str, scale: float, bicubic: float, images: int | None = None) -> tuple[dict | None, str | None]:
    """The paper's figures for a set, or why there is nothing to compare with.

    Args:
        source: a set's name, or the path of a folder that goes by it, in any case.
        bicubic: PSNR on Y that bicubic has here: it must be the published one.
        images: how many were measured: they must be all of the set; None where that is not known.

    Returns:
        {"bicubic": (dB, SSIM), "srcnn": (dB, SSIM)} and None, or None and a line.
    """
    known = PUBLISHED.get(Path(source).name.lower())
    if known is None or scale not in SCALES:
        return None, None
    index = SCALES.index(scale)
    if images not in (None, known["images"]):
        return None, (
            f"{source} ×{scale:g}: {images} photograph{'s' * (images != 1)} here and {known['images']} in the papers, "
            "whose figures are left out"
        )
    expected = known["bicubic"][index][0]
    if not math.isfinite(bicubic) or abs(bicubic - expected) > GATE:
        return None, (
            f"{source} ×{scale:g}: bicubic is at {bicubic:.2f} dB here and at {expected:.2f} in the papers: other "
            "photographs or another protocol, so the paper's figures are left out"
        )
    return {"bicubic": known["bicubic"][index], "srcnn": known["paper"][index]}, None


def markdown(found: Sequence[dict]) -> str:
    """The rows as a table of Markdown, PSNR on Y in dB / SSIM, with the gain over each one's own bicubic."""
    if not found:
        raise InputError("there is nothing to put into a table; name sets and networks")
    lines = [
        "| set | scale | bicubic | paper | gain | ours | gain |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found:
        bicubic, srcnn, paper = row["bicubic"], row["srcnn"], row["paper"]
        theirs, their_gain = "", ""
        if paper:
            theirs = _pair(*paper["srcnn"])
            their_gain = f"{paper['srcnn'][0] - paper['bicubic'][0]:+.2f}"
        lines.append(
            f"| {row['set']} | ×{row['scale']:g} | {_pair(bicubic['psnr_y'], bicubic['ssim_y'])} | {theirs} | "
            f"{their_gain} | {_pair(srcnn['psnr_y'], srcnn['ssim_y'])} | {srcnn['psnr_y'] - bicubic['psnr_y']:+.2f} |"
        )
    return "\n".join(lines)


def _pair(decibels: float, similarity: float | None) -> str:
    if similarity is None or math.isnan(similarity):
        return f"{decibels:.2f}"
    return f"{decibels:.2f} / {f'{similarity:.4f}'.removeprefix('0')}"
