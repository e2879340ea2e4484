"""Clips of a run: reconstructions, feature maps and kernels of its snapshots as frames (T, H, W, 3) uint8.

`write_clip` of video.py writes them as GIF, MP4 or WebP. Photographs are (C, H, W) in [0, 1], RGB or gray; they are
downscaled by the network's scale and upscaled again with bicubic interpolation, as in training. The range of values
that the colors stand for is the same in all frames of a clip, and the caption states it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..activations import feature_maps, is_signed
from ..data.images import Picture
from ..errors import InputError
from ..evaluation.sample import Sample
from ..kernel_projection import patch_statistics, project_kernels
from ..model import LAYERS, SRCNN
from ..run import Run, Snapshot
from ..runtime.console import Progress
from .channel_analysis import most_informative_channels
from .explanation_clips import frequency_clip, worth_clip
from .frames import (
    GAP,
    MIN_WIDTH,
    caption,
    enlarge,
    evenly_spaced,
    join,
    kernel_pixels,
    limit_of,
    map_pixels,
    mosaic,
    pad,
    range_text,
    repeat_pixels,
    step_text,
)
from .layers import ChannelAddress, has_rgb_kernels, layer_kernels
from .pictures import crop_to_largest_error, open_picture
from .run_comparison import align_snapshots, compare_reconstructions_clip, run_names, side_by_side
from .scan import PATCH, STRIDE, check_stride, scan_clip
from .style import get_theme
from .video import check_clip, write_clip

KINDS = ("reconstruction", "channel", "kernels", "scan", "frequency", "worth")
EXPLANATIONS = {"frequency": frequency_clip, "worth": worth_clip}
MAX_CHANNELS_WIDTH = 1920  # pixels of a clip of channels; wider maps are reduced
MIN_KERNELS_WIDTH = 480  # pixels of a clip of kernels

Photographs = Tensor | Sample | Sequence[Tensor | Sample]  # a Sample is a photograph that is degraded already


def reconstruction_clip(
    snapshots: Sequence[Snapshot],
    photographs: Photographs,
    *,
    frames: int = 20,
    theme: str = "dark",
    progress: Progress | None = None,
) -> np.ndarray:
    """Shows photographs as each snapshot restores them, with the step, the PSNR on Y and its gain over bicubic.

    Args:
        snapshots: of one run, in order.
        photographs: (C, H, W), or several, which are shown side by side.
        frames: how many, evenly spaced over the snapshots; the first and the last snapshot are among them.
        theme: "dark" or "light", the background of the captions.
        progress: called as progress(done, total), in frames.

    Returns:
        (T, H, W, 3) uint8 with the caption below; small pictures are enlarged by whole factors. The pictures of a Y
        network have the color of the bicubic picture.

    Raises:
        InputError: for no snapshots, no photograph, fewer than one frame, a photograph of more than 1920 · 1080
            pixels, or an unknown theme.
    """
    chosen = choose_snapshots(snapshots, frames)
    samples = _to_samples(photographs, chosen[0].load())
    pictures: list[list[np.ndarray]] = [[] for _ in samples]
    labels: list[list[str]] = [[] for _ in samples]
    for model in _load_each(chosen, progress):
        for number, sample in enumerate(samples):
            output = sample.reconstruct(model)
            pictures[number].append(sample.to_pixels(output))
            labels[number].append(sample.psnr_label(output))
    strips = [np.stack(strip) for strip in pictures]
    return _lay_out(strips, labels, _step_labels(chosen), theme, columns=min(len(samples), 4))


def channel_clip(
    snapshots: Sequence[Snapshot],
    photographs: Photographs,
    addresses: Sequence[str | ChannelAddress],
    *,
    before_relu: bool = False,
    limits: dict[str, float] | None = None,
    frames: int = 20,
    theme: str = "dark",
    progress: Progress | None = None,
) -> np.ndarray:
    """Shows the feature maps of channels, snapshot by snapshot: side by side, with a row for each photograph.

    After ReLU a map is drawn from a dark zero to orange; before ReLU, and after layer 3, which has none, from blue over
    a dark zero to orange. Several channels share one range for each layer, and their colors run over its square root,
    which makes weak channels visible beside strong ones; the caption says so.

    Args:
        snapshots, photographs, frames, theme, progress: as in `reconstruction_clip`.
        addresses: such as ["layer_2:16", "layer_2:0"]; channels count from 0.
        before_relu: show the signed values of the convolutions.
        limits: {layer: the value at the end of the color range}; for other layers, a value that 99.9 % of the layer's
            values in all frames do not exceed.

    Returns:
        (T, H, W, 3) uint8 with step and range in the caption.

    Raises:
        InputError: as in `reconstruction_clip`, or for no channel or an unknown one; the valid ones are listed.
    """
    chosen = choose_snapshots(snapshots, frames)
    first = chosen[0].load()
    samples = _to_samples(photographs, first)
    channels = [ChannelAddress.parse(address, first) for address in addresses]
    if not channels:
        raise InputError("there is no channel to animate, expected one or more such as layer_2:16")
    used = {address.layer for address in channels}
    layers = [layer for layer in LAYERS if layer in used]
    columns = _channel_columns(len(channels))

    # 1. The maps of all frames, from which the range follows: a strip for each channel of each photograph.
    maps: list[list[Tensor]] = [[] for _ in range(len(samples) * len(channels))]
    for model in _load_each(chosen, progress):
        found = [feature_maps(model, sample.network_input, layers, before_relu) for sample in samples]
        frame = [of_sample[layer][0, channel] for of_sample in found for layer, channel in channels]  # (H, W) each
        for strip, each in zip(maps, frame, strict=True):
            strip.append(_reduce_width(each, MAX_CHANNELS_WIDTH // columns))
    strips = [torch.stack(strip) for strip in maps]  # (T, H, W) each
    layer_of_strip = [address.layer for address in channels] * len(samples)

    # 2. The range of each layer, then the colors.
    values: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    for channel_maps, layer in zip(strips, layer_of_strip, strict=True):
        values[layer].append(channel_maps.flatten())
    limits = {layer: limit_of(torch.cat(values[layer])) for layer in layers} | (limits or {})
    signed = {layer: is_signed(layer, before_relu) for layer in layers}
    ranges = {layer: range_text(limits[layer], signed=signed[layer]) for layer in layers}
    pictures = [
        map_pixels(channel_maps, limits[layer], signed=signed[layer], root=len(strips) > 1)
        for channel_maps, layer in zip(strips, layer_of_strip, strict=True)
    ]

    # 3. Captions and layout.
    if len(pictures) == 1:
        return caption(enlarge(pictures[0]), _step_labels(chosen), f"{channels[0]}, {ranges[layers[0]]}", theme)
    labels = [str(address.channel) if len(layers) == 1 else str(address) for address in channels] * len(samples)
    note = "; ".join(f"{layer}: {text}" for layer, text in ranges.items()) + ", square root"
    return _lay_out(pictures, labels, _step_labels(chosen), theme, note, columns)


def _channel_columns(channels: int) -> int:
    if channels <= 4:
        return channels
    if channels <= 16:
        return 4
    return 8 if channels <= 64 else 16


def kernel_clip(
    snapshots: Sequence[Snapshot],
    layer: str = LAYERS[0],
    *,
    channels: Sequence[int] | None = None,
    limit: float | None = None,
    excited_by: Sequence[Tensor] = (),
    frames: int = 20,
    theme: str = "dark",
    progress: Progress | None = None,
) -> np.ndarray:
    """Shows the kernels of a layer, snapshot by snapshot, row by row in the order of their channels.

    The kernels of an RGB network's first layer are drawn in color, with zero as gray. A kernel with several inputs is a
    mosaic of them. Layer 3 is transposed: it shows what each channel of layer 2 contributes to the picture.

    Args:
        snapshots, frames, theme, progress: as in `reconstruction_clip`.
        layer: "layer_1", "layer_2" or "layer_3".
        channels: those whose kernels are shown; None for all.
        limit: the weight at the end of the color range; None for one that 99.5 % of the weights in all frames do not
            exceed.
        excited_by: network inputs (C, H, W); the kernels of layer 1 are shown without what these cannot excite (the
            ridge projection of kernel_projection.py). Without any they are shown as they are.

    Returns:
        (T, H, W, 3) uint8; the caption states the range.

    Raises:
        InputError: as in `reconstruction_clip`, for an unknown layer, or `excited_by` with a later layer.
    """
    chosen = choose_snapshots(snapshots, frames)
    first = chosen[0].load()
    rgb = has_rgb_kernels(first, layer)
    if excited_by and layer != LAYERS[0]:
        raise InputError(f"photographs excite the kernels of {LAYERS[0]} only, not of {layer}")
    statistics = patch_statistics(excited_by, first.filters[0]) if excited_by else None
    weights = torch.stack(
        [
            layer_kernels(project_kernels(model, statistics) if statistics else model, layer)
            for model in _load_each(chosen, progress)
        ]
    )
    if layer == LAYERS[-1]:
        weights = weights.transpose(1, 2)
    total = weights.shape[1]
    if channels is not None:
        weights = weights[:, list(channels)]
    outputs = weights.shape[1]  # weights: (T, outputs, inputs, size, size)
    limit = limit or limit_of(weights, 0.995)
    tiles = kernel_pixels(weights, limit, rgb=rgb, theme=theme)  # (T, outputs, h, w, 3)
    columns = min(outputs, 8 if outputs <= 64 else 16)
    # Enlarged before the layout: the lines between kernels stay thin.
    tiles = repeat_pixels(tiles, math.ceil(MIN_KERNELS_WIDTH / (columns * tiles.shape[3])))
    sheet = mosaic(tiles, columns, gap=GAP, theme=theme)
    part = "" if outputs == total else f", {outputs} of {total}"
    part += ", as photographs excite them" if excited_by else ""
    return caption(sheet, _step_labels(chosen), f"{layer}{part}, {range_text(limit, signed=True)}", theme)


# From a run to a file, as `srcnn animate` does it


@dataclass(frozen=True)
class ClipOptions:
    """What `animate` shows of a run, and how the clip plays.

    Args:
        layer: of the channels or kernels: "layer_2" or "2".
        channel: number of a channel; several as "0,5,8", also of different layers as "layer_1:3,layer_2:16"; "all"; or
            "informative": up to eight that vary much and differ from each other. None for channel 0, or all kernels.
        before_relu: show channels before ReLU, with sign.
        excited: show the kernels of layer 1 without what the photographs cannot excite.
        mode, patch, stride: of a scan, as in `scan_clip`.
        crop: side in pixels of the square that is cut out of each photograph, where bicubic's error is largest; None
            for the whole photograph.
        frames: how many; None for 20, or 60 in a scan.
        fps: frames a second; None for 5 (20 frames take 4 s), or in a scan for as many as take 4 s.
        hold: seconds that the last frame is shown longer.
        max_mb: as in `write_clip`.
        theme: as in `reconstruction_clip`.

    Raises:
        InputError: for an unknown layer, mode or theme, or a number out of range.
    """

    layer: str = LAYERS[1]
    channel: str | int | None = None
    before_relu: bool = False
    excited: bool = False
    mode: str = "non-overlapping"
    patch: int = PATCH
    stride: int = STRIDE
    crop: int | None = None
    frames: int | None = None
    fps: float | None = None
    hold: float = 1.5
    max_mb: float | None = None
    theme: str = "dark"

    def __post_init__(self):
        if self.layer_name not in LAYERS:
            raise InputError(f"{self.layer!r} is no layer of this network, expected one of {', '.join(LAYERS)}")
        check_stride(self.mode, self.patch, self.stride)
        if self.crop is not None and self.crop < 1:
            raise InputError(f"crop is {self.crop}, expected a number of pixels such as 240")
        get_theme(self.theme)

    @property
    def layer_name(self) -> str:
        """The layer as the network calls it: "layer_2"."""
        return f"layer_{self.layer}" if self.layer.isdecimal() else self.layer


RunOrPath = Run | str | Path


def animate(
    run: RunOrPath | Sequence[RunOrPath],
    what: str = "reconstruction",
    photographs: Sequence[Picture | str | Path] = (),
    options: ClipOptions = ClipOptions(),
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> tuple[Path, list[str]]:
    """Makes a clip of a run, or of several in step, and writes it to a file.

    Args:
        run: a run, or its folder; or two to four, which are shown side by side at the same steps, on one photograph.
        what: "reconstruction", "channel" or "kernels" over the training; "frequency", the gain over bicubic by spatial
            frequency; "worth", which channels of layer 2 matter most; or "scan", the newest network, patch by patch.
        photographs: as in `open_picture`: files, addresses or names such as "samples:chelsea". Without any, the tiles
            of the run's probe: all of them for a reconstruction, the first one otherwise.
        options: what is shown, and how the clip plays.
        out: the file; its extension selects the format. None for reconstruction.gif and so on, in the current folder.
        progress: called as progress(done, total).

    Returns:
        the file, and notes of one line each: transparency that was removed, and what was reduced for `max_mb`.

    Raises:
        InputError: for no run, no snapshots, runs that can't be compared, or an invalid photograph, channel, number or
            extension; the message names the valid ones.
    """
    if what not in KINDS:
        raise InputError(f"what is {what!r}, expected one of {', '.join(KINDS)}")
    given = [run] if isinstance(run, Run | str | Path) else list(run)
    if not given:
        raise InputError("there is no run to animate, expected one or more")
    runs = [each if isinstance(each, Run) else Run(each) for each in given]
    path = Path(out or f"{what}.gif")
    check_clip(path, 5 if options.fps is None else options.fps, options.hold, options.max_mb)
    frames = options.frames
    if frames is None:
        frames = 60 if what == "scan" else 20
    notes: list[str] = []
    shared: dict[str, Any] = {"frames": frames, "theme": options.theme, "progress": progress}
    make_clip = _one_run_clip if len(runs) == 1 else _several_runs_clip
    clip = make_clip(runs, what, photographs, options, notes, shared)
    fps = options.fps
    if fps is None:
        fps = len(clip) / 4 if what == "scan" else 5
    return path, notes + write_clip(path, clip, fps, hold=options.hold, max_mb=options.max_mb)


def _one_run_clip(
    runs: Sequence[Run],
    what: str,
    photographs: Sequence[Picture | str | Path],
    options: ClipOptions,
    notes: list[str],
    shared: dict[str, Any],
) -> np.ndarray:
    """Returns the clip of one run, (T, H, W, 3), and adds its notes to `notes`."""
    (run,) = runs
    newest = run.model()
    snapshots = run.snapshots()
    if what != "scan" and (count := len(snapshots)) < shared["frames"]:
        notes.append(f"{run.path} has {count} snapshot{'s' * (count > 1)}: that many frames")
    if what == "kernels":
        channels = _kernel_channels(options, newest)
        inputs: list[Tensor] = []
        if options.excited:
            opened = _open_samples(run, newest, "reconstruction", photographs, options.crop, notes)
            inputs = [sample.network_input for sample in opened]
        return kernel_clip(snapshots, options.layer_name, channels=channels, excited_by=inputs, **shared)
    samples = _open_samples(run, newest, what, photographs, options.crop, notes)
    if what == "reconstruction":
        return reconstruction_clip(snapshots, samples, **shared)
    if what in EXPLANATIONS:
        if len(samples) > 1:
            raise InputError(f"a clip of {what} shows one photograph, not {len(samples)}")
        chosen = choose_snapshots(snapshots, shared["frames"])
        return EXPLANATIONS[what](chosen, samples[0], theme=options.theme, progress=shared["progress"])
    if what == "channel":
        addresses = _channel_addresses(options, newest, samples)
        return channel_clip(snapshots, samples, addresses, before_relu=options.before_relu, **shared)
    scan = {"patch": options.patch, "stride": options.stride, **shared}
    return join([scan_clip(newest, sample, options.mode, **scan) for sample in samples], theme=options.theme)


def _several_runs_clip(
    runs: Sequence[Run],
    what: str,
    photographs: Sequence[Picture | str | Path],
    options: ClipOptions,
    notes: list[str],
    shared: dict[str, Any],
) -> np.ndarray:
    """Returns the clip of several runs side by side, (T, H, W, 3), and adds its notes to `notes`.

    The colors of maps and kernels stand for the same values in all runs.
    """
    if what not in ("reconstruction", "channel", "kernels"):
        raise InputError(f"a clip of {what} shows one run, not {len(runs)}")
    if len(photographs) > 1:
        raise InputError(f"{len(runs)} runs are compared on one photograph, not on {len(photographs)}")
    scales = {run.config.scale for run in runs}
    if len(scales) > 1:
        listed = ", ".join(f"×{scale:g}" for scale in sorted(scales))
        raise InputError(f"the runs have different scales ({listed}) and can't be compared on one photograph")
    if options.excited:
        raise InputError("kernels as photographs excite them are shown of one run")
    aligned = align_snapshots(runs, shared["frames"])
    shared = {**shared, "frames": len(aligned[0])}
    newest = [run.model() for run in runs]
    if what == "kernels":
        chosen = [_kernel_channels(options, model) for model in newest]
        weights = [layer_kernels(model, options.layer_name) for model in newest]
        limit = max(limit_of(each, 0.995) for each in weights)
        clips = [
            kernel_clip(snapshots, options.layer_name, channels=channels, limit=limit, **shared)
            for snapshots, channels in zip(aligned, chosen, strict=True)
        ]
        return side_by_side(clips, run_names(runs), options.theme)
    (first,) = _open_samples(runs[0], newest[0], "channel", photographs, options.crop, notes)
    samples = [Sample(first.original, model) for model in newest]
    if what == "reconstruction":
        return compare_reconstructions_clip(runs, samples, **shared)
    addresses = [_channel_addresses(options, model, [sample]) for model, sample in zip(newest, samples, strict=True)]
    limits: dict[str, float] = {}
    for model, sample, channels in zip(newest, samples, addresses, strict=True):
        for layer, limit in _channel_limits(model, sample, channels, options.before_relu).items():
            limits[layer] = max(limit, limits.get(layer, 0.0))
    clips = [
        channel_clip(snapshots, sample, channels, before_relu=options.before_relu, limits=limits, **shared)
        for snapshots, sample, channels in zip(aligned, samples, addresses, strict=True)
    ]
    return side_by_side(clips, run_names(runs), options.theme)


def _channel_limits(
    model: SRCNN, sample: Sample, channels: Sequence[ChannelAddress], before_relu: bool
) -> dict[str, float]:
    """Returns {layer: the end of the color range} for channels of a network."""
    used = {address.layer for address in channels}
    maps = feature_maps(model, sample.network_input, [layer for layer in LAYERS if layer in used], before_relu)
    return {
        layer: limit_of(torch.stack([found[0, each.channel] for each in channels if each.layer == layer]))
        for layer, found in maps.items()
    }


def _open_samples(
    run: Run,
    model: SRCNN,
    what: str,
    photographs: Sequence[Picture | str | Path],
    crop: int | None,
    notes: list[str],
) -> list[Sample]:
    """Opens, crops and degrades the photographs of a clip, and adds their notes to `notes`."""
    if not photographs:
        tiles = list(run.probe()[1])
        return _to_samples(tiles if what == "reconstruction" else tiles[:1], model)
    originals = []
    for photograph in photographs:
        picture = open_picture(photograph, run)
        notes += picture.notes
        if crop is not None:
            picture = crop_to_largest_error(picture, crop, run.config.scale)
        originals.append(picture.pixels)
    return _to_samples(originals, model)


def _channel_addresses(options: ClipOptions, model: SRCNN, samples: Sequence[Sample]) -> list[ChannelAddress]:
    """Returns the channels that `options.channel` selects: a number or several, "all" or "informative"."""
    layer = options.layer_name
    if options.channel == "all":
        return [ChannelAddress(layer, number) for number in range(len(layer_kernels(model, layer)))]
    if options.channel == "informative":
        inputs = [sample.network_input for sample in samples]
        return [ChannelAddress(layer, number) for number in most_informative_channels(model, inputs, layer)]
    parts = [part.strip() for part in str(0 if options.channel is None else options.channel).split(",")]
    return [ChannelAddress.parse(part if ":" in part else f"{layer}:{part}", model) for part in parts]


def _kernel_channels(options: ClipOptions, model: SRCNN) -> list[int] | None:
    """Returns the channels whose kernels are shown; None for all, always so in layer 3, whose inputs are shown."""
    if options.channel in (None, "all", "informative") or options.layer_name == LAYERS[-1]:
        return None
    return [address.channel for address in _channel_addresses(options, model, [])]


# Steps that the clips share


def choose_snapshots(snapshots: Sequence[Snapshot], frames: int) -> list[Snapshot]:
    """Returns at most `frames` snapshots, evenly spaced by their position: early ones are as dense as a run has them.

    Raises:
        InputError: for no snapshots, or fewer than one frame.
    """
    if not snapshots:
        raise InputError("there are no snapshots to animate; train the run first")
    if frames < 1:
        raise InputError(f"frames is {frames}, expected 1 or more")
    return evenly_spaced(snapshots, frames)


def _to_samples(photographs: Photographs, model: SRCNN) -> list[Sample]:
    """Degrades photographs by the network's scale; a Sample is degraded already."""
    several = [photographs] if isinstance(photographs, Tensor | Sample) else list(photographs)
    if not several:
        raise InputError("there is no picture to animate, expected one or more")
    return [each if isinstance(each, Sample) else Sample(each, model) for each in several]


