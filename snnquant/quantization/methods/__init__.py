"""Quantization methods of the package, one file each, which `snnquant.config.METHODS` imports.

Every registered method's class can be imported from here by its name:

>>> from snnquant.quantization.methods import LBW
>>> LBW(bits=4).method
'lbw'
"""

from typing import Any

from snnquant.config import METHODS


def __getattr__(name: str) -> Any:
    """Return the class of a registered method."""
    for method in () if name.startswith("_") else METHODS:
        if method.__name__ == name:
            return method
    raise AttributeError(f"module {__name__} has no attribute {name!r}")
