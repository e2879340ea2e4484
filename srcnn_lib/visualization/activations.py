"""What the layers see: feature maps, kernels, receptive fields, and what each channel does, in figures.

Orientations are those of the edge's line in the picture, in degrees counter-clockwise: 0 lies, 45 rises to the right,
90 stands. All results are detached and on the CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..activations import capture, feature_maps, get_layer  # noqa: F401 capture: until its users import it from there
from ..data.color import luminance
from ..errors import InputError
from ..model import LAYERS, SRCNN

STEP = 15  # degrees between the orientations that are tried
TIE = 0.02  # correlations this close to the best do not tell orientations apart
EDGE, SUBJECT, COPY, BRIGHTNESS, FLAT, RARE = 0.5, 0.8, 0.98, 0.95, 0.05, 0.01  # where labels begin


def parse_address(address: str, model: SRCNN) -> tuple[str, int]:
    """`"layer_2:16"` → ("layer_2", 16); channels count from 0.

    Raises:
        InputError: no such layer or channel; the valid ones are listed.
    """
    name, _, channel = address.partition(":")
    widths = {name: layer.out_channels for name, layer in zip(LAYERS, model.layers(), strict=True)}
    if name not in widths or not channel.isdecimal() or int(channel) >= widths[name]:
        valid = ", ".join(f"{name}:0 to {name}:{width - 1}" for name, width in widths.items())
        raise InputError(f"{address!r} is no channel of this network, expected {valid}")
    return name, int(channel)


def kernels(model: SRCNN, layer: str) -> Tensor:
    """A layer's filters: (outputs, inputs, size, size)."""
    return get_layer(model, layer).weight.detach().float().cpu().clone()


def in_color(model: SRCNN, layer: str) -> bool:
    """Whether a layer's kernels are small pictures in RGB: the first of an RGB network answers to colors, its last
    paints them. Three inputs alone say nothing: the layer before may be three channels wide."""
    return model.channels == 3 and layer != LAYERS[1]


def receptive_field(model: SRCNN, layer: str = LAYERS[-1]) -> int:
    """Side, in pixels, of the square of the picture that one value of a layer depends on: 9, 13, 17 for 9-5-5."""
    get_layer(model, layer)
    return 1 + sum(size - 1 for size in model.filters[: LAYERS.index(layer) + 1])


