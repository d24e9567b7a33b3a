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

import numpy as np

from pim_sim.cost_model.costs import LEVEL, Constant, Design

Moves = Mapping[Constant, tuple[Any, Any]]


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
    energy = _moves(_shares(digital, 0), _shares(in_memory, 0))
    delay = _moves(_shares(digital, 1), _shares(in_memory, 1))
    energy_ratio = digital.total.energy_pj / in_memory.total.energy_pj
    delay_ratio = digital.total.delay_ns / in_memory.total.delay_ns
    largest = sorted(energy, key=lambda constant: -(energy[constant][1] - energy[constant][0]))[:3]
    return Uncertainty(
        energy=_plain(energy_ratio, energy),
        delay=_plain(delay_ratio, delay),
        edp=_plain(energy_ratio * delay_ratio, {**energy, **delay}),
        decided_by=tuple(
            (constant, energy_ratio * math.exp(low), energy_ratio * math.exp(high))
            for constant, (low, high) in ((constant, energy[constant]) for constant in largest)
        ),
    )


def interval(design: Design, over: Design | None = None) -> tuple[Any, Any]:
    """Return the 80 % interval of a design's energy in pJ, or of its ratio over another's.

    Designs of arrays give arrays.
    """
    shares = _shares(design, 0)
    if over is None:
        return _bounds(design.total.energy_pj, _moves(shares, {}))
    ratio = design.total.energy_pj / over.total.energy_pj
    return _bounds(ratio, _moves(shares, _shares(over, 0)))


def _shares(design: Design, place: int) -> dict[Constant, Any]:
    """Return the share of energy (0) or delay (1) that is proportional to each constant."""
    shares: dict[Constant, Any] = {}
    total = (design.total.energy_pj, design.total.delay_ns)[place]
    for cost in design.components.values():
        value = (cost.energy_pj, cost.delay_ns)[place]
        shares[cost.by[place]] = shares.get(cost.by[place], 0.0) + value / total
    return shares


def _moves(digital: Mapping[Constant, Any], in_memory: Mapping[Constant, Any]) -> Moves:
    """Return the lower and upper move of ln(digital / in memory), by constant."""
    moves = {}
    for constant in {**digital, **in_memory}:
        ends = [
            np.log1p(digital.get(constant, 0.0) * (factor - 1))
            - np.log1p(in_memory.get(constant, 0.0) * (factor - 1))
            for factor in (constant.spread, 1 / constant.spread)
        ]
        low, high = np.minimum(*ends), np.maximum(*ends)
        moves[constant] = (np.minimum(low, 0.0), np.maximum(high, 0.0))
    return moves


def _bounds(ratio: Any, moves: Moves) -> tuple[Any, Any]:
    down, up = (np.sqrt(sum(move[end] ** 2 for move in moves.values())) for end in (0, 1))
    return ratio * np.exp(-down), ratio * np.exp(up)


def _plain(ratio: float, moves: Moves) -> tuple[float, float]:
    low, high = _bounds(ratio, moves)
    return float(low), float(high)
