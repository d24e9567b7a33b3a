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
    Node,
    accelergy_energy_pj,
    component_costs,
    cost,
    delay_ratio,
    energy_ratio,
    pitch_ratio,
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
    kinds = {"measured", "fitted", "printed", "bound", "recalled", "assumed"}
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


def test_node_and_supply_on_paper() -> None:
    # 6T cells of 0.525 um2 at 65 and 0.027 um2 at 7 nm: pitches of 0.7246 and 0.1643 um
    assert pitch_ratio(65, 7) == pytest.approx(0.1643 / 0.7246, rel=1e-3)
    assert energy_ratio(65, 1.0, 7, 0.8) == pytest.approx(0.1643 / 0.7246 * 0.64, rel=1e-3)
    assert energy_ratio(22, 0.9, 22, 0.9) == 1
    # the delay of a gate: pitch, and V / (V - 0.35)^1.3
    slower = 0.8 / 0.45**1.3 / (1.0 / 0.65**1.3)
    assert delay_ratio(65, 1.0, 7, 0.8) == pytest.approx(0.1643 / 0.7246 * slower, rel=2e-3)


@given(supply=st.floats(0.3, 1.5), node=st.floats(4, 130))
def test_lower_supply_is_slower_and_cheaper_everywhere(supply: float, node: float) -> None:
    lower = supply - 0.01
    assert Node(node, lower).slowdown > Node(node, supply).slowdown
    assert energy_ratio(node, supply, node, lower) < 1


def test_delay_near_the_threshold_grows_as_the_current_falls() -> None:
    """An earlier law took the overdrive as 0.05 V below 0.40 V: lower supplies were faster."""
    slow = [Node(65, supply).slowdown for supply in (0.30, 0.35, 0.40, 0.45)]
    assert slow == sorted(slow, reverse=True)
    # softplus at the threshold: ln 2 of 2 x 1.4 x 25.9 mV is 0.0503 V, over 0.55 V at 0.9 V
    assert slow[1] == pytest.approx(0.35 / 0.9 * (0.55 / 0.0503) ** 1.3, rel=5e-3)


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
    assert energy > typical_energy_pj(enob, rate, node, year=2025)
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
