"""The training panel without a browser; tests/notebooks/test_notebook_in_browser.py has a real one."""

import html.parser
import re
import time
from dataclasses import replace
from threading import Thread

import pytest
import torch

pytest.importorskip("IPython", reason="IPython is not installed: pip install .[notebook]")

from srcnn_lib import SRCNN, InputError, Run, TrainingConfig, fit, write_image
from srcnn_lib.notebook import TrainingPanel, open_run, panel_html, panel_view, training_panel
from srcnn_lib.notebook.panel_view import LossCurve, PanelView, ProbePictures
from srcnn_lib.training import Record

RECORD = Record(30, 100, 2, torch.tensor(1e-3), 4e-4, 148.0, 72.0)


@pytest.fixture
def run(tmp_path) -> Run:
    """A run of three epochs."""
    run = Run.create(
        tmp_path / "a <b>run", TrainingConfig.of(channels=1, widths=(4, 2), filters=(3, 1, 3), epochs=3, warmup=0)
    )
    run.write_probe(torch.rand(4, 3, 96, 96), torch.rand(4, 3, 96, 96))
    run.write_snapshot(new_network(run), 30, 3)
    run.update_metadata(resolved={"steps_per_epoch": 10})
    run.write_history([epoch(number) for number in (1, 2, 3)])
    return run


def new_network(run: Run) -> SRCNN:
    return SRCNN(run.config.channels, filters=run.config.filters, widths=run.config.widths)


def epoch(number: int) -> dict:
    return {
        "step": 10 * number,
        "epoch": number,
        "train_loss": 1e-3 / number,
        "train_psnr_y": 31.0 + number,
        "validation_psnr_y": 30.5 + number,
        "validation_bicubic_psnr_y": 30.0,
        "train_bicubic_psnr_y": 31.0,
        "learning_rate": 1e-3,
    }


class Screen:
    """Stands in for a notebook's display: keeps the HTML of each drawing."""

    def __init__(self):
        self.drawings: list[str] = []
        self.styles: list[str] = []  # what was sent apart from the panel

    def update(self, view) -> None:
        self.drawings.append(view._repr_html_())

    def show(self, shown, **options):
        """Replaces IPython's `display`."""
        return Style(self) if options.get("raw") else self


class Style:
    """Stands in for the display of the probe's pictures."""

    def __init__(self, screen: Screen):
        self.screen = screen

    def update(self, data, raw) -> None:
        self.screen.styles.append(data["text/html"])


