"""Layout of bits on a macro, and of a layer on the macros of a chip.

A sum longer than the rows of a macro is cut into row groups, each converted, and added digitally.
Filters beyond the columns go to further macros, or to further words of the same ones, and macros
that are left over take a share of the output positions, with a copy of the weights. A layer larger
than all words exchanges its weights for every pixel. A sum shorter than the rows leaves some idle:

    none        they stay idle
    duplicate   further windows lie beside the first, on their own rows and columns
    shifted     one longer window along the first spatial axis, and on further columns the same
                filters shifted by one output each, so that the values which windows share are
                driven once

A layer in groups of channels is as many small layers. As many of them as fit lie on one macro, each
on its own rows and columns; windows are packed into the share of a macro that a group has.

Neither packing makes a conversion add up more products: the converters work as often as before.

Counts that follow from a minimum, a maximum or a logarithm are whole numbers in floating point, so
that the arrays of a sweep and a single design share every formula.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pim_sim.errors import InputError
from pim_sim.hardware import Macro, Mapping, Packing
from pim_sim.schema import unchecked
from pim_sim.workload import Layer, ceil_div


@dataclass(frozen=True, kw_only=True)
class MacroLayout:
    """Layout of inputs and weights of some bits on a macro."""

    steps: int
    """Steps per input."""
    groups_per_weight: int
    """Groups of merged columns, so conversions per step, of one weight."""
    weights_per_row: int
    """Weights beside each other, so filters, of one array."""
    conversions: int
    """Conversions per output, of all steps and groups."""
    additions: int
    """Digital additions that put those together."""
    sum_bits: int
    """Bits of the digital sum."""
    steps_converted: float
    """Share of the steps that a conversion follows."""


def configured_for(macro: Macro, input_bits: int, weight_bits: int) -> Macro:
    """Return the macro configured for these bit widths.

    A step never applies more bits than the input has, and a chain of adders makes its weights as
    wide as they are: its columns hold the bits of a weight and those its sum grows by.
    """
    bits = np.minimum(macro.input.bits_per_step, input_bits, dtype=float)
    macro = unchecked(macro, input=unchecked(macro.input, bits_per_step=bits))
    if macro.chained:
        macro = unchecked(macro, array=unchecked(macro.array, columns_merged=weight_bits))
    return macro


def lay_out(macro: Macro, input_bits: int, weight_bits: int) -> MacroLayout:
    """Lay inputs and weights of these bits on a macro that `configured_for` returned.

    Raises `InputError` where its columns do not hold one weight.
    """
    entry = macro.input
    steps = ceil_div(macro.input_digits(input_bits), entry.bits_per_step)
    groups = ceil_div(macro.weight_digits(weight_bits), macro.weight_bits_per_column)
    weights = macro.groups // groups
    if np.any(weights < 1):
        expected = f"columns for a weight of {weight_bits} bits"
        raise InputError(f"array.columns: found {macro.array.columns}, expected {expected}")
    converted = ceil_div(steps, entry.steps_per_conversion)
    conversions = groups * converted
    if macro.converter is not None:
        additions = conversions - 1
        sum_bits = macro.converter.bits + weight_bits + input_bits - 1
    else:
        additions = conversions
        sum_bits = weight_bits + macro.row_bits + input_bits - 1
    return MacroLayout(
        steps=steps,
        groups_per_weight=groups,
        weights_per_row=weights,
        conversions=conversions,
        additions=additions if macro.logic.shift_and_add else 0,
        sum_bits=sum_bits,
        steps_converted=converted / steps,
    )


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """One application of a layer on macros that hold all of its weights."""

    row_groups: int
    """Groups of rows that the products of one output are split over."""
    column_tiles: int
    """Macros side by side that hold the filters, of a layer in groups those of one group."""
    groups_together: int
    """Groups of channels on one macro; 1 for a layer without groups."""
    windows: int
    """Output positions computed at once on one macro."""
    rows_driven: int
    """Rows that one step drives, of the fullest row group."""
    rows_summed: float
    """Products that one conversion adds up, on average over the row groups."""
    copies: int
    """Copies of the weights, each on its own macros, that share the positions."""
    arrays: int
    """Macros that the layer takes with one copy of its weights."""
    exchanges: int
    """Loads of weights per pixel, one set after another; 0 where the words of all macros keep all
    weights, so that they stay from pixel to pixel."""
    rounds: int
    """Sets of positions and of arrays computed one after another."""
    steps: int
    """Steps per input, for its bits."""
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
    """Drives of a row per input value, the steps of its bits taken as one."""


def tile(layer: Layer, macro: Macro, mapping: Mapping) -> Tiling:
    """Lay ``layer`` out on copies of ``macro``.

    Raises `InputError` where the columns of a macro do not hold even one weight.
    """
    macro = configured_for(macro, layer.input_bits, layer.weight_bits)
    layout = lay_out(macro, layer.input_bits, layer.weight_bits)
    rows, filters = macro.array.rows, layer.filters_per_group
    row_groups = ceil_div(layer.fan_in, rows)
    together = _groups_together(layer, rows, layout.weights_per_row)
    share = layout.weights_per_row // together // filters
    windows = _windows(layer, rows // together, share, mapping.packing)
    tiles = ceil_div(filters, layout.weights_per_row)
    blocks = ceil_div(layer.groups, together)
    # all rows that a window takes; more than one window only where the whole sum fits the rows
    packed = _window_rows(layer, windows, mapping.packing)
    window_rows: Any = np.where(windows > 1, packed, float(layer.fan_in))[()]
    arrays = row_groups * tiles * blocks
    copies = np.maximum(1.0, macro.copies // arrays)
    steps_of_positions = _steps_of_positions(layer, windows, mapping.packing)
    words: Any = macro.copies * macro.array.depth
    exchanges: Any = np.where(arrays > words, ceil_div(arrays, words), 0)[()]
    return Tiling(
        row_groups=row_groups,
        column_tiles=tiles,
        groups_together=together,
        windows=windows,
        rows_driven=ceil_div(together * window_rows, row_groups),
        rows_summed=layer.fan_in / row_groups,
        copies=copies,
        arrays=arrays,
        exchanges=exchanges,
        rounds=ceil_div(steps_of_positions, copies) * ceil_div(arrays, macro.copies),
        steps=layout.steps,
        activations=steps_of_positions * arrays * layout.steps,
        conversions=layer.outputs * row_groups * layout.conversions if macro.converter else 0,
        additions=layer.outputs * _additions(macro, layout, row_groups),
        row_utilisation=layer.groups / blocks * window_rows / row_groups / rows,
        column_utilisation=layer.filters * windows / (tiles * blocks) / layout.weights_per_row,
        input_drives=steps_of_positions * tiles * layer.groups * window_rows / layer.inputs,
    )


def _groups_together(layer: Layer, rows: int, weights_per_row: int) -> int:
    """Return the groups that one macro holds, each on its own rows and columns."""
    if layer.groups == 1:
        return 1
    fitting = np.minimum(rows // layer.fan_in, weights_per_row // layer.filters_per_group)
    together: int = np.maximum(1.0, np.minimum(fitting, layer.groups))
    return together


def _additions(macro: Macro, layout: MacroLayout, row_groups: int) -> int:
    """Return digital additions per output; a digital macro keeps a sum from the first step on."""
    parts = layout.conversions * row_groups
    return parts - 1 if macro.converter is not None else parts


def _windows(layer: Layer, rows: int, filter_copies: int, packing: Packing) -> int:
    """Return output positions at once: as many as rows, columns and outputs of the axis allow."""
    if packing == "none" or layer.positions == 1:
        single: int = np.minimum(1.0, rows)
        return single
    fitting: Any = rows // layer.fan_in
    if packing == "duplicate":
        available = float(layer.positions)
    else:
        kernel, apart, shift = _first_axis(layer)
        length, common = rows // (layer.fan_in // kernel), max(0, kernel - shift)
        fitting = np.where(
            length // kernel < apart,
            length // kernel,
            (length - apart * common) // min(shift, kernel),
        )[()]
        available = float(layer.output_shape[1])
    windows: int = np.maximum(1.0, np.minimum(np.minimum(fitting, filter_copies), available))
    return windows


def _steps_of_positions(layer: Layer, windows: int, packing: Packing) -> int:
    """Return the sets of positions; one longer window ends with its axis."""
    if packing != "shifted" or layer.kind == "linear":
        return ceil_div(layer.positions, windows)
    along = layer.output_shape[1]
    return layer.positions // along * ceil_div(along, windows)


def _window_rows(layer: Layer, windows: int, packing: Packing) -> int:
    """Return the rows that ``windows`` output positions take."""
    if packing != "shifted" or layer.kind == "linear":
        return windows * layer.fan_in
    kernel, apart, shift = _first_axis(layer)
    # of the windows' values those that an earlier window has are left out; a stride longer than
    # the kernel leaves values between two windows that no filter needs
    shared: int = np.maximum(0, windows - apart) * max(0, kernel - shift)
    return layer.fan_in // kernel * (windows * kernel - shared)


def _first_axis(layer: Layer) -> tuple[int, int, int]:
    """Return the kernel's values along the first axis, and when windows there share values.

    Window w + apart takes at its value k what window w takes at its value k + shift.
    """
    stride, dilation = layer.stride[0], layer.dilation[0]
    divisor = math.gcd(stride, dilation)
    return layer.weight_shape[2], dilation // divisor, stride // divisor
