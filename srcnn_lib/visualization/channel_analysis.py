"""What the channels of a network respond to: measured on photographs, and computed from their kernels.

An orientation is that of the edge's line in the picture, in degrees counter-clockwise: a horizontal line has 0, a line
that rises to the right 45, a vertical one 90. All results are detached and on the CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..activations import feature_maps
from ..data.color import luminance
from ..errors import InputError
from ..evaluation.sample import Sample
from ..model import SRCNN
from ..run import Snapshot

# Thresholds of the labels of a ChannelReport.
EDGE = 0.5  # correlation with edges
SUBJECT = 0.8  # separation of the subject
COPY = 0.98  # correlation with another channel
BRIGHTNESS = 0.95  # correlation with the luminance
FLAT = 0.05  # standard deviation as a share of the mean
RARE = 0.01  # share of active pixels

DIRECTIONS = range(0, 360, 15)  # of edges, degrees: from dark to light, counter-clockwise from the right
NEARLY_EQUAL = 0.02  # orientations whose correlations are this close to the best count as equal
MAGNITUDE_LEAD = 0.01  # by how much edges of all orientations must correlate better than those of the best one
# The orientation of each of `_edge_maps`: an edge lies at a right angle to the direction in which it gets lighter.
EDGE_ORIENTATIONS: list[float | None] = [(direction + 90.0) % 180 for direction in DIRECTIONS]
EDGE_ORIENTATIONS += [*EDGE_ORIENTATIONS[: len(DIRECTIONS) // 2], None]


@dataclass(frozen=True)
class ChannelReport:
    """Measurements of a channel on a set of pictures, and a label that sums them up.

    label: the first that holds of "dead", "flat", "copy of 12" (or "negative of 12"), "edge 45°" (or "edges": in every
        direction), "brightness" (or "darkness"), "subject" (or "background"), "rare" (active on less than a hundredth
        of the pixels), "mixed".
    active: share of the pixels with a value above zero, [0, 1].
    edges: correlation with the edges of the best orientation, [−1, 1]; see `edge_following`.
    orientation: of these edges, degrees [0, 180); None where all orientations together correlate better, or none does.
    brightness: correlation with the luminance, [−1, 1].
    subject: `subject_separation`, [0, 1]; the mean over the pictures that have a subject, 0.5 where none has.
    copy_of: the lowest channel that this one nearly repeats; None without. similarity: their correlation, [−1, 1].
    """

    layer: str
    channel: int
    label: str
    active: float
    edges: float
    orientation: float | None
    brightness: float
    subject: float
    copy_of: int | None
    similarity: float


def describe_channels(
    model: SRCNN, images: Sequence[Tensor], layer: str, masks: Sequence[Tensor] | None = None
) -> list[ChannelReport]:
    """Returns a report on every channel of a layer, after its ReLU, measured on a set of pictures.

    Args:
        model: the network.
        images: bicubic pictures (C, H, W) in [0, 1], of any sizes, with the network's number of channels.
        layer: "layer_1", "layer_2" or "layer_3".
        masks: (H, W) bool for each picture, true on the subject; None for the `subject_mask` of each picture.

    Raises:
        InputError: for no picture, another number of masks, or a mask of another size than its picture.
    """
    if not images:
        raise InputError("there is no picture to describe the channels on, expected at least one")
    masks = [subject_mask(image) for image in images] if masks is None else list(masks)
    if len(masks) != len(images):
        raise InputError(f"there are {len(masks)} masks for {len(images)} pictures, expected one for each")
    for image, mask in zip(images, masks, strict=True):
        if mask.shape != image.shape[-2:]:
            raise InputError(f"a mask is {tuple(mask.shape)}, expected {tuple(image.shape[-2:])} as its picture")

    # 1. The maps and the luminance of all pictures, a row of pixels for each channel.
    maps = [feature_maps(model, image, [layer])[layer][0] for image in images]  # (C, H, W) each
    values = torch.cat([each.flatten(1) for each in maps], 1)  # (C, P)
    light = torch.cat([luminance(image.cpu().float()).flatten() for image in images])[None]  # (1, P)

    # 2. What each channel correlates with.
    edges = edge_following(maps, images)
    brightness = _correlation(values, light)[:, 0]
    between = _correlation(values, values)
    with_subject = [(each, mask) for each, mask in zip(maps, masks, strict=True) if 0 < mask.sum() < mask.numel()]
    separations = [[subject_separation(channel, mask) for channel in each] for each, mask in with_subject]
    subject = torch.tensor(separations).mean(0) if with_subject else torch.full([len(values)], 0.5)

    # 3. The first label that holds.
    reports = []
    for channel, row in enumerate(values):
        similarities = between[channel, :channel]
        repeated = (similarities.abs() >= COPY).nonzero().flatten().tolist()
        copy_of = repeated[0] if repeated else None
        report = ChannelReport(
            layer=layer,
            channel=channel,
            label="",
            active=float((row > 0).float().mean()),
            edges=edges[channel].correlation,
            orientation=edges[channel].orientation,
            brightness=float(brightness[channel]),
            subject=float(subject[channel]),
            copy_of=copy_of,
            similarity=float(similarities[copy_of]) if copy_of is not None else 0.0,
        )
        reports.append(replace(report, label=_label(report, row)))
    return reports


def _label(report: ChannelReport, values: Tensor) -> str:
    """Returns the first label that holds for a channel with these measurements and these values, (P,)."""
    spread = values.std(correction=0)
    if report.active == 0 and spread == 0:
        return "dead"
    if spread <= FLAT * values.abs().mean():
        return "flat"
    if report.copy_of is not None:
        return f"copy of {report.copy_of}" if report.similarity > 0 else f"negative of {report.copy_of}"
    if report.edges >= EDGE:
        return "edges" if report.orientation is None else f"edge {report.orientation:.0f}°"
    if abs(report.brightness) >= BRIGHTNESS:
        return "brightness" if report.brightness > 0 else "darkness"
    if not 1 - SUBJECT < report.subject < SUBJECT:
        return "subject" if report.subject > 0.5 else "background"
    if report.active < RARE:
        return "rare"
    return "mixed"


def most_informative_channels(model: SRCNN, images: Sequence[Tensor], layer: str, count: int = 8) -> list[int]:
    """Returns the channels of a layer to look at first: with much variation, and different from each other.

    Args:
        model: the network.
        images: bicubic pictures (C, H, W) in [0, 1], of any sizes.
        layer: "layer_1", "layer_2" or "layer_3".
        count: at most this many channels; fewer if the others are dead or flat.

    Returns:
        channels in ascending order, at least one.
    """
    maps = [feature_maps(model, image, [layer])[layer][0].flatten(1) for image in images]
    values = torch.cat(maps, 1)  # (channels, pixels of all pictures)
    spread = values.std(1, correction=0)
    difference = (1 - _correlation(values, values).abs()).clamp_min(1e-6)  # near 0 where one repeats the other
    chosen = [int(spread.argmax())]
    while len(chosen) < min(count, int((spread > 1e-6).sum())):
        worth = spread * difference[chosen].amin(0)
        worth[chosen] = -1
        chosen.append(int(worth.argmax()))
    return sorted(chosen)


def most_changed_channels(snapshots: Sequence[Snapshot], sample: Sample, layer: str, count: int = 8) -> list[int]:
    """Returns the channels of a layer whose feature maps differ most between the first and the last snapshot.

    Args:
        snapshots: of one run, in order.
        sample: the photograph.
        layer: "layer_1", "layer_2" or "layer_3".
        count: at most this many channels.

    Returns:
        channels, the one that changes most first.
    """
    first, last = (
        feature_maps(snapshot.load(), sample.network_input, [layer], before_relu=True)[layer][0]
        for snapshot in (snapshots[0], snapshots[-1])
    )
    change = (last - first).square().mean((1, 2))  # (channels,)
    return change.topk(min(count, len(change))).indices.tolist()


# Edges


class EdgeFollowing(NamedTuple):
    """How well a channel follows the edges of the pictures.

    correlation: with the edges that it follows best, [−1, 1]; 0 for a constant map.
    orientation: of these edges, degrees [0, 180); None for edges of all orientations, or where nothing correlates.
    """

    correlation: float
    orientation: float | None


def edge_following(maps: Sequence[Tensor], images: Sequence[Tensor]) -> list[EdgeFollowing]:
    """Compares each channel with the edges of the pictures in every direction, and returns the best match.

    Each map is correlated (Pearson, over the pixels of all pictures) with the edge maps of `_edge_maps`. Both are
    blurred before (σ = 1.5), so that a map that is shifted by a pixel or two still matches. Ten pixels at each border
    are left out if the picture is large enough.

    Args:
        maps: (channels, H, W) for each picture.
        images: (C, H, W) for each.

    Returns:
        one result for each channel.
    """
    edge_rows, channel_rows = [], []
    for values, image in zip(maps, images, strict=True):
        inside = slice(10, -10) if min(image.shape[-2:]) > 40 else slice(None)
        edge_rows.append(blur(_edge_maps(image)[None], 1.5)[0, :, inside, inside].flatten(1))
        channel_rows.append(blur(values[None], 1.5)[0, :, inside, inside].flatten(1))
    edges = torch.cat(edge_rows, 1)  # (edge maps, P)
    correlations = _correlation(torch.cat(channel_rows, 1), edges)  # (channels, edge maps)

    # 1. Of the directions that correlate nearly equally, the one with the largest covariance: where a picture's edges
    # have few directions, the edge maps are nearly proportional, and the orientation with most edges is wanted.
    nearly_best = correlations >= correlations.amax(1, keepdim=True) - NEARLY_EQUAL
    covariances = torch.where(nearly_best, correlations * edges.std(1, correction=0), -torch.inf)
    best = covariances[:, :-1].argmax(1)  # (channels,)

    # 2. The edges of all orientations, the last of the edge maps, only where these correlate clearly better.
    is_magnitude = correlations[:, -1] > correlations[:, :-1].amax(1) + MAGNITUDE_LEAD
    best = torch.where(is_magnitude, len(edges) - 1, best)

    found = correlations.gather(1, best[:, None])[:, 0].tolist()
    return [
        EdgeFollowing(correlation, EDGE_ORIENTATIONS[index] if correlation > 0 else None)
        for correlation, index in zip(found, best.tolist(), strict=True)
    ]


def _edge_maps(image: Tensor) -> Tensor:
    """Returns the edges of a picture, (C, H, W) → (edge maps, H, W), from derivatives of its luminance (Gaussian, σ=1).

    The derivative is taken in directions 15° apart. The first maps are its positive parts in each direction (edges from
    dark to light), then follow its absolute values in each orientation, and last the magnitude of the gradient.

    Reference: Freeman and Adelson, The Design and Use of Steerable Filters, PAMI 13 (1991), equation 3.
    """
    light = blur(luminance(image.cpu().float())[None], 1.0)[0]  # (1, H, W)
    padded = F.pad(light[None], [1] * 4, mode="replicate")[0]
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]  # (1, H, W)
    up = padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]
    angles = torch.tensor(DIRECTIONS).deg2rad()
    steered = angles.cos()[:, None, None] * across + angles.sin()[:, None, None] * up  # (directions, H, W)
    return torch.cat([steered.relu(), steered[: len(angles) // 2].abs(), across.hypot(up)])


# Kernels


class KernelOrientation(NamedTuple):
    """The edges or lines that kernels respond to, (outputs,) each.

    orientation: of the edges or lines, in degrees [0, 180).
    coherence: from 0, where no orientation dominates, to 1, where there is only one.
    frequency: the mean frequency of the response in cycles per pixel, [0, 0.71]; low is smooth.
    """

    orientation: Tensor
    coherence: Tensor
    frequency: Tensor


def kernel_orientation(weight: Tensor, rgb: bool | None = None) -> KernelOrientation:
    """Computes what kernels respond to in a photograph, whose power spectrum falls with the square of the frequency.

    Args:
        weight: (outputs, inputs, size, size).
        rgb: whether three inputs are the colors of one picture, which are summed; None: where there are three.

    Reference: the inertia tensor of Bigün and Granlund, Optimal Orientation Detection of Linear Symmetry, ICCV 1987;
        Field, Relations between the statistics of natural images …, JOSA A 4 (1987), for the spectrum.
    """
    rgb = weight.shape[1] == 3 if rgb is None else rgb
    weight = weight.double().sum(1, keepdim=True) if rgb else weight.double()
    across = torch.fft.fftfreq(64, dtype=torch.float64)[None, :]
    up = -across.T  # rows run downwards
    frequency = across.hypot(up)
    power = torch.fft.fft2(weight, s=(64, 64)).abs().square().sum(1)  # (outputs, 64, 64)
    power = power / frequency.square().clamp_min(1e-9)
    power[:, 0, 0] = 0  # the mean has no direction
    power = power / power.sum((1, 2), keepdim=True).clamp_min(1e-30)
    angle = torch.atan2(up, across)
    xx = (power * (2 * angle).cos()).sum((1, 2))
    xy = (power * (2 * angle).sin()).sum((1, 2))
    # The spectrum of an edge lies at a right angle to it.
    orientation = (torch.atan2(xy, xx).rad2deg() / 2 + 90) % 180
    return KernelOrientation(orientation, xx.hypot(xy), (power * frequency).sum((1, 2)))


# The subject of a picture


def subject_separation(values: Tensor, mask: Tensor) -> float:
    """Computes the probability that a channel is more active at a pixel of the subject than at one outside it.

    This is the area under the ROC curve, [0, 1]: 0.5 means that the channel says nothing about the subject, 0 that it
    marks the background. Ties count half.

    Args:
        values: (H, W), a channel's map.
        mask: (H, W) bool, true on the subject; neither empty nor full.

    Raises:
        InputError: for a mask that is empty or covers the whole picture.

    Reference: Mann and Whitney 1947; Fawcett, An Introduction to ROC Analysis, 2006, section 7.
    """
    mask = mask.flatten().bool()
    inside = int(mask.sum())
    outside = mask.numel() - inside
    if not inside or not outside:
        raise InputError("the mask is empty or covers the whole picture, expected a subject and a background")
    _, place, counts = values.flatten().unique(return_inverse=True, return_counts=True)
    ranks = counts.cumsum(0).double() - (counts - 1) / 2  # the mean rank of equal values
    return float((ranks[place[mask]].sum() - inside * (inside + 1) / 2) / (inside * outside))


def subject_mask(image: Tensor) -> Tensor:
    """Estimates where the subject of a picture is, (C, H, W) → (H, W) bool.

    It is the part of the blurred luminance above or below Otsu's threshold: the one that is rarer at the border.

    Reference: Otsu, A Threshold Selection Method from Gray-Level Histograms, 1979, equation 18.
    """
    light = luminance(image.cpu().float())
    light = blur(light[None], max(1.0, min(light.shape[-2:]) / 32))[0, 0]  # (H, W)
    low, high = light.min(), light.max()
    levels = ((light - low) / (high - low).clamp_min(1e-12) * 255).long()
    share = torch.bincount(levels.flatten(), minlength=256).double() / levels.numel()
    below = share.cumsum(0)
    mean = (share * torch.arange(256)).cumsum(0)
    between = (mean[-1] * below - mean).square() / (below * (1 - below)).clamp_min(1e-12)
    mask = levels > between[:-1].argmax()
    border = torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).float().mean()
    return ~mask if border > mask.float().mean() else mask


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Computes Pearson's correlation of each row with each: (A, P), (B, P) → (A, B); 0 where a row is constant."""
    a, b = (rows - rows.mean(1, keepdim=True) for rows in (a, b))
    # A constant row leaves rounding errors, which must not be scaled up to length 1.
    a, b = (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6 * rows.shape[1] ** 0.5) for rows in (a, b))
    return (a @ b.T).clamp(-1, 1)  # rounding errors exceed the bounds a little


def blur(images: Tensor, sigma: float) -> Tensor:
    """Blurs (N, C, H, W) with a Gaussian of `sigma` pixels; the border is replicated."""
    reach = int(3 * sigma + 0.5)
    taps = torch.exp(-torch.arange(-reach, reach + 1, dtype=images.dtype).square() / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(images.shape[1], 1, 1, -1)  # (C, 1, 1, 2·reach + 1)
    padded = F.pad(images, [reach] * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, taps, groups=images.shape[1]), taps.mT, groups=images.shape[1])
