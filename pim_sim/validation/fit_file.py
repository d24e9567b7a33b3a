"""Fit of the model's constants to a user's own chip.

The file is a macro file with one table ``[[measured]]`` per set of figures: `input_bits` and
`weight_bits`, the figures that were measured (`tops_per_watt` or `fj_per_mac`, `tops`, `area_mm2`),
and conditions that differ from the file (`supply_v`, `mean`). `part` names the component that an
energy covers.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pim_sim.cost_model import Scales, calibrated, lay_out
from pim_sim.cost_model.macro_layout import configured_for
from pim_sim.errors import InputError
from pim_sim.hardware import Macro, load_measured
from pim_sim.schema import check_integer, check_keys, check_number, refuse
from pim_sim.validation.law_fit import OWN_MISS_LN, fit_scales, terms_of
from pim_sim.validation.measured_chips import QUANTITIES, Measured, Quantity

_FIGURES = ("tops_per_watt", "fj_per_mac", "tops", "area_mm2")
_CONDITIONS = ("supply_v", "mean", "part")
_PARTS = ("input_drivers", "dac", "cells", "adders", "converters", "shift_and_add")


@dataclass(frozen=True, kw_only=True)
class FittedFigure:
    """One measured number beside the model before and after the fit."""

    quantity: Quantity
    condition: str
    measured: float
    """fJ per multiply-accumulate, ns per product of all rows, or mm2 of all copies."""
    before: float
    after: float

    def factors(self) -> tuple[float, float]:
        """Return the larger over the smaller, measured and modelled, before and after the fit."""
        ratios = (self.before / self.measured, self.after / self.measured)
        return max(ratios[0], 1 / ratios[0]), max(ratios[1], 1 / ratios[1])


@dataclass(frozen=True, kw_only=True)
class FittedChip:
    """Constants fitted to one chip, from those of the package."""

    name: str
    scales: Scales
    figures: tuple[FittedFigure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON."""
        before = asdict(calibrated())
        return {
            "source": f"pim-sim fit {self.name}",
            "scales": asdict(self.scales),
            "moved": {
                name: [before[name], value]
                for name, value in asdict(self.scales).items()
                if not math.isclose(value, before[name], rel_tol=1e-3, abs_tol=1e-3)
            },
            "figures": [
                {**asdict(f), **dict(zip(("factor_before", "factor_after"), f.factors(),
                                         strict=True))}
                for f in self.figures
            ],
        }  # fmt: skip


def fit_file(path: str | Path) -> FittedChip:
    """Fit to the figures of a macro file.

    Args:
        path: macro file with ``[[measured]]`` tables, or a known name.

    Returns:
        The constants, and the figures beside the model before and after. A constant that no figure
        measures stays that of the package.

    Raises:
        InputError: the file cannot be read, has no figures, or states one of them itself.
    """
    macro, tables = load_measured(path)
    try:
        rows = tuple(_measured(macro, table, place) for place, table in enumerate(tables))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not rows:
        raise InputError(f"{path}: missing table 'measured', which a fit needs")
    scales = fit_scales(rows, calibrated(), OWN_MISS_LN)
    figures = [figure for row in rows for figure in _figures(row, scales)]
    return FittedChip(name=str(path), scales=scales, figures=tuple(figures))


def _measured(macro: Macro, table: dict[str, Any], place: int) -> Measured:
    name = f"measured[{place}]"
    check_keys(table, ["input_bits", "weight_bits", *(set(table) & {*_FIGURES, *_CONDITIONS})])
    bits = {field: check_integer(f"{name}.{field}", table[field], 1, 16)
            for field in ("input_bits", "weight_bits")}  # fmt: skip
    found = {field: check_number(f"{name}.{field}", table[field], 1e-9, 1e9)
             for field in _FIGURES if field in table}  # fmt: skip
    if not found:
        raise refuse(name, "no figure", f"one of {', '.join(_FIGURES)}")
    if "supply_v" in table:
        macro = replace(macro, supply_v=table["supply_v"])
    if "mean" in table:
        macro = replace(macro, input=replace(macro.input, mean=table["mean"]))
    if "tops" in found and macro.cycle_ns is not None:
        raise refuse(f"{name}.tops", found["tops"], "none beside cycle_ns, which decides it")
    if "area_mm2" in found and macro.area_mm2 is not None:
        raise refuse(f"{name}.area_mm2", found["area_mm2"], "none beside the file's own area_mm2")
    part = table.get("part")
    if part is not None and part not in _PARTS:
        raise refuse(f"{name}.part", part, f"one of {', '.join(_PARTS)}")
    energy = found.get("fj_per_mac", 2e3 / found["tops_per_watt"] if "tops_per_watt" in found
                       else None)  # fmt: skip
    layout = lay_out(configured_for(macro, **bits), **bits)
    operations = 2e-3 * macro.array.rows * layout.weights_per_row * macro.copies
    return Measured(
        name=name,
        family=macro.name,
        chip=macro.description,
        kind="rram" if macro.array.kind.read == "current" else "sram",
        source="the file",
        macro=macro,
        fj_per_mac=None if part else energy,
        product_ns=operations / found["tops"] if "tops" in found else None,
        area_mm2=found.get("area_mm2"),
        use=dict.fromkeys(QUANTITIES, "y"),
        parts=(((part,), energy),) if part and energy else (),
        **bits,
    )


def _figures(row: Measured, scales: Scales) -> list[FittedFigure]:
    condition = f"{row.input_bits}-bit inputs, {row.weight_bits}-bit weights"
    condition += f", {row.macro.supply_v:g} V"
    found = []
    for quantity in QUANTITIES:
        terms = [terms_of(row, quantity, chosen) for chosen in (calibrated(), scales)]
        values = [(row.value(quantity), tuple(terms[0]), condition)]
        if quantity == "energy":
            values += [(fj, parts, f"{condition}, {parts[0]}") for parts, fj in row.parts]
        for value, parts, words in values:
            if value is not None:
                before, after = (sum(term[part] for part in parts) for term in terms)
                found.append(
                    FittedFigure(
                        quantity=quantity,
                        condition=words,
                        measured=value,
                        before=float(before),
                        after=float(after),
                    )
                )
    return found
