"""Figures of the exact views: drawn for Y and RGB networks, with symmetric colors and no text cut off."""

import pytest
import torch
from exact_networks import random_network
from figure_checks import assert_no_text_is_clipped, pixels, texts
from small_runs import cat_picture

from srcnn_lib.data.regions import Area
from srcnn_lib.evaluation.sample import Sample
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.kernel_projection import patch_statistics
from srcnn_lib.model import SRCNN
from srcnn_lib.visualization import explanation_figures as figures
from srcnn_lib.visualization.attribution import attribute
from srcnn_lib.visualization.channel_contributions import channel_pictures, channel_worth, transplants
from srcnn_lib.visualization.equivalent_filter import pixel_autopsy
from srcnn_lib.visualization.seams import find_seams
from srcnn_lib.visualization.spectrum import frequency_film, frequency_ledger
from srcnn_lib.visualization.stimuli import channel_stimuli


def every_figure(model: SRCNN, sample: Sample, theme: str):
    """Yields each figure of a network and a sample."""
    worth = channel_worth(model, sample)
    picture = sample.network_input
    early = random_network((model.channels, model.filters, model.widths, model.padding_mode), seed=4).float()
    networks = {0: early, 100: model}
    yield figures.worth_figure(worth, title="cat", theme=theme)
    yield figures.worth_figure([worth, worth], bicubic=[30.0, 31.0], theme=theme)
    yield figures.contributions_figure(channel_pictures(model, picture), worth, theme=theme)
    yield figures.transplants_figure(transplants(model, networks, sample), theme=theme)
    for at in ((0, 0), (30, 40)):
        yield figures.autopsy_figure(pixel_autopsy(model, picture, at), picture, theme=theme)
    for area in (Area(30, 40, 31, 41), Area(0, 0, 6, 9)):
        yield figures.attribution_figure(attribute(model, picture, area), picture, theme=theme)
    yield figures.frequency_figure(frequency_ledger(model, sample), title="cat", theme=theme)
    yield figures.frequency_film_figure(frequency_film(networks, sample), title="cat", theme=theme)
    for layer in ("layer_1", "layer_2"):
        yield figures.stimuli_figure(channel_stimuli(model, [picture], layer, [0, 1], count=3), theme=theme)
    yield figures.photographic_kernels_figure(model, patch_statistics([picture], model.filters[0]), theme=theme)
    for mode in ("non-overlapping", "overlapping"):
        yield figures.seams_figure(find_seams(model, sample, InferenceOptions(mode, stride=11)), theme=theme)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "theme", "ground"),
    [
        ((1, (5, 3, 3), (6, 4), "replicate"), "light", (255, 255, 255)),
        ((3, (5, 3, 3), (4, 5), "zeros"), "dark", (21, 25, 31)),
    ],
    ids=str,
)
def test_every_figure_is_drawn_in_its_theme_and_cuts_off_no_text(kind, theme, ground):
    model = random_network(kind).float()
    for number, figure in enumerate(every_figure(model, Sample(cat_picture().pixels, model), theme)):
        assert_no_text_is_clipped(figure)
        assert number or tuple(pixels(figure)[0, 0]) == ground  # drawing takes time: one is enough


def test_signed_maps_have_zero_in_the_middle_of_their_colors():
    model = random_network((1, (5, 3, 3), (6, 4), "replicate")).float()
    picture = Sample(cat_picture().pixels, model).network_input
    autopsy = figures.autopsy_figure(pixel_autopsy(model, picture, (30, 40)), picture)
    attribution = figures.attribution_figure(attribute(model, picture, Area(30, 40, 31, 41)), picture)
    for figure in (autopsy, attribution):
        norm = figure.axes[1].images[0].norm
        assert norm.vmin == -norm.vmax
        assert norm(0.0) == pytest.approx(0.5)


def test_a_waterfall_leads_from_bicubic_to_the_result():
    model = random_network((1, (5, 3, 3), (6, 14), "replicate")).float()
    picture = Sample(cat_picture().pixels, model).network_input
    found = pixel_autopsy(model, picture, (30, 40))
    figure = figures.autopsy_figure(found, picture)
    bars = figure.axes[2].patches
    assert len(bars) == 11  # the carrier, nine channels, the four others
    assert bars[0].get_x() == pytest.approx(found.bicubic.item())
    assert bars[-1].get_x() + bars[-1].get_width() == pytest.approx(found.value.item())
    shown = texts(figure)
    assert f"bicubic  {found.bicubic.item():.4f}" in shown
    assert f"result  {found.value.item():.4f}" in shown


def test_a_picture_without_error_and_a_dead_network_are_drawn():
    model = SRCNN(1, (3, 3, 3), (3, 2))
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    sample = Sample(torch.zeros(1, 24, 30), model)
    worth = channel_worth(model, sample)
    assert worth.to_dict()["psnr"] == float("inf")
    for figure in (
        figures.worth_figure(worth),
        figures.contributions_figure(channel_pictures(model, sample.network_input), worth),
        figures.frequency_figure(frequency_ledger(model, sample)),
        figures.stimuli_figure(channel_stimuli(model, [sample.network_input], "layer_1")),
    ):
        assert_no_text_is_clipped(figure)
