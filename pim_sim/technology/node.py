"""Capacitances, areas and delays of a node: one law for everything that moves between nodes.

Lengths on a chip follow the pitch of its 6T memory cell, interpolated in a table of published
cells. Below 20 nm the name of a node shrinks faster than anything on it: from 28 to 7 nm the name
by 4, the pitch of a cell by 2.2. Capacitances of gates and delays are proportional to that pitch,
areas to its square, energies to capacitance and supply squared.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pim_sim.technology.components import component_costs, cost

_TRANSISTORS_PER_GATE = 4  # two inputs, two transistors each
_THRESHOLD_V, _ALPHA, _USUAL_V = 0.35, 1.3, 0.9
_THERMAL_V = 2 * 1.4 * 0.0259  # slope of the subthreshold current, at 300 K


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
    def gate_um2(self) -> float:
        """Area of a two-input gate."""
        row = cost("gate_area")
        return row.value * pitch_ratio(row.node_nm, self.node_nm) ** 2

    @property
    def gate_ns(self) -> float:
        """Delay of a two-input gate at this supply."""
        return self._scaled("gate_delay") * self.slowdown

    @property
    def slowdown(self) -> float:
        """Delay at this supply over that at 0.9 V, by the alpha-power law.

        t ~ V / (V - V_t)^1.3 (Sakurai & Newton, JSSC 25(2), 1990) with V_t = 0.35 V. Near and below
        the threshold the overdrive falls off exponentially, as the current does there, so that a
        lower supply is always slower.
        """
        drive = _overdrive(self.supply_v) / _overdrive(_USUAL_V)
        return self.supply_v / _USUAL_V * math.exp(-_ALPHA * math.log(drive))

    @property
    def conversion_fj(self) -> float:
        """Energy of a 5-bit conversion of 128 rows, before its scale factor."""
        return self._scaled("converter_step") * 2.0**5 * self.supply_v**2

    def line_ff(self, cell_um2: float, transistors: float) -> float:
        """Return the capacitance that one cell adds to a line, with the gates it connects."""
        wire = cost("wire_capacitance").value
        capacitance: float = transistors * self.transistor_ff + wire * np.sqrt(cell_um2)
        return capacitance

    def _scaled(self, name: str) -> float:
        row = cost(name)
        return row.value * pitch_ratio(row.node_nm, self.node_nm)


def energy_ratio(from_nm: float, from_v: float, to_nm: float, to_v: float) -> float:
    """Return the factor of an energy from one node and supply to another: pitch times V^2."""
    return pitch_ratio(from_nm, to_nm) * (to_v / from_v) ** 2


def delay_ratio(from_nm: float, from_v: float, to_nm: float, to_v: float) -> float:
    """Return the factor of a delay from one node and supply to another: that of a gate."""
    return Node(to_nm, to_v).gate_ns / Node(from_nm, from_v).gate_ns


def pitch_ratio(from_nm: float, to_nm: float) -> float:
    """Return the factor of a length on the chip from one node to another."""
    return math.sqrt(sram_cell_um2(to_nm) / sram_cell_um2(from_nm))


@functools.lru_cache(maxsize=1024)
def sram_cell_um2(node_nm: float) -> float:
    """Return the area of a 6T SRAM cell, from published ones by a power law of the node."""
    nodes, areas = _published_cells()
    place = math.log(node_nm)
    segments = list(pairwise(zip(nodes, areas, strict=True)))
    # beyond the outer nodes, the outer segments continue
    index = sum(place >= start for (start, _), _ in segments[1:])
    (low, first), (high, last) = segments[index]
    return math.exp(first + (last - first) / (high - low) * (place - low))


def _overdrive(supply_v: float) -> float:
    return _THERMAL_V * math.log1p(math.exp((supply_v - _THRESHOLD_V) / _THERMAL_V))


@functools.cache
def _published_cells() -> tuple[list[float], list[float]]:
    """Return logarithms of the published nodes and areas, smallest node first."""
    table = sorted((c.node_nm, c.value) for c in component_costs() if c.name == "sram_cell_area")
    return [math.log(node) for node, _ in table], [math.log(area) for _, area in table]