def kernel_orientation(weight: Tensor, colors: bool | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """What filters answer to in a photograph, whose power spectrum falls with the square of the frequency.

    Args:
        weight: (outputs, inputs, k, k).
        colors: whether three inputs are the colors of one picture, which are added up; without, any three are.

    Returns:
        orientation (outputs,) of the edges or lines they answer to, in degrees [0, 180);
        coherence (outputs,), from 0 where no orientation leads to 1 where there is only one;
        frequency (outputs,), the mean of the answer in cycles a pixel, [0, 0.71]; low is smooth.

    Reference: the inertia tensor of Bigün and Granlund, Optimal Orientation Detection of Linear Symmetry, ICCV 1987;
        Field, Relations between the statistics of natural images …, JOSA A 4 (1987), for the spectrum.
    """
    colors = weight.shape[1] == 3 if colors is None else colors
    weight = weight.double().sum(1, keepdim=True) if colors else weight.double()
    across = torch.fft.fftfreq(64, dtype=torch.float64)[None, :]
    up = -across.T  # rows run downwards
    frequency = across.hypot(up)
    power = torch.fft.fft2(weight, s=(64, 64)).abs().square().sum(1)  # (outputs, 64, 64)
    power = power / frequency.square().clamp_min(1e-9)
    power[:, 0, 0] = 0  # the mean has no direction
    power = power / power.sum((1, 2), keepdim=True).clamp_min(1e-30)
    angle = torch.atan2(up, across)
    xx, xy = (power * (2 * angle).cos()).sum((1, 2)), (power * (2 * angle).sin()).sum((1, 2))
    # The spectrum of an edge lies at a right angle to it.
    orientation = (torch.atan2(xy, xx).rad2deg() / 2 + 90) % 180
    return orientation, xx.hypot(xy), (power * frequency).sum((1, 2))


@dataclass(frozen=True)
class ChannelReport:
    """What a channel does on a set of pictures, and the figures behind the label.

    label: the first that holds of "dead", "flat", "copy of 12" (or "negative of 12"), "edge 45°" (or "edges": in every
        direction), "brightness" (or "darkness"), "subject" (or "background"), "rare" (active on under a hundredth of
        the pixels), "mixed".
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


def describe(
    model: SRCNN, images: Sequence[Tensor], layer: str, masks: Sequence[Tensor] | None = None
) -> list[ChannelReport]:
    """Measure every channel of a layer, after its ReLU, on a set of pictures.

    Args:
        images: bicubic pictures (C, H, W) in [0, 1], of any sizes.
        masks: (H, W) bool for each picture, true on the subject; `subject_mask` of the picture without.

    Raises:
        InputError: no picture, another number of masks, or a mask of another size.
    """
    if not images:
        raise InputError("there is no picture to describe the channels on, expected at least one")
    masks = [subject_mask(image) for image in images] if masks is None else list(masks)
    if len(masks) != len(images):
        raise InputError(f"there are {len(masks)} masks for {len(images)} pictures, expected one for each")
    for image, mask in zip(images, masks, strict=True):
        if mask.shape != image.shape[-2:]:
            raise InputError(f"a mask is {tuple(mask.shape)}, expected {tuple(image.shape[-2:])} as its picture")

    # 1. Maps, edges and luminance of all pictures, a row of pixels for each.
    maps = [feature_maps(model, image, [layer])[layer][0] for image in images]  # (C, H, W) each
    values = torch.cat([m.flatten(1) for m in maps], 1)  # (C, P)
    light = torch.cat([luminance(image.cpu().float()).flatten() for image in images])[None]  # (1, P)

    # 2. What each channel goes with.
    edges, orientations = edge_following(maps, images)
    brightness = _correlation(values, light)[:, 0]
    between = _correlation(values, values)
    pairs = [(m, mask) for m, mask in zip(maps, masks, strict=True) if 0 < mask.sum() < mask.numel()]
    separation = [[subject_separation(channel, mask) for channel in m] for m, mask in pairs]  # (pictures, C)
    subject = torch.tensor(separation).mean(0) if pairs else torch.full([len(values)], 0.5)

    # 3. The first label that holds.
    reports = []
    for channel, row in enumerate(values):
        likeness = between[channel, :channel]
        twins = (likeness.abs() >= COPY).nonzero().flatten().tolist()
        copy_of = twins[0] if twins else None
        figures = {
            "active": float((row > 0).float().mean()),
            "edges": float(edges[channel]),
            "orientation": orientations[channel],
            "brightness": float(brightness[channel]),
            "subject": float(subject[channel]),
            "copy_of": copy_of,
            "similarity": float(likeness[copy_of]) if twins else 0.0,
        }
        reports.append(ChannelReport(layer, channel, _label(row, **figures), **figures))
    return reports


def _label(row: Tensor, active, edges, orientation, brightness, subject, copy_of, similarity) -> str:
    spread = row.std(correction=0)
    if active == 0 and spread == 0:
        return "dead"
    if spread <= FLAT * row.abs().mean():
        return "flat"
    if copy_of is not None:
        return f"copy of {copy_of}" if similarity > 0 else f"negative of {copy_of}"
    if edges >= EDGE:
        return "edges" if orientation is None else f"edge {orientation:.0f}°"
    if abs(brightness) >= BRIGHTNESS:
        return "brightness" if brightness > 0 else "darkness"
    if not 1 - SUBJECT < subject < SUBJECT:
        return "subject" if subject > 0.5 else "background"
    if active < RARE:
        return "rare"
    return "mixed"


def telling(model: SRCNN, images: Sequence[Tensor], layer: str, count: int = 8) -> list[int]:
    """The channels of a layer to look at first: they vary much over the pictures, and are unlike each other.

    Args:
        images: bicubic pictures (C, H, W) in [0, 1], of any sizes.
        count: at most so many; fewer where the others are dead or flat.

    Returns:
        channels in their own order, at least one.
    """
    maps = [feature_maps(model, image, [layer])[layer][0].flatten(1) for image in images]
    values = torch.cat(maps, 1)  # (channels, pixels of all pictures)
    spread = values.std(1, correction=0)
    unlike = (1 - _correlation(values, values).abs()).clamp_min(1e-6)  # near 0 where one repeats the other
    chosen = [int(spread.argmax())]
    while len(chosen) < min(count, int((spread > 1e-6).sum())):
        worth = spread * unlike[chosen].amin(0)
        worth[chosen] = -1
        chosen.append(int(worth.argmax()))
    return sorted(chosen)


def edge_following(maps: Sequence[Tensor], images: Sequence[Tensor]) -> tuple[Tensor, list[float | None]]:
    """How much each channel follows the edges of the pictures, and which.

    The luminance's derivative (Gaussian, σ = 1) is steered in steps of 15°; each direction's positive half (dark to
    light), each orientation's absolute value and the gradient's magnitude are correlated (Pearson) with the map over
    all pixels. The best is taken, of nearly equal ones that with the largest covariance. Map and edges are blurred (σ =
    1.5) before, so that a kernel a pixel or two off its center still counts; ten pixels at each border are left out
    where there are enough.

    Args:
        maps: (channels, H, W) for each picture.
        images: (C, H, W) for each.

    Returns:
        the score of each channel, [−1, 1], 0 for a constant map; and its orientation in degrees, None where there is no
        score or the magnitude's is better by 0.01.

    Reference: Freeman and Adelson, The Design and Use of Steerable Filters, PAMI 13 (1991), equation 3.
    """
    angles = torch.arange(0, 360, STEP).deg2rad()
    rows, channels = [], []
    for values, image in zip(maps, images, strict=True):
        light = _blur(luminance(image.cpu().float())[None], 1.0)  # (1, 1, H, W)
        padded = F.pad(light, [1] * 4, mode="replicate")
        across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
        up = padded[..., :-2, 1:-1] - padded[..., 2:, 1:-1]
        steered = angles.cos()[:, None, None] * across + angles.sin()[:, None, None] * up  # (1, directions, H, W)
        half = steered[:, : len(angles) // 2].abs()
        edges = torch.cat([steered.relu(), half, across.hypot(up)], 1)
        inside = slice(10, -10) if min(image.shape[-2:]) > 40 else slice(None)
        rows.append(_blur(edges, 1.5)[0, :, inside, inside].flatten(1))
        channels.append(_blur(values[None], 1.5)[0, :, inside, inside].flatten(1))
    edges = torch.cat(rows, 1)  # (orientations, P)
    scores = _correlation(torch.cat(channels, 1), edges)  # (channels, orientations)
    # Where edges have few directions the steered maps are nearly proportional and correlate alike: the orientation that
    # has most edges is meant, which is what a covariance tells; and an orientation rather than the magnitude.
    near = scores >= scores.amax(1, keepdim=True) - TIE
    worth = torch.where(near, scores * edges.std(1, correction=0), -torch.inf)
    worth[:, -1] = -torch.inf
    magnitude = scores[:, -1] > scores[:, :-1].amax(1) + 0.01
    best = torch.where(magnitude, len(edges) - 1, worth.argmax(1)).tolist()
    scores = scores[torch.arange(len(best)), best]
    # The derivative points across the edge.
    found = [
        (index * STEP + 90.0) % 180 if index < len(edges) - 1 and score > 0 else None
        for index, score in zip(best, scores.tolist(), strict=True)
    ]
    return scores, found


def subject_separation(values: Tensor, mask: Tensor) -> float:
    """Probability that a channel is more active at a pixel of the subject than at one outside it: the area under
    the ROC curve, [0, 1]; 0.5 says nothing, 0 that it marks the background. Ties count half.

    Args:
        values: (H, W), a channel's map.
        mask: (H, W) bool, true on the subject; neither empty nor full.

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
    """A guess at the subject, (C, H, W) → (H, W) bool: the blurred luminance above or below Otsu's threshold, whichever
    touches the picture's border less.

    Reference: Otsu, A Threshold Selection Method from Gray-Level Histograms, 1979, equation 18.
    """
    light = luminance(image.cpu().float())
    light = _blur(light[None], max(1.0, min(light.shape[-2:]) / 32))[0, 0]  # (H, W)
    low, high = light.min(), light.max()
    levels = ((light - low) / (high - low).clamp_min(1e-12) * 255).long()
    share = torch.bincount(levels.flatten(), minlength=256).double() / levels.numel()
    below, mean = share.cumsum(0), (share * torch.arange(256)).cumsum(0)
    between = (mean[-1] * below - mean).square() / (below * (1 - below)).clamp_min(1e-12)
    mask = levels > between[:-1].argmax()
    border = torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).float().mean()
    return ~mask if border > mask.float().mean() else mask


def _correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's, each row with each: (A, P), (B, P) → (A, B); 0 where a row is constant."""
    a, b = (rows - rows.mean(1, keepdim=True) for rows in (a, b))
    # A constant row leaves rounding behind, which must not be blown up to a direction.
    a, b = (rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-6 * rows.shape[1] ** 0.5) for rows in (a, b))
    return (a @ b.T).clamp(-1, 1)  # rounding goes a little beyond


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian over (N, C, H, W) with a replicated surround."""
    reach = int(3 * sigma + 0.5)
    taps = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * sigma**2))
    taps = (taps / taps.sum()).expand(images.shape[1], 1, 1, -1)  # (C, 1, 1, 2·reach + 1)
    padded = F.pad(images, [reach] * 4, mode="replicate")
    return F.conv2d(F.conv2d(padded, taps, groups=images.shape[1]), taps.mT, groups=images.shape[1])
