"""Costs, designs and their ratios, and the uncertain constants that costs are proportional to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from pim_sim.cost_model.scales import spreads
from pim_sim.hardware import ADC, Macro
from pim_sim.technology import survey_fit

LEVEL = 0.8
"""Probability of every interval."""

CONTROL_SHARE = 0.05
"""Clock and control as a share of the rest: 4 % of Wang's macro, 3.5 % of Colonnade's decoder,
7.5 % of its control and registers."""


class Constant(NamedTuple):
    """An uncertain constant, and the factor by which it may be off, up or down, in 80 of 100 cases.

    The spreads are declared here; the comments give their reasons.
    """

    name: str
    spread: float


# converters of measured chips against Accelergy's law: 0.25, 3.1 and 3.6 times
BEST_CONVERSION_ENERGY = Constant("conversion_energy", 4.0)
# E_BLP and the functional read of ACE-SNN's kind: second hand, as far apart as cells above
BIT_LINE_ENERGY = Constant("bit_line_energy", 1.9)
# Horowitz's 8 KB read against CACTI's: 10 and 6.1 pJ
MEMORY_ENERGY = Constant("memory_energy", 1.6)
# Aladdin's int8 multiplication is 4.6 times Horowitz's: either may be the silicon's
MULTIPLY_ENERGY = Constant("multiply_energy", 2.1)
ADD_ENERGY = Constant("add_energy", 1.6)
LEAKAGE_POWER = Constant("leakage_power", 10.0)
# Horowitz's DRAM read spans a factor of 2, memory writes as above
LOADING_ENERGY = Constant("loading_energy", 1.6)

# times: nodes and supplies move a path by about as much
MEMORY_TIME = Constant("memory_time", 1.5)
MULTIPLY_TIME = Constant("multiply_time", 1.5)
ARRAY_TIME = Constant("array_time", 1.5)
CONVERSION_TIME = Constant("conversion_time", 2.0)
STEP_TIME = Constant("step_time", 2.0)
LOGIC_ENERGY = Constant("logic_energy", 1.6)

EXACT = Constant("exact", 1.0)
"""Constant of a cost without uncertainty of its own, such as a sum of others."""


def macro_energy(macro: Macro) -> Constant:
    """Return the constant of a macro's energy: its spread is what left-out chips of its kind miss.

    All components of one macro miss together, as they did on those chips; another kind of macro
    misses on its own.
    """
    return _of_kind(macro, "energy")


def macro_time(macro: Macro) -> Constant:
    """Return the constant of a macro's time, as `macro_energy`; none for a stated time."""
    return EXACT if macro.cycle_ns is not None else _of_kind(macro, "time")


def macro_area(macro: Macro) -> Constant:
    """Return the constant of a macro's area, as `macro_energy`; none for a stated area."""
    return EXACT if macro.area_mm2 is not None else _of_kind(macro, "area")


def conversion_energy(adc: ADC) -> Constant:
    """Return the constant of the energy of a converter by its law; none for a stated energy.

    Of the typical law the middle 80 % of the converters that earlier forecasts had not seen.
    """
    if adc.energy_law == "stated":
        return EXACT
    if adc.energy_law == "accelergy":
        return BEST_CONVERSION_ENERGY
    low, high = (survey_fit()["percentiles"][percentile] for percentile in ("10", "90"))
    return Constant("conversion_energy", math.exp((high - low) / 2))


def _of_kind(macro: Macro, quantity: str) -> Constant:
    by_kind, read = spreads()[quantity], macro.array.kind.read
    kind = read if read in by_kind else max(by_kind, key=lambda name: by_kind[name])
    return Constant(f"{kind}_macro_{quantity}", by_kind[kind])


@dataclass(frozen=True)
class Cost:
    """Energy and delay to classify one pixel.

    Args:
        energy_pj: energy in pJ.
        delay_ns: delay in ns; 0 for work that overlaps with other work.
        by: the uncertain constants that the energy and the delay are proportional to.

    >>> Cost(2.0, 3.0).edp
    6.0
    """

    energy_pj: float
    delay_ns: float
    by: tuple[Constant, Constant] = (EXACT, EXACT)

    @property
    def edp(self) -> float:
        """Energy-delay product in pJ ns."""
        return self.energy_pj * self.delay_ns

    def times(self, count: int) -> Cost:
        """Return the cost of so many repetitions."""
        return Cost(self.energy_pj * count, self.delay_ns * count, self.by)

    def to_dict(self) -> dict[str, float]:
        """Return energy and delay, each named with its unit."""
        return {"energy_pj": self.energy_pj, "delay_ns": self.delay_ns}


def total_delay_ns(costs: Mapping[str, Cost]) -> float:
    """Return the delay of components that follow each other."""
    return sum(cost.delay_ns for cost in costs.values())


@dataclass(frozen=True)
class Design:
    """One way to compute a layer: its cost by component, and in total."""

    components: Mapping[str, Cost]
    """Components by name; one whose work overlaps with another's has delay 0."""
    area_mm2: float
    """Area of the engine and of the memory that keeps the layer."""

    @property
    def total(self) -> Cost:
        """Sum of the components."""
        energy_pj = sum(cost.energy_pj for cost in self.components.values())
        return Cost(energy_pj, total_delay_ns(self.components))

    def to_dict(self) -> dict[str, float]:
        """Return energy, delay, their product and area, each named with its unit."""
        total = self.total
        return {**total.to_dict(), "edp_pj_ns": total.edp, "area_mm2": self.area_mm2}


@dataclass(frozen=True)
class Ratio:
    """Improvement of the second of two costs over the first, in both readings of "better by"."""

    factor: float
    """First divided by second; above 1 where the second is better."""
    saved: float
    """1 - second / first, a share; above 0 where the second is better."""


@dataclass(frozen=True)
class Comparison:
    """A layer digital and in memory.

    Args:
        digital: cost of the digital design.
        in_memory: cost of the design in memory.

    >>> Comparison(Cost(3.0, 2.0), Cost(1.5, 1.0)).edp
    Ratio(factor=4.0, saved=0.75)
    """

    digital: Cost
    in_memory: Cost

    @property
    def energy(self) -> Ratio:
        """Ratio of the energies."""
        return _ratio(self.digital.energy_pj, self.in_memory.energy_pj)

    @property
    def delay(self) -> Ratio:
        """Ratio of the delays."""
        return _ratio(self.digital.delay_ns, self.in_memory.delay_ns)

    @property
    def edp(self) -> Ratio:
        """Ratio of the energy-delay products."""
        return _ratio(self.digital.edp, self.in_memory.edp)

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Return ``{"energy": {"factor", "saved"}, "delay": ..., "edp": ...}``."""
        return {name: asdict(getattr(self, name)) for name in ("energy", "delay", "edp")}


def _ratio(first: float, second: float) -> Ratio:
    return Ratio(factor=first / second, saved=1 - second / first)
