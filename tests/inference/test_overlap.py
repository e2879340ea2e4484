"""Overlapping patches at stride 1, against every patch run alone.

The cost of a case grows with the halo and with the number of patches: pictures are hardly larger than a patch, and what
does not depend on the filters is tested with small ones.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from srcnn_lib.inference import overlap
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.inference.overlap import applies, overlapping
from srcnn_lib.inference.upscaling import reconstruct
from srcnn_lib.model import SRCNN, start_from_identity

FILTERS = [(9, 5, 5), (9, 1, 5), (9, 3, 5), (5, 7, 3), (3, 9, 1), (1, 1, 5), (3, 1, 7), (1, 5, 1), (1, 1, 1)]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Runs these tests in one thread: many small products are no faster in several, and far slower on busy cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@torch.no_grad()
def every_patch_alone(model, image, patch):
    """Computes the definition: a forward pass for each row of patches, sums and counts in float64."""
    height, width = (min(patch, length) for length in image.shape[1:])
    total = torch.zeros(image.shape, dtype=torch.float64)
    count = torch.zeros(image.shape[1:], dtype=torch.float64)
    for top in range(image.shape[1] - height + 1):
        patches = image[:, top : top + height].unfold(2, width, 1).permute(2, 0, 1, 3)  # (lefts, C, height, width)
        for left, values in enumerate(model(patches)):
            total[:, top : top + height, left : left + width] += values
            count[top : top + height, left : left + width] += 1
    return total / count


def network(filters=(9, 5, 5), widths=(4, 3), channels=3, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return SRCNN(channels, filters, widths).to(dtype)


def picture(channels, height, width, dtype=torch.float64, seed=1):
    return torch.rand(channels, height, width, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_it_equals_every_patch_run_alone_for_any_filter_sizes(filters):
    model, image = network(filters), picture(3, 35, 38)
    torch.testing.assert_close(overlapping(image, model, 33), every_patch_alone(model, image, 33), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("height", "width", "patch"), [(33, 33, 33), (34, 50, 33), (40, 27, 19), (60, 47, 41), (35, 35, 17)]
)
def test_it_equals_every_patch_run_alone_for_any_patch_and_image(height, width, patch):
    model, image = network(widths=(2, 2), channels=1), picture(1, height, width)
    expected = every_patch_alone(model, image, patch)
    torch.testing.assert_close(overlapping(image, model, patch), expected, rtol=0, atol=1e-12)


def test_it_equals_every_patch_run_alone_over_several_blocks_in_float32():
    model, image = network(widths=(8, 4), channels=1, dtype=torch.float32), picture(1, 50, 68, torch.float32)
    assert min(image.shape[1:]) - 33 > overlap.BLOCK
    torch.testing.assert_close(
        overlapping(image, model), every_patch_alone(model, image, 33).float(), rtol=0, atol=1e-5
    )


@settings(max_examples=12, deadline=None)
@given(
    filters=st.tuples(*[st.sampled_from([1, 3, 5, 7])] * 2, st.sampled_from([1, 3, 5])),
    widths=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    channels=st.sampled_from([1, 3]),
    more=st.tuples(st.integers(1, 10), st.integers(0, 6), st.integers(0, 6)),
    seed=st.integers(0, 99),
)
def test_it_equals_every_patch_run_alone_whatever_the_sizes(filters, widths, channels, more, seed):
    model = network(filters, widths, channels, seed=seed)
    patch = 2 * model.halo + more[0]
    image = picture(channels, patch + more[1], patch + more[2], seed=seed)
    expected = every_patch_alone(model, image, patch)
    torch.testing.assert_close(overlapping(image, model, patch), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("filters", [(5, 1, 5), (3, 1, 3), (7, 1, 7), (1, 1, 1), (1, 1, 5), (5, 1, 1), (1, 5, 1)])
def test_a_second_layer_of_single_pixels_is_exact_too(filters):
    model = network(filters, (2, 3), 1)
    patch = 2 * model.halo + 1
    image = picture(1, patch, patch + 1)
    torch.testing.assert_close(
        overlapping(image, model, patch), every_patch_alone(model, image, patch), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("start", ["torch", "identity"])
def test_float32_is_exact_within_two_millionths(start):
    model = network(widths=(32, 16), dtype=torch.float32)
    model = start_from_identity(model) if start == "identity" else model
    image = picture(3, 35, 37, torch.float32)
    result = overlapping(image, model, 33)
    assert result.dtype == torch.float32
    exact = every_patch_alone(model.double(), image.double(), 33)
    torch.testing.assert_close(result.double(), exact, rtol=0, atol=2e-6)


def test_an_image_smaller_than_the_patch_is_one_patch_in_that_dimension():
    model, image = network(), picture(3, 25, 40)
    torch.testing.assert_close(overlapping(image, model, 33), every_patch_alone(model, image, 33), rtol=0, atol=1e-12)
    torch.testing.assert_close(overlapping(image, model, 99), model(image[None])[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("block", [1, 3])
def test_blocks_leave_no_seam(monkeypatch, block):
    """With blocks of 3 positions, the border (6 and 12) and the inside (2 and 4) have whole and partial blocks."""
    model, image = network((3, 5, 3)), picture(3, 14, 20)
    expected = overlapping(image, model, 9)
    monkeypatch.setattr(overlap, "BLOCK", block)
    torch.testing.assert_close(overlapping(image, model, 9), expected, rtol=0, atol=1e-12)


def test_values_are_not_clamped_and_the_image_is_not_changed():
    model, image = network((3, 3, 3)), picture(3, 10, 12)
    model.layer_3.bias.data += 7
    before = image.clone()
    assert overlapping(image, model, 9).min() > 5
    assert torch.equal(image, before)


def test_autocast_around_it_changes_nothing():
    model, image = network((5, 3, 3), dtype=torch.float32), picture(3, 12, 14, torch.float32)
    expected = overlapping(image, model, 11)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(overlapping(image, model, 11), expected)


def test_it_takes_less_than_a_tenth_of_the_arithmetic_of_every_patch_alone(monkeypatch):
    monkeypatch.setattr(overlap, "BLOCK", 64)  # the same products in fewer calls, each of which is counted
    model = network(widths=(32, 16), dtype=torch.float32)
    image = picture(3, 64, 64, torch.float32)
    with FlopCounterMode(display=False) as ours:  # all matrix products count, those of the transforms too
        overlapping(image, model)
    with FlopCounterMode(display=False) as one_patch, torch.no_grad():
        model(image[None, :, :33, :33])
    assert ours.get_total_flops() * 10 < one_patch.get_total_flops() * 32**2


def test_progress_counts_every_block_up_to_the_last():
    calls = []
    overlapping(picture(3, 12, 40), network((3, 3, 3)), 9, progress=lambda done, total: calls.append((done, total)))
    assert len(calls) > 9  # more than one block for each of the nine pieces
    assert calls == [(done, len(calls)) for done in range(1, len(calls) + 1)]


@pytest.mark.parametrize(
    ("size", "patch", "padding_mode"),
    [((25, 23), 16, "replicate"), ((16, 40), 33, "replicate"), ((36, 35), 33, "zeros"), ((7, 9), 5, "zeros")],
)
def test_patches_are_run_where_the_exact_method_does_not_apply(size, patch, padding_mode):
    torch.manual_seed(0)
    model, image = SRCNN(1, widths=(3, 2), padding_mode=padding_mode), picture(1, *size, torch.float32)
    assert not applies(model, image.shape, patch)
    result = reconstruct(image, model, InferenceOptions("overlapping", patch))
    torch.testing.assert_close(result, every_patch_alone(model, image, patch).float(), rtol=0, atol=1e-5)


def test_no_patch_is_run_where_the_exact_method_applies(monkeypatch):
    monkeypatch.setattr(SRCNN, "forward", None)
    model, image = network((3, 3, 3), dtype=torch.float32), picture(3, 12, 10, torch.float32)
    result = reconstruct(image, model, InferenceOptions("overlapping", 9))
    assert torch.equal(result, overlapping(image, model, 9))


def test_its_result_can_be_used_in_training():
    assert not overlapping(picture(3, 9, 10), network((3, 3, 3)), 9).is_inference()


def test_the_exact_method_needs_replicate_padding_and_patches_larger_than_two_halos():
    assert applies(network(), (3, 40, 40), 17)
    assert not applies(network(), (3, 40, 40), 16)
    assert not applies(network(), (3, 40, 16), 33)
    assert not applies(SRCNN(widths=(2, 2), padding_mode="zeros"), (3, 40, 40), 33)
