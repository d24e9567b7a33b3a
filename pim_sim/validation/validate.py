"""The macro model beside silicon: families of macros left out of the fit, shipped chips, laws."""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

from pim_sim.cost_model import Scales
from pim_sim.validation.first_layer import check_layer
from pim_sim.validation.law_fit import OWN_MISS_LN, fit_scales
from pim_sim.validation.left_out import LeftOut, leave_out, rows_by_family
from pim_sim.validation.measured_chips import QUANTITIES, Measured, Quantity, measured_chips
from pim_sim.validation.references import Reference, references
from pim_sim.validation.silicon import Silicon, beside_silicon


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Agreement of the model with measured chips."""

    scales: Scales
    """Constants fitted to every chip; those of the package."""
    left_out: dict[Quantity, LeftOut]
    """Every family predicted without its own figures."""
    layer: dict[str, Any]
    """The first layer on Indian Pines on Wang's macro (`pim_sim.validation.first_layer`)."""
    silicon: tuple[Silicon, ...]
    """Energy per operation of shipped chips beside measured ones."""
    references: tuple[Reference, ...]
    """Single laws and rows of the component table against other sources."""

    @property
    def left_out_geomean(self) -> dict[str, float]:
        """Geometric mean factor error of SRAM and digital families, by quantity."""
        return {quantity: self.left_out[quantity].geomean() for quantity in QUANTITIES}

    @property
    def coverage(self) -> dict[str, float]:
        """Share of these families inside their 80 % intervals, by quantity."""
        return {quantity: self.left_out[quantity].coverage() for quantity in QUANTITIES}

    @property
    def spreads(self) -> dict[str, dict[str, float]]:
        """Half-widths of the intervals of new chips as factors, by quantity and kind."""
        return {quantity: self.left_out[quantity].spreads for quantity in QUANTITIES}

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON."""
        every = self.left_out
        return {
            "left_out_geomean": self.left_out_geomean,
            "coverage": self.coverage,
            "families": {quantity: every[quantity].count() for quantity in QUANTITIES},
            "with_doubtful": {
                "left_out_geomean": {q: every[q].geomean(doubtful=True) for q in QUANTITIES},
                "coverage": {q: every[q].coverage(doubtful=True) for q in QUANTITIES},
            },
            "non_volatile": {
                "left_out_geomean": {q: every[q].geomean(volatile=False) for q in QUANTITIES},
                "coverage": {q: every[q].coverage(volatile=False) for q in QUANTITIES},
                "families": {q: every[q].count(volatile=False) for q in QUANTITIES},
            },
            "left_out": rows_by_family(every.values()),
            "spreads": self.spreads,
            "scales": asdict(self.scales),
            "layer": self.layer,
            "silicon": [{**asdict(row), "factor": row.factor} for row in self.silicon],
            "references": [{**asdict(r), "factor": r.factor} for r in self.references],
        }


def validate(rows: tuple[Measured, ...] | None = None) -> Validation:
    """Fit to all measured chips, and to all except each family.

    ``rows`` are the shipped ones unless given.
    """
    return _validate(measured_chips() if rows is None else rows)


@functools.lru_cache(maxsize=2)
def _validate(rows: tuple[Measured, ...]) -> Validation:
    scales = fit_scales(rows)
    wang = [row for row in rows if row.family == "wang22_c2c"]
    return Validation(
        scales=scales,
        left_out={quantity: leave_out(rows, quantity) for quantity in QUANTITIES},
        layer=check_layer(fit_scales(wang, scales, OWN_MISS_LN)),
        silicon=beside_silicon(),
        references=references(),
    )
