"""Names of the scalings of a pixel's values."""

from __future__ import annotations

import math

from snnquant.config.options import require

SCALINGS = ("standard", "none", "minmax", "minmax-band", "whiten")
"""Scalings that a scene is enough for."""
SCALING_NAMES = f"auto, {', '.join(SCALINGS)}, divide:X with X above 0, or FILE.npz"
"""Words for all names, for messages."""


def is_scaling(scaling: str) -> bool:
    """Tell whether a text names a scaling; files are not opened.

    >>> is_scaling("divide:10000"), is_scaling("divide:-1")
    (True, False)
    """
    kind, _, divisor = scaling.partition(":")
    try:
        divides = kind == "divide" and 0 < float(divisor) < math.inf
    except ValueError:
        divides = False
    return scaling in ("auto", *SCALINGS) or divides or scaling.endswith(".npz")


def require_scaling(scaling: str) -> None:
    """Raise InputError for an unknown scaling."""
    require(is_scaling(scaling), "--scaling", repr(scaling), SCALING_NAMES)
