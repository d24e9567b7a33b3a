"""McNemar's paired test of two classifiers on the same pixels, and Holm's correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2

FEW = 25
"""Pixels on which only one is right, below which the test is exact."""


@dataclass(frozen=True)
class McNemar:
    """Result of the test: only pixels that one of the two gets right speak for a difference."""

    both_right: int
    """Pixels that both classify correctly."""
    first_only: int
    """Pixels that only the first classifies correctly."""
    second_only: int
    """Pixels that only the second classifies correctly."""
    both_wrong: int
    """Pixels that neither classifies correctly."""
    p: float
    """Probability of a difference at least as large between classifiers that are equally good."""
    exact: bool
    """True for the binomial test; else chi-squared with Edwards' correction."""

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.both_right + self.first_only + self.second_only + self.both_wrong


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Test two classifiers on the same pixels (McNemar 1947, Psychometrika 12:153).

    Args:
        first: [N] True where the first classifier is right.
        second: [N] True where the second one is right.

    Returns:
        Counts and the two-sided p-value: exact for fewer than 25 pixels on which they differ, else
        from (|b - c| - 1)^2 / (b + c) and chi-squared with one degree of freedom.

    Raises:
        ValueError: The lengths differ.

    >>> right, wrong = np.ones(8, bool), np.zeros(8, bool)
    >>> mcnemar(right, wrong).p  # 2 / 2^8
    0.0078125
    >>> mcnemar(right, right).p
    1.0
    """
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} pixels")
    only = int((first & ~second).sum()), int((second & ~first).sum())
    discordant, exact = sum(only), sum(only) < FEW
    if not discordant:
        p = 1.0
    elif exact:
        p = float(binomtest(only[0], discordant).pvalue)
    else:
        # Edwards' correction would turn no difference into one.
        distance = max(abs(only[0] - only[1]) - 1, 0)
        p = float(chi2.sf(distance**2 / discordant, 1))
    both = int((first & second).sum())
    return McNemar(both, *only, len(first) - both - discordant, p, exact)


def holm(values: Sequence[float]) -> list[float]:
    """Correct p-values of several tests (Holm 1979, Scand. J. Stat. 6:65); the order is kept.

    Args:
        values: p-values, 0 to 1.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    found, highest = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (len(values) - rank) * values[place]))
        found[place] = highest
    return found
