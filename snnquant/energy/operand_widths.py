"""Operations with the widths of their operands, and the widths of sums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

Kind = Literal["mac", "ac", "mul", "add", "compare", "shift"]
"""Multiply-accumulate, accumulate, and the element-wise multiply, add, compare and shift."""


class Width(NamedTuple):
    """Width of a number: its bits, of an integer or of a number in floating point."""

    bits: int
    floating: bool = False


FLOAT32 = Width(32, floating=True)
SPIKE = Width(1)


class Operation(NamedTuple):
    """A kind of operation on an i-bit and a j-bit number.

    >>> Operation("mac", 6, 8, total=20)
    Operation(kind='mac', i=6, j=8, total=20, floating=False)
    """

    kind: Kind
    i: int
    """Bits of the first operand; of "mac" and "ac" those of the weight, of "shift" the shifted."""
    j: int
    """Bits of the second operand; of "shift" the number of its distances."""
    total: int = 0
    """Bits of the sum that the result is added to, with "mac", "ac" and products by a shift."""
    floating: bool = False
    """True where an operand is in floating point, and so the operation."""


Counts: TypeAlias = Mapping[Operation, float]
"""Operations per classified pixel, means over the pixels."""


def sum_bits(i: int, j: int, terms: int) -> int:
    """Return the bits that hold every sum of products of i-bit and j-bit integers.

    Args:
        i: Bits of one factor.
        j: Bits of the other; 1 for spikes, whose product is the first factor.
        terms: Products in a sum, at least 1.

    >>> sum_bits(6, 8, 63), sum_bits(6, 1, 63)
    (20, 12)
    """
    return i + (j if j > 1 else 0) + (terms - 1).bit_length()


def synaptic(
    bits: int | None, value: Width, terms: int, *, spikes: bool, distances: int = 0
) -> Operation:
    """Return what a weight takes per input: a multiply-accumulate, or an accumulate of a spike.

    Args:
        bits: Bits per weight; None for floating point.
        value: Width of the inputs.
        terms: Products per output.
        spikes: True for inputs that are spikes, which are 1 bit.
        distances: Exponents of weights that are powers of two, whose products are shifts; 0 for
            other weights.

    >>> synaptic(6, Width(8), 63, spikes=False)
    Operation(kind='mac', i=6, j=8, total=20, floating=False)
    >>> synaptic(None, FLOAT32, 63, spikes=True)
    Operation(kind='ac', i=32, j=1, total=32, floating=True)
    >>> synaptic(4, Width(8), 63, spikes=False, distances=4)
    Operation(kind='shift', i=8, j=4, total=19, floating=False)
    """
    kind: Kind = "ac" if spikes else "mac"
    j = 1 if spikes else value.bits
    if bits is None or (value.floating and not spikes):
        return Operation(kind, 32 if bits is None else bits, j, 32, floating=True)
    whole = distances + 1 if distances else bits  # with its sign, as an integer
    total = sum_bits(whole, j, terms)
    if distances and not spikes:
        return Operation("shift", j, distances, total)
    return Operation(kind, bits, j, total)


def elementwise(kind: Kind, i: Width, j: Width | None = None) -> Operation:
    """Return an operation on single values; on two of one width without `j`.

    An integer beside a number in floating point is converted to one first.

    >>> elementwise("mul", Width(20), Width(15))
    Operation(kind='mul', i=20, j=15, total=0, floating=False)
    >>> elementwise("mul", Width(20), FLOAT32)
    Operation(kind='mul', i=32, j=32, total=0, floating=True)
    """
    other = i if j is None else j
    if i.floating or other.floating:
        return Operation(kind, 32, 32, floating=True)
    return Operation(kind, i.bits, other.bits)


def total_of(counts: Counts, *kinds: Kind) -> float:
    """Sum the operations of some kinds, of all widths.

    >>> total_of({Operation("add", 8, 8): 3.0, Operation("add", 9, 9): 2.0}, "add")
    5.0
    """
    return sum(number for operation, number in counts.items() if operation.kind in kinds)


def weight_bits(operation: Operation) -> int:
    """Return the bits of the weight of a product; of a shift those of sign, zero and exponent.

    >>> weight_bits(Operation("mac", 6, 8, 20)), weight_bits(Operation("shift", 8, 4, 19))
    (6, 4)
    """
    return shift_stages(operation) + 2 if operation.kind == "shift" else operation.i


def shift_stages(operation: Operation) -> int:
    """Return the stages of a shifter that reaches the j distances of a shift.

    >>> [shift_stages(Operation("shift", 20, j)) for j in (1, 2, 8, 9)]
    [0, 1, 3, 4]
    """
    return (operation.j - 1).bit_length()
