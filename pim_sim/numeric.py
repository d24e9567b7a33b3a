"""Arithmetic that takes a number or a numpy array, so that one model serves one design and many.

A sweep puts arrays where a hardware file has numbers; everything else runs without numpy.
"""

from __future__ import annotations

import copy
import math
import sys
from itertools import pairwise
from types import ModuleType
from typing import Any, TypeVar

Part = TypeVar("Part")
Number = TypeVar("Number", int, float)


def numpy_of(*values: object) -> ModuleType | None:
    """numpy where one of the values is one of its arrays."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and any(isinstance(value, numpy.ndarray) for value in values):
        return numpy
    return None


def ceil_div(amount: int, share: int) -> int:
    """Shares needed for an amount, exact for any size."""
    return -(-amount // share)


def bit_length(value: int) -> int:
    """Bits of a whole number of 0 or more."""
    if numpy := numpy_of(value):
        return numpy.frexp(value)[1]  # type: ignore[no-any-return]
    return int(value).bit_length()


def lower(first: Number, second: Number) -> Number:
    """The smaller of two."""
    numpy = numpy_of(first, second)
    return numpy.minimum(first, second) if numpy else min(first, second)


def lowest(value: Any) -> float:
    """The smallest of an array, or the number itself."""
    return float(value if numpy_of(value) is None else value.min())


def higher(first: Number, second: Number) -> Number:
    """The larger of two."""
    numpy = numpy_of(first, second)
    return numpy.maximum(first, second) if numpy else max(first, second)


def choose(condition: bool, where_true: Number, where_false: Number) -> Number:
    """One of two values, both computed."""
    if numpy := numpy_of(condition, where_true, where_false):
        return numpy.where(condition, where_true, where_false)  # type: ignore[no-any-return]
    return where_true if condition else where_false


def power_of_two(exponent: float) -> float:
    """2 to a power."""
    return float(2.0**exponent) if numpy_of(exponent) is None else 2.0**exponent


def exp(value: float) -> float:
    """e to a power."""
    return (numpy_of(value) or math).exp(value)  # type: ignore[no-any-return]


def log(value: float) -> float:
    """Natural logarithm."""
    return (numpy_of(value) or math).log(value)  # type: ignore[no-any-return]


def sqrt(value: float) -> float:
    """Square root."""
    return (numpy_of(value) or math).sqrt(value)  # type: ignore[no-any-return]


def interpolate(value: float, known: list[float], values: list[float]) -> float:
    """Straight lines between known points, and on beyond the outer ones."""
    result = values[0] + (values[1] - values[0]) / (known[1] - known[0]) * (value - known[0])
    for (low, first), (high, last) in pairwise(zip(known[1:], values[1:], strict=True)):
        result = choose(value >= low, first + (last - first) / (high - low) * (value - low), result)
    return result


def altered(part: Part, **changes: Any) -> Part:
    """A copy of a frozen dataclass with fields changed and not checked again.

    For changes that are right by themselves, and for the arrays of a sweep, checked beforehand.
    """
    new = copy.copy(part)
    for name, value in changes.items():
        object.__setattr__(new, name, value)
    return new
