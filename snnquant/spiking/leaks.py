"""Leaks that hardware can afford: shifts and subtractions in place of a multiplication."""

from __future__ import annotations

import itertools
from enum import StrEnum
from functools import cache

import torch
from torch import Tensor

from snnquant.spiking.straight_through import replaced

MAX_SHIFT = 8
"""Largest shift of a leak; a narrow potential knows no smaller part of itself."""


class Leak(StrEnum):
    """The grids of a leak: the only list of them."""

    FREE = "free"
    POWER_OF_TWO = "power-of-two"
    TWO_POWERS = "two-powers"


@cache
def levels(leak: Leak) -> tuple[float, ...]:
    """Return the leaks of a grid, in ascending order.

    Args:
        leak: power-of-two: 1 and 1 - 2^-k; two-powers: these and 1 - 2^-j - 2^-k; free: multiples
            of 2^-8, for potentials in integers.

    >>> levels(Leak.POWER_OF_TWO)[:3], levels(Leak.POWER_OF_TWO)[-1]
    ((0.5, 0.75, 0.875), 1.0)
    """
    powers = [2.0**-k for k in range(1, MAX_SHIFT + 1)]
    if leak is Leak.FREE:
        return tuple(i / 2**MAX_SHIFT for i in range(2**MAX_SHIFT + 1))
    sums = {0.0, *powers}
    if leak is Leak.TWO_POWERS:
        sums |= {a + b for a, b in itertools.combinations(powers, 2)}
    return tuple(sorted(1 - total for total in sums))


def shifts(leak: float) -> int:
    """Return how many shifted subtractions a leak of a grid of powers takes: 0, 1 or 2.

    >>> shifts(1.0), shifts(0.75), shifts(0.625)
    (0, 1, 2)
    """
    return f"{round((1 - leak) * 2**MAX_SHIFT):b}".count("1")


def on_levels(leak: Tensor, kind: Leak) -> Tensor:
    """Return the nearest leak of a grid, a scalar; its gradient is that of the leak itself."""
    grid = torch.tensor(levels(kind), dtype=leak.dtype, device=leak.device)
    return replaced(leak, grid[(grid - leak.detach()).abs().argmin()])
