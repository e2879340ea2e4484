"""Themes and colors, and how figures are displayed and written."""

import threading

import numpy as np
import pytest
import torch
from figure_checks import pixels

from srcnn_lib import InputError
from srcnn_lib.visualization.figures import channels_figure, comparison_figure
from srcnn_lib.visualization.style import POSITIVE, SIGNED, get_theme, save_figure


def test_an_unknown_theme_is_rejected_with_the_valid_ones():
    with pytest.raises(InputError, match="theme is 'pink', expected one of light, dark"):
        get_theme("pink")


def test_zero_has_the_same_color_in_signed_and_positive_maps():
    np.testing.assert_allclose(SIGNED(0.5), POSITIVE(0.0), atol=0.02)
    np.testing.assert_allclose(SIGNED(1.0), POSITIVE(1.0), atol=0.02)


def test_a_figure_is_displayed_by_a_notebook_and_written_to_a_file(tmp_path):
    figure = comparison_figure(*[torch.rand(3, 40, 50)] * 3)
    assert figure._repr_png_()[:4] == b"\x89PNG"
    for name in ("a.png", "a.svg"):
        assert save_figure(figure, tmp_path / name).stat().st_size > 1000
    with pytest.raises(InputError, match=r"\.png"):
        save_figure(figure, tmp_path / "a.docx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"]


def test_threads_can_draw_at_the_same_time():
    maps = torch.rand(2, 8, 8)
    alone, drawn = pixels(channels_figure(maps)), []
    threads = [threading.Thread(target=lambda: drawn.append(pixels(channels_figure(maps)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 3
    assert all((other == alone).all() for other in drawn)
