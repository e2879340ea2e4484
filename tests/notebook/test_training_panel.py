"""The live panel and the buttons, without a browser; test_notebook_in_browser.py has the real one."""

import html.parser
import re
import time
import types
from dataclasses import replace
from threading import Thread
from xml.etree import ElementTree

import pytest
import torch

pytest.importorskip("IPython", reason="IPython is not installed: pip install .[notebook]")

from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.images import write_image
from srcnn_lib.errors import InputError
from srcnn_lib.notebook import panel_html, training_panel
from srcnn_lib.run import Run
from srcnn_lib.training.control import TrainingControl
from srcnn_lib.training.trainer import Record, fit

RECORD = Record(30, 100, 2, torch.tensor(1e-3), 4e-4, 148.0, 72.0)


@pytest.fixture
def run(tmp_path) -> Run:
    """A run with three epochs behind it."""
    run = Run.create(
        tmp_path / "a <b>run", TrainingConfig.of(channels=1, widths=(4, 2), filters=(3, 1, 3), epochs=3, warmup=0)
    )
    run.write_probe(torch.rand(4, 3, 96, 96), torch.rand(4, 3, 96, 96))
    run.write_snapshot(run_model(run), 30, 3)
    run.update_metadata(resolved={"steps_per_epoch": 10})
    run.write_history([epoch(number) for number in (1, 2, 3)])
    return run


def run_model(run):
    from srcnn_lib.training.trainer import new_model

    return new_model(run.config)


def epoch(number: int, bicubic: float = 30.0) -> dict:
    values = {"train_loss": 1e-3 / number, "train_psnr_y": 31.0 + number, "validation_psnr_y": 30.5 + number}
    return {"step": 10 * number, "epoch": number, "validation_bicubic_psnr_y": bicubic, "learning_rate": 1e-3, **values}


class Screen:
    """Stands for a notebook's display: what was shown, and when."""

    def __init__(self, seconds: float = 0.0):
        self.seconds, self.shown = seconds, []

    def update(self, shown) -> None:
        time.sleep(self.seconds)
        self.shown.append(shown._repr_html_())


@pytest.fixture
def in_notebook(monkeypatch):
    """in_notebook(seconds) → the Screen that a Panel will draw on; each drawing takes so long."""

    def in_notebook(seconds=0.0):
        screen = Screen(seconds)
        monkeypatch.setattr(training_panel, "get_ipython", lambda: types.SimpleNamespace(kernel=object()))
        monkeypatch.setattr(training_panel, "display", lambda shown, display_id: screen)
        monkeypatch.setattr(training_panel, "buttons", lambda press: None)
        return screen

    return in_notebook


class Balanced(html.parser.HTMLParser):
    """Checks that every element is closed where it should be."""

    def __init__(self, text: str):
        super().__init__()
        self.open, self.text = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def curve(svg: str, color: str) -> list[tuple[float, float]]:
    """The points of the curve of that color."""
    [path] = [path for path in ElementTree.fromstring(svg).iter() if path.get("stroke") == color and path.get("d")]
    return [tuple(map(float, point.split())) for point in path.get("d").removeprefix("M").split("L")]


def chart(**given) -> str:
    """The chart's SVG without its legend."""
    text = panel_html.chart(**{"train": [], "test": [], "bicubic": None, "loss": [], **given})
    return text[text.index("<svg") :]


def test_a_curve_that_rises_is_drawn_rising_and_in_proportion():
    points = curve(chart(test=[(0, 30.0), (50, 31.0), (100, 33.0)]), panel_html.TEST)
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y0 - y1 == pytest.approx((y1 - y2) / 2, abs=0.15)
    assert x0 == panel_html.LEFT
    assert x2 == panel_html.RIGHT


def test_train_test_and_bicubic_share_their_axis():
    svg = chart(train=[(0, 30.0), (9, 32.0)], test=[(0, 30.0), (9, 31.0)], bicubic=31.0)
    assert curve(svg, panel_html.TRAIN)[0] == curve(svg, panel_html.TEST)[0]
    [line] = [path.get("d") for path in ElementTree.fromstring(svg).iter() if path.get("stroke-dasharray")]
    assert float(re.match(r"M44 ([\d.]+)", line)[1]) == pytest.approx(curve(svg, panel_html.TEST)[1][1])


def test_a_start_from_nothing_does_not_press_the_curves_into_a_line():
    (_, first), (_, second), (_, third) = curve(
        chart(test=[(0, 5.0), (1, 30.0), (2, 32.0)], bicubic=31.0), panel_html.TEST
    )
    assert first > second > third
    assert second - third > 50


