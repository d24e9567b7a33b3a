"""Capacitances, areas and delays of a node, the basis of the macro model.

Capacitance of a gate is proportional to the node and that of a wire to its length (constant-field
scaling, Dennard et al., JSSC 1974), so one measured value of each is enough; cell areas do not
follow the square of the node and are interpolated in a table of published ones.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pim_sim.technology.components import component_costs, cost

_TRANSISTORS_PER_GATE = 4  # two inputs, two transistors each


@dataclass(frozen=True)
class StandardCells:
    """Gates of the standard-cell model of ZigZag's digital in-memory arrays, in NANDs.

    An XOR has the area and delay of 2.4 NANDs and 1.5 times their input capacitance; a full adder
    is 2 XOR and 3 NAND; a flip-flop has 3 times the capacitance and 6 times the area.
    """

    adder: float = 2 * 1.5 + 3
    adder_area: float = 2 * 2.4 + 3
    register: int = 3
    register_area: int = 6
    xor_delay: float = 2.4


GATES = StandardCells()


@dataclass(frozen=True)
class Node:
    """One technology node at one supply."""

    node_nm: float
    supply_v: float

    @property
    def gate_ff(self) -> float:
        """Input capacitance of a two-input gate."""
        return self._scaled("gate_capacitance")

    @property
    def transistor_ff(self) -> float:
        """Gate capacitance of one small transistor."""
        return self.gate_ff / _TRANSISTORS_PER_GATE

    @property
    def gate_ns(self) -> float:
        """Delay of a two-input gate at this supply."""
        return self._scaled("gate_delay") * self.slowdown

    @property
    def slowdown(self) -> float:
        """Delay at this supply over that at 0.9 V, by the alpha-power law.

        t ~ V / (V - V_t)^1.3 (Sakurai & Newton, JSSC 25(2), 1990) with V_t = 0.35 V.
        """
        threshold, alpha, usual = 0.35, 1.3, 0.9
        overdrive = max(self.supply_v - threshold, 0.05)
        return self.supply_v / usual * math.exp(alpha * math.log((usual - threshold) / overdrive))

    @property
    def decision_fj(self) -> float:
        """Energy of one decision of a converter: its comparator and the switching for it."""
        return self._scaled("converter_decision") * self.supply_v**2

    def dac_fj(self, bits: int) -> float:
        """Return the energy of one digital-to-analog conversion."""
        return self._scaled("dac_bit") * bits * self.supply_v**2

    def line_ff(self, cell_um2: float, transistors: float) -> float:
        """Return the capacitance that one cell adds to a line, with the gates it connects."""
        wire = cost("wire_capacitance").value
        capacitance: float = transistors * self.transistor_ff + wire * np.sqrt(cell_um2)
        return capacitance

    def _scaled(self, name: str) -> float:
        row = cost(name)
        return row.value * self.node_nm / row.node_nm


def sram_cell_um2(node_nm: float) -> float:
    """Return the area of a 6T SRAM cell, from published ones by a power law of the node."""
    nodes, areas = _published_cells()
    place = math.log(node_nm)
    segments = list(pairwise(zip(nodes, areas, strict=True)))
    # beyond the outer nodes, the outer segments continue
    index = sum(place >= start for (start, _), _ in segments[1:])
    (low, first), (high, last) = segments[index]
    return math.exp(first + (last - first) / (high - low) * (place - low))


@functools.cache
def _published_cells() -> tuple[list[float], list[float]]:
    """Return logarithms of the published nodes and areas, smallest node first."""
    table = sorted((c.node_nm, c.value) for c in component_costs() if c.name == "sram_cell_area")
    return [math.log(node) for node, _ in table], [math.log(area) for _, area in table]
