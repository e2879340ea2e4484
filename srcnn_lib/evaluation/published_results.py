"""The table that compares released networks with the paper: bicubic, the paper's network, ours."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.sources import load_photographs
from ..errors import InputError
from ..inference.options import InferenceOptions
from ..metrics import Scores
from ..model import SRCNN
from ..runtime.console import Progress
from .quality import evaluate

BICUBIC_TOLERANCE = 0.04  # dB between our bicubic and the published one beyond which a comparison means nothing
SCALES = (2.0, 3.0, 4.0)

# The number of photographs; then (PSNR on Y in dB, SSIM) for ×2, ×3 and ×4: of bicubic interpolation, and of the
# paper's network, 9-5-5 with 64 and 32 channels, trained on ImageNet.
# Reference: arXiv 1501.00092, tables 2 to 4, and for the larger sets the later papers that measured its network.
PUBLISHED: dict[str, dict[str, Any]] = {
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


@dataclass(frozen=True)
class Comparison:
    """A network on one set, beside bicubic interpolation and the paper: a row of the table.

    Args:
        set: as it was named.
        scale: the network's own.
        file: the name of the network's weights file.
        bicubic, srcnn: what was measured here.
        paper: {"bicubic": (PSNR on Y in dB, SSIM), "srcnn": …} as published; None where there is nothing to compare.
        why: why the paper's figures are left out; None where they are not, or where the paper has none.
    """

    set: str
    scale: float
    file: str
    bicubic: Scores
    srcnn: Scores
    paper: dict[str, tuple] | None = None
    why: str | None = None

    def to_dict(self) -> dict:
        """Returns plain values for JSON."""
        return dataclasses.asdict(self)


def compare_with_paper(
    networks: Sequence[tuple[SRCNN, Path]],
    sources: Sequence[str],
    options: InferenceOptions = InferenceOptions(),
    progress: Progress | None = None,
) -> list[Comparison]:
    """Measures each network on each set at its own scale, and adds the paper's figures.

    Args:
        networks: each with the file that it comes from.
        sources: sets of photographs, as `load_photographs` takes them.
        options: how the networks are run.
        progress: called as progress(done, total), in the photographs of a set; it begins anew for each network.

    Raises:
        InputError: as `evaluate`, or a set that can't be read.
    """
    rows = []
    for source in sources:
        photographs = load_photographs(source)
        for model, path in networks:
            found = evaluate(model, photographs, photographs.names, options=options, progress=progress)
            paper, why = published(source, model.scale, found.bicubic.psnr_y, found.images)
            rows.append(Comparison(source, model.scale, path.name, found.bicubic, found.srcnn, paper, why))
    return rows


def published(
    source: str, scale: float, bicubic: float, images: int | None = None
) -> tuple[dict[str, tuple] | None, str | None]:
    """Looks up the paper's figures for a set.

    Args:
        source: the name of a set, in any case, or the path of a folder with that name.
        scale: the enlargement.
        bicubic: PSNR on Y in dB that bicubic reaches here: it must agree with the published one.
        images: how many photographs were measured: they must be all of the set; None if that is not known.

    Returns:
        {"bicubic": (PSNR on Y in dB, SSIM), "srcnn": …} and None; or None and the reason why the figures can't be
        compared; or None and None for a set or a scale that no paper measured.
    """
    known = PUBLISHED.get(Path(source).name.lower())
    if known is None or scale not in SCALES:
        return None, None
    if images not in (None, known["images"]):
        return None, (
            f"{source} ×{scale:g}: {images} photograph{'s' * (images != 1)} here and {known['images']} in the papers, "
            "whose figures are left out"
        )
    index = SCALES.index(scale)
    expected = known["bicubic"][index][0]
    if not math.isfinite(bicubic) or abs(bicubic - expected) > BICUBIC_TOLERANCE:
        return None, (
            f"{source} ×{scale:g}: bicubic is at {bicubic:.2f} dB here and at {expected:.2f} in the papers: other "
            "photographs or another protocol, so the paper's figures are left out"
        )
    return {"bicubic": known["bicubic"][index], "srcnn": known["paper"][index]}, None


def markdown(rows: Sequence[Comparison]) -> str:
    """Formats the rows as a Markdown table: PSNR on Y in dB / SSIM, and the gain over each one's own bicubic.

    Raises:
        InputError: no rows.
    """
    if not rows:
        raise InputError("there is nothing to put into a table; name sets and networks")
    lines = [
        "| set | scale | bicubic | paper | gain | ours | gain |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        bicubic = _psnr_and_ssim(row.bicubic.psnr_y, row.bicubic.ssim_y)
        ours = _psnr_and_ssim(row.srcnn.psnr_y, row.srcnn.ssim_y)
        gain = f"{row.srcnn.psnr_y - row.bicubic.psnr_y:+.2f}"
        paper = paper_gain = ""
        if row.paper:
            paper = _psnr_and_ssim(*row.paper["srcnn"])
            paper_gain = f"{row.paper['srcnn'][0] - row.paper['bicubic'][0]:+.2f}"
        lines.append(f"| {row.set} | ×{row.scale:g} | {bicubic} | {paper} | {paper_gain} | {ours} | {gain} |")
    return "\n".join(lines)


def _psnr_and_ssim(psnr: float, ssim: float | None) -> str:
    """Returns "33.69 / .9308", or the PSNR alone."""
    if ssim is None or math.isnan(ssim):
        return f"{psnr:.2f}"
    return f"{psnr:.2f} / {f'{ssim:.4f}'.removeprefix('0')}"