class Clock:
    """Replaces the monotonic clock; a test moves `now`."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def in_notebook(monkeypatch):
    """in_notebook(buttons) → the Screen that a panel will draw on."""

    def in_notebook(buttons=None):
        screen = Screen()
        monkeypatch.setattr(training_panel, "notebook_kernel", lambda: object())
        monkeypatch.setattr(training_panel, "show_buttons", lambda press: buttons)
        monkeypatch.setattr("IPython.display.display", screen.show)
        return screen

    return in_notebook


class BalancedHTML(html.parser.HTMLParser):
    """Collects the text, and checks that every element is closed where it should be."""

    def __init__(self, source: str):
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def words(source: str) -> str:
    return " ".join(BalancedHTML(source).text).replace("\u2009", " ")


# What the panel shows


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.6, "8 s"), (72, "1 min 12 s"), (3600 * 2 + 300, "2 h 05 min"), (float("inf"), "–")]
)
def test_durations_are_written_in_hours_minutes_and_seconds(seconds, text):
    assert panel_html.duration(seconds) == text


def test_the_panel_shows_progress_gain_and_pictures(run):
    view = PanelView(run)
    view.add(RECORD)
    view.state, view.status = "Training", "Drive: off"
    view.probe.update()
    source = view._repr_html_()
    for expected in (
        "Training", "epoch 3 of 10", "step 30 of 100", "1 min 12 s left", "+3.50 dB", "148", "4.0e−4", str(run.path),
        "Drive: off", "validation +3.50 dB (33.50, bicubic 30.00)", "train +3.00 dB", "SRCNN\nstep 30",
    ):  # fmt: skip
        assert expected in words(source)
    assert source.count("data:image/png") == 12
    assert "a <b>run" not in source


def test_before_the_first_step_the_panel_says_that_it_is_getting_ready(tmp_path):
    run = Run.create(tmp_path / "new", TrainingConfig())
    assert "Getting ready" in words(PanelView(run)._repr_html_())


def test_the_probe_is_reconstructed_only_for_a_newer_snapshot_and_after_a_while(run, monkeypatch):
    reconstructed = []
    monkeypatch.setattr(panel_view, "reconstruct_probe", lambda model, tiles: reconstructed.append(1) or tiles)
    clock, probe = Clock(monkeypatch), ProbePictures(run)
    monkeypatch.setattr(Run, "probe", lambda self: (setattr(clock, "now", clock.now + 1), torch.rand(2, 4, 3, 9, 9))[1])
    probe.update()
    probe.update()
    assert len(reconstructed) == 1
    run.write_snapshot(new_network(run), 40, 4)
    probe.update()  # the first one took a second, so the next is due after a hundred
    assert [title for title, _ in probe.columns()] == ["Bicubic", "SRCNN\nstep 30", "Original"]
    clock.now += 101
    probe.update()
    assert [title for title, _ in probe.columns()] == ["Bicubic", "SRCNN\nstep 40", "Original"]
    run.write_snapshot(new_network(run), 50, 5)
    probe.update(force=True)
    assert [title for title, _ in probe.columns()] == ["Bicubic", "SRCNN\nstep 50", "Original"]


def test_the_loss_curve_stays_short_and_reaches_the_last_step(monkeypatch):
    monkeypatch.setattr(LossCurve, "MOST_POINTS", 8)
    curve = LossCurve()
    for step in range(1, 641):
        curve.add(replace(RECORD, step=step, loss=torch.tensor(float(step))))
        curve.update()
    assert len(curve.points) <= 8
    assert curve.points[-1][0] == 640
    assert curve.points == sorted(curve.points)
    assert all(step - 160 < loss < step for step, loss in curve.points)


# When it is drawn


def test_drawing_takes_one_percent_of_the_time(run, in_notebook, monkeypatch):
    """A drawing that takes 20 ms happens every two seconds, however many steps are shown."""
    clock, screen = Clock(monkeypatch), in_notebook()
    update = screen.update
    screen.update = lambda view: (update(view), setattr(clock, "now", clock.now + 0.02))
    with TrainingPanel(run) as panel:
        for step in range(4000):
            clock.now += 0.005
            panel.show(replace(RECORD, step=step))
        assert len(screen.drawings) == pytest.approx(10, abs=1)


def test_a_pause_is_drawn_at_once_and_then_no_more(run, in_notebook, monkeypatch):
    clock, screen = Clock(monkeypatch), in_notebook()
    with TrainingPanel(run) as panel:
        panel.show(RECORD)
        panel.show(replace(RECORD, paused=True))
        assert "Paused" in screen.drawings[-1]
        count = len(screen.drawings)
        clock.now += 1000
        panel.show(replace(RECORD, paused=True))
        assert len(screen.drawings) == count
        panel.show(RECORD)
        assert "Paused" not in screen.drawings[-1]


def test_the_last_drawing_says_how_the_training_ended(run, in_notebook):
    screen = in_notebook()
    with TrainingPanel(run) as panel:
        panel.show(replace(RECORD, step=99))
    assert "Stopped; run the cell again to resume" in screen.drawings[-1]
    with TrainingPanel(run) as panel:
        panel.show(replace(RECORD, step=100))
    assert "Finished" in screen.drawings[-1]
    panel = TrainingPanel(run).__enter__()
    panel.show(replace(RECORD, step=100))
    panel.__exit__(ValueError, ValueError("an error in the loop"), None)
    assert "Stopped" in screen.drawings[-1]


def test_a_finished_training_shows_where_it_ended(run, in_notebook):
    run.update_metadata(resolved={"steps_per_epoch": 10, "steps": 30})
    screen = in_notebook()
    with TrainingPanel(run):
        pass
    for expected in ("Finished", "epoch 3 of 3", "+3.50 dB", "SRCNN\nstep 30"):
        assert expected in screen.drawings[-1]


def test_a_training_that_was_stopped_before_its_first_step_says_so(tmp_path, in_notebook):
    screen = in_notebook()
    with TrainingPanel(Run.create(tmp_path / "new", TrainingConfig())):
        pass
    assert "Stopped before the first step" in screen.drawings[-1]


def test_notes_stay_in_the_panel(run, in_notebook):
    screen = in_notebook()
    with TrainingPanel(run) as panel:
        panel.show(replace(RECORD, notes=("the newest checkpoint is damaged",)))
        panel.show(RECORD)
    assert all("the newest checkpoint is damaged" in drawing for drawing in screen.drawings)


def test_outside_a_notebook_it_prints_notes_and_a_line_per_epoch(run, capsys):
    with TrainingPanel(run) as panel:
        for step in range(28, 31):
            notes = ("the newest checkpoint is damaged",) if step == 28 else ()
            panel.show(replace(RECORD, step=step, epoch_ends=step == 30, notes=notes))
    note, line = capsys.readouterr().out.splitlines()
    assert note == "the newest checkpoint is damaged"
    assert "Training: epoch 3 of 10 · step 30 of 100, validation 33.50 dB" in line.replace("\u2009", " ")


def test_pictures_are_sent_once_for_each_snapshot_and_belong_to_the_last_drawing(run, in_notebook, monkeypatch):
    clock, screen = Clock(monkeypatch), in_notebook()
    monkeypatch.setattr(ProbePictures, "SHARE", 1)
    with TrainingPanel(run) as panel:
        for step in range(30, 60):
            clock.now += 1
            if step == 45:
                run.write_snapshot(new_network(run), 45, 4)
            panel.show(replace(RECORD, step=step))
        assert len(screen.drawings) == 30
        assert not any("data:image" in drawing for drawing in screen.drawings)
        assert [style.count("data:image") for style in screen.styles] == [8, 4, 4]
        places = re.findall(r'class="tile ([\w-]+)"', screen.drawings[-1])
        assert len(places) == 12
        assert all(f".{place} " in "".join(screen.styles) for place in places)
    assert screen.drawings[-1].count("data:image") == 12
    assert screen.styles[-2:] == ["", ""]


# Buttons


class SlowButtons:
    """Buttons whose page takes `seconds` to answer, as Colab's does; keeps when it was asked."""

    name, at_once = "srcnn-buttons-test", False

    def __init__(self, clock: Clock, seconds: float, answers: bool = True):
        self.clock, self.seconds, self.answers = clock, seconds, answers
        self.asked: list[float] = []

    def poll(self) -> bool:
        self.asked.append(self.clock.now)
        self.clock.now += self.seconds
        return self.answers

    def close(self) -> None:
        pass


