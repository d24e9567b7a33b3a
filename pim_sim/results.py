"""What a simulation answers: costs by component, and how two designs compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pim_sim.mapping import Placement
from pim_sim.workload import Layer

if TYPE_CHECKING:
    from pim_sim.interval import Interval
    from pim_sim.macro.tiling import Tiling
    from pim_sim.network import Network

ACE_SNN_PERCENT = {"energy": 30, "delay": 7, "edp": 38}
"""ACE-SNN's figures for its first layer in memory instead of digital, "better by" so many percent
(Datta et al., Front. Neurosci. 16:815258, 2022, abstract). As factors 1.30 * 1.07 = 1.39 fits its
38 %; as savings 1 - 0.70 * 0.93 would give 34.9 %."""


@dataclass(frozen=True)
class Cost:
    """Energy and delay to classify one pixel."""

    energy_pj: float
    delay_ns: float

    @property
    def edp(self) -> float:
        """Energy-delay product in pJ ns."""
        return self.energy_pj * self.delay_ns

    def to_dict(self) -> dict[str, float]:
        """Energy, delay and their product, each named with its unit."""
        return {**asdict(self), "edp_pj_ns": self.edp}


@dataclass(frozen=True)
class Design:
    """One way to compute a layer: its cost by component, and in total."""

    components: Mapping[str, Cost]
    """Components by name; one whose work overlaps with another's has delay 0."""
    area_mm2: float
    """Area of what computes and of the memory that keeps the layer."""

    @property
    def total(self) -> Cost:
        """The sum of the components."""
        costs = self.components.values()
        return Cost(sum(cost.energy_pj for cost in costs), sum(cost.delay_ns for cost in costs))


@dataclass(frozen=True)
class Ratio:
    """How much less the second of two costs is, in both readings of "better by"."""

    factor: float
    """First divided by second; above 1 where the second is better."""
    saved: float
    """1 - second / first, a share; above 0 where the second is better."""


@dataclass(frozen=True)
class Comparison:
    """A layer digital and in memory."""

    digital: Cost
    in_memory: Cost

    @property
    def energy(self) -> Ratio:
        """Of the energies."""
        return _ratio(self.digital.energy_pj, self.in_memory.energy_pj)

    @property
    def delay(self) -> Ratio:
        """Of the delays."""
        return _ratio(self.digital.delay_ns, self.in_memory.delay_ns)

    @property
    def edp(self) -> Ratio:
        """Of the energy-delay products."""
        return _ratio(self.digital.edp, self.in_memory.edp)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """``{"energy": {"factor", "saved"}, "delay": ..., "edp": ...}``."""
        return {name: asdict(getattr(self, name)) for name in ("energy", "delay", "edp")}


@dataclass(frozen=True, kw_only=True)
class Utilisation:
    """How much of the arrays a layer uses, and how often it drives them."""

    rows: float
    """Share of the rows that take part (of a bit-line array: that keep weights)."""
    columns: float
    """Share of the columns that hold weights."""
    products_per_conversion: float
    """Products that share one conversion."""
    input_drives: float
    """How often a row is driven for each input value."""
    layout: Placement | Tiling
    """How the layer lies on the arrays."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One layer on one piece of hardware."""

    hardware: str
    """Name of the hardware."""
    layer: Layer
    digital: Design
    in_memory: Design
    utilisation: Utilisation
    interval: Interval
    """How sure the comparison is."""
    network: Network
    """The network with the first layer on either side."""

    @property
    def comparison(self) -> Comparison:
        """The two totals against each other."""
        return Comparison(self.digital.total, self.in_memory.total)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, ready for JSON."""
        designs = {"digital": self.digital, "in_memory": self.in_memory}
        layer = self.layer
        return {
            "hardware": self.hardware,
            "layer": {
                **asdict(layer),
                "output_shape": layer.output_shape,
                "macs": layer.macs,
                "outputs": layer.outputs,
                "weights": layer.weights,
                "applications": layer.applications,
            },
            **{
                name: {**design.total.to_dict(), "area_mm2": design.area_mm2}
                for name, design in designs.items()
            },
            "ratio": self.comparison.to_dict(),
            "utilisation": asdict(self.utilisation),
            "interval": self.interval.to_dict(),
            "network": self.network.to_dict(),
            "breakdown": {
                name: {part: asdict(cost) for part, cost in design.components.items()}
                for name, design in designs.items()
            },
        }


def _ratio(first: float, second: float) -> Ratio:
    return Ratio(factor=first / second, saved=1 - second / first)
