"""Tests of parts of the benchmark that decide something: who was busy, and which bound holds."""

from __future__ import annotations

import os
from pathlib import Path
from types import ModuleType

import pytest

from snnquant.energy import LayerActivity
from snnquant.nn.layer_table import LayerInfo

SCRIPTS = Path(__file__).parents[2] / "scripts"
STAT = """cpu  900 0 900 900 0 0 0 0 0 0
cpu0 100 20 30 1000 50 1 2 3 40 0
cpu1 200 0 0 1000 0 0 0 0 0 0
cpu2 7000 0 0 0 0 0 0 0 0 0
intr 12 34
"""


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmarks.busy

    return benchmarks.busy


def test_busy_time_is_that_of_the_processors_in_use(busy: ModuleType) -> None:
    # user, nice, system, irq, softirq and steal of the first two; guests are in user already
    ticks = 100 + 20 + 30 + 1 + 2 + 3 + 200
    assert busy.busy_seconds(STAT, {0, 1}) == ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(
    ("own", "taken", "share"),
    [(20.0, 20.0, 0.0), (10.0, 15.0, 0.25), (0.0, 20.0, 1.0), (10.05, 10.0, 0.0)],
)
def test_own_work_is_not_that_of_others(
    own: float, taken: float, share: float, busy: ModuleType
) -> None:
    before, after = busy.Clock(5.0, 1.0, 3.0), busy.Clock(15.0, 1.0 + own, 3.0 + taken)
    assert busy.others_share(before, after, 2, load_average=9.0) == pytest.approx(share)


def test_the_load_average_stands_in(busy: ModuleType) -> None:
    before, after = busy.Clock(0.0, 0.0, None), busy.Clock(10.0, 10.0, None)
    assert busy.others_share(before, after, 2, load_average=1.5) == pytest.approx(0.25)


def test_a_page_says_so_only_of_a_busy_machine(busy: ModuleType) -> None:
    loads = {"before": {"others_share": 0.02, "processor_over_wall": 0.99, "busy": False}}
    assert busy.busy_lines(loads) == []
    loads["on maps"] = {"others_share": 0.31, "busy": True}
    assert "2 % before, 31 % on maps" in busy.busy_lines(loads)[0]


def test_bounds_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    from benchmarks.peaks import Peaks, bound

    info = LayerInfo("dense", "linear", (4,), (2, 4), (2,), (), (), 8)
    pixels = LayerActivity(info, False, 1.0, 800.0, 0.0, 0.0)
    # 100 dense products at each of 2 steps: additions of a tenth of them pay, of a half do not
    few = LayerActivity(info, True, 0.1, 0.0, 20.0, 20.0)
    many = LayerActivity(info, True, 0.5, 0.0, 100.0, 100.0)
    peaks = Peaks(int8=1000.0, float32=400.0, additions=250.0, read_bytes=10.0)

    found = bound([pixels, few, many, few], 4, peaks, steps=2, floats=False)
    # the last layer multiplies the spikes of both steps at once: 100 products, or 20 additions
    assert (found.products, found.additions) == (800 + 200, 20 + 20)
    assert found.per_processor_second == pytest.approx(1 / (1000 / 1000 + 40 / 250))

    of_cnn = bound([pixels], 40, peaks, steps=1, floats=True)
    assert of_cnn.per_processor_second == pytest.approx(1 / max(800 / 400, 40 / 10))