@pytest.mark.parametrize("loss", [[], [(3, 1e-3)], [(1, 1e-3), (2, 0.0)], [(n, 10.0**-n) for n in range(1, 9)]])
@pytest.mark.parametrize("test", [[], [(5, 30.0)], [(5, 30.0), (6, 30.0)]])
def test_every_chart_can_be_drawn(test, loss):
    ElementTree.fromstring(chart(test=test, loss=loss, bicubic=30.0 if test else None))


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.6, "8 s"), (72, "1 min 12 s"), (3600 * 2 + 300, "2 h 05 min"), (float("inf"), "–")]
)
def test_durations_are_said_as_people_do(seconds, text):
    assert panel_html.duration(seconds) == text


def test_the_panel_says_where_the_training_is(run):
    shown = training_panel.Panel(run, TrainingControl(), lambda: "Drive: off")
    shown._record, shown._state = RECORD, "Training"
    text = shown._repr_html_()
    words = " ".join(Balanced(text).text).replace("\u2009", " ")
    for expected in (
        "Training", "epoch 3 of 10", "step 30 of 100", "1 min 12 s left", "+3.50 dB", "148", "4.0e−4", str(run.path),
        "Drive: off", "test 33.50", "train 34.00", "bicubic 30.00", "SRCNN, step 30", "control",
    ):  # fmt: skip
        assert expected in words
    assert text.count("data:image/png") == 12
    assert "a <b>run" not in text


def test_before_the_first_step_the_panel_has_nothing_to_show_and_says_so(tmp_path):
    run = Run.create(tmp_path / "new", TrainingConfig())
    assert "Getting ready" in " ".join(Balanced(training_panel.Panel(run)._repr_html_()).text)


def test_drawing_takes_one_percent_of_the_time(run, in_notebook, monkeypatch):
    """A drawing of 20 ms may come every two seconds, however often it is asked for."""
    clock = [100.0]
    monkeypatch.setattr(training_panel.time, "monotonic", lambda: clock[0])
    screen = in_notebook()
    slow = screen.update
    screen.update = lambda shown: (slow(shown), clock.__setitem__(0, clock[0] + 0.02))
    with training_panel.Panel(run) as shown:
        for step in range(4000):
            clock[0] += 0.005
            shown.show(replace(RECORD, step=step))
        assert len(screen.shown) == pytest.approx(10, abs=1)
        assert shown.spent <= 0.01 * (clock[0] - 100) + 0.02  # the first is on the house


def test_a_pause_is_shown_at_once_and_then_drawn_no_more(run, in_notebook):
    screen = in_notebook()
    with training_panel.Panel(run) as shown:
        shown.show(RECORD)
        shown.show(replace(RECORD, paused=True))
        assert "Paused" in screen.shown[-1]
        drawn = len(screen.shown)
        shown._next = 0.0
        shown.show(replace(RECORD, paused=True))
        assert len(screen.shown) == drawn
        shown.show(RECORD)
        assert "Paused" not in screen.shown[-1]


def test_the_last_picture_says_how_it_ended(run, in_notebook):
    screen = in_notebook()
    with training_panel.Panel(run) as shown:
        shown.show(replace(RECORD, step=99))
    assert "Stopped; run the cell again to go on" in screen.shown[-1]
    with training_panel.Panel(run) as shown:
        shown.show(replace(RECORD, step=100))
    assert "Finished" in screen.shown[-1]


def test_a_training_with_no_step_left_shows_where_it_ended(run, in_notebook):
    run.update_metadata(resolved={"steps_per_epoch": 10, "steps": 30})
    screen = in_notebook()
    with training_panel.Panel(run):
        pass
    for expected in ("Finished", "epoch 3 of 3", "+3.50 dB", "SRCNN, step 30"):
        assert expected in screen.shown[-1]


def test_one_stopped_before_its_first_step_says_so(tmp_path, in_notebook):
    screen = in_notebook()
    with training_panel.Panel(Run.create(tmp_path / "new", TrainingConfig())):
        pass
    assert "Stopped before the first step" in screen.shown[-1]


def test_notes_are_shown_and_stay(run, in_notebook, capsys):
    screen = in_notebook()
    with training_panel.Panel(run) as shown:
        shown.show(replace(RECORD, notes=("the newest checkpoint is damaged",)))
        shown.show(RECORD)
    assert all("the newest checkpoint is damaged" in text for text in screen.shown)


def test_outside_a_notebook_notes_are_printed(run, capsys):
    with training_panel.Panel(run) as shown:
        shown.show(replace(RECORD, notes=("the newest checkpoint is damaged",)))
    assert "the newest checkpoint is damaged" in capsys.readouterr().out


