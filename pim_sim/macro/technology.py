"""Capacitances, areas and delays of a node, from which a macro is priced.

Capacitance of a gate is proportional to the node and that of a wire to its length (constant-field
scaling, Dennard et al., JSSC 1974), so one measured value of each is enough; cell areas do not
follow the square of the node and are interpolated in a table of published ones.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from pim_sim.components import component_costs, cost
from pim_sim.numeric import exp, higher, interpolate, log, sqrt

_TRANSISTORS_OF_A_GATE = 4  # two inputs, two transistors each

# Gates of the standard-cell model of ZigZag's digital in-memory arrays: an XOR has the area and
# delay of 2.4 NANDs and 1.5 times their input capacitance; a full adder is 2 XOR and 3 NAND; a
# flip-flop has 3 times the capacitance and 6 times the area.
ADDER_GATES = 2 * 1.5 + 3
ADDER_GATE_AREAS = 2 * 2.4 + 3
REGISTER_GATES = 3
REGISTER_GATE_AREAS = 6
XOR_DELAYS = 2.4

# Area of a cell that computes, in areas of a 6T cell: 8T adds a read port, a digital cell a NOR; a
# capacitor cell and one with an adder of its own are dominated by what multiplies (the published
# areas of Jia 2020, Wang 2022 and Colonnade 2021 divided by their bits).
_CELL_AREAS: dict[str, float] = {
    "sram_6t": 1.0,
    "sram_8t": 1.4,
    "charge": 6.0,
    "c2c": 8.0,
    "rram": 0.6,
    "digital": 3.0,
    "digital_chain": 22.0,
}


@dataclass(frozen=True)
class Technology:
    """What one node and supply offer."""

    node_nm: float
    supply_v: float

    @property
    def gate_ff(self) -> float:
        """Input capacitance of a two-input gate."""
        return self._scaled("gate_capacitance")

    @property
    def transistor_ff(self) -> float:
        """Gate capacitance of one small transistor."""
        return self.gate_ff / _TRANSISTORS_OF_A_GATE

    @property
    def gate_um2(self) -> float:
        """Area of a two-input gate."""
        row = cost("gate_area")
        return row.value * (self.node_nm / row.node_nm) ** 2

    @property
    def gate_ns(self) -> float:
        """Delay of a two-input gate at this supply."""
        return self._scaled("gate_delay") * self.slowdown

    @property
    def slowdown(self) -> float:
        """Delay at this supply against 0.9 V, by the alpha-power law.

        t ~ V / (V - V_t)^1.3 (Sakurai & Newton, JSSC 25(2), 1990) with V_t = 0.35 V.
        """
        threshold, alpha, usual = 0.35, 1.3, 0.9
        above = higher(self.supply_v - threshold, 0.05)
        return self.supply_v / usual * exp(alpha * log((usual - threshold) / above))

    @property
    def decision_fj(self) -> float:
        """Energy of one decision of a converter: its comparator and the switching for it."""
        return self._scaled("converter_decision") * self.supply_v**2

    def dac_fj(self, bits: int) -> float:
        """Energy of one digital-to-analog conversion."""
        return self._scaled("dac_bit") * bits * self.supply_v**2

    def cell_um2(self, cell: str) -> float:
        """Area of a cell with what multiplies in it."""
        return _CELL_AREAS[cell] * sram_cell_um2(self.node_nm)

    def line_ff(self, cell_um2: float, transistors: float) -> float:
        """Capacitance that one cell adds to a line along it, with the gates it connects."""
        wire = cost("wire_capacitance").value
        return transistors * self.transistor_ff + wire * sqrt(cell_um2)

    def _scaled(self, name: str) -> float:
        row = cost(name)
        return row.value * self.node_nm / row.node_nm


def sram_cell_um2(node_nm: float) -> float:
    """Area of a 6T SRAM cell, between and beyond published ones by a power law of the node."""
    nodes, areas = _published_cells()
    return exp(interpolate(log(node_nm), nodes, areas))


@functools.cache
def _published_cells() -> tuple[list[float], list[float]]:
    """Logarithms of the published nodes and areas, smallest node first."""
    table = sorted((c.node_nm, c.value) for c in component_costs() if c.name == "sram_cell_area")
    return [log(node) for node, _ in table], [log(area) for _, area in table]
