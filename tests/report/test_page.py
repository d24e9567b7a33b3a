from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import pytest

from snnquant.errors import InputError
from snnquant.report import RunMetrics, write_html

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
UNPAIRED = {"meta", "img", "!doctype"}


class Page(HTMLParser):
    """A page's text, attributes and headings; tags must be closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.text, self.open = source, "", []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in UNPAIRED:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def page_of(tmp_path):
    def build(metrics, class_map=None) -> Page:
        write_html(RunMetrics.from_dict(metrics), class_map, tmp_path / "report.html")
        assert [file.name for file in tmp_path.iterdir() if file.suffix == ".html"] == [
            "report.html"
        ]
        return Page((tmp_path / "report.html").read_text(encoding="utf-8"))

    return build


def test_every_number_is_on_the_page(page_of, metrics, shown):
    text = page_of(metrics).text
    assert [part for part in shown if part not in text] == []
    assert "SNN trained, 6-bit, T = 5" in text
    assert "runs/indian_pines-1" in text


def test_the_page_loads_nothing(page_of, metrics, tmp_path):
    (tmp_path / "map.png").write_bytes(PNG)
    page = page_of(metrics, tmp_path / "map.png")
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "video", "audio", "base"}
    loaded = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "background", "action", "poster"}
    ]
    assert [value[:22] for value in loaded] == ["data:image/png;base64,"]
    assert base64.b64decode(loaded[0][22:]) == PNG
    assert not re.search(r"url\(|@import|https?://", page.source)
    policy = {"content": "default-src 'none'; img-src data:; style-src 'unsafe-inline'"}
    assert any(tag == "meta" and policy.items() <= found.items() for tag, found in page.tags)


def test_class_accuracies_are_listed_with_a_bar_for_the_trained_snn(page_of, metrics):
    page = page_of(metrics)
    assert page.text.index("Corn") < page.text.index("Woods")
    for accuracy in ("92.24", "94.26", "71.24", "73.26"):
        assert accuracy in page.text
    bars = [found["style"] for tag, found in page.tags if tag == "span"]
    assert bars == ["width:71.2%", "width:0.0%", "width:73.3%"]


def test_text_from_outside_cannot_become_markup(page_of, metrics):
    nasty = "<script>alert('&amp;')</script>\"><img src=x>"
    metrics["scene"]["name"] = metrics["run"] = metrics["model"]["name"] = nasty
    metrics["scene"]["class_names"][0] = metrics["split"]["protocol"] = nasty
    metrics["split"]["notes"] = [nasty]
    metrics["pim"]["hardware"] = nasty
    metrics["spike_rates"] = {nasty: 0.5}
    metrics["energy_pj"] = {nasty: metrics["energy_pj"]["ace_snn"]}
    page = page_of(metrics)
    assert "<script" not in page.source
    assert not any(tag == "img" for tag, _ in page.tags)
    assert page.text.count(nasty) >= 9


def test_a_run_with_only_its_first_cnn_has_its_own_page(page_of, trained_only):
    page = page_of(trained_only())
    assert "91.23" in page.text
    assert "92.24" in page.text
    absent = ("SNN as converted", "First layer", "Spikes per neuron", "Classification map", "None")
    assert [word for word in absent if word in page.text] == []


def test_a_missing_map_is_named_and_no_page_is_written(metrics, tmp_path):
    with pytest.raises(InputError, match=r"map\.png: cannot be read \(No such file"):
        write_html(RunMetrics.from_dict(metrics), tmp_path / "map.png", tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_named(metrics, tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InputError, match=r"report\.html: cannot be written"):
        write_html(RunMetrics.from_dict(metrics), None, tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
