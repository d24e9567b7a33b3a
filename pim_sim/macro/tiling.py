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

from dataclasses import dataclass

from pim_sim.hardware.parts import Mapping, Packing
from pim_sim.macro.description import Macro
from pim_sim.macro.pricing import Use, fitted, use
from pim_sim.numeric import ceil_div, choose, higher, lower
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
    row_groups = ceil_div(layer.fan_in, rows)
    windows = _windows(layer, rows, laid.weights_per_row // filters, mapping.packing)
    tiles = ceil_div(filters, laid.weights_per_row)
    # all rows that a window takes; more than one window only where the whole sum fits the rows
    window_rows = choose(windows > 1, _window_rows(layer, windows, mapping.packing), layer.fan_in)
    arrays = row_groups * tiles
    copies = higher(1, macro.copies // arrays)
    steps_of_positions = ceil_div(layer.positions, windows)
    return Tiling(
        row_groups=row_groups,
        column_tiles=tiles,
        windows=windows,
        rows_driven=ceil_div(window_rows, row_groups),
        rows_summed=layer.fan_in / row_groups,
        copies=copies,
        arrays=arrays,
        rounds=ceil_div(steps_of_positions, copies) * ceil_div(arrays, macro.copies),
        steps=laid.steps,
        activations=steps_of_positions * arrays * laid.steps,
        conversions=layer.outputs * row_groups * laid.conversions if macro.converter else 0,
        additions=layer.outputs * _additions(macro, laid, row_groups),
        row_utilisation=window_rows / row_groups / rows,
        column_utilisation=filters * windows / tiles / laid.weights_per_row,
        input_drives=steps_of_positions * tiles * window_rows / layer.inputs,
    )


def _additions(macro: Macro, laid: Use, row_groups: int) -> int:
    """Digital additions for one output: a digital macro keeps a sum from the first step on."""
    parts = laid.conversions * row_groups
    return parts - 1 if macro.converter is not None else parts


def _windows(layer: Layer, rows: int, filter_copies: int, packing: Packing) -> int:
    """Output positions at once: as many as rows, columns and outputs along the axis allow."""
    if packing == "none" or layer.positions == 1:
        return lower(1, rows)
    if packing == "duplicate":
        longest, most = rows // layer.fan_in, layer.positions
    else:
        slab = layer.fan_in // layer.weight_shape[2]
        longest = 1 + (rows - layer.fan_in) // (slab * min(layer.stride[0], layer.weight_shape[2]))
        most = layer.output_shape[1]
    return higher(1, lower(lower(longest, filter_copies), most))


def _window_rows(layer: Layer, windows: int, packing: Packing) -> int:
    """Rows that ``windows`` output positions take."""
    if packing != "shifted" or layer.kind == "linear":
        return windows * layer.fan_in
    kernel = layer.weight_shape[2]
    # a stride longer than the kernel leaves values between two windows that no filter needs
    length = kernel + (windows - 1) * min(layer.stride[0], kernel)
    return layer.fan_in // kernel * length
