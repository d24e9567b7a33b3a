"""How a layer is laid out on the macros of a chip, and how often they are stepped.

A sum longer than the rows of a macro is cut into row groups, each converted, and added digitally.
Filters beyond the columns go to further macros, and macros that are left over take a share of the
output positions, with a copy of the weights. A sum shorter than the rows leaves some of them idle:

    none        they stay idle
    duplicate   further windows lie beside the first, on rows and columns of their own
    shifted     one longer window along the first spatial axis, and on further columns the same
                filters shifted by one output each, so that the values which windows share are
                driven once

Neither packing makes a conversion add up more products: the converters work as often as before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pim_sim.hardware.parts import Mapping, Packing
from pim_sim.macro.description import Macro
from pim_sim.macro.pricing import Use, fitted, use
from pim_sim.workload import Layer


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """One application of a layer on macros that hold all of its weights."""

    row_groups: int
    """Groups of rows that the products of one output are split over."""
    column_tiles: int
    """Macros side by side that hold the filters."""
    windows: int
    """Output positions computed at once on one macro."""
    rows_driven: int
    """Rows that one step drives, of the fullest row group."""
    rows_summed: float
    """Products that one conversion adds up, on average over the row groups."""
    copies: int
    """Copies of the weights, each on macros of its own, that share the positions."""
    arrays: int
    """Macros that the layer takes with one copy of its weights."""
    rounds: int
    """Sets of positions computed one after another, with weights exchanged where macros lack."""
    steps: int
    """Steps of one input, for its bits."""
    activations: int
    """Steps of one macro in one application, over all macros."""
    conversions: int
    """Conversions of one application."""
    additions: int
    """Digital additions of one application, for row groups, steps and groups of columns."""
    row_utilisation: float
    """Share of the rows that take part in a step."""
    column_utilisation: float
    """Share of the columns that hold weights."""
    input_drives: float
    """How often a row is driven for each input value, the steps of its bits taken as one."""


def tile(layer: Layer, macro: Macro, mapping: Mapping) -> Tiling:
    """Lay ``layer`` out on copies of ``macro``.

    Raises `InputError` where the columns of a macro do not hold even one weight.
    """
    macro = fitted(macro, layer.input_bits, layer.weight_bits)
    laid = use(macro, layer.input_bits, layer.weight_bits)
    rows, filters = macro.array.rows, layer.filters
    row_groups = -(-layer.fan_in // rows)
    windows = _windows(layer, rows, laid.weights_per_row // filters, mapping.packing)
    tiles = -(-filters // laid.weights_per_row)
    driven = _window_rows(layer, windows, mapping.packing) if windows > 1 else None
    rows_driven = driven or -(-layer.fan_in // row_groups)
    arrays = row_groups * tiles
    copies = max(1, macro.copies // arrays)
    steps_of_positions = -(-layer.positions // windows)
    columns_used = min(filters * windows, laid.weights_per_row) if tiles == 1 else filters / tiles
    return Tiling(
        row_groups=row_groups,
        column_tiles=tiles,
        windows=windows,
        rows_driven=rows_driven,
        rows_summed=layer.fan_in / row_groups,
        copies=copies,
        arrays=arrays,
        rounds=-(-steps_of_positions // copies) * -(-arrays // macro.copies),
        steps=laid.steps,
        activations=steps_of_positions * arrays * laid.steps,
        conversions=layer.outputs * row_groups * laid.conversions if macro.converter else 0,
        additions=layer.outputs * _additions(macro, laid, row_groups),
        row_utilisation=min(1.0, (driven or layer.fan_in / row_groups) / rows),
        column_utilisation=columns_used / laid.weights_per_row,
        input_drives=steps_of_positions * tiles * (driven or layer.fan_in) / layer.inputs,
    )


def _additions(macro: Macro, laid: Use, row_groups: int) -> int:
    """Digital additions for one output: a digital macro keeps a sum from the first step on."""
    parts = laid.conversions * row_groups
    return parts - 1 if macro.converter is not None else parts


def _windows(layer: Layer, rows: int, filter_copies: int, packing: Packing) -> int:
    """Output positions at once: as many as rows, columns and outputs along the axis allow."""
    if packing == "none" or layer.fan_in > rows or filter_copies < 2 or layer.positions == 1:
        return 1
    if packing == "duplicate":
        return min(rows // layer.fan_in, filter_copies, layer.positions)
    stride, slab = layer.stride[0], layer.fan_in // layer.weight_shape[2]
    longest = 1 + (rows - layer.fan_in) // (slab * stride)
    return max(1, min(longest, filter_copies, layer.output_shape[1]))


def _window_rows(layer: Layer, windows: int, packing: Packing) -> int:
    """Rows that ``windows`` output positions take."""
    if packing == "duplicate":
        return windows * layer.fan_in
    kernel = layer.weight_shape[2]
    # a stride longer than the kernel leaves values between two windows that no filter needs
    length = kernel + (windows - 1) * min(layer.stride[0], kernel)
    return math.prod((layer.weight_shape[1], length, *layer.weight_shape[3:]))
