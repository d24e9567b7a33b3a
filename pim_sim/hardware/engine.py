"""Protocol of the engines that compute in memory, as hardware files describe them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Protocol, Self

from pim_sim.hardware.macro import InputSigns, WeightSigns
from pim_sim.workload import Layer


class Engine(Protocol):
    """An engine that computes in memory: its tables in a file, and its analog columns.

    `BitLineArray` and `Macro` implement it; `pim_sim.cost_model` prices either. Numbers may be
    arrays, for many designs at once.
    """

    TABLES: ClassVar[Mapping[str, tuple[str, ...]]]
    """Tables of a hardware file that describe the engine, and the fields they become."""
    AXES: ClassVar[tuple[str, ...]]
    """Two names of fields that a sweep may take, as examples."""

    @property
    def node_nm(self) -> float | None:
        """Node, where the engine is described at one of its own."""

    @property
    def supply_v(self) -> float | None:
        """Supply, where the file states it."""

    @property
    def converts(self) -> bool:
        """True if sums pass a converter."""

    @property
    def adc_bits(self) -> int:
        """Bits of a conversion; 0 where nothing is converted."""

    @property
    def input_bits_per_conversion(self) -> int:
        """Input bits whose products are added up before one conversion."""

    @property
    def weight_bits_per_column(self) -> int:
        """Weight bits that one conversion reads."""

    @property
    def weight_signs(self) -> WeightSigns:
        """Representation of weights of both signs."""

    @property
    def input_signs(self) -> InputSigns | None:
        """Representation of inputs of both signs; None for a sign that costs no bit."""

    @property
    def products_at_once(self) -> int:
        """Maximum of products that one conversion adds up."""

    def holds(self, weight_bits: int) -> bool:
        """Return whether the columns hold one weight of so many bits."""

    def largest_sum(self, layer: Layer) -> float:
        """Return the largest value of one analog sum, in steps of the smallest product."""

    def at(self, node_nm: float, supply_v: float) -> Self:
        """Return the engine at another node and supply; `InputError` where it has no model."""
