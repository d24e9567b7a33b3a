"""Names of the scalings of a pixel's values and of the spectra that they scale, and their bits."""

from __future__ import annotations

import math

from snnquant.config.options import require

SCALINGS = ("standard", "none", "minmax", "minmax-band", "whiten")
"""Scalings that published code uses and that a scene is enough for."""
WITHIN_CLASS = "within-class"
"""Scaling by the covariance of the training pixels about their class means."""
SCALING_NAMES = (
    f"auto, {', '.join(SCALINGS)}, {WITHIN_CLASS}, {WITHIN_CLASS}:X or divide:X with X above 0, or "
    "FILE.npz"
)
"""Words for all names, for messages."""
SPECTRA = ("raw", "snv", "log-derivative")
"""Forms of a spectrum. snv: standard normal variate; log-derivative: slope of the logarithm."""
SHRINKAGE = 1e-3
"""Shrinkage of within-class whitening where none is named."""
MERGED_SHRINKAGE = 0.3
"""The same where the matrix becomes part of quantized weights, which lose small differences."""
PIXEL_BITS = range(2, 15)
"""Bits that pixels may have on a grid; the integer engine holds a code in two signed bytes."""


def is_scaling(scaling: str) -> bool:
    """Tell whether a text names a scaling; files are not opened.

    >>> is_scaling("divide:10000"), is_scaling("divide:-1"), is_scaling("within-class:0.01")
    (True, False, True)
    """
    kind, _, number = scaling.partition(":")
    try:
        numbered = kind in ("divide", WITHIN_CLASS) and 0 < float(number) < math.inf
    except ValueError:
        numbered = False
    return scaling in ("auto", *SCALINGS, WITHIN_CLASS) or numbered or scaling.endswith(".npz")


def require_scaling(scaling: str) -> None:
    """Raise InputError for an unknown scaling."""
    require(is_scaling(scaling), "--scaling", repr(scaling), SCALING_NAMES)


def require_spectra(spectra: str) -> None:
    """Raise InputError unless `spectra` is auto or names of forms, each once, joined by "+".

    >>> require_spectra("raw+log-derivative")
    """
    parts = forms_of(spectra)
    known = set(parts) <= set(SPECTRA) and len(set(parts)) == len(parts)
    expected = f"auto, {', '.join(SPECTRA)}, or several joined by +"
    require(known, "--spectra", repr(spectra), expected)


def forms_of(spectra: str) -> list[str]:
    """Return the forms that `--spectra` joins; auto is the raw spectrum.

    >>> forms_of("raw+snv"), forms_of("auto")
    (['raw', 'snv'], ['raw'])
    """
    return ["raw"] if spectra == "auto" else spectra.split("+")


def shrinkage_of(scaling: str) -> float | None:
    """Return the shrinkage of a within-class scaling; None for another scaling.

    >>> shrinkage_of("within-class"), shrinkage_of("within-class:0.01"), shrinkage_of("standard")
    (0.001, 0.01, None)
    """
    kind, _, number = scaling.partition(":")
    if kind != WITHIN_CLASS:
        return None
    return float(number) if number else SHRINKAGE
