"""The fast pass against the network in double precision, whatever the sizes, filters, widths and borders."""

import dataclasses
import os
import threading
import time

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

import srcnn_lib
from srcnn_lib.data import degrade
from srcnn_lib.data.color import luminance
from srcnn_lib.inference import fast_pass
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.inference.upscaling import reconstruct
from srcnn_lib.model import SRCNN
from srcnn_lib.pretrained import saved_folder

EXACT = InferenceOptions(arithmetic="exact")


def _network(channels, filters, widths, padding_mode="replicate"):
    torch.manual_seed(0)
    return SRCNN(channels, filters, widths, padding_mode).eval()


def _image(channels, height, width):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def _in_double(image, model):
    """Returns torch's own convolutions in float64, with the network left in float32."""
    result = model.double()(image[None].double())[0]
    model.float()
    return result


@settings(max_examples=60, deadline=None)
@given(
    channels=st.sampled_from([1, 3]),
    filters=st.tuples(
        st.sampled_from([1, 3, 5, 9, 11]), st.sampled_from([3, 5, 7, 9]), st.sampled_from([1, 3, 5, 7, 9])
    ),
    widths=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    zeros=st.booleans(),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    tile=st.none() | st.integers(1, 50),
    data=st.data(),
)
@example(3, (9, 5, 5), (8, 6), True, (45, 61), 20, None)
def test_a_whole_picture_equals_the_pass_in_double_precision(channels, filters, widths, zeros, size, tile, data):
    model, image = _network(channels, filters, widths, "zeros" if zeros else "replicate"), _image(channels, *size)
    assert fast_pass.applies(model)
    first = data.draw(st.integers(0, size[0] - 1)) if data else 3
    last = data.draw(st.integers(first + 1, size[0])) if data else 40
    result = fast_pass.FastPass(model).whole(image, (first, last), tile)
    assert (result - _in_double(image, model)[:, first:last]).abs().max() < 2e-5


@pytest.mark.parametrize("options", [
    InferenceOptions("non-overlapping", patch=20),
    InferenceOptions("overlapping", patch=20, stride=9),
    InferenceOptions("overlapping", patch=20),
    InferenceOptions(ensemble=True),
])  # fmt: skip
@pytest.mark.parametrize("padding_mode", ["replicate", "zeros"])
def test_every_mode_equals_plain_convolutions(options, padding_mode):
    model, image = _network(1, (9, 5, 5), (8, 6), padding_mode), _image(1, 47, 33)
    exact = reconstruct(image, model, dataclasses.replace(options, arithmetic="exact"))
    assert (reconstruct(image, model, options) - exact).abs().max() < 2e-5


@pytest.mark.parametrize("name", ["srcnn_y_x2.safetensors", "srcnn_y_x4.safetensors", "isr_best.pth"])
def test_a_released_network_stays_within_its_bound(name):
    model = srcnn_lib.load(saved_folder() / name).eval()
    photograph = torch.from_numpy(astronaut()[20:116, 150:270]).permute(2, 0, 1) / 255
    bicubic, _ = degrade(luminance(photograph) if model.channels == 1 else photograph, 2)
    errors = (reconstruct(bicubic, model) - _in_double(bicubic, model)).abs()
    assert errors.max() < 2e-5
    assert errors.square().mean().sqrt() < 2e-6


@pytest.mark.parametrize("size", [(300, 410), (61, 33)])
def test_results_are_the_same_to_the_bit_in_every_run_and_on_any_number_of_threads(size):
    model, image, before = _network(3, (9, 5, 5), (16, 8)), _image(3, *size), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            results.append(reconstruct(image, model))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(result, results[0]) for result in results)
    assert (results[0] - reconstruct(image, model, EXACT)).abs().max() < 2e-5


@settings(max_examples=60, deadline=None)
@given(down=st.integers(1, 90), across=st.integers(1, 400), most=st.none() | st.integers(1, 30))
def test_blocks_cover_each_tile_once(down, across, most):
    fast = fast_pass.FastPass(_network(1, (3, 3, 3), (4, 3)))
    times = torch.zeros(down + max(fast_pass.MOST_ROWS, down), across, dtype=torch.int)
    for group in fast._groups(down, across, most):
        assert max(group.rows, group.columns) <= (most or 400)
        for top, left in group.places:
            times[top : top + group.rows, left : left + group.columns] += 1
    assert (times[:down] == 1).all()


def test_a_width_of_one_vector_more_or_less_changes_nothing():
    model, image = _network(1, (5, 3, 3), (4, 3)), _image(1, 20, 6 * fast_pass.MOST_PLACES + 14)
    for width in range(6 * fast_pass.MOST_PLACES - 8, image.shape[2], 3):
        picture = image[..., :width]
        assert (reconstruct(picture, model) - _in_double(picture, model)).abs().max() < 1e-5


def test_plain_convolutions_run_what_the_fast_pass_cannot():
    assert not fast_pass.applies(_network(1, (9, 1, 5), (4, 3)))
    assert not fast_pass.applies(_network(1, (9, 11, 5), (4, 3)))
    assert not fast_pass.applies(_network(1, (9, 5, 5), (4, 3)).double())
    assert not fast_pass.applies(SRCNN(1, widths=(4, 3)).to("meta"))


def test_items_in_threads_come_in_order_and_errors_are_raised():
    assert list(fast_pass.in_threads(lambda item: 2 * item, list(range(50)), 3)) == list(range(0, 100, 2))
    with pytest.raises(ZeroDivisionError):
        list(fast_pass.in_threads(lambda item: 1 / item, [1, 0, 2], 2))


def test_threads_are_kept_for_the_next_call():
    seen = [set(fast_pass.in_threads(lambda _: threading.get_ident(), range(20), 2)) for _ in range(3)]
    assert len(set.union(*seen)) <= 2
    assert threading.get_ident() not in seen[0]


def test_results_that_nobody_wants_are_not_computed():
    computed = []
    results = fast_pass.in_threads(lambda item: (time.sleep(0.01), computed.append(item)), range(100), 2)
    next(results)
    results.close()
    assert len(computed) < 12
    assert torch.get_num_threads() >= 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    def work() -> bool:
        return list(fast_pass.in_threads(lambda item: item + 1, range(9), 2)) == list(range(1, 10))

    assert work()
    child = os.fork()
    if not child:
        os._exit(0 if work() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
