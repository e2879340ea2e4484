"""Chromium without a network, for tests of pages; they are marked `browser`."""

import functools
import importlib.util
import shutil
import time

import pytest


@pytest.fixture(scope="module")
def chromium():
    if not importlib.util.find_spec("playwright"):
        pytest.skip("playwright is not installed: pip install playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        pytest.skip("there is no Chromium on the path: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def wait_for_function(page, expression, arg=None, timeout=15_000):
    """Waits until an expression is true in the page."""
    end = time.monotonic() + timeout / 1000
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, f"never true: {expression}"
        time.sleep(0.02)


@pytest.fixture
def open_page(chromium):
    """Returns open_page(path, (width, height), scheme), which opens a page from disk.

    At the end of the test, the page must have requested nothing but itself, and must have left the console empty.
    """
    requested = []
    messages = []
    contexts = []

    def open_page(path, screen=(1366, 768), scheme="light"):
        context = chromium.new_context(viewport={"width": screen[0], "height": screen[1]}, color_scheme=scheme)
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("request", lambda request: requested.append(request.url))
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        # Playwright's own polls in the page with eval, which the pages' policy forbids.
        page.wait_for_function = functools.partial(wait_for_function, page)
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in requested if not url.startswith(("file:", "data:", "blob:"))] == []
    # A page within another document, as in a notebook, can't bring its own policy.
    assert [text for text in messages if "Content Security Policy" not in text or "outside" not in text] == []
