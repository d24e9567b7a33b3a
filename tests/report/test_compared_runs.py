"""The front of a comparison, its order, tables, plot, difference map and page."""

from __future__ import annotations

import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from snnquant.report.compared_page import write_comparison
from snnquant.report.compared_runs import (
    ChipEnergy,
    Compared,
    Comparison,
    Pair,
    in_order,
    with_correction,
    with_front,
)
from snnquant.report.compared_tables import comparison_sections, names_of
from snnquant.report.difference_maps import difference_png
from snnquant.report.paired_test import McNemar
from snnquant.report.pareto_plot import pareto_svg


def network(number: int, oa: float, nj: float | None, scene: str = "field") -> Compared:
    energy = None if nj is None else ChipEnergy("edge_22nm", nj, nj / 2, nj / 4, nj / 4, 9.0)
    names = f"runs/r{number}", "snn_trained", scene, "blocks 0"
    return Compared(number, *names, 50, oa, oa - 0.1, oa - 0.2, energy, nj)


NETWORKS = [
    network(1, 0.9, 5.0),
    network(2, 0.8, 9.0),
    network(3, 0.7, 2.0),
    network(4, 0.99, 1.0, scene="other <scene>"),
    network(5, 0.85, None),
]
SCORES = st.lists(
    st.tuples(st.integers(0, 4), st.integers(1, 4)).map(lambda v: (v[0] / 4, float(v[1]))),
    min_size=1,
    max_size=8,
)


def test_the_front_by_hand() -> None:
    rows = with_front(NETWORKS)
    assert [row.dominated_by for row in rows] == [(), (1,), (), (), ()]


@given(SCORES)
def test_the_front_is_what_nothing_beats(scores: list[tuple[float, float]]) -> None:
    rows = with_front([network(i, *values) for i, values in enumerate(scores, 1)])
    front = [row for row in rows if not row.dominated_by]
    assert front
    for row in rows:
        for other in rows:
            better = other.oa >= row.oa and other.energy.total_nj <= row.energy.total_nj
            same = (other.oa, other.energy.total_nj) == (row.oa, row.energy.total_nj)
            assert (other.number in row.dominated_by) == (better and not same)
    # What is dominated is dominated by a part of the front, so that the front says it all.
    best = {row.number for row in front}
    assert all(best & set(row.dominated_by) for row in rows if row.dominated_by)


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("oa", [4, 1, 5, 2, 3]),
        ("kappa", [4, 1, 5, 2, 3]),
        ("energy", [4, 3, 1, 2, 5]),
        ("memory", [4, 3, 1, 2, 5]),
        ("run", [1, 2, 3, 4, 5]),
    ],
)
def test_the_better_come_first(column: str, order: list[int]) -> None:
    assert [row.number for row in in_order(NETWORKS, column)] == order


@pytest.fixture
def comparison() -> Comparison:
    test = McNemar(30, 9, 2, 4, 0.0654, exact=True)
    pairs = [
        Pair(1, 2, 45, test, remark="test pixels differ"),
        Pair(1, 3, 45, test),
        Pair(1, 4, 0, remark="scenes differ"),
    ]
    return Comparison(tuple(with_front(NETWORKS)), tuple(with_correction(pairs)))


def test_json_is_read_back(comparison: Comparison) -> None:
    values = comparison.to_dict()
    assert Comparison.from_dict(values) == comparison
    assert values["pairs"][0]["p_holm"] == pytest.approx(2 * 0.0654)
    assert "test" not in values["pairs"][2]


def test_tables_show_scores_energies_tests_and_remarks(comparison: Comparison) -> None:
    scores, energies, tests = comparison_sections(comparison)
    assert scores.rows[1] == ("2 r2", "80.00", "70.00", "60.00", "50", "9.00", "dominated by 1")
    assert scores.rows[4][-2:] == ("-", "-")
    assert energies.rows[0] == ("1 r1", "5.00", "1.25", "2.50", "1.25", "9.00", "5.00")
    assert tests.rows[0] == ("1 and 2", "45", "9", "2", "4", "0.065", "0.13")
    assert tests.rows[2] == ("1 and 4", "0", *["-"] * 5)
    assert {"1 and 2: test pixels differ.", "1 and 4: scenes differ."} <= set(tests.notes)
    assert any("Test pixels differ" in note for note in scores.notes)


def test_names_tell_runs_apart() -> None:
    same = [network(1, 0.9, 5.0), network(2, 0.8, 9.0)]
    same = [Compared(**{**vars(row), "run": f"{row.number}/run"}) for row in same]
    assert names_of(same) == {1: "1 1/run", 2: "2 2/run"}
    assert names_of(NETWORKS[:1]) == {1: "1 r1"}


def test_the_plot_has_a_point_per_priced_network(comparison: Comparison) -> None:
    svg = pareto_svg(comparison, names_of(comparison.networks))
    assert svg is not None
    root = ElementTree.fromstring(svg)
    marks = {kind: root.findall(f".//g[@class='{kind}']") for kind in ("best", "dominated")}
    assert {kind: len(found) for kind, found in marks.items()} == {"best": 3, "dominated": 1}
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for circle in root.iter("circle"):
        assert 0 < float(circle.attrib["cx"]) < width
        assert 0 < float(circle.attrib["cy"]) < height
    assert "OA 80.00 %, 9.00 nJ" in svg


@given(SCORES)
def test_every_plot_is_drawn(scores: list[tuple[float, float]]) -> None:
    rows = with_front([network(i, *values) for i, values in enumerate(scores, 1)])
    svg = pareto_svg(Comparison(tuple(rows), ()), names_of(rows))
    assert svg is not None
    assert "nan" not in svg
    assert len(list(ElementTree.fromstring(svg).iter("circle"))) == len(rows)


def test_no_energy_is_no_plot() -> None:
    assert pareto_svg(Comparison((NETWORKS[4],), ()), {5: "5"}) is None


def test_the_difference_map_has_a_colour_per_case() -> None:
    right = np.array([True, True, False, False]), np.array([True, False, True, False])
    file = difference_png((2, 3), np.array([0, 1, 2, 4]), right, ("a", "b"))
    picture = np.asarray(Image.open(io.BytesIO(file)))
    scale = 360 // 3
    cells = picture[16 + scale // 2 :: scale, 16 + scale // 2 :: scale][:2, :3]
    colours = ["".join(f"{value:02x}" for value in cell) for cell in cells.reshape(-1, 3)]
    assert colours == ["d0d5dc", "0072b2", "e69f00", "ffffff", "000000", "ffffff"]


def test_long_names_widen_the_difference_map() -> None:
    right, pixels = (np.array([True]), np.array([False])), np.array([0])
    short = Image.open(io.BytesIO(difference_png((2, 2), pixels, right, ("a", "b"))))
    long = Image.open(io.BytesIO(difference_png((2, 2), pixels, right, ("a" * 90, "b"))))
    assert long.width > short.width
    assert np.asarray(long)[:, -8:].min() == 255


def test_the_page_needs_no_other_file(comparison: Comparison, tmp_path: Path) -> None:
    right = np.array([True, False]), np.array([True, True])
    picture = difference_png((2, 2), np.array([0, 3]), right, ("a", "b"))
    write_comparison(comparison, {(1, 2): picture}, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]{5})', page)
    assert sources == ["data:"]
    assert "default-src 'none'" in page
    assert page.count("<table>") == 3
    assert "<svg" in page
    assert "other &lt;scene&gt;" in page
    assert "other <scene>" not in page