def train_for(panel: TrainingPanel, clock: Clock, seconds: float, **changes) -> None:
    until = clock.now + seconds
    while clock.now < until:
        clock.now += 0.1
        panel.show(replace(RECORD, **changes))


def gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in zip(times, times[1:], strict=False)]


@pytest.mark.parametrize(("seconds", "answers", "gap"), [(0.2, True, 10), (1.3, True, 60), (3.0, False, 120)])
def test_a_slow_page_is_asked_rarely(run, in_notebook, monkeypatch, seconds, answers, gap):
    clock = Clock(monkeypatch)
    buttons = SlowButtons(clock, seconds, answers)
    in_notebook(buttons).update = lambda view: None
    with TrainingPanel(run) as panel:
        train_for(panel, clock, 600)
    assert gaps(buttons.asked) == pytest.approx([gap + seconds] * (len(buttons.asked) - 1), abs=0.2)
    assert sum(gaps(buttons.asked)) > 400


def test_in_a_pause_the_page_is_asked_often(run, in_notebook, monkeypatch):
    clock = Clock(monkeypatch)
    buttons = SlowButtons(clock, 0.2)
    in_notebook(buttons)
    with TrainingPanel(run) as panel:
        train_for(panel, clock, 20)
        buttons.asked.clear()
        train_for(panel, clock, 60, paused=True)
    assert max(gaps(buttons.asked)) < 1


@pytest.mark.parametrize(("seconds", "answers"), [(0.2, True), (1.3, True), (3.0, False)])
def test_a_slow_page_does_not_delay_the_drawing(run, in_notebook, monkeypatch, seconds, answers):
    """A page that does not answer is closed or asleep: it shows no drawing."""
    clock = Clock(monkeypatch)
    buttons = SlowButtons(clock, seconds, answers)
    screen = in_notebook(buttons)
    update, times = screen.update, []
    screen.update = lambda view: (times.append(clock.now), update(view))
    with TrainingPanel(run) as panel:
        train_for(panel, clock, 400)
    assert max(gaps(times)) < (2 if answers else 4)
    assert (len(buttons.asked) - 1) * seconds < 0.03 * (buttons.asked[-1] - buttons.asked[0])


