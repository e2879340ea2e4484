"""Picture files: which steps overlap, which wait, the order of the reports, and the memory that is used."""

import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from srcnn_lib.data import images
from srcnn_lib.errors import InputError
from srcnn_lib.inference import tiling, upscaling
from srcnn_lib.inference import upscale_files as module
from srcnn_lib.inference.jobs import Job
from srcnn_lib.inference.options import InferenceOptions
from srcnn_lib.inference.tiling import BicubicEnlargement
from srcnn_lib.inference.upscale_files import PictureJob, bytes_needed, upscale_file, upscale_files
from srcnn_lib.inference.upscaling import upscale_picture
from srcnn_lib.model import SRCNN
from srcnn_lib.runtime import memory


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SRCNN(1, (5, 1, 3), (8, 4)).eval()


@pytest.fixture
def jobs(tmp_path):
    """Returns jobs for four pictures of noise; the third file is not a picture."""
    found = []
    for number in range(4):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20 + number, 30, 3), np.uint8)).save(path)
        found.append(Job(path, tmp_path / "out" / path.name))
    (tmp_path / "2.png").write_text("no picture")
    return found


def _upscale(jobs, model):
    outcomes = []
    failed = upscale_files(jobs, model, 2.0, outcomes.append)
    return outcomes, failed


@pytest.fixture
def log(monkeypatch):
    """Returns the steps that began and ended, in order: "read 0.png", "read 0.png done" …"""
    lines = []
    for step in ("read", "enlarge", "write"):
        original = getattr(PictureJob, step)

        def logged(self, *arguments, original=original, step=step, **options):
            lines.append(f"{step} {self.job.source.name}")
            try:
                return original(self, *arguments, **options)
            finally:
                lines.append(f"{step} {self.job.source.name} done")

        monkeypatch.setattr(PictureJob, step, logged)
    return lines