def test_a_press_is_asked_for_often_in_a_pause_and_every_five_seconds_at_least(run, in_notebook, monkeypatch):
    """An answer that takes 0.2 s, as Colab's may."""
    in_notebook()
    clock, asked = [100.0], []

    class Slow:
        def poll(self):
            asked.append(clock[0])
            clock[0] += 0.2

        def close(self):
            pass

    monkeypatch.setattr(training_panel, "buttons", lambda press: Slow())
    monkeypatch.setattr(training_panel.time, "monotonic", lambda: clock[0])
    with training_panel.Panel(run, TrainingControl()) as shown:
        for paused in (False, True):
            asked.clear()
            until = clock[0] + 60
            while clock[0] < until:
                clock[0] += 0.05
                shown.show(replace(RECORD, paused=paused))
            gaps = [after - before for before, after in zip(asked, asked[1:], strict=False)]
            assert max(gaps[1:]) < (1.0 if paused else 6.0)
            assert paused or min(gaps) > 4


def test_the_network_is_asked_only_when_there_is_a_newer_one(run, monkeypatch):
    asked = []
    monkeypatch.setattr(training_panel, "reconstruct_probe", lambda model, tiles: asked.append(1) or tiles)
    shown = training_panel.Panel(run)
    shown._record = RECORD
    shown._repr_html_()
    shown._repr_html_()
    assert len(asked) == 1
    run.write_snapshot(run_model(run), 40, 4)
    shown._next_probe = float("inf")  # it took long the last time
    assert "SRCNN, step 30" in shown._repr_html_()
    shown._next_probe = 0.0
    assert "SRCNN, step 40" in shown._repr_html_()
    assert len(asked) == 2


def test_the_losses_curve_stays_short_and_keeps_its_mean(run, in_notebook, monkeypatch):
    monkeypatch.setattr(training_panel, "LOSSES", 8)
    in_notebook()
    shown = training_panel.Panel(run)
    for step in range(1, 401):
        shown._record = replace(RECORD, step=step)
        shown._since.append(torch.tensor(float(step)))
        shown._draw()
    assert len(shown.losses) <= 8
    assert shown.losses[-1][0] == 400


def test_outside_a_notebook_it_prints_a_line_an_epoch(run, capsys):
    with training_panel.Panel(run, TrainingControl()) as shown:
        for step in range(28, 31):
            shown.show(replace(RECORD, step=step, epoch_ends=step == 30))
    [line] = capsys.readouterr().out.splitlines()
    assert "step 30 of 100, test 33.50 dB" in line.replace("\u2009", " ")


def test_a_press_from_another_thread_steers_the_training(tmp_path, in_notebook, monkeypatch):
    """With fit itself: the press comes while the loop is in its body, as a subshell's would."""
    presses = []
    in_notebook()
    monkeypatch.setattr(training_panel, "buttons", lambda press: presses.append(press))
    (tmp_path / "photographs").mkdir()
    for number in range(3):
        write_image(tmp_path / "photographs" / f"{number}.png", torch.rand(3, 40, 40))
    config = TrainingConfig.of(
        data=(str(tmp_path / "photographs"),), validation=("0.4",), widths=(4, 2), filters=(3, 1, 3), batch_size=4, steps=50
    )  # fmt: skip
    run, control, seen = Run.create(tmp_path / "run", config), TrainingControl(), []
    with training_panel.Panel(run, control) as shown:
        for record in fit(config, run, control=control):
            shown.show(record)
            seen.append(record)
            if len(seen) in (5, 8):
                thread = Thread(target=presses[0], args=("pause" if len(seen) == 5 else "stop",))
                thread.start()
                thread.join()
    assert [record.step for record in seen[:5]] == [1, 2, 3, 4, 5]
    assert 8 <= len(seen) <= 9
    assert all(record.paused and record.step == 5 for record in seen[5:])


def test_a_run_is_made_once_and_gone_on_with_after(tmp_path, capsys):
    config = TrainingConfig.of(epochs=2)
    training_panel.open_run(tmp_path / "run", config)
    assert training_panel.open_run(tmp_path / "run", TrainingConfig.of(epochs=5)).config == config
    Run(tmp_path / "run").write_checkpoint({}, 0, None, 3)  # it has begun: its end is fixed
    assert training_panel.open_run(tmp_path / "run", TrainingConfig.of(minutes=3.0)).config == config
    assert "end stays where it is" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"widths was \[128, 64\], now \[64, 32\]; give the run another name"):
        training_panel.open_run(tmp_path / "run", TrainingConfig.of(epochs=2, widths=(64, 32)))


def test_a_kernel_without_subshells_gets_no_dead_buttons(monkeypatch):
    kernel = types.SimpleNamespace(kernel_info={"protocol_version": "5.3"})
    monkeypatch.setattr(training_panel, "get_ipython", lambda: types.SimpleNamespace(kernel=kernel))
    assert training_panel.buttons(print) is None
