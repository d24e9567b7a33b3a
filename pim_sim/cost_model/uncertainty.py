"""Uncertainty of a comparison: an 80 % interval, and the constants that decide it.

Every component is a product with one constant, so moving the constant by its spread moves the
component by it. Constants are taken as independent and log-normal; their moves of the logarithm of
a ratio add in quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pim_sim.cost_model.costs import LEVEL, Constant, Design

Moves = Mapping[Constant, tuple[float, float]]


@dataclass(frozen=True)
class Uncertainty:
    """80 % intervals of the three ratios, and the constants that decide that of the energy."""

    energy: tuple[float, float]
    """Bounds of digital over in-memory energy."""
    delay: tuple[float, float]
    edp: tuple[float, float]
    decided_by: tuple[tuple[Constant, float, float], ...]
    """The three constants that move the energy ratio most, with the ratio at both ends of each."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON."""
        ratios = {name: getattr(self, name) for name in ("energy", "delay", "edp")}
        return {
            "level": LEVEL,
            **{
                name: {"factor": list(factor), "saved": [1 - 1 / bound for bound in factor]}
                for name, factor in ratios.items()
            },
            "decided_by": [
                {
                    "constant": constant.name,
                    "may_be_off_by": constant.spread,
                    "energy_factor": [low, high],
                }
                for constant, low, high in self.decided_by
            ],
        }


def uncertainty(digital: Design, in_memory: Design) -> Uncertainty:
    """Return the uncertainty of ``digital`` over ``in_memory``."""
    energy = _moves(_energy_shares(digital), _energy_shares(in_memory))
    delay = _moves(_delay_shares(digital), _delay_shares(in_memory))
    energy_ratio = digital.total.energy_pj / in_memory.total.energy_pj
    delay_ratio = digital.total.delay_ns / in_memory.total.delay_ns
    largest = sorted(energy, key=lambda constant: -(energy[constant][1] - energy[constant][0]))[:3]
    return Uncertainty(
        energy=_bounds(energy_ratio, energy),
        delay=_bounds(delay_ratio, delay),
        edp=_bounds(energy_ratio * delay_ratio, {**energy, **delay}),
        decided_by=tuple(
            (constant, energy_ratio * math.exp(low), energy_ratio * math.exp(high))
            for constant, (low, high) in ((constant, energy[constant]) for constant in largest)
        ),
    )


def _energy_shares(design: Design) -> dict[Constant, float]:
    """Return the share of a design's energy that is proportional to each constant."""
    shares: dict[Constant, float] = {}
    total = design.total.energy_pj
    for cost in design.components.values():
        shares[cost.by[0]] = shares.get(cost.by[0], 0.0) + cost.energy_pj / total
    return shares


def _delay_shares(design: Design) -> dict[Constant, float]:
    shares: dict[Constant, float] = {}
    total = design.total.delay_ns
    for cost in design.components.values():
        shares[cost.by[1]] = shares.get(cost.by[1], 0.0) + cost.delay_ns / total
    return shares


def _moves(digital: Mapping[Constant, float], in_memory: Mapping[Constant, float]) -> Moves:
    """Return the lower and upper move of ln(digital / in memory), by constant."""
    moves = {}
    for constant in {**digital, **in_memory}:
        ends = [
            math.log1p(digital.get(constant, 0.0) * (factor - 1))
            - math.log1p(in_memory.get(constant, 0.0) * (factor - 1))
            for factor in (constant.spread, 1 / constant.spread)
        ]
        moves[constant] = (min(0.0, *ends), max(0.0, *ends))
    return moves


def _bounds(ratio: float, moves: Moves) -> tuple[float, float]:
    down, up = (math.sqrt(sum(move[end] ** 2 for move in moves.values())) for end in (0, 1))
    return ratio * math.exp(-down), ratio * math.exp(up)