def _load_each(snapshots: Sequence[Snapshot], progress: Progress | None) -> Iterator[SRCNN]:
    """Yields the network of each snapshot; reports progress when the next one is requested."""
    for done, snapshot in enumerate(snapshots, start=1):
        yield snapshot.load()
        if progress:
            progress(done, len(snapshots))


def _step_labels(snapshots: Sequence[Snapshot]) -> list[str]:
    return [step_text(snapshot.step) for snapshot in snapshots]


def _reduce_width(values: Tensor, max_width: int) -> Tensor:
    """Reduces a map (H, W) that is wider than `max_width`: a pixel becomes the mean of those that it covers."""
    height, width = values.shape
    if width <= max_width:
        return values
    size = (max(1, round(height * max_width / width)), max_width)
    return F.interpolate(values[None, None], size, mode="area")[0, 0]


def _lay_out(
    strips: list[np.ndarray],
    labels: Sequence[str | list[str]],
    steps: list[str],
    theme: str,
    note: str = "",
    columns: int = 1,
) -> np.ndarray:
    """Enlarges strips (T, H, W, 3), lays them out in rows and adds captions.

    A single strip gets steps and label in one caption. Several get a label each; steps and note stand once below all.
    """
    if len(strips) == 1:
        return caption(enlarge(strips[0]), steps, labels[0], theme)
    # Pictures of different sizes are enlarged by one factor, and their captions stand on one line.
    widest = max(strip.shape[2] for strip in strips)
    factor = math.ceil(min(MIN_WIDTH, 3 * MIN_WIDTH // columns) / widest)
    strips = [enlarge(strip, factor * strip.shape[2]) for strip in strips]
    height, width = (max(strip.shape[axis] for strip in strips) for axis in (1, 2))
    captioned = [
        caption(pad(strip, height, width, theme), label, theme=theme)
        for strip, label in zip(strips, labels, strict=True)
    ]
    return caption(join(captioned, columns, theme), steps, note, theme)
