from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from pim_sim import InputError
from pim_sim.technology import CostRow, component_costs

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "calibration"))
from live import live_cost  # noqa: E402

PACKAGES = {"accelergy": "hwcomponents_adc", "cacti": "hwcomponents_cacti"}
ROWS = [row for row in component_costs() if row.family in PACKAGES]


def _name(row: CostRow) -> str:
    return f"{row.name}-{row.bits}-{row.node_nm:g}"


@pytest.mark.parametrize("row", ROWS, ids=_name)
def test_shipped_row_is_what_the_tool_behind_it_prints(row: CostRow) -> None:
    package = PACKAGES[row.family]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; it needs Python 3.12, this is {sys.version[:4]}")
    live = live_cost(row.name, node_nm=row.node_nm, bits=row.bits)
    assert live.value == pytest.approx(row.value, rel=2e-3)
    for field in ("name", "family", "unit", "node_nm", "voltage_v", "bits", "kind", "valid"):
        assert getattr(live, field) == getattr(row, field)


@pytest.mark.parametrize(
    ("name", "node_nm", "bits", "named"),
    [
        ("sram_write_8kb", 45, 64, "expected adc_conversion or sram_read_8kb"),
        ("adc_conversion", 5, 6, "node_nm: found 5, expected a number from 7 to 130"),
        ("adc_conversion", 45, 3, "bits: found 3"),
        ("sram_read_8kb", 45, 32, "bits: found 32"),
        ("sram_read_0kb", 45, 64, "KB: found 0"),
        ("sram_read_8kb", 7, 64, "node_nm: found 7, expected a number from 22 to 180"),
    ],
)
def test_row_that_no_tool_prints_is_refused(
    name: str, node_nm: float, bits: int, named: str
) -> None:
    with pytest.raises(InputError, match=named):
        live_cost(name, node_nm=node_nm, bits=bits)


def test_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES.values():
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"hwcomponents-adc: pip install 'snnquant\[live\]'"):
        live_cost("adc_conversion", node_nm=45, bits=6)
    with pytest.raises(InputError, match="hwcomponents-cacti"):
        live_cost("sram_read_8kb", node_nm=45, bits=64)