@pytest.mark.parametrize("extension", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("kind", ["gray", "color", "alpha", "deep"])
def test_a_file_is_the_same_as_that_of_read_upscale_and_write(model, tmp_path, extension, kind):
    shape = {"gray": (40, 30), "deep": (40, 30), "color": (40, 30, 3), "alpha": (40, 30, 4)}[kind]
    levels = np.random.default_rng(1).integers(0, 2**16 if kind == "deep" else 256, shape)
    Image.fromarray(levels.astype(np.uint16 if kind == "deep" else np.uint8)).save(tmp_path / "a.png")
    done = upscale_file(Job(tmp_path / "a.png", tmp_path / f"b.{extension}"), model, 1.7)
    notes = images.write_image(
        tmp_path / f"c.{extension}", upscale_picture(images.read_image(tmp_path / "a.png"), model, 1.7)
    )
    assert (tmp_path / f"b.{extension}").read_bytes() == (tmp_path / f"c.{extension}").read_bytes()
    assert done.notes == notes
    assert done.size[:2] == (68, 51)


@pytest.mark.parametrize("mode", ["whole", "non-overlapping"])
def test_the_enlargement_is_never_in_memory_as_a_whole(model, tmp_path, monkeypatch, mode):
    Image.new("RGB", (20, 1000), (90, 120, 200)).save(tmp_path / "a.png")
    heights, rows = [], BicubicEnlargement.rows

    def watched(self, top, bottom):
        heights.append(bottom - top)
        return rows(self, top, bottom)

    monkeypatch.setattr(BicubicEnlargement, "rows", watched)
    monkeypatch.setattr(tiling, "tile_for", lambda model: 100)
    upscale_file(Job(tmp_path / "a.png", tmp_path / "b.png"), model, 2.0, InferenceOptions(mode))
    assert max(heights) <= (100 + 2 * model.halo if mode == "whole" else 2 * upscaling.BAND)
    assert sum(heights) >= 2000


def test_jobs_are_reported_in_their_order_whether_or_not_they_fail(model, jobs):
    outcomes, failed = _upscale(jobs, model)
    assert [(each[0] if isinstance(each, tuple) else each.job) for each in outcomes] == jobs
    assert [isinstance(each, tuple) for each in outcomes] == [False, False, True, False]
    assert failed == [outcomes[2]]
    assert isinstance(failed[0][1], InputError)
    assert "2.png holds no picture" in str(failed[0][1])
    for number in (0, 1, 3):
        assert Image.open(jobs[number].target).size == (60, 40 + 2 * number)
    assert sorted(path.name for path in jobs[0].target.parent.iterdir()) == ["0.png", "1.png", "3.png"]


def test_a_file_that_is_overwritten_is_noted(model, jobs):
    """As when a photograph is enlarged ×3 after ×2, both into photo_upscaled.png."""
    assert upscale_file(jobs[0], model, 2.0).notes == ()
    again = upscale_file(jobs[0], model, 3.0)
    assert again.notes == ("an earlier file of this name was overwritten",)
    assert again.size == (60, 90, 3)


def test_the_next_picture_is_read_and_the_last_one_written_while_the_network_works(model, jobs, monkeypatch):
    """Each step waits for the others that should run at the same time; otherwise they would wait forever."""
    second_at_work, first_written, third_read = threading.Event(), threading.Event(), threading.Event()
    steps = {step: getattr(PictureJob, step) for step in ("read", "enlarge", "write")}

    def read(self, *arguments):
        if self.job is jobs[3]:
            assert second_at_work.wait(60)
            third_read.set()
        return steps["read"](self, *arguments)

    def enlarge(self, *arguments, **options):
        if self.job is jobs[1]:
            second_at_work.set()
            assert first_written.wait(60)
            assert third_read.wait(60)
        return steps["enlarge"](self, *arguments, **options)

    def write(self):
        if self.job is jobs[0]:
            assert second_at_work.wait(60)
        done = steps["write"](self)
        first_written.set()
        return done

    for step in (read, enlarge, write):
        monkeypatch.setattr(PictureJob, step.__name__, step)
    outcomes, failed = _upscale([jobs[0], jobs[1], jobs[3]], model)
    assert (len(outcomes), failed) == (3, [])


def test_at_most_one_picture_is_ahead_and_three_behind(model, jobs, log, monkeypatch):
    write = PictureJob.write
    monkeypatch.setattr(PictureJob, "write", lambda self: (time.sleep(0.05), write(self))[1])
    jobs = [Job(jobs[0].source, jobs[0].target.with_name(f"again{number}.png")) for number in range(8)]
    _upscale(jobs, model)
    held = most = 0
    for line in log:
        held += line.startswith("read") and not line.endswith("done")
        held -= line.startswith("write") and line.endswith("done")
        most = max(most, held)
    assert 3 < most <= 5


def test_pictures_that_do_not_fit_into_memory_together_are_done_one_after_another(model, jobs, log, monkeypatch):
    needed = bytes_needed(images.ImageHeader(23, 30, 3, 8), 2.0, "whole")  # of the largest
    monkeypatch.setattr(memory, "available", lambda: 3 * needed // 2)
    outcomes, failed = _upscale(jobs, model)
    assert (len(outcomes), len(failed)) == (4, 1)
    steps = [line for line in log if line.startswith(("enlarge", "write"))]
    assert steps == [f"{step} {number}.png{end}" for number in (0, 1, 3) for step in ("enlarge", "write")
                     for end in ("", " done")]  # fmt: skip
    assert log.index("write 0.png done") < _last(log, "read 1.png")
    assert log.index("write 1.png done") < _last(log, "read 3.png")


def _last(log, line):
    return max(place for place, found in enumerate(log) if found == line)


def test_a_picture_from_an_address_is_refused_by_its_header(model, web, tmp_path, monkeypatch):
    Image.new("L", (3000, 2000)).save(tmp_path / "a.png")
    address = web.put("a.png", (tmp_path / "a.png").read_bytes()[:200])  # the rest would be missing
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    with pytest.raises(InputError, match="6000×4000 pixels would take some"):
        upscale_file(Job(address, tmp_path / "b.png"), model, 2.0)


def test_overlapping_patches_need_memory_for_the_whole_enlargement():
    header = images.ImageHeader(4000, 6000, 3, 8)
    assert bytes_needed(header, 2, "overlapping") > 8e9
    assert bytes_needed(header, 2, "whole") < 2.5e9


def test_a_tall_picture_needs_memory_for_its_rows_however_narrow_it_is():
    """Of a picture one pixel wide, the weights of the interpolation outweigh the pixels: 7 of 4 bytes a row."""
    assert bytes_needed(images.ImageHeader(10**8, 1, 1, 8), 2.0, "whole") > 2 * 10**8 * 7 * 4


def test_a_picture_too_large_for_its_format_is_refused_before_the_work(model, tmp_path, monkeypatch):
    Image.new("L", (9000, 1)).save(tmp_path / "a.png")
    monkeypatch.setattr(module, "upscale_bands", None)  # no work may begin
    with pytest.raises(InputError, match="WebP ends at sides of 16,383"):
        upscale_file(Job(tmp_path / "a.png", tmp_path / "b.webp"), model, 2.0)


def test_ctrl_c_leaves_the_last_file_whole_and_no_other(model, jobs, monkeypatch):
    enlarge, write, stopped = PictureJob.enlarge, PictureJob.write, threading.Event()

    def interrupted(self, *arguments, **options):
        if self.job is jobs[1]:
            stopped.set()
            raise KeyboardInterrupt
        enlarge(self, *arguments, **options)

    def slow(self):
        assert stopped.wait(60)
        return write(self)

    monkeypatch.setattr(PictureJob, "enlarge", interrupted)
    monkeypatch.setattr(PictureJob, "write", slow)
    outcomes = []
    with pytest.raises(KeyboardInterrupt):
        upscale_files(jobs, model, 2.0, outcomes.append)
    assert [done.job for done in outcomes] == jobs[:1]
    assert [path.name for path in jobs[0].target.parent.iterdir()] == ["0.png"]
    assert Image.open(jobs[0].target).size == (60, 40)


def test_a_bug_is_raised_from_every_step(model, jobs, monkeypatch):
    for step in ("read", "enlarge", "write"):
        with monkeypatch.context() as patch:
            patch.setattr(PictureJob, step, lambda self, *arguments, **options: {}["a bug"])
            with pytest.raises(KeyError, match="a bug"):
                upscale_files(jobs[:2], model, 2.0, lambda outcome: None)


def test_the_note_on_a_gpus_memory_is_with_the_picture_that_exceeded_it(model, jobs, monkeypatch):
    run_layers = model.run_layers

    def small(crop):
        if max(crop.shape[-2:]) > 50:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run_layers(crop)

    monkeypatch.setattr(model, "run_layers", small)
    outcomes, failed = _upscale([jobs[0], jobs[1]], model)
    assert failed == []
    assert ["GPU" in " ".join(done.notes) for done in outcomes] == [True, False]
