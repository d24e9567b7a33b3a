"""Training areas drawn in headless Chromium by mouse and keyboard, and a run started on them."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from snnquant.scenes import Scene
from snnquant.view import StartedRun, bind

spec = importlib.util.spec_from_file_location(
    "page_in_browser", Path(__file__).parents[1] / "report/test_page_in_browser.py"
)
assert spec is not None
assert spec.loader is not None
page_in_browser = importlib.util.module_from_spec(spec)
spec.loader.exec_module(page_in_browser)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(page_in_browser.CHROMIUM is None, reason="Chromium is missing"),
]
READY = """new Promise((done) => {
  const look = () => document.readyState === "complete" &&
    document.querySelector("#spectrum-text")?.textContent ? done(true) : setTimeout(look, 20);
  look();
})"""


@pytest.fixture
def address(runs: Path, started: StartedRun) -> Iterator[str]:
    server, guard = bind(runs, 0, started)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield guard.address
    server.shutdown()
    thread.join()


@pytest.fixture
def browser(address: str, tmp_path: Path) -> Iterator[Any]:
    found = page_in_browser.Browser(tmp_path / "profile")
    _open(found, address, 1400)
    yield found
    found.close()


def _open(browser: Any, address: str, width: int, theme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    feature = {"name": "prefers-color-scheme", "value": theme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])
    browser.call("Page.navigate", url=f"{address}cube/first")
    while not browser.run("location.pathname.endsWith('/cube/first')"):
        time.sleep(0.02)
    browser.run(READY)


def _click(browser: Any, row: float, column: float) -> None:
    """Click a corner of the picture's pixels."""
    box = browser.run(
        "(() => { const p = document.querySelector('#picture');"
        " p.scrollIntoView({block: 'center'});"
        " const b = p.getBoundingClientRect(); return [b.left, b.top, b.width, b.height] })()"
    )
    x, y = box[0] + column / 24 * box[2], box[1] + row / 24 * box[3]
    for kind in ("mousePressed", "mouseReleased"):
        browser.mouse(kind, x, y)


def _add_class(browser: Any, name: str) -> None:
    browser.run(
        f"document.querySelector('#new-class input').value = {json.dumps(name)};"
        "document.querySelector('#new-class').requestSubmit()"
    )


def _text(browser: Any, query: str) -> str:
    return str(browser.run(f"document.querySelector({query!r}).textContent"))


def _keys(browser: Any, *names: str) -> None:
    for name in names:
        browser.key(name)


def test_areas_are_drawn_by_mouse_and_keyboard_and_a_run_is_started(
    browser: Any, runs: Path
) -> None:
    browser.events.clear()
    _add_class(browser, "Corn <i>")
    for row, column in ((1, 1), (1, 9), (20, 9), (20, 1)):
        _click(browser, row, column)
    _click(browser, 1, 1)  # the first corner closes it
    assert _text(browser, "#areas li").startswith("Corn <i>: 4 corners")
    assert browser.run("document.querySelectorAll('#drawing polygon').length") == 1
    _add_class(browser, "Oats")
    browser.run("document.querySelector('#picture').focus()")
    _click(browser, 12, 12)  # where the keys start
    _keys(browser, "Backspace", " ", "ArrowDown", "ArrowDown", "ArrowDown", " ")
    _keys(browser, *["ArrowRight"] * 6, " ", *["ArrowUp"] * 3, "Enter")
    assert browser.run("document.querySelectorAll('#areas li').length") == 2
    browser.run("document.querySelector('#start').requestSubmit()")
    end = time.monotonic() + 60
    while "--json" not in _text(browser, "#output"):
        assert time.monotonic() < end, _text(browser, "#trouble")
        time.sleep(0.05)
    assert _text(browser, "#state").endswith(": running")
    (file,) = runs.glob("drawn/*/scene.npz")
    drawn = Scene.load(file)
    assert drawn.class_names == ("Corn <i>", "Oats")
    assert np.count_nonzero(drawn.labels == 1) == 19 * 8
    assert (drawn.labels[1:20, 1:9] == 1).all()
    rows, columns = np.nonzero(drawn.labels == 2)
    assert (rows.min(), columns.min()) == (12, 12)
    assert rows.max() == 14
    browser.run("document.querySelector('#stop').click()")
    while not _text(browser, "#state").endswith(": stopped"):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert browser.run("document.querySelector('#stop').hidden")
    methods = {event["method"] for event in browser.events}
    assert not methods & {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}


def test_a_refusal_is_shown(browser: Any, address: str) -> None:
    browser.run("document.querySelector('#start').requestSubmit()")
    while not (trouble := _text(browser, "#trouble")):
        time.sleep(0.02)
    assert trouble == "areas: expected a list of 1 to 500"


def test_an_unfinished_run_is_resumed(browser: Any, runs: Path) -> None:
    browser.run("document.querySelector('#resume').click()")
    end = time.monotonic() + 60
    while "--resume" not in _text(browser, "#output"):
        assert time.monotonic() < end, _text(browser, "#trouble")
        time.sleep(0.05)
    assert _text(browser, "#state") == "Run first: running"
    assert browser.run("[...document.querySelectorAll('#results a')].length") == 2


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_overflows_at_400_pixels(browser: Any, address: str, theme: str) -> None:
    _open(browser, address, 400, theme)
    _add_class(browser, "A class with a very long name, as long as a name may be: 60")
    for row, column in ((2, 2), (2, 20), (20, 20)):
        _click(browser, row, column)
    browser.run("document.querySelector('#close-area').click()")
    assert browser.run("document.querySelectorAll('#areas li').length") == 1
    assert browser.run("document.documentElement.scrollWidth") <= 400


def test_areas_outlast_a_reload_and_can_be_removed(browser: Any, address: str) -> None:
    _add_class(browser, "Corn")
    for row, column in ((2, 2), (2, 20), (20, 20)):
        _click(browser, row, column)
    browser.run("document.querySelector('#close-area').click()")
    _open(browser, address, 1400)
    assert _text(browser, "#areas li").startswith("Corn: 3 corners")
    browser.run("document.querySelector('#areas button').click()")
    assert browser.run("document.querySelectorAll('#drawing polygon').length") == 0
