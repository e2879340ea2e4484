"""Names that try to be more than text: in pages, in terminals, in TensorBoard."""

import contextlib
import importlib.util
import io
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from attack import Tally

from srcnn_lib.commands.main import main
from srcnn_lib.config import TrainingConfig
from srcnn_lib.data.images import Picture, write_image
from srcnn_lib.evaluation.quality import evaluate
from srcnn_lib.evaluation.report import print_table
from srcnn_lib.model import SRCNN, start_from_identity
from srcnn_lib.run import Run
from srcnn_lib.runtime.files import printable
from srcnn_lib.training.tensorboard import TensorBoardWriter
from srcnn_lib.visualization.html import render_model_comparison, write_page

PIECES = [
    "<script>parent.broken=1</script>", "</script><script>parent.broken=1</script>", "<svg onload=parent.broken=1>",
    "<img src=x onerror=parent.broken=1>", "<!--", "-->", "]]>", "{{DATA}}", "{{SCRIPT}}", "{DATA}", "${1}", "`", "\"",
    "'", "\\", "\\u003c", "&lt;", "&#x3c;b&#x3e;", "<iframe src=http://127.0.0.1:9/>", "<base href=http://127.0.0.1:9/>",
    "<link rel=stylesheet href=http://127.0.0.1:9/>", "<style>@import'http://127.0.0.1:9/'</style>", "%s%n",
    "javascript:parent.broken=1", "\x1b]0;title\x07", "\x1b[2J", "\x1b[31m", "\x9b31m", "\r", "\n", "\x08", "\x7f",
    "\x00", "\u2028", "\u2029", "\u202e", "\u2066", "\ufeff", "\udcff", "\ud800", "\U0001f431", "e\u0301",
    "\u05d0\u05d1", "a" * 300, "$(touch broken)",
]  # fmt: skip


def hostile_name(chance: random.Random) -> str:
    """Returns a name of one to three pieces, with plain letters between them."""
    return "cat" + "-".join(chance.choice(PIECES) for _ in range(chance.randint(1, 3))) + ".png"


def first_names() -> list[str]:
    """Returns a name for each piece alone."""
    return [f"cat{piece}.png" for piece in PIECES]


def attack(seed: int, count: int, folder: Path) -> Tally:
    """Gives a picture or a run each name, and looks at pages in Chromium, at commands' output and at TensorBoard."""
    chance, tally = random.Random(seed), Tally()
    names = (first_names() + [hostile_name(chance) for _ in range(count)])[:count]
    pixels = torch.rand(3, 40, 48)
    model = start_from_identity(SRCNN(1, (5, 1, 3), (4, 2))).eval()
    with contextlib.ExitStack() as stack:
        page = _chromium(stack)
        for number, name in enumerate(names):
            with tally.case(ascii(name)[:80]):
                _in_a_page(folder / f"{number}.html", name, pixels, model, page, tally)
                _in_a_terminal(name, pixels, model, tally)
                _in_files(folder / f"place-{number}", name, pixels, model, tally)
    return tally


def _chromium(stack: contextlib.ExitStack) -> Any:
    """Returns a page of Chromium; None where there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if not path or not importlib.util.find_spec("playwright"):
        return None
    from playwright.sync_api import sync_playwright

    chromium = stack.enter_context(sync_playwright()).chromium
    browser = stack.enter_context(chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"]))
    return browser.new_page()


def _in_a_page(path: Path, name: str, pixels: torch.Tensor, model: SRCNN, page: Any, tally: Tally) -> None:
    write_page(render_model_comparison(Picture(pixels, name=name), model), path)
    if page is None:
        tally.add("no Chromium here")
        return
    requested: list[str] = []
    errors: list[str] = []
    page.on("request", note := lambda request: requested.append(request.url))
    page.on("pageerror", failed := lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector(".stage")
    assert not page.evaluate("window.broken || parent.broken"), "a name became code"
    assert " ".join(printable(name).split()) in " ".join(page.title().split()), page.title()
    assert not [url for url in requested[1:] if not url.startswith(("data:", "blob:"))], requested
    assert not errors, errors
    page.remove_listener("request", note)
    page.remove_listener("pageerror", failed)
    tally.add("pages")


def _in_a_terminal(name: str, pixels: torch.Tensor, model: SRCNN, tally: Tally) -> None:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        print_table(evaluate(model, [Picture(pixels, name=name)], [name]))
    lines = output.getvalue().splitlines()
    assert len(lines) == 4, lines
    assert all(line.isprintable() for line in lines), lines
    tally.add("terminal")


def _in_files(place: Path, name: str, pixels: torch.Tensor, model: SRCNN, tally: Tally) -> None:
    """Uses the name for a picture and for a run, where the file system takes it."""
    place.mkdir()
    run_path = place / "runs" / name.replace("/", "∕")[:80]
    try:
        picture = place / name.replace("/", "∕")
        picture.write_bytes(b"")
        picture.unlink()
        config = TrainingConfig.of(data=(str(picture),), channels=1, filters=(5, 1, 3), widths=(4, 2))
        run = Run.create(run_path, config)
    except (OSError, ValueError):  # no name for a file
        tally.add("no file name")
        return
    write_image(picture, pixels)
    run.write_snapshot(model, 0, 0)
    writer = TensorBoardWriter(run.path, "y", 0)
    writer.file.flush()
    assert Run(run.path).config.data == (str(picture),)
    output, errors = io.StringIO(), io.StringIO()
    for words in (
        ["info", str(run.path)],
        ["evaluate", str(run.path), str(picture)],
        ["compare", str(picture), "--weights", str(run.path), "--out", str(place / "page.html")],
        ["upscale", str(picture), "--weights", str(run.path)],
        ["explain", str(run.path), "--what", "pixel", "--image", str(picture), "--out", str(place / "pixel.png")],
        ["laboratory", str(run.path), "--image", str(picture), "--out", str(place / "laboratory.html")],
        ["evaluate", str(run.path), str(picture) + "missing"],
    ):
        arguments, sys.argv = sys.argv, ["srcnn", *words]
        try:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
                main()
            status = None
        except SystemExit as ended:
            status = ended.code
        finally:
            sys.argv = arguments
        expected = 2 if words[-1].endswith("missing") else 0
        assert (status or 0) == expected, (words[0], status, errors.getvalue()[-300:])
    for line in (*output.getvalue().splitlines(), *errors.getvalue().splitlines()):
        assert line.isprintable(), line
    assert len(errors.getvalue().strip().splitlines()) == 1, errors.getvalue()
    assert not Path("broken").exists()
    tally.add("file and run names")
    shutil.rmtree(place)
