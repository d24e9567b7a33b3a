"""The page in headless Chromium: opens from disk, and everything on it answers."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
_READY = """new Promise((done) => {
  const look = () => document.readyState === "complete" &&
    (!document.querySelector("#page-data") || document.documentElement.dataset.ready)
    ? done(true) : setTimeout(look, 20);
  look();
})"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is missing"),
]


class Browser:
    """Headless Chromium with one tab, over its own pipe; `events` has what it reported."""

    def __init__(self, profile: Path) -> None:
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()

        def pipes() -> None:
            first, second = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(first, 3)  # the numbers that the browser expects
            os.dup2(second, 4)

        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe")
        self.process = subprocess.Popen(
            [CHROMIUM or "", *options, f"--user-data-dir={profile}", "about:blank"],
            close_fds=False,
            preexec_fn=pipes,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.out, self.inward = ours_out, ours_in
        self.numbers, self.buffer = itertools.count(1), b""
        self.events: list[dict[str, Any]] = []
        self.session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(target for target in targets if target["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        request = {"id": number, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.out, json.dumps(request).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            part = os.read(self.inward, 1 << 16)
            if not part:
                raise EOFError("the browser has ended")
            self.buffer += part
        message, _, self.buffer = self.buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def run(self, script: str) -> Any:
        """Return the value of a script, of a promise once it is kept."""
        found = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def open(self, page: Path, width: int = 1400, dark: bool = False, script: bool = True) -> None:
        """Open a file in a window of that width and wait until its script is done."""
        theme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        self.call("Emulation.setEmulatedMedia", features=[theme])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.call("Page.navigate", url=page.as_uri())
        while script and not self.run("location.protocol === 'file:'"):
            pass
        if script:
            self.run(_READY)

    def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": name} if len(name) == 1 and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, **text)

    def mouse(self, kind: str, x: float, y: float) -> None:
        pressed = {"button": "left", "buttons": 1, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait()
        os.close(self.out)
        os.close(self.inward)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture
def opened(browser: Browser, synthetic_page: Path) -> Browser:
    browser.events.clear()
    browser.open(synthetic_page)
    return browser


def text(browser: Browser, query: str) -> str:
    return str(browser.run(f"document.querySelector({query!r}).textContent"))


def canvas(browser: Browser) -> str:
    """Return what the map shows, as text."""
    return str(browser.run("document.querySelector('#view').toDataURL()"))


def middle(browser: Browser) -> tuple[float, float]:
    browser.run("document.querySelector('#view').scrollIntoView({block: 'center'})")
    box = "const b = document.querySelector('#view').getBoundingClientRect();"
    x, y = browser.run(f"(() => {{ {box} return [b.left + b.width / 4, b.top + b.height / 2] }})()")
    return x, y


def test_it_opens_without_an_error_or_a_request(opened: Browser) -> None:
    assert opened.run("document.documentElement.dataset.ready") == "true"
    methods = {event["method"] for event in opened.events}
    assert not methods & {"Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"}
    asked = [
        event["params"]["request"]["url"]
        for event in opened.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert len([url for url in asked if url.startswith("file:")]) == 1


def test_a_click_shows_the_pixel_and_arrow_keys_move_it(opened: Browser) -> None:
    x, y = middle(opened)
    opened.mouse("mousePressed", x, y)
    opened.mouse("mouseReleased", x, y)
    before = text(opened, "#pixel-place")
    assert before == "Row 12, column 6"
    assert opened.run("document.querySelectorAll('#spectrum polyline').length") >= 2
    assert "Ground truth" in text(opened, "#pixel-facts")
    opened.run("document.querySelector('#view').focus()")
    opened.key("ArrowRight")
    opened.key("ArrowDown")
    assert text(opened, "#pixel-place") == "Row 13, column 7"


def test_the_spectrum_is_that_of_the_cube(opened: Browser, synthetic_scene) -> None:
    opened.run("document.querySelector('#view').focus()")
    values = opened.run(
        "[...document.querySelector('#spectrum .own').points].map((point) => point.y)"
    )
    place = text(opened, "#pixel-place").replace(",", "").split()
    wanted = synthetic_scene.cube[int(place[1]), int(place[3])]
    assert len(values) == synthetic_scene.bands
    assert int(min(values) == values[int(wanted.argmax())])
    assert int(max(values) == values[int(wanted.argmin())])


def test_swipe_zoom_and_pictures_change_the_map(opened: Browser) -> None:
    seen = [canvas(opened)]
    for step in (
        "const s = document.querySelector('#swipe'); s.value = 80",
        "const s = document.querySelector('#left'); s.value = 'colour'",
        "const s = document.querySelector('#right'); s.value = 'errors'",
    ):
        opened.run(f"{{ {step}; s.dispatchEvent(new Event('input')) }}")
        seen.append(canvas(opened))
    opened.run("document.querySelector('#zoom-in').click()")
    seen.append(canvas(opened))
    opened.run("document.querySelector('#view').focus()")
    opened.key("+")
    seen.append(canvas(opened))
    assert len(set(seen)) == len(seen)
    opened.key("0")
    assert canvas(opened) == seen[3]


def test_a_class_of_the_legend_is_isolated_and_escape_ends_it(opened: Browser) -> None:
    before = canvas(opened)
    opened.run("document.querySelector('#legend button').click()")
    assert canvas(opened) != before
    pressed = "document.querySelector('#legend button').getAttribute('aria-pressed')"
    assert opened.run(pressed) == "true"
    opened.run("document.querySelector('#view').focus()")
    opened.key("Escape")
    assert (canvas(opened), opened.run(pressed)) == (before, "false")


def test_the_line_between_the_pictures_is_dragged(opened: Browser) -> None:
    box = "document.querySelector('#view').getBoundingClientRect()"
    opened.run("document.querySelector('#view').scrollIntoView({block: 'center'})")
    left, top, width, height = opened.run(f"(b => [b.left, b.top, b.width, b.height])({box})")
    before, y = canvas(opened), top + height / 2
    opened.mouse("mousePressed", left + width / 2, y)
    opened.mouse("mouseMoved", left + width / 4, y)
    opened.mouse("mouseReleased", left + width / 4, y)
    assert float(opened.run("document.querySelector('#swipe').value")) == pytest.approx(25, abs=1)
    assert canvas(opened) != before


def test_numbers_that_the_browser_reads_from_pictures_are_those_of_the_scene(
    opened: Browser, views: Any
) -> None:
    """Ground truth, classes and split stand on the page as pictures only."""
    opened.run("document.querySelector('#view').focus()")
    names, roles = views.scene.class_names, ("training", "validation", "test")
    seen = set()
    for row, column in ((0, 0), (5, 7), (23, 23), (12, 3)):
        x, y = opened.run(
            "(() => { const c = document.querySelector('#view'); "
            "c.scrollIntoView({block: 'center'}); const b = c.getBoundingClientRect(); "
            f"return [b.left + b.width * {(column + 0.5) / 24}, "
            f"b.top + b.height * {(row + 0.5) / 24}] }})()"
        )
        opened.mouse("mousePressed", x, y)
        opened.mouse("mouseReleased", x, y)
        assert text(opened, "#pixel-place") == f"Row {row}, column {column}"
        facts = dict(
            opened.run(
                "[...document.querySelectorAll('#pixel-facts dt')]"
                ".map((t) => [t.textContent, t.nextSibling.textContent])"
            )
        )
        truth, role = views.scene.labels[row, column], views.roles[row, column]
        assert facts["Ground truth"] == (names[truth - 1] if truth else "no label")
        assert facts["SNN trained"] == names[views.classes[row, column] - 1]
        if 1 <= role <= 3:
            assert facts["Split"] == roles[role - 1]
        seen.add(facts["SNN trained"])
    assert len(seen) > 1


def test_a_heading_sorts_the_table(opened: Browser) -> None:
    column = "[...document.querySelectorAll('table.sort tbody tr')].map((r) => r.cells[1])"
    values = f"{column}.slice(0, 3).map((cell) => Number(cell.dataset.value))"
    opened.run("document.querySelectorAll('table.sort th button')[1].click()")
    falling = opened.run(values)
    opened.run("document.querySelectorAll('table.sort th button')[1].click()")
    rising = opened.run(values)
    assert falling == sorted(falling, reverse=True)
    assert rising == sorted(rising)
    assert falling != rising


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_overflows_and_text_can_be_read(
    browser: Browser, synthetic_page: Path, width: int, dark: bool
) -> None:
    browser.open(synthetic_page, width, dark)
    sides = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    wide, seen = browser.run(sides)
    assert wide == seen <= width
    body = "getComputedStyle(document.body)"
    ink, paper = browser.run(f"[{body}.color, {body}.backgroundColor]")
    brightness = [sum(map(int, colour[4:-1].split(", "))) for colour in (ink, paper)]
    assert (brightness[0] > brightness[1]) == dark
    assert abs(brightness[0] - brightness[1]) > 500


def test_the_button_changes_the_theme(opened: Browser) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    before = opened.run(paper)
    opened.run("document.querySelector('#theme').click()")
    assert opened.run(paper) != before
    opened.run("document.querySelector('#theme').click()")
    assert opened.run(paper) == before


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_no_serious_problem(
    browser: Browser, synthetic_page: Path, width: int, dark: bool
) -> None:
    axe = resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    browser.open(synthetic_page, width, dark)
    browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
    browser.run(axe + ";0")
    found = browser.run(
        "axe.run().then((r) => ({ passes: r.passes.length, violations: r.violations.map((v) => "
        "[v.impact, v.id, ...v.nodes.slice(0, 3).map((n) => n.html)]) }))"
    )
    assert found["passes"] > 20
    assert [each for each in found["violations"] if each[0] in ("serious", "critical")] == []


def stranded(browser: Browser, inches: float) -> list[str]:
    """Return the headings that are the last line of a printed page of that height."""
    query = "[...document.querySelectorAll('h1, h2, h3')].map((h) => h.textContent.trim())"
    headings = set(browser.run(query))
    printed = browser.call("Page.printToPDF", printBackground=True, paperHeight=inches)
    pages = PdfReader(io.BytesIO(base64.b64decode(printed["data"]))).pages
    assert len(pages) > 3
    found = []
    for page in pages:
        lines: dict[int, list[str]] = {}

        def visit(
            words: str, now: Any, then: Any, font: Any, size: Any, lines: Any = lines
        ) -> None:
            if words.strip():
                height = then[4] * now[1] + then[5] * now[3] + now[5]
                lines.setdefault(round(height), []).append(words.strip())

        page.extract_text(visitor_text=visit)
        if lines:
            last = unicodedata.normalize("NFKC", " ".join(lines[min(lines)]))  # ligatures
            found += [last] if last in headings else []
    return found


HEIGHTS = (7.0, 7.6, 8.2, 8.8, 9.4, 10.0, 10.6, 11.0, 11.7)


def test_no_heading_is_the_last_line_of_a_printed_page(opened: Browser) -> None:
    assert [stranded(opened, inches) for inches in HEIGHTS] == [[]] * len(HEIGHTS)
    opened.run(
        "document.head.append(Object.assign(document.createElement('style'), "
        "{ textContent: 'h2, h3 { break-after: auto !important }' }))"
    )
    assert any(stranded(opened, inches) for inches in HEIGHTS)  # it is the rule that holds them


def test_it_prints_with_all_its_pictures(opened: Browser) -> None:
    printed = base64.b64decode(opened.call("Page.printToPDF", printBackground=True)["data"])
    assert printed.startswith(b"%PDF")
    opened.call("Emulation.setEmulatedMedia", media="print")
    shown = opened.run("getComputedStyle(document.querySelector('.gallery')).display")
    hidden = opened.run("getComputedStyle(document.querySelector('#viewer')).display")
    opened.call("Emulation.setEmulatedMedia", media="")
    assert (shown, hidden) == ("grid", "none")
