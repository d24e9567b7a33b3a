"""A layer with its hardware, the protocol of laying it out on an engine, and its use of arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from pim_sim.cost_model.bit_line_layout import Placement
from pim_sim.cost_model.costs import Cost
from pim_sim.cost_model.macro_layout import Tiling
from pim_sim.cost_model.scales import Scales, calibrated
from pim_sim.hardware import Hardware
from pim_sim.workload import Layer


@dataclass(frozen=True)
class Setup:
    """A layer on a piece of hardware, and the scales of the macro model."""

    layer: Layer
    hardware: Hardware
    scales: Scales = field(default_factory=calibrated)


@dataclass(frozen=True, kw_only=True)
class Utilisation:
    """Use of the arrays by a layer, and drives of their rows."""

    rows: float
    """Share of the rows that take part (of a bit-line array: that keep weights)."""
    columns: float
    """Share of the columns that hold weights."""
    products_per_conversion: float
    """Products that share one conversion."""
    input_drives: float
    """Drives of a row per input value."""
    layout: Placement | Tiling
    """Layout of the layer on the arrays."""


class MappedLayer(Protocol):
    """A layer laid out on an engine; numbers may be arrays, for many designs at once."""

    def costs(self) -> dict[str, Cost]:
        """Return the cost of one application by component."""

    def area_mm2(self) -> float:
        """Return the area of the engine and of the memory that keeps the layer."""


class MappedOnArrays(MappedLayer, Protocol):
    """A layer laid out on an engine that computes in memory."""

    def utilisation(self) -> Utilisation:
        """Return the use of the arrays."""