class PressedButtons(SlowButtons):
    """Buttons that pass a press on when they are polled, as Colab's do."""

    def __init__(self, clock: Clock):
        super().__init__(clock, 0.01)
        self.press = None
        self.presses: list[str] = []

    def poll(self) -> bool:
        while self.presses:
            self.press(self.presses.pop(0))
        return super().poll()


@pytest.mark.parametrize(
    ("command", "effect", "text"),
    [
        ("snapshot", {}, "Snapshot of step 30 saved"),
        ("halve", {"learning_rate": 2e-4}, "Learning rate halved to 2.0e−4"),
        ("epoch", {"steps": 110}, "One epoch more: 11 epochs in all"),
        ("pause", {"paused": True}, "Paused at step 30"),
    ],
)
def test_each_press_is_answered_in_the_panel(run, in_notebook, monkeypatch, command, effect, text):
    clock = Clock(monkeypatch)
    buttons = PressedButtons(clock)
    screen = in_notebook(buttons)
    monkeypatch.setattr(training_panel, "show_buttons", lambda press: (setattr(buttons, "press", press), buttons)[1])
    with TrainingPanel(run) as panel:
        train_for(panel, clock, 2)
        assert text not in words(screen.drawings[-1])
        buttons.presses.append(command)
        train_for(panel, clock, 2, **effect)
        assert text in words(screen.drawings[-1])
        assert panel.control._queue[0] == command


def test_only_the_one_of_pause_and_resume_that_has_an_effect_is_shown(run, in_notebook, monkeypatch):
    clock = Clock(monkeypatch)
    screen = in_notebook(SlowButtons(clock, 0.01))
    with TrainingPanel(run) as panel:
        panel.show(RECORD)
        assert ".srcnn-buttons-test .srcnn-resume { display: none" in screen.drawings[-1]
        panel.show(replace(RECORD, paused=True))
        assert ".srcnn-buttons-test .srcnn-pause { display: none" in screen.drawings[-1]
    assert "srcnn-buttons-test" not in screen.drawings[-1]


def test_a_press_before_the_first_step_is_answered_at_once(run, in_notebook, monkeypatch):
    buttons = SlowButtons(Clock(monkeypatch), 0.0)
    buttons.at_once = True
    screen = in_notebook(buttons)
    with TrainingPanel(run) as panel:
        panel._press("pause")
        assert "Pause: as soon as the training begins" in words(screen.drawings[-1])


@pytest.mark.slow
def test_a_press_from_another_thread_controls_the_training(tmp_path, in_notebook, monkeypatch):
    """As a subshell's press would arrive: while the loop is in its body."""
    presses = []
    in_notebook()
    monkeypatch.setattr(training_panel, "show_buttons", lambda press: presses.append(press))
    (tmp_path / "photographs").mkdir()
    for number in range(3):
        write_image(tmp_path / "photographs" / f"{number}.png", torch.rand(3, 40, 40))
    config = TrainingConfig.of(
        data=(str(tmp_path / "photographs"),), validation=("0.4",), widths=(4, 2), filters=(3, 1, 3), batch_size=4,
        steps=50,
    )  # fmt: skip
    run, records = Run.create(tmp_path / "run", config), []
    with TrainingPanel(run) as panel:
        for record in fit(config, run, control=panel.control):
            panel.show(record)
            records.append(record)
            if len(records) in (5, 8):
                thread = Thread(target=presses[0], args=("pause" if len(records) == 5 else "stop",))
                thread.start()
                thread.join()
    assert [record.step for record in records[:5]] == [1, 2, 3, 4, 5]
    assert 8 <= len(records) <= 9
    assert all(record.paused and record.step == 5 for record in records[5:])


# The run


def test_a_run_is_created_once_and_resumed_afterwards(tmp_path, capsys):
    config = TrainingConfig.of(epochs=2)
    open_run(tmp_path / "run", config)
    assert open_run(tmp_path / "run", TrainingConfig.of(epochs=5)).config == config
    Run(tmp_path / "run").write_checkpoint({}, 0, None, 3)  # it has begun: its end is fixed
    assert open_run(tmp_path / "run", TrainingConfig.of(minutes=3.0)).config == config
    assert "The end of this run stays as it was" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"widths was \[128, 64\], now \[64, 32\]; give the run another name"):
        open_run(tmp_path / "run", TrainingConfig.of(epochs=2, widths=(64, 32)))
