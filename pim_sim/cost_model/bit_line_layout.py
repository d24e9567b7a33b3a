"""Layout of a layer on bit-line arrays, and their functional reads.

A weight stands upright in one column: its bits fill neighbouring rows, and one functional read
drives these word lines together, with pulses weighted by the bits, so that the bit line falls in
proportion to the weight (Kang et al., JSSC 53(2), 2018; Ali et al., IMAC, TCSI 67(8), 2020). A
weight of more bits than one column resolves takes neighbouring columns, merged before conversion.
Input values of more bits than a bit-line processor takes are applied in steps.

The products of one output lie side by side in a column group, which shares its charge and has one
converter. All groups of a word row take the same input window, so a word row holds as many filters
as fit. A sum longer than a row is split into segments, each converted, and added digitally.
The filters of a layer in groups see other windows, so that word rows are filled group by group.
A 6T column has two bit lines, so signed weights are taken to need no further column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pim_sim.errors import InputError
from pim_sim.hardware import Array
from pim_sim.schema import shown
from pim_sim.workload import Layer, ceil_div


@dataclass(frozen=True, kw_only=True)
class Placement:
    """One application of a layer on arrays that hold all of its weights."""

    columns_per_weight: int
    """Neighbouring columns that hold the bits of one weight."""
    input_steps: int
    """Functional reads per input window, for its bits."""
    segments: int
    """Word rows per output."""
    columns_per_group: int
    """Columns that share their charge and one converter."""
    groups_per_row: int
    """Column groups, so filters, of one word row."""
    word_rows: int
    """Word rows of the whole layer."""
    arrays: int
    """Arrays that the word rows fill."""
    reads: int
    """Functional reads of one application: positions * word rows * input steps."""
    conversions: int
    """Conversions of one application: outputs * segments * input steps."""
    column_utilisation: float
    """Share of the columns, over all functional reads, that hold a product."""
    row_utilisation: float
    """Share of the word lines that keep weights, over the arrays filled."""


def place(layer: Layer, array: Array) -> Placement:
    """Lay ``layer`` out on copies of ``array``.

    Counts that follow from a minimum or maximum are whole numbers in floating point.

    Raises `InputError` where a row of the array does not hold even one weight.
    """
    columns_per_weight = ceil_div(layer.weight_bits, array.weight_bits_per_column)
    if np.any(array.columns < columns_per_weight):
        raise InputError(
            f"array.columns: found {array.columns}, expected at least {columns_per_weight}: "
            f"a weight of layer {shown(layer.name)} has {layer.weight_bits} bits"
        )
    weights_per_row = array.columns // columns_per_weight
    segments = ceil_div(layer.fan_in, weights_per_row)
    groups_per_row = np.maximum(1.0, weights_per_row // layer.fan_in)
    word_rows = layer.groups * ceil_div(layer.filters_per_group, groups_per_row) * segments
    rows_per_word = np.minimum(layer.weight_bits, array.weight_bits_per_column)
    input_steps = ceil_div(layer.input_bits, array.input_bits_per_step)
    arrays = ceil_div(word_rows, array.rows // rows_per_word)
    return Placement(
        columns_per_weight=columns_per_weight,
        input_steps=input_steps,
        segments=segments,
        columns_per_group=np.minimum(float(layer.fan_in), weights_per_row) * columns_per_weight,
        groups_per_row=groups_per_row,
        word_rows=word_rows,
        arrays=arrays,
        reads=layer.positions * word_rows * input_steps,
        conversions=layer.outputs * segments * input_steps,
        column_utilisation=layer.weights * columns_per_weight / (word_rows * array.columns),
        row_utilisation=word_rows * rows_per_word / (arrays * array.rows),
    )
