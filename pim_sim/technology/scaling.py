"""Scaling of digital logic between nodes after Stillmaker & Baas (Integration 58:74-81, 2017).

The energy of a transition is a polynomial in the supply for each node, fitted by the authors to
circuit simulation; the ratio of two scales an energy. The coefficients are those of hwcomponents
1.0.114 (MIT). The paper has high-performance ones for 45 nm beside them (recalled), which
give 1.906 instead of 1.578 from 45 nm, 0.9 V to 65 nm, 1.0 V. CACTI's reads of 32 KB, which neither
set was made from, agree within 1.12 at 65 and 1.09 at 22 nm with these, within 1.08 and 1.31 with
those. Nodes between two of the table are interpolated, as in that package.

No other law scales energies in pim_sim. Times are proportional to the node (Dennard et al., JSSC
1974).
"""

from __future__ import annotations

from itertools import pairwise

from pim_sim.schema import refuse

_ENERGY: dict[float, tuple[float, float, float]] = {
    130: (7.171, -6.709, 2.904),
    90: (4.762, -4.781, 2.092),
    65: (3.755, -4.398, 1.975),
    45: (1.103, -0.362, 0.2767),
    32: (0.9559, -0.7823, 0.471),
    20: (0.373, -0.1582, 0.04104),
    16: (0.2958, -0.1241, 0.03024),
    14: (0.2363, -0.09675, 0.02239),
    10: (0.2068, -0.09311, 0.02375),
    7: (0.1776, -0.09097, 0.02447),
}
_NODES = sorted(_ENERGY)
_VOLTAGES = (0.5, 1.3)


def energy_ratio(from_nm: float, from_v: float, to_nm: float, to_v: float) -> float:
    """Return the factor of an energy from one node and supply to another.

    Raises `InputError` for a node outside 7 to 130 nm or a supply outside 0.5 to 1.3 V.
    """
    return _energy(to_nm, to_v) / _energy(from_nm, from_v)


def _energy(node_nm: float, voltage_v: float) -> float:
    if not _NODES[0] <= node_nm <= _NODES[-1]:
        raise refuse(
            "node_nm", node_nm, f"{_NODES[0]:g} to {_NODES[-1]:g} nm to scale digital logic"
        )
    if not _VOLTAGES[0] <= voltage_v <= _VOLTAGES[1]:
        expected = f"{_VOLTAGES[0]:g} to {_VOLTAGES[1]:g} V to scale digital logic"
        raise refuse("supply_v", voltage_v, expected)
    low, high = next(pair for pair in pairwise(_NODES) if pair[0] <= node_nm <= pair[1])
    share = (node_nm - low) / (high - low)
    at_low, at_high = (_polynomial(node, voltage_v) for node in (low, high))
    return at_low + share * (at_high - at_low)


def _polynomial(node_nm: float, voltage_v: float) -> float:
    square, linear, constant = _ENERGY[node_nm]
    return square * voltage_v**2 + linear * voltage_v + constant
