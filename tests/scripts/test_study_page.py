"""Tests of the study's page: figures computed from records."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]


def page_script() -> ModuleType:
    file = ROOT / "scripts" / "study" / "page.py"
    spec = importlib.util.spec_from_file_location("study_page", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


page = page_script()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_the_front_is_what_nothing_else_beats(points: list[tuple[int, int]]) -> None:
    def beaten(point: tuple[int, int]) -> bool:
        return any(p != point and p[0] <= point[0] and p[1] >= point[1] for p in points)

    assert page.front(points) == sorted({point for point in points if not beaten(point)})


@given(
    st.lists(
        st.tuples(st.integers(1, 9**5), st.lists(st.integers(1, 9), min_size=2, max_size=2)),
        min_size=1,
    )
)
def test_the_first_layers_share_is_that_of_the_layers_operations(
    layers: list[tuple[int, list[int]]],
) -> None:
    counts = {
        "energy": [macs * math.prod(positions) for macs, positions in layers],
        "map_energy": [macs for macs, _ in layers],
    }
    run = {
        f"{kind}_pj": {"ace_snn": {"cnn_fp32": 3.1 * sum(macs)}} for kind, macs in counts.items()
    }
    first = {"mac": counts["energy"][0], "output_shape": [8, 4, *layers[0][1]]}
    run |= {
        "model": {"layers": [first]},
        "operations": {"cnn_fp32": {"mac": sum(counts["energy"])}},
    }
    for kind, macs in counts.items():
        assert page._first_share(run, kind) == pytest.approx(100 * macs[0] / sum(macs))
