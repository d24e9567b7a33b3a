"""The whole network's energy, with its first layer digital or in memory.

The later layers stay digital. Where their inputs are spikes they only add: an addition for every
non-zero input, by the density the workload states, and no multiplication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pim_sim.digital import COMPUTING, digital_costs, digital_upkeep, overheads
from pim_sim.hardware.parts import Hardware
from pim_sim.results import Cost
from pim_sim.workload import Layer


@dataclass(frozen=True, kw_only=True)
class Network:
    """Energy to classify one pixel, in pJ."""

    later_layers_pj: float
    digital_first_pj: float
    """With the first layer digital."""
    in_memory_first_pj: float
    """With the first layer in memory."""

    def to_dict(self) -> dict[str, float]:
        """The energies and their ratio."""
        return {**asdict(self), "factor": self.digital_first_pj / self.in_memory_first_pj}


def price_network(
    later: Sequence[Layer], hardware: Hardware, digital: Cost, in_memory: Cost
) -> Network:
    """The network whose first layer costs ``digital`` or ``in_memory``."""
    rest = sum(_layer_pj(layer, hardware) for layer in later)
    return Network(
        later_layers_pj=rest,
        digital_first_pj=rest + digital.energy_pj,
        in_memory_first_pj=rest + in_memory.energy_pj,
    )


def _layer_pj(layer: Layer, hardware: Hardware) -> float:
    costs = digital_costs(layer, hardware)
    delay_ns = sum(cost.delay_ns for cost in costs.values())
    if layer.input_bits == 1:
        costs["multiplies"] = Cost(0.0, 0.0)
        costs["adds"] = Cost(costs["adds"].energy_pj * layer.input_density, 0.0)
    costs |= overheads(layer, hardware, costs, COMPUTING)
    costs |= digital_upkeep(layer, hardware, delay_ns)
    return sum(cost.energy_pj for cost in costs.values()) * layer.applications
