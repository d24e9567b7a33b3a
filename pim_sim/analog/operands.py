"""Inputs and weights as the array takes them: steps, columns and row groups."""

from __future__ import annotations

import torch
from torch import Tensor

from pim_sim.analog.analog_config import AnalogConfig
from pim_sim.analog.converters import Range, digits, rounded

Parts = list[tuple[Tensor, Tensor]]
"""Weight of each part, and the part itself as a share of full: an operand is their sum."""


def input_steps(x: Tensor, found: Range, config: AnalogConfig) -> Parts:
    """Return the drives of an input [N, ...], one per step, the least significant bits first.

    Beyond the DAC's range an input is clipped, and so is its gradient.
    """
    limit, bits, per_step = x.new_tensor(found.limit), config.input_bits, config.input_bits_per_step
    if bits is None:
        return [(limit, x / limit)]
    top = input_top(found, config)
    codes = rounded((x * (top / limit)).clamp(-top * found.signed, top))
    digits_of_input = top.bit_length()
    if input_offset(found, config):
        codes, digits_of_input = codes + top + 1, bits
    full = 2**digits_of_input - 1
    if per_step is None:
        return [(limit / top * full, codes / full)]
    return _parts(codes, limit / top, digits_of_input, per_step)


def input_top(found: Range, config: AnalogConfig) -> int:
    """Return the largest code of an input; a sign takes a bit where inputs or drives have it."""
    assert config.input_bits is not None
    signed = found.signed or config.input_signs == "magnitude"
    return Range(found.limit, signed).top(config.input_bits, "input_bits")


def input_offset(found: Range, config: AnalogConfig) -> float:
    """Return the offset on every input, in the inputs' own unit; 0 without one."""
    if config.input_bits is None or config.input_signs != "offset" or not found.signed:
        return 0.0
    top = input_top(found, config)
    return found.limit * (top + 1) / top


def weight_columns(weight: Tensor, config: AnalogConfig) -> tuple[Parts, Tensor | None]:
    """Return the cells of a weight [K, ...], one tensor per column, and the offset of each weight.

    The weight of a column and the offset are [K, 1, ...]. Each filter's largest weight, or with
    an offset the span from minus to plus that, is a full cell.
    """
    bits, per_column = config.weight_bits, config.weight_bits_per_column
    largest = weight.detach().abs().amax(tuple(range(1, weight.ndim)), keepdim=True)
    largest = largest.clamp(min=torch.finfo(weight.dtype).tiny)  # a filter of zeros
    offset = config.weight_signs == "offset"
    if bits is None:
        share = weight / largest
        return ([(2 * largest, (share + 1) / 2)], largest) if offset else ([(largest, share)], None)
    half = 2 ** (bits - 1)
    unit = largest / (half - 1)
    codes = rounded(weight / unit) + half * offset
    magnitude = bits if offset else bits - 1
    return _parts(codes, unit, magnitude, per_column or magnitude), unit * half if offset else None


def row_groups(weight: Tensor, rows: int | None) -> list[Tensor]:
    """Return masks [1, C, ...] of products of [K, C, ...] summed at once, at most ``rows`` each.

    Rows come in torch's order and are shared evenly among as few groups as hold them.
    """
    shape = weight.shape[1:]
    row = torch.arange(shape.numel(), device=weight.device).view(1, *shape)
    groups = -(-shape.numel() // (rows or shape.numel()))
    each = -(-shape.numel() // groups)
    return [(row // each == group).to(weight.dtype) for group in range(groups)]


def _parts(codes: Tensor, unit: Tensor, bits: int, per_part: int) -> Parts:
    """Return the digits of codes whose last place has the weight ``unit``."""
    full = 2**per_part - 1
    return [
        (unit * full * 2 ** (per_part * place), digit / full)
        for place, digit in enumerate(digits(codes, bits, per_part))
    ]
