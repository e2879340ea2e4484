"""At which spatial frequencies the error lies, and how much of it the network removes.

By Parseval's theorem the squared Fourier coefficients of an error add up to its squared pixels. Collected by radial
frequency they are a ledger: the entries add up to the mean squared error. On Y of the whole picture, as the network
made it: not clamped, no border left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..evaluation.sample import Sample
from ..model import SRCNN
from ..runtime.console import Progress

# Limits of the bands in cycles per pixel. Beyond 0.5 only the corners of the spectrum are left: diagonals up to 0.707.
EDGES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.7072)


@dataclass(frozen=True)
class FrequencyLedger:
    """The mean squared error on Y by radial frequency, before and after the network.

    Attributes:
        edges: (bands + 1,) cycles per pixel.
        bicubic: (bands,), the share of each band in the mean squared error of the bicubic picture.
        network: (…, bands), the same for the network; of a film one row for each step.
        steps: of a film's rows; None for one network.
    """

    edges: Tensor
    bicubic: Tensor
    network: Tensor
    steps: tuple[int, ...] | None = None

    @property
    def gain_db(self) -> Tensor:
        """What the network gains over bicubic in each band, (…, bands) dB; nan where both are without error."""
        return 10 * torch.log10(self.bicubic / self.network)

    @property
    def share(self) -> Tensor:
        """The share of each band in the network's remaining error, (…, bands): they add up to 1."""
        return self.network / self.network.sum(-1, keepdim=True)

    @property
    def psnr(self) -> Tensor:
        """PSNR on Y of the network in dB, (…), computed from the sum of the bands."""
        return -10 * self.network.sum(-1).log10()

    @property
    def bicubic_psnr(self) -> float:
        """PSNR on Y of the bicubic picture in dB."""
        return float(-10 * self.bicubic.sum().log10())


def band_power(values: Tensor, edges: tuple[float, ...] = EDGES) -> Tensor:
    """Returns the mean square of a picture by radial frequency.

    Args:
        values: (H, W).
        edges: ascending limits of the bands in cycles per pixel; the last band includes all beyond.

    Returns:
        (bands,) float64, which add up to the mean of the squared values.
    """
    pixels = values.detach().cpu().double().numpy()
    height, width = pixels.shape
    power = np.abs(np.fft.rfft2(pixels)) ** 2 / pixels.size**2  # (H, W // 2 + 1)
    # Half of the spectrum is stored. Its other columns are the mirror image, but for the first and, of an even width,
    # the last one.
    power[:, 1 : (width + 1) // 2] *= 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    band = np.clip(np.searchsorted(edges, frequency, side="right") - 1, 0, len(edges) - 2)
    return torch.from_numpy(np.bincount(band.ravel(), power.ravel(), minlength=len(edges) - 1))


def frequency_ledger(model: SRCNN, sample: Sample) -> FrequencyLedger:
    """Returns where the error of bicubic and of the network lies, by frequency."""
    film = frequency_film({0: model}, sample)
    return FrequencyLedger(film.edges, film.bicubic, film.network[0])


def frequency_film(networks: Mapping[int, SRCNN], sample: Sample, progress: Progress | None = None) -> FrequencyLedger:
    """Returns the ledgers of several networks, such as a run's snapshots: what is learned first, and what last.

    Args:
        networks: by their steps.
        sample: the photograph.
        progress: called as progress(done, total), in networks.

    Raises:
        InputError: without a network.
    """
    if not networks:
        raise InputError("there is no network whose error could be measured, expected at least one")
    rows = []
    for done, model in enumerate(networks.values(), start=1):
        rows.append(band_power(sample.luminance_error(sample.reconstruct(model))))
        if progress:
            progress(done, len(networks))
    bicubic = band_power(sample.luminance_error(sample.network_input))
    edges = torch.tensor(EDGES, dtype=torch.float64)
    return FrequencyLedger(edges, bicubic, torch.stack(rows), tuple(networks))
