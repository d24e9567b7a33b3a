from __future__ import annotations

import importlib
import json
import math
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim import InputError
from pim_sim.technology import (
    accelergy_energy_pj,
    component_costs,
    cost,
    energy_ratio,
    rate_factor,
    survey_fit,
    typical_energy_pj,
)

SCRIPTS = Path(__file__).parents[2] / "scripts" / "calibration"


def _script(name: str) -> ModuleType:
    if str(SCRIPTS) not in sys.path:
        sys.path.insert(0, str(SCRIPTS))
    return importlib.import_module(name)


@pytest.fixture(scope="module")
def survey() -> Path:
    if "SNNQUANT_DATA" not in os.environ:
        pytest.skip("SNNQUANT_DATA is not set: no ADC survey to compare with")
    path = Path(os.environ["SNNQUANT_DATA"]) / "adc_survey_1997_2017.csv"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    return path


def test_every_row_names_its_source_its_kind_and_where_it_holds() -> None:
    kinds = {"measured", "fitted", "printed", "bound", "recalled"}
    for row in component_costs():
        assert row.value > 0
        assert row.kind in kinds
        assert len(row.source.split()) >= 3, row
        assert row.valid
    keys = [(r.name, r.family, r.node_nm, r.bits) for r in component_costs()]
    assert len(set(keys)) == len(keys)


def test_table_is_what_its_script_writes() -> None:
    script = _script("make_component_costs")
    rows = [*script.arithmetic(), *script.memories(), *script.gates(), *script.converters()]
    shipped = [(r.name, r.family, r.value, r.unit, r.node_nm, r.bits) for r in component_costs()]
    assert shipped == [(n, f, float(v), u, float(node), b) for n, f, v, u, node, _, b, *_ in rows]


def test_shipped_converter_rows_are_what_the_law_gives() -> None:
    # the rows were printed by the package; the law is the one the simulator carries
    rows = [row for row in component_costs() if row.name == "adc_conversion"]
    assert len(rows) == 16
    for row in rows:
        assert accelergy_energy_pj(row.bits, row.node_nm, 1e8) == pytest.approx(row.value, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"family": "horowitz"}, "2 rows fit"),
        ({"family": "neurosim", "bits": 8}, "0 rows fit"),
        ({"family": "horowitz", "bits": 8, "node_nm": 65}, "0 rows fit"),
    ],
)
def test_row_that_is_not_there_or_not_one_is_refused(
    options: dict[str, object], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        cost("int_multiply", **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="component: found 'hope'"):
        cost("hope")


def test_stillmaker_on_paper() -> None:
    # 65 nm at 1.0 V: 3.755 - 4.398 + 1.975 = 1.332; 7 nm at 0.8 V: 0.113664 - 0.072776 + 0.02447
    assert energy_ratio(65, 1.0, 7, 0.8) == pytest.approx(0.065358 / 1.332, rel=1e-4)
    assert energy_ratio(22, 0.9, 22, 0.9) == 1
    # 38.5 nm lies half way between 32 and 45 nm
    halves = (energy_ratio(45, 0.9, 32, 0.9) + 1) / 2
    assert energy_ratio(45, 0.9, 38.5, 0.9) == pytest.approx(halves)


@pytest.mark.parametrize(("node_nm", "voltage_v"), [(5, 0.8), (180, 0.8), (45, 0.4), (45, 1.5)])
def test_scaling_outside_its_range_is_refused(node_nm: float, voltage_v: float) -> None:
    with pytest.raises(InputError, match="to scale digital logic"):
        energy_ratio(45, 0.9, node_nm, voltage_v)


@settings(deadline=None)
@given(
    enob=st.floats(3, 14), rate=st.floats(1e4, 1e10), node=st.floats(5, 350)
)  # the survey's range
def test_typical_converter_grows_with_bits_rate_and_node(
    enob: float, rate: float, node: float
) -> None:
    energy = typical_energy_pj(enob, rate, node)
    assert energy < typical_energy_pj(enob + 0.5, rate, node)
    assert energy < typical_energy_pj(enob, rate * 1.5, node)
    assert energy < typical_energy_pj(enob, rate, node * 1.2)
    assert energy < typical_energy_pj(enob, rate, node, year=2010)
    assert energy == typical_energy_pj(enob, rate, node, year=2025)
    low, high = (typical_energy_pj(enob, rate, node, percentile=p) for p in (10, 90))
    assert low < energy < high
    assert rate_factor(rate) < rate_factor(rate * 2)
    assert rate_factor(1e8) == 1


def test_unknown_percentile_is_refused() -> None:
    with pytest.raises(InputError, match="percentile: found 42, expected one of 10, 50, 90"):
        typical_energy_pj(8, 1e8, 65, percentile=42)


def test_shipped_survey_fit_is_what_its_script_fits(survey: Path) -> None:
    assert json.loads(json.dumps(_script("fit_adc_survey").fit(survey))) == survey_fit()


def test_interval_holds_most_converters_that_an_earlier_fit_had_not_seen(survey: Path) -> None:
    script = _script("fit_adc_survey")
    conditions, energies = script.conditions_and_energies(survey)
    late = conditions[:, 3] >= 2015
    held = 0
    for (enob, rate, node, _), energy in zip(conditions[late], energies[late], strict=True):
        low, high = (math.log(typical_energy_pj(enob, rate, node, percentile=p)) for p in (10, 90))
        held += low <= energy <= high
    assert late.sum() > 60
    assert 0.7 <= held / late.sum() <= 0.95
