from __future__ import annotations

import base64
import copy
import hashlib
import io
import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from snnquant.errors import InputError
from snnquant.report import RunMetrics, write_html
from snnquant.report.page_pictures import CUBE_BYTES, cube_sheet
from snnquant.report.scene_views import SceneViews
from snnquant.scenes import Scene
from snnquant.scenes.georeference import Georeference
from snnquant.stored_networks import Network

UNPAIRED = {"meta", "img", "input", "!doctype"}


class Page(HTMLParser):
    """A page's text, attributes and headings; tags must be closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source, self.text, self.open = source, "", []
        self.scripts: list[str] = []
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
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.text += data

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def page_of(tmp_path):
    def build(metrics, views=None) -> Page:
        write_html(RunMetrics.from_dict(metrics), tmp_path / "report.html", views)
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


def test_the_page_loads_nothing(synthetic_page):
    page = Page(synthetic_page.read_text())
    names = {tag for tag, _ in page.tags}
    assert not names & {"link", "iframe", "object", "embed", "video", "audio", "base", "form"}
    loaded = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in {"src", "href", "srcset", "background", "action", "poster"}
    ]
    pictures = [value for value in loaded if not value.startswith("#")]
    assert len(pictures) >= 8
    assert {value[:22] for value in pictures} == {"data:image/png;base64,"}
    own = page.source.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttpRequest", own)
    handlers = [name for _, found in page.tags for name in found if name.startswith("on")]
    assert handlers == []


def test_a_browser_runs_only_the_script_of_the_page(synthetic_page):
    page = Page(synthetic_page.read_text())
    *_, script = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policies = [found["content"] for _, found in page.tags if "http-equiv" in found]
    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    ]


def test_durations_machine_and_licence_are_on_the_page(synthetic_page):
    page = Page(synthetic_page.read_text())
    for text in ("snn 1 min 35 s", "in all 1 min 36 s", "a processor, 2 cores", "CC BY 4.0"):
        assert text in page.text
    assert "seed 7" in page.text


def test_it_can_be_read_without_a_script(synthetic_page, views):
    page = Page(synthetic_page.read_text())
    for heading in ("Answer", "Map", "Classes", "Spikes", "Energy", "Training", "Calibration"):
        assert f"<h2>{heading}</h2>" in page.source
    hidden = [found["id"] for tag, found in page.tags if "hidden" in found]
    assert hidden == ["theme", "viewer"]  # what needs a script, and only that
    alternatives = [found["alt"] for tag, found in page.tags if tag == "img"]
    for title in ("SNN trained", "Ground truth", "CNN 32-bit", "False colour", "Confidence"):
        assert f"{title} of every pixel" in alternatives
    for name in views.scene.class_names:
        assert name in page.text


def test_pictures_have_the_colours_of_the_classes_in_a_palette(synthetic_page, views):
    page = Page(synthetic_page.read_text())
    sources = {
        found["id"]: found["src"] for _, found in page.tags if "id" in found and "src" in found
    }
    picture = Image.open(io.BytesIO(base64.b64decode(sources["picture-truth"][22:])))
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), views.scene.labels)
    shown = np.asarray(picture.convert("RGB"))[views.scene.labels == 1][0]
    assert "#" + bytes(shown).hex() == views.scene.colours[0]


def test_headings_have_an_order_and_every_link_leads_somewhere(synthetic_page):
    page = Page(synthetic_page.read_text())
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    links = [found["href"][1:] for tag, found in page.tags if tag == "a"]
    assert set(links) <= set(ids)


def test_a_large_cube_is_coarser_and_stays_below_its_limit():
    noise = np.random.default_rng(0).random((130, 128, 300), np.float32)
    scene = Scene.from_arrays(noise, np.ones((130, 128), int))
    found, low, high = cube_sheet(scene)
    assert found.step == 2
    assert len(base64.b64decode(found.png)) <= CUBE_BYTES
    assert (round(low, 1), round(high, 1)) == (0, 1)


def test_the_place_on_earth_is_on_the_page(page_of, views, scene_metrics):
    geo = Georeference(crs="EPSG:32632", transform=(30.0, 0.0, 5e5, 0.0, -30.0, 5.3e6))
    placed = replace(views, scene=replace(views.scene, geo=geo))
    data = json.loads(page_of(scene_metrics, placed).scripts[0])
    assert (data["metres"], data["transform"][2], data["degrees"]) == (30, 5e5, False)


def test_a_scene_without_any_network_that_was_run_has_its_truth(page_of, views, scene_metrics):
    bare = SceneViews(views.scene, views.split, Network.SNN_TRAINED)
    page = page_of(scene_metrics, bare)
    found = [attributes["id"] for tag, attributes in page.tags if tag == "img"]
    assert found == ["picture-truth", "picture-colour", "picture-split"]


def test_the_honesty_card_is_amber_where_it_applies(page_of, metrics):
    def tone() -> str:
        page = page_of(metrics)
        return [f["class"] for tag, f in page.tags if tag == "article"][-1]

    for control in ("lda", "svm"):
        metrics["controls"][control]["oa"] = 0.6
    metrics["split"] |= {"leakage": 0.0, "coordinates_only_oa": 0.1}
    assert tone() == "card good"
    metrics["controls"]["lda"]["oa"] = 0.8
    assert tone() == "card warn"
    assert (
        "LDA on spectrum and window mean scores 80.00 %, more than the SNN."
        in page_of(metrics).text
    )
    metrics["controls"]["lda"]["oa"] = 0.6
    metrics["split"]["leakage"] = 0.2
    assert tone() == "card warn"
    metrics["split"] |= {"leakage": 0.0, "coordinates_only_oa": 0.99, "protocol": "random"}
    assert tone() == "card warn"
    text = page_of(metrics).text
    assert "more than the SNN: this split does not test spectra." in text
    assert "Try --split blocks." in text


def test_class_accuracies_are_listed_with_a_bar_for_the_trained_snn(page_of, metrics):
    page = page_of(metrics)
    assert page.text.index("Corn") < page.text.index("Woods")
    for accuracy in ("92.24", "94.26", "71.24", "73.26"):
        assert accuracy in page.text
    spans = [found.get("style", "") for tag, found in page.tags if tag == "span"]
    bars = [style for style in spans if style.startswith("width")]
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
    assert page.source.count("<script") == 1
    assert "alert" not in page.scripts[0]
    assert not any(tag == "img" for tag, _ in page.tags)
    assert page.text.count(nasty) >= 9


def test_names_of_classes_cannot_end_the_script_that_holds_them(page_of, views, scene_metrics):
    nasty = "</script><script>alert('&amp;')</script><img src=x onerror=alert(1)>"
    names = (nasty, *views.scene.class_names[1:])
    scene = replace(views.scene, class_names=names)
    metrics = copy.deepcopy(scene_metrics)
    metrics["scene"]["class_names"][0] = nasty
    page = page_of(metrics, replace(views, scene=scene))
    assert page.source.count("<script") == 2
    assert json.loads(page.scripts[0])["names"][0] == nasty
    assert not any("onerror" in found for _, found in page.tags)
    assert page.text.count(nasty) >= 4


def test_a_run_with_only_its_first_cnn_has_its_own_page(page_of, trained_only):
    page = page_of(trained_only())
    assert "91.23" in page.text
    assert "92.24" in page.text
    absent = ("SNN as converted", "First layer", "Spikes per neuron", "Classification map", "None")
    assert [word for word in absent if word in page.text] == []


def test_a_page_that_cannot_be_written_is_named(metrics, tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(InputError, match=r"report\.html: cannot be written"):
        write_html(RunMetrics.from_dict(metrics), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
