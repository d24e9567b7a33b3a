"""Efforts in bit operations: what arithmetic takes whatever the technology."""

from __future__ import annotations

from snnquant.energy.cost import Cost, register_cost
from snnquant.energy.counts import Accumulates
from snnquant.energy.operand_widths import Counts, shift_stages, weight_bits

SHIFT_SHARE = 1 / 5
"""Effort of one stage of a shifter per bit, of that of an adder; a choice of this package."""


def _products(counts: Counts) -> float:
    """Sum bits times bits over products with weights, also those that are shifts."""
    effort = 0.0
    for op, number in counts.items():
        if op.kind in ("mac", "ac"):
            effort += number * op.i * op.j
        elif op.kind == "shift" and op.total:
            effort += number * op.i * weight_bits(op)
    return effort


@register_cost("ace")
class Ace(Cost):
    """Arithmetic computation effort (Zhang et al., PokeBNN, CVPR 2022): i times j per product.

    An accumulate of a spike is a product with one bit.

    >>> from snnquant.energy.operand_widths import Operation
    >>> Ace().price({Operation("mac", 6, 8, 20): 10.0, Operation("ac", 6, 1, 12): 5.0})
    510.0
    """

    unit = "bit operations"
    description = "ACE: bits of weight times bits of input, per product"

    def price(self, counts: Counts) -> float:
        """Return the sum of i j over products with weights."""
        return _products(counts)


@register_cost("acev2")
class AceV2(Cost):
    """ACE with element-wise work (Neseem et al., PikeLPN, CVPR 2024, arXiv 2404.00103).

    i j per product and multiplication, max(i, j) per addition, and per shift i times the stages
    of its shifter, times `SHIFT_SHARE`. The paper's abstract names these operations; their weights
    are choices of this package. Comparisons are free.

    >>> from snnquant.energy.operand_widths import Operation
    >>> AceV2().price({Operation("mul", 20, 8): 1.0, Operation("add", 20, 28): 1.0})
    188.0
    >>> AceV2().price({Operation("shift", 20, 8): 1.0})
    12.0
    """

    unit = "bit operations"
    description = "ACEv2: ACE, and element-wise multiplications, additions and shifts"

    def price(self, counts: Counts) -> float:
        """Return the sum over products, multiplications, additions and shifts."""
        effort = 0.0
        for op, number in counts.items():
            if op.kind in ("mac", "ac", "mul"):
                effort += number * op.i * op.j
            elif op.kind == "add":
                effort += number * max(op.i, op.j)
            elif op.kind == "shift":
                effort += number * op.i * shift_stages(op) * SHIFT_SHARE
        return effort


@register_cost("ns_ace")
class NsAce(Cost):
    """ACE by spike rate: rate, dense products, steps, weight and spike bits (Shen, CVPR 2024).

    A rate counts spikes per input per step, so that the border of a window counts as its middle.
    """

    unit = "bit operations"
    description = "NS-ACE: ACE with accumulates = spike rate x dense products x steps"
    accumulates: Accumulates = "rate"

    def price(self, counts: Counts) -> float:
        """Return the sum of i j over products with weights."""
        return _products(counts)
