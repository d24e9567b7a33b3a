"""Grid of whole codes that the first layer's inputs lie on, as a converter delivers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from snnquant.config.scaling_names import PIXEL_BITS
from snnquant.errors import InputError

Floats = NDArray[np.float32]
CANDIDATES = 100
"""Ranges that the search for the min squared error tries, evenly up to the largest value."""
SAMPLE = 2**18
"""Values that the search looks at, of evenly spaced pixels."""


@dataclass(frozen=True)
class PixelGrid:
    """Levels ``code * step`` for the whole codes of `bits` bits, one grid for all inputs.

    Raises:
        InputError: The bits or the step are out of range.

    >>> grid = PixelGrid(bits=3, step=0.5, signed=True)
    >>> grid.low, grid.high
    (-4, 3)
    >>> grid.apply(np.array([-9.0, -0.3, 0.8, 9.0], np.float32)).tolist()
    [-2.0, -0.5, 1.0, 1.5]
    """

    bits: int
    """Bits per value."""
    step: float
    """Distance of two levels, a float32, in units of the normalised values."""
    signed: bool
    """True for two's complement, False for codes from 0."""

    def __post_init__(self) -> None:
        if type(self.bits) is not int or self.bits not in PIXEL_BITS:
            expected = f"{PIXEL_BITS.start} to {PIXEL_BITS.stop - 1}"
            raise InputError(f"pixel bits: found {self.bits!r}, expected {expected}")
        step = np.float32(self.step) if isinstance(self.step, float) else np.float32(0)
        if not (np.isfinite(step) and step > 0):
            raise InputError(f"pixel step: found {self.step!r}, expected a number above 0")

    @classmethod
    def fit(cls, values: Floats, bits: int) -> Self:
        """Choose the step of min squared error on the normalised values of training pixels.

        Codes are signed where a value is negative. Values outside of the range that this leaves
        are clipped.

        Args:
            values: Normalised values [N, K].
            bits: Bits per value.

        >>> PixelGrid.fit(np.linspace(0, 1, 1001, dtype=np.float32)[:, None], bits=2).step
        0.2866666615009308
        """
        sample = values[:: max(1, values.size // SAMPLE)]
        signed = bool(values.min(initial=0) < 0)
        largest = float(np.abs(sample).max(initial=0)) or 1.0
        levels = 2 ** (bits - 1) if signed else 2**bits - 1
        grids = [
            cls(bits, float(np.float32(largest * i / (CANDIDATES * levels))), signed)
            for i in range(CANDIDATES, CANDIDATES // 10 - 1, -1)
        ]
        errors = [float(np.square(grid.apply(sample) - sample).sum()) for grid in grids]
        return grids[int(np.argmin(errors))]

    @property
    def low(self) -> int:
        """Smallest code."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """Largest code."""
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1

    def codes(self, values: Floats) -> Floats:
        """Return the codes of values, nearest and ties to even, as whole numbers in float32."""
        found: Floats = np.rint(values / np.float32(self.step))
        return found.clip(self.low, self.high, out=found)

    def apply(self, values: Floats) -> Floats:
        """Return the levels nearest to values, of the same shape, float32."""
        found = self.codes(values)
        found *= np.float32(self.step)
        return found
