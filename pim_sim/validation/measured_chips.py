"""Measured chips: their macro files, and the figures that their papers print."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pim_sim.cost_model import Price, Scales, price
from pim_sim.hardware import Macro, load_macro

_FILE = Path(__file__).with_name("figures.toml")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One printed number and its conditions."""

    macro: Macro
    """The chip under the conditions of the figure."""
    input_bits: int
    weight_bits: int
    parts: tuple[str, ...]
    """Components that the number covers; ``("whole",)`` for the macro."""
    fj_per_mac: float
    """The measured energy of a multiply-accumulate, two operations."""
    use: str
    """``fit`` or ``check``."""
    condition: str
    """The conditions in words."""

    @property
    def whole(self) -> bool:
        """True if the number is of the whole macro."""
        return self.parts == ("whole",)

    def predicted_fj(self, scales: Scales) -> float:
        """Return the prediction of the model."""
        predicted: Price = price(self.macro, self.input_bits, self.weight_bits, scales)
        if self.whole:
            return predicted.energy_per_mac_fj
        return sum(predicted.breakdown_fj[part] for part in self.parts)


@dataclass(frozen=True, kw_only=True)
class Chip:
    """A measured chip."""

    name: str
    source: str
    figures: tuple[Figure, ...]

    def used_for(self, use: str) -> tuple[Figure, ...]:
        """Return the figures of this use."""
        return tuple(figure for figure in self.figures if figure.use == use)


@functools.cache
def measured_chips() -> tuple[Chip, ...]:
    """Return every chip with figures, in the order of the file."""
    content: dict[str, Any] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(
        Chip(
            name=name,
            source=entry["source"],
            figures=tuple(_figure(name, figure) for figure in entry["figures"]),
        )
        for name, entry in content.items()
    )


def _figure(name: str, entry: dict[str, Any]) -> Figure:
    macro = load_macro(name)
    if "supply_v" in entry:
        macro = replace(macro, supply_v=entry["supply_v"])
    if "mean" in entry:
        macro = replace(macro, input=replace(macro.input, mean=entry["mean"]))
    if "converter_bits" in entry and macro.converter is not None:
        macro = replace(macro, converter=replace(macro.converter, bits=entry["converter_bits"]))
    energy = entry["fj_per_mac"] if "fj_per_mac" in entry else 2e3 / entry["tops_per_watt"]
    condition = f"{entry['input_bits']}-bit inputs, {entry['weight_bits']}-bit weights"
    condition += f", {macro.supply_v:g} V" + (f", {entry['note']}" if "note" in entry else "")
    return Figure(
        macro=macro,
        input_bits=entry["input_bits"],
        weight_bits=entry["weight_bits"],
        parts=tuple(entry["part"]),
        fj_per_mac=energy,
        use=entry["use"],
        condition=condition,
    )
