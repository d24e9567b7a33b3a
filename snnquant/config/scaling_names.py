"""Names of the scalings of a pixel's values."""

from __future__ import annotations

import math

from snnquant.config.options import require

SCALINGS = ("standard", "none", "minmax", "minmax-band", "whiten")
"""Scalings that a scene is enough for."""


def require_scaling(scaling: str) -> None:
    """Raise InputError for an unknown scaling; files are not opened.

    >>> require_scaling("divide:10000")
    """
    kind, _, divisor = scaling.partition(":")
    try:
        divides = kind == "divide" and 0 < float(divisor) < math.inf
    except ValueError:
        divides = False
    known = scaling in ("auto", *SCALINGS) or divides or scaling.endswith(".npz")
    expected = f"auto, {', '.join(SCALINGS)}, divide:X with X above 0, or FILE.npz"
    require(known, "--scaling", repr(scaling), expected)
