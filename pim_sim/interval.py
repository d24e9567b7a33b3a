"""How sure an answer is: the constants it hangs on, each with its spread.

Every component is a product with one constant, so moving the constant by its factor moves the
component by it. Constants are taken as independent and log-normal; their moves of the logarithm of
a ratio add in quadrature. That gives an 80 % interval, and names the constants that decide it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pim_sim.results import Design

LEVEL = 0.8

ENERGY_FACTORS = {
    # left-out factor errors of components of measured chips (pim-sim validate): 1.6, 2.7 and 2.6 of
    # converters are 0.8 in the logarithm, times 1.28 for 80 %; 1.2 to 2.2 of cells and rows
    "converter_energy": 2.8,
    "array_energy": 1.9,
    "dac_energy": 1.9,
    "logic_energy": 1.6,
    # three converters of measured chips against Accelergy's bound: 0.25, 3.1 and 3.6 times
    "conversion_energy": 4.0,
    # E_BLP and the functional read of ACE-SNN's kind: second hand, as far apart as cells above
    "bit_line_energy": 1.9,
    # Horowitz's 8 KB read against CACTI's: 10 and 6.1 pJ
    "memory_energy": 1.6,
    # Aladdin's int8 multiplication is 4.6 times Horowitz's: either may be the silicon's
    "multiply_energy": 2.1,
    "add_energy": 1.6,
    "leakage_power": 10.0,
    # Horowitz's DRAM read spans a factor of 2, memory writes as above
    "loading_energy": 1.6,
}
"""Factor by which each constant may be off, up or down, in 80 of 100 cases (ours to declare)."""

DELAY_FACTORS = {
    "memory_time": 1.5,
    "multiply_time": 1.5,
    "array_time": 1.5,
    "conversion_time": 2.0,
    "step_time": 2.0,
}
"""The same of the times: nodes and supplies move a path by about as much (ours to declare)."""

_OF_BIT_LINES = {
    "functional_reads": ("bit_line_energy", "array_time"),
    "bit_line_processing": ("bit_line_energy", "array_time"),
    "conversions": ("conversion_energy", "conversion_time"),
    "partial_sums": ("add_energy", "array_time"),
}
_OF_MULTIPLIERS = {
    "weight_reads": ("memory_energy", "memory_time"),
    "multiplies": ("multiply_energy", "multiply_time"),
    "adds": ("add_energy", "multiply_time"),
}
_OF_MACROS = {
    "input_drivers": ("array_energy", "step_time"),
    "cells": ("array_energy", "step_time"),
    "dac": ("dac_energy", "step_time"),
    "converters": ("converter_energy", "step_time"),
    "adders": ("logic_energy", "step_time"),
    "shift_and_add": ("logic_energy", "step_time"),
}
_OF_BOTH = {
    "control": ("logic_energy", "step_time"),
    "input_reads": ("memory_energy", "memory_time"),
    "output_writes": ("memory_energy", "memory_time"),
    "weight_loading": ("loading_energy", "memory_time"),
    "leakage": ("leakage_power", "step_time"),
}
_CONSTANTS = {**_OF_BIT_LINES, **_OF_MULTIPLIERS, **_OF_MACROS, **_OF_BOTH}


@dataclass(frozen=True)
class Interval:
    """80 % intervals of the three ratios, and what decides that of the energy."""

    energy: tuple[float, float]
    """Bounds of digital divided by in-memory energy."""
    delay: tuple[float, float]
    edp: tuple[float, float]
    decided_by: tuple[tuple[str, float, float], ...]
    """The three constants that move the energy ratio most, with the ratio at either end of each."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and text, ready for JSON."""
        ratios = {name: getattr(self, name) for name in ("energy", "delay", "edp")}
        return {
            "level": LEVEL,
            **{
                name: {"factor": list(factor), "saved": [1 - 1 / bound for bound in factor]}
                for name, factor in ratios.items()
            },
            "decided_by": [
                {
                    "constant": name,
                    "may_be_off_by": ENERGY_FACTORS[name],
                    "energy_factor": [low, high],
                }
                for name, low, high in self.decided_by
            ],
        }


def interval(digital: Design, in_memory: Design) -> Interval:
    """The interval of ``digital`` against ``in_memory``."""
    energy = _moves(_shares(digital, 0), _shares(in_memory, 0), ENERGY_FACTORS)
    delay = _moves(_shares(digital, 1), _shares(in_memory, 1), DELAY_FACTORS)
    energy_ratio = digital.total.energy_pj / in_memory.total.energy_pj
    delay_ratio = digital.total.delay_ns / in_memory.total.delay_ns
    largest = sorted(energy, key=lambda name: -(energy[name][1] - energy[name][0]))[:3]
    return Interval(
        energy=_bounds(energy_ratio, energy),
        delay=_bounds(delay_ratio, delay),
        edp=_bounds(energy_ratio * delay_ratio, {**energy, **delay}),
        decided_by=tuple(
            (name, energy_ratio * math.exp(low), energy_ratio * math.exp(high))
            for name, (low, high) in ((name, energy[name]) for name in largest)
        ),
    )


def _shares(design: Design, which: int) -> dict[str, float]:
    """Share of each constant in a design's energy (0) or delay (1)."""
    shares: dict[str, float] = {}
    total = (design.total.energy_pj, design.total.delay_ns)[which]
    for component, cost in design.components.items():
        name = _CONSTANTS[component][which]
        shares[name] = shares.get(name, 0.0) + (cost.energy_pj, cost.delay_ns)[which] / total
    return shares


def _moves(
    digital: Mapping[str, float], in_memory: Mapping[str, float], factors: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """By constant, the lower and upper move of ln(digital / in memory)."""
    moves = {}
    for name in {**digital, **in_memory}:
        ends = [
            math.log1p(digital.get(name, 0.0) * (factor - 1))
            - math.log1p(in_memory.get(name, 0.0) * (factor - 1))
            for factor in (factors[name], 1 / factors[name])
        ]
        moves[name] = (min(0.0, *ends), max(0.0, *ends))
    return moves


def _bounds(ratio: float, moves: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    down, up = (math.sqrt(sum(move[end] ** 2 for move in moves.values())) for end in (0, 1))
    return ratio * math.exp(-down), ratio * math.exp(up)
