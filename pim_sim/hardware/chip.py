"""Whole chips: a digital core, event-driven accumulators, neuron units, buffers, DRAM and macros.

Every energy of a transfer is of one word; a chip at another node or supply follows the laws that
scale the rest of its hardware (`Chip.moved`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field, is_dataclass, replace
from dataclasses import fields as fields_of
from typing import Any

from pim_sim.hardware.description import Mapping
from pim_sim.hardware.macro import Macro
from pim_sim.schema import (
    check_integer,
    check_number,
    check_part,
    check_quantity,
    check_text,
    refuse,
    set_field,
)
from pim_sim.technology import delay_ratio, energy_ratio

_BOUNDS: dict[str, tuple[float, float]] = {"bits_per_ns": (1e-6, 1e6)}


@dataclass(frozen=True, kw_only=True)
class Core:
    """An array of multipliers with local registers, fed from the buffers.

    Its multipliers take any split of filters, products of one sum (joined by a tree of adders) and
    output positions. What a register holds is not read from a buffer again.
    """

    multipliers: int
    """Multipliers that work at the same time, each with its adder."""
    operand_bits: int
    """Bits of both operands and of the sum at which the energies below hold."""
    multiply_energy_pj: float
    """Energy of one multiplication at `operand_bits`."""
    add_energy_pj: float
    """Energy of one addition at `operand_bits`."""
    register_energy_pj: float
    """Energy of one bit written into a register."""
    weight_registers: int
    """Weights that each multiplier holds."""
    input_registers: int
    """Inputs that each multiplier holds."""
    sum_registers: int
    """Sums that each multiplier holds."""
    line_buffer_bits: int
    """Bits of the line buffer that serves overlapping windows from one read."""

    def __post_init__(self) -> None:
        check_part(self, "chip.core.")
        check_integer("chip.core.multipliers", self.multipliers, 1, 2**16)
        for name in ("weight_registers", "input_registers", "sum_registers"):
            check_integer(f"chip.core.{name}", getattr(self, name), 1, 64)


@dataclass(frozen=True, kw_only=True)
class EventCore:
    """Accumulators that work on spikes one by one, and fetch the weights that a spike reaches."""

    accumulators: int
    """Accumulators that work at the same time."""
    sum_registers: int
    """Sums, or membranes, that each accumulator holds."""

    def __post_init__(self) -> None:
        check_part(self, "chip.events.")


@dataclass(frozen=True, kw_only=True)
class NeuronUnits:
    """Units that leak, integrate, compare and reset membranes."""

    units: int
    """Neurons updated at the same time."""
    leak_bits: int
    """Bits of the factor of the leak."""

    def __post_init__(self) -> None:
        check_part(self, "chip.neurons.")


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """An on-chip SRAM of many banks."""

    kilobytes: int
    """Capacity; 1,024 bytes of 8 bits each."""
    word_bits: int
    """Bits of one access."""
    words_per_cycle: int
    """Accesses at the same time."""
    read_energy_pj: float
    """Energy of reading one word."""
    write_energy_pj: float
    """Energy of writing one word."""

    def __post_init__(self) -> None:
        check_part(self, "chip.buffer.")

    @property
    def bits(self) -> int:
        """Capacity in bits."""
        return self.kilobytes * 8192


@dataclass(frozen=True, kw_only=True)
class DRAM:
    """The memory beside the chip, which keeps all weights and what the buffers do not hold."""

    word_bits: int
    """Bits of one access."""
    access_energy_pj: float
    """Energy of reading or writing one word."""
    bits_per_ns: float
    """Bits read or written per ns."""

    def __post_init__(self) -> None:
        check_part(self, "chip.dram.", bounds=_BOUNDS)

    @property
    def bit_pj(self) -> float:
        """Energy of one bit."""
        return self.access_energy_pj / self.word_bits


@dataclass(frozen=True, kw_only=True)
class Links:
    """Wires between the buffers and the cores and macros."""

    bit_energy_pj: float
    """Energy of moving one bit."""

    def __post_init__(self) -> None:
        check_part(self, "chip.links.")


@dataclass(frozen=True, kw_only=True)
class Chip:
    """One chip at one node and supply.

    Arguments are the fields below; `load_chip` reads them from a TOML file.

    Raises:
        InputError: a value is impossible.

    >>> from pim_sim import load_chip
    >>> chip = load_chip("edge_22nm")
    >>> chip.node_nm, chip.core.multipliers
    (22.0, 256)
    """

    name: str
    """Name of its file, without the ending."""
    description: str
    """One line for lists."""
    node_nm: float
    supply_v: float
    clock_ns: float
    """Period of the clock: of one multiplication and its addition, and of one access."""
    core: Core
    neurons: NeuronUnits
    activation_buffer: Buffer
    """SRAM of inputs, outputs, sums and membranes."""
    weight_buffer: Buffer
    """SRAM of the weights of digital layers."""
    dram: DRAM
    links: Links
    events: EventCore | None = None
    """Accumulators for spikes; None where the core computes all layers."""
    macro: Macro | None = None
    """Macros that compute in memory, `copies` of them; None for a digital chip."""
    mapping: Mapping = field(default_factory=Mapping)

    def __post_init__(self) -> None:
        check_text("description", self.description)
        for name in ("node_nm", "clock_ns"):
            set_field(self, name, check_quantity(name, getattr(self, name)))
        set_field(self, "supply_v", check_number("supply_v", self.supply_v, 0.3, 5))
        if self.macro is not None and self.macro.node_nm != self.node_nm:
            expected = f"{self.node_nm:g}: the whole chip at one node"
            raise refuse("macro.node_nm", self.macro.node_nm, expected)

    def moved(self, *, node_nm: float | None = None, supply_v: float | None = None) -> Chip:
        """Return the chip at another node or supply, digital parts, buffers and macros together.

        Digital energies follow the law of digital logic, the clock the delay of a gate; the DRAM
        stays. Raises `InputError` outside the range of these laws.
        """
        new_nm = self.node_nm if node_nm is None else node_nm
        new_v = self.supply_v if supply_v is None else supply_v
        energy = energy_ratio(self.node_nm, self.supply_v, new_nm, new_v)
        return replace(
            self,
            node_nm=new_nm,
            supply_v=new_v,
            clock_ns=self.clock_ns * delay_ratio(self.node_nm, self.supply_v, new_nm, new_v),
            core=replace(
                self.core,
                multiply_energy_pj=self.core.multiply_energy_pj * energy,
                add_energy_pj=self.core.add_energy_pj * energy,
                register_energy_pj=self.core.register_energy_pj * energy,
            ),
            activation_buffer=_scaled(self.activation_buffer, energy),
            weight_buffer=_scaled(self.weight_buffer, energy),
            links=Links(bit_energy_pj=self.links.bit_energy_pj * energy),
            macro=None if self.macro is None else self.macro.at(new_nm, new_v),
        )


def _scaled(buffer: Buffer, energy: float) -> Buffer:
    return replace(
        buffer,
        read_energy_pj=buffer.read_energy_pj * energy,
        write_energy_pj=buffer.write_energy_pj * energy,
    )


def with_macro(chip: Chip, macro: Macro) -> Chip:
    """Return a chip with macros of another kind, as many as it had, at their node and supply."""
    copies = macro.copies if chip.macro is None else max(chip.macro.copies, macro.copies)
    bare = replace(chip, macro=None).moved(node_nm=macro.node_nm, supply_v=macro.supply_v)
    return replace(bare, macro=replace(macro, copies=copies))


def with_fields(chip: Chip, fields: Iterable[str]) -> Chip:
    """Return a chip with fields changed as ``core.multipliers=128`` or ``macro.array.rows=32``.

    Raises `InputError` for a field that the chip does not have, and for a value that it refuses.

    >>> from pim_sim import load_chip
    >>> with_fields(load_chip("edge_22nm"), ["macro.converter.bits=4"]).macro.adc_bits
    4
    """
    for field_ in fields:
        path, equals, text = field_.partition("=")
        if not equals:
            raise refuse("--set", field_, "FIELD=VALUE, like macro.converter.bits=4")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text  # a word without its quotes
        chip = _with_field(chip, path.removeprefix("chip.").split("."), value, path)
    return chip


def _with_field(part: Any, path: list[str], value: object, whole: str) -> Any:
    name, *rest = path
    known = [field.name for field in fields_of(part)] if is_dataclass(part) else []
    if name not in known:
        expected = f"one of {', '.join(known)}" if known else "no further part"
        raise refuse(f"--set {whole}", name, expected)
    if rest:
        value = _with_field(getattr(part, name), rest, value, whole)
    return replace(part, **{name: value})
