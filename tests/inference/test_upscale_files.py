"""Pictures from file to file: what overlaps, what waits, in which order it is told, and how much memory is held."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from srcnn_lib.data import images
from srcnn_lib.errors import InputError
from srcnn_lib.inference import passage, upscaling
from srcnn_lib.inference.bands import BicubicEnlargement
from srcnn_lib.inference.passage import Job, Passage, bytes_needed
from srcnn_lib.inference.upscale_files import upscale_file, upscale_files
from srcnn_lib.inference.upscaling import upscale_picture
from srcnn_lib.model import SRCNN
from srcnn_lib.runtime import memory


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SRCNN(1, (5, 1, 3), (8, 4)).eval()


@pytest.fixture
def jobs(tmp_path):
    """Four pictures of noise, of which the third is none."""
    found = []
    for number in range(4):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (20 + number, 30, 3), np.uint8)).save(path)
        found.append(Job(path, tmp_path / "out" / path.name))
    (tmp_path / "2.png").write_text("no picture")
    return found


def _told(jobs, model, **how):
    told = []
    failed = upscale_files(jobs, model, 2.0, told.append, **how)
    return told, failed


@pytest.fixture
def log(monkeypatch):
    """What began and ended, in order: "read 0.png", "read 0.png done" …"""
    lines = []
    for step in ("read", "enlarge", "write"):
        original = getattr(Passage, step)

        def logged(self, *arguments, original=original, step=step, **how):
            lines.append(f"{step} {self.job.source.name}")
            try:
                return original(self, *arguments, **how)
            finally:
                lines.append(f"{step} {self.job.source.name} done")

        monkeypatch.setattr(Passage, step, logged)
    return lines


@pytest.mark.parametrize("extension", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("kind", ["grey", "color", "alpha", "deep"])
def test_a_file_holds_what_the_library_makes_of_the_picture(model, tmp_path, extension, kind):
    shape = {"grey": (40, 30), "deep": (40, 30), "color": (40, 30, 3), "alpha": (40, 30, 4)}[kind]
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
    monkeypatch.setattr(upscaling, "tile_for", lambda model: 100)
    monkeypatch.setattr("srcnn_lib.inference.upscale_files.tile_for", lambda model: 100)
    upscale_file(Job(tmp_path / "a.png", tmp_path / "b.png"), model, 2.0, mode)
    assert max(heights) <= (100 + 2 * model.halo if mode == "whole" else 2 * upscaling.BAND)
    assert sum(heights) >= 2000


def test_jobs_are_told_in_their_order_whatever_becomes_of_them(model, jobs):
    told, failed = _told(jobs, model)
    assert [(each[0] if isinstance(each, tuple) else each.job) for each in told] == jobs
    assert [isinstance(each, tuple) for each in told] == [False, False, True, False]
    assert failed == [told[2]]
    assert isinstance(failed[0][1], InputError)
    assert "2.png holds no picture" in str(failed[0][1])
    for number in (0, 1, 3):
        assert Image.open(jobs[number].target).size == (60, 40 + 2 * number)
    assert sorted(path.name for path in jobs[0].target.parent.iterdir()) == ["0.png", "1.png", "3.png"]


def test_the_next_picture_is_read_and_the_last_one_written_while_the_network_works(model, jobs, monkeypatch):
    """Each waits for what should go on at the same time; were it to come after, they would wait for ever."""
    second_at_work, first_written, third_read = threading.Event(), threading.Event(), threading.Event()
    steps = {step: getattr(Passage, step) for step in ("read", "enlarge", "write")}

    def read(self, *arguments):
        if self.job is jobs[3]:
            assert second_at_work.wait(60)
            third_read.set()
        return steps["read"](self, *arguments)

    def enlarge(self, *arguments, **how):
        if self.job is jobs[1]:
            second_at_work.set()
            assert first_written.wait(60)
            assert third_read.wait(60)
        return steps["enlarge"](self, *arguments, **how)

    def write(self):
        if self.job is jobs[0]:
            assert second_at_work.wait(60)
        done = steps["write"](self)
        first_written.set()
        return done

    for step in (read, enlarge, write):
        monkeypatch.setattr(Passage, step.__name__, step)
    told, failed = _told([jobs[0], jobs[1], jobs[3]], model)
    assert (len(told), failed) == (3, [])


def test_at_most_one_picture_is_ahead_and_one_behind(model, jobs, log):
    jobs = [jobs[0], jobs[1], jobs[3]] + [Job(jobs[0].source, jobs[0].target.with_name("again.png"))]
    _told(jobs, model)
    held = most = 0
    for line in log:
        held += line.startswith("read") and not line.endswith("done")
        held -= line.startswith("write") and line.endswith("done")
        most = max(most, held)
    assert most <= 3


def test_pictures_without_room_beside_each_other_are_done_one_after_another(model, jobs, log, monkeypatch):
    needed = bytes_needed(images.Announced(23, 30, 3, 8), 2.0, "whole")  # of the largest
    monkeypatch.setattr(memory, "available", lambda: 3 * needed // 2)
    told, failed = _told(jobs, model)
    assert (len(told), len(failed)) == (4, 1)
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


def test_overlapping_patches_are_known_to_take_the_whole_enlargement():
    announced = images.Announced(4000, 6000, 3, 8)
    assert bytes_needed(announced, 2, "overlapping") > 8e9
    assert bytes_needed(announced, 2, "whole") < 2.5e9


def test_a_format_that_ends_before_the_picture_does_is_refused_before_the_work(model, tmp_path, monkeypatch):
    Image.new("L", (9000, 1)).save(tmp_path / "a.png")
    monkeypatch.setattr(passage, "bands", None)  # no work is begun
    with pytest.raises(InputError, match="WebP ends at sides of 16,383"):
        upscale_file(Job(tmp_path / "a.png", tmp_path / "b.webp"), model, 2.0)


def test_ctrl_c_leaves_the_last_file_whole_and_no_other(model, jobs, monkeypatch):
    enlarge, write, stopped = Passage.enlarge, Passage.write, threading.Event()

    def interrupted(self, *arguments, **how):
        if self.job is jobs[1]:
            stopped.set()
            raise KeyboardInterrupt
        enlarge(self, *arguments, **how)

    def slow(self):
        assert stopped.wait(60)
        return write(self)

    monkeypatch.setattr(Passage, "enlarge", interrupted)
    monkeypatch.setattr(Passage, "write", slow)
    told = []
    with pytest.raises(KeyboardInterrupt):
        upscale_files(jobs, model, 2.0, told.append)
    assert [done.job for done in told] == jobs[:1]
    assert [path.name for path in jobs[0].target.parent.iterdir()] == ["0.png"]
    assert Image.open(jobs[0].target).size == (60, 40)


def test_what_is_a_bug_is_raised_wherever_it_happens(model, jobs, monkeypatch):
    for step in ("read", "enlarge", "write"):
        with monkeypatch.context() as patch:
            patch.setattr(Passage, step, lambda self, *arguments, **how: {}["a bug"])
            with pytest.raises(KeyError, match="a bug"):
                upscale_files(jobs[:2], model, 2.0, lambda became: None)


def test_the_note_on_a_gpu_without_memory_comes_with_the_picture_that_met_it(model, jobs, monkeypatch):
    valid = model.valid

    def small(crop):
        if max(crop.shape[-2:]) > 50:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return valid(crop)

    monkeypatch.setattr(model, "valid", small)
    told, failed = _told([jobs[0], jobs[1]], model)
    assert failed == []
    assert ["GPU" in " ".join(done.notes) for done in told] == [True, False]
