"""Bit-line arrays of ACE-SNN's kind: a 6T-SRAM array with its converters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from pim_sim.errors import InputError
from pim_sim.hardware.adc import ADC
from pim_sim.hardware.macro import InputSigns, WeightSigns
from pim_sim.schema import check_part, refuse
from pim_sim.workload import Layer, ceil_div


@dataclass(frozen=True, kw_only=True)
class Array:
    """A 6T-SRAM array whose bit lines compute, one per bank."""

    rows: int
    """Word lines."""
    columns: int
    """Bit lines, each with its bit-line processor."""
    weight_bits_per_column: int
    """Maximum of weight bits that one functional read turns into one bit-line voltage."""
    input_bits_per_step: int
    """Maximum of input bits that a bit-line processor takes at once."""
    functional_read_energy_pj: float
    """Energy of a functional read, per column."""
    functional_read_time_ns: float
    """Time of a functional read."""
    accumulate_energy_pj: float
    """Energy of one bit-line multiplication and accumulation (E_BLP), per column."""
    accumulate_time_ns: float
    """Time of the bit-line processing of one functional read."""

    def __post_init__(self) -> None:
        check_part(self, "array.")
        if self.rows < self.weight_bits_per_column:
            expected = f"at least weight_bits_per_column ({self.weight_bits_per_column})"
            raise refuse("array.rows", self.rows, expected)


@dataclass(frozen=True, kw_only=True)
class BitLineArray:
    """An array and the converter of each of its column groups."""

    TABLES: ClassVar[Mapping[str, tuple[str, ...]]] = {"array": ("array",), "adc": ("adc",)}
    AXES: ClassVar[tuple[str, ...]] = ("array.columns", "adc.bits")

    array: Array
    adc: ADC

    @property
    def node_nm(self) -> float | None:
        """None: the energies of the array hold at the node of the file."""
        return None

    @property
    def supply_v(self) -> float | None:
        """None: the energies of the array are stated, not derived from a supply."""
        return None

    @property
    def converts(self) -> bool:
        """True if sums pass a converter: always."""
        return True

    @property
    def adc_bits(self) -> int:
        """Bits of a conversion."""
        return self.adc.bits

    @property
    def input_bits_per_conversion(self) -> int:
        """Input bits whose products are added up before one conversion."""
        return self.array.input_bits_per_step

    @property
    def weight_bits_per_column(self) -> int:
        """Weight bits that one conversion reads."""
        return self.array.weight_bits_per_column

    @property
    def weight_signs(self) -> WeightSigns:
        """Representation of weights of both signs: a 6T column has two bit lines."""
        return "differential"

    @property
    def input_signs(self) -> InputSigns | None:
        """None: a pulse on one bit line or the other carries the sign."""
        return None

    @property
    def products_at_once(self) -> int:
        """Maximum of products that one conversion adds up."""
        return self.array.columns

    def holds(self, weight_bits: int) -> bool:
        """Return whether a row holds one weight; arrays of bits or columns give arrays."""
        array = self.array
        fits = ceil_div(weight_bits, array.weight_bits_per_column) <= array.columns
        return fits & (array.rows >= array.weight_bits_per_column)

    def largest_sum(self, layer: Layer) -> float:
        """Return the largest value of one analog sum, in steps of the smallest product."""
        summed = np.minimum(float(layer.fan_in), self.array.columns)
        largest: float = summed * 2.0 ** (layer.weight_bits + layer.input_bits)
        return largest

    def at(self, node_nm: float, supply_v: float) -> Self:
        """Refuse another node or supply: the stated energies hold at the file's own."""
        raise InputError(
            f"found a bit-line array, expected a macro at {node_nm:g} nm, {supply_v:g} V"
        )
