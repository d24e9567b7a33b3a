from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pim_sim.hardware import ADC
from pim_sim.technology import accelergy_energy_pj, typical_energy_pj, zigzag_time_ns

# Totals that hwcomponents-adc printed at 100 MS/s, pJ, by bits and node.
PRINTED = {
    4: {65: 3.50, 45: 1.75, 22: 0.457, 7: 0.053},
    6: {65: 4.04, 45: 2.02, 22: 0.527, 7: 0.061},
    8: {65: 6.49, 45: 3.25, 22: 0.847, 7: 0.098},
    10: {65: 12.5, 45: 6.28, 22: 1.64, 7: 0.19},
}


@pytest.mark.parametrize("bits", PRINTED)
def test_accelergy_law_gives_what_the_package_prints(bits: int) -> None:
    for node_nm, energy_pj in PRINTED[bits].items():
        # printed to two or three digits
        assert accelergy_energy_pj(bits, node_nm, 1e8) == pytest.approx(energy_pj, rel=0.012)


def test_accelergy_law_pays_for_speed_beyond_the_cap_only() -> None:
    # at 6 bits the cap of 128.31 + 19.32 = 147.63 dB meets 213.78 - 2.872 ln f at 10 GHz
    assert accelergy_energy_pj(6, 65, 1e6) == accelergy_energy_pj(6, 65, 9e9)
    assert accelergy_energy_pj(6, 65, 4e10) > 1.2 * accelergy_energy_pj(6, 65, 9e9)


def test_zigzag_law_on_paper() -> None:
    # 4 bits x (0.00653 x 100 + 0.640) ns = 5.172 ns at 28 nm, twice that at 56 nm
    assert zigzag_time_ns(4, 28, 100) == pytest.approx(5.172)
    assert zigzag_time_ns(4, 56, 100) == pytest.approx(10.344)


def test_each_named_law_prices_a_conversion() -> None:
    times = {"bits": 6, "time_law": "stated", "time_ns": 10.0}
    bound, typical = (
        ADC(energy_law=law, **times).conversion_energy_pj(65, 10.0)  # type: ignore[arg-type]
        for law in ("accelergy", "typical")
    )
    assert bound == accelergy_energy_pj(6, 65, 1e8)
    assert typical == typical_energy_pj(6, 1e8, 65)


@settings(deadline=None)
@given(
    bits=st.integers(4, 19),
    node_nm=st.floats(1, 500),
    columns=st.integers(1, 1024),
    rate_hz=st.floats(1e3, 1e11),
)
def test_laws_grow_with_bits_node_columns_and_rate(
    bits: int, node_nm: float, columns: int, rate_hz: float
) -> None:
    energy = accelergy_energy_pj(bits, node_nm, rate_hz)
    assert energy < accelergy_energy_pj(bits + 1, node_nm, rate_hz)
    assert energy < accelergy_energy_pj(bits, node_nm * 1.1, rate_hz)
    assert energy <= accelergy_energy_pj(bits, node_nm, rate_hz * 1.1)
    time = zigzag_time_ns(bits, node_nm, columns)
    assert time < zigzag_time_ns(bits + 1, node_nm, columns)
    assert time < zigzag_time_ns(bits, node_nm * 1.1, columns)
    assert time < zigzag_time_ns(bits, node_nm, columns + 1)
