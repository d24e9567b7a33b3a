"""Parts of a piece of hardware, each a frozen dataclass that checks its own numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from pim_sim.errors import InputError
from pim_sim.hardware.engine import Engine
from pim_sim.hardware.macro import Macro
from pim_sim.schema import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_part,
    check_quantity,
    check_text,
    refuse,
    set_field,
)
from pim_sim.technology import delay_ratio, energy_ratio

Packing = Literal["none", "duplicate", "shifted"]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The SRAM that both designs read weights and inputs from."""

    word_bits: int
    """Bits of one read (B_IO)."""
    banks: int
    """Banks that work at the same time (N_bank), as memories or as arrays that compute."""
    read_energy_pj: float
    """Energy of reading one word (E_read)."""
    read_time_ns: float
    """Time of reading one word (t_read)."""

    def __post_init__(self) -> None:
        check_part(self, "memory.")


@dataclass(frozen=True, kw_only=True)
class Digital:
    """Multipliers that each hold one weight while every output position passes."""

    multipliers: int
    """Multipliers that work at the same time (N_mult)."""
    operand_bits: int
    """Bits of both operands and of the sum at which the energies below hold."""
    multiply_energy_pj: float
    """Energy of one multiplication at `operand_bits` (E_mult)."""
    add_energy_pj: float
    """Energy of one addition at `operand_bits` (E_add)."""
    multiply_time_ns: float
    """Time of one multiplication and its addition, at any bits (t_mult)."""
    scaled: bool = True
    """True if the energies follow the layer's bits, or hold for an operation of any bits."""

    def __post_init__(self) -> None:
        check_part(self, "digital.")


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """Rules for laying a layer out on the macros of a chip."""

    packing: Packing = "shifted"
    """Use of the rows that a small kernel leaves: none, further windows beside the first, or one
    longer window along the first spatial axis, with a shifted copy of the filters for each."""
    pipelined: bool = True
    """True if the rows take the next input while the converters still work on the last."""
    pixels_per_load: int = 21_025
    """Pixels classified per load of the weights, on either side; by default those of a scene of
    145x145, Indian Pines."""

    def __post_init__(self) -> None:
        check_choice("mapping.packing", self.packing, get_args(Packing))
        check_flag("mapping.pipelined", self.pipelined)
        check_integer("mapping.pixels_per_load", self.pixels_per_load, 1)


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Deviations of the analog part of a chip from exact arithmetic; 0 is ideal.

    Standard deviations over steps (thermal) or over the columns of one chip (the others).
    """

    thermal_lsb: float = 0.0
    """Noise of a conversion, in steps of the converter."""
    thermal: float = 0.0
    """Noise of the array, a share of full scale at the supply of the file: the lower the supply and
    the finer the converter, the more steps of it this is."""
    offset_lsb: float = 0.0
    """Offset of a column, in steps of the converter."""
    gain: float = 0.0
    """Error of a column's gain, a share."""
    capacitor: float = 0.0
    """Mismatch of one cell's capacitor or current, a share."""
    inl_lsb: float = 0.0
    """Largest deviation of the converter from a straight line, in its steps."""
    droop: float = 0.0
    """Fall of the supply when every row is driven, a share."""

    def __post_init__(self) -> None:
        for name in ("thermal_lsb", "offset_lsb", "inl_lsb"):
            set_field(self, name, check_number(f"noise.{name}", getattr(self, name), 0, 1e3))
        for name in ("thermal", "gain", "capacitor", "droop"):
            set_field(self, name, check_number(f"noise.{name}", getattr(self, name), 0, 1))

    def thermal_at(self, adc_bits: int) -> float:
        """Return the noise of array and converter together, in steps of so many bits."""
        return math.hypot(self.thermal_lsb, self.thermal * 2.0**adc_bits)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One technology, digital and in memory, at one node.

    Arguments are the fields below; `load_hardware` reads them from a TOML file.

    Raises:
        InputError: a value is impossible, or a macro is of another node than the rest.

    >>> from pim_sim import load_hardware
    >>> hardware = load_hardware("c2c_22nm")
    >>> hardware.node_nm, hardware.engine.adc_bits, hardware.engine.products_at_once
    (22.0, 8, 64)
    """

    name: str
    """Name of its file, without the ending."""
    description: str
    """One line for lists."""
    node_nm: float
    """Technology node of every energy and time of the file."""
    memory: Memory
    digital: Digital
    engine: Engine
    """The engine that computes in memory: a `BitLineArray`, or a `Macro` of the same node."""
    digital_macro: Macro | None = None
    """A digital macro that stands for the digital side, in place of the multipliers."""
    mapping: Mapping = field(default_factory=Mapping)
    noise: Noise = field(default_factory=Noise)
    complete: bool = True
    """True if control and the writing of outputs are charged; ACE-SNN's equations have neither."""

    def __post_init__(self) -> None:
        check_text("description", self.description)
        check_flag("complete", self.complete)
        set_field(self, "node_nm", check_quantity("node_nm", self.node_nm))
        for table, part in (("macro", self.engine), ("digital_macro", self.digital_macro)):
            if part is not None and part.node_nm not in (None, self.node_nm):
                expected = f"{self.node_nm:g}: both sides of a comparison at one node"
                raise refuse(f"{table}.node_nm", part.node_nm, expected)

    @property
    def digital_engine(self) -> Digital | Macro:
        """The digital side: multipliers, or the digital macro in their place."""
        return self.digital if self.digital_macro is None else self.digital_macro

    @property
    def supply_v(self) -> float | None:
        """Supply of both sides where the file states it, as it does beside a macro."""
        return self.engine.supply_v

    def moved(self, *, node_nm: float | None = None, supply_v: float | None = None) -> Hardware:
        """Return the hardware at another node or supply, both sides together.

        One law moves every energy and time that the file states, and those that the model derives:
        energies follow the pitch of a 6T cell and the square of the supply, times the delay of a
        gate. Raises `InputError` for hardware without a macro, whose energies hold at its own node
        only.
        """
        if self.supply_v is None:
            raise InputError(f"found hardware {self.name!r} without a macro, expected one with it")
        new_nm = self.node_nm if node_nm is None else node_nm
        new_v = self.supply_v if supply_v is None else supply_v
        engine = self.engine.at(new_nm, new_v)  # refuses what is no node or supply
        energy = energy_ratio(self.node_nm, self.supply_v, new_nm, new_v)
        time = delay_ratio(self.node_nm, self.supply_v, new_nm, new_v)
        memory, digital, other = self.memory, self.digital, self.digital_macro
        return replace(
            self,
            node_nm=new_nm,
            engine=engine,
            digital_macro=other.at(new_nm, new_v) if other else None,
            memory=replace(
                memory,
                read_energy_pj=memory.read_energy_pj * energy,
                read_time_ns=memory.read_time_ns * time,
            ),
            digital=replace(
                digital,
                multiply_energy_pj=digital.multiply_energy_pj * energy,
                add_energy_pj=digital.add_energy_pj * energy,
                multiply_time_ns=digital.multiply_time_ns * time,
            ),
            noise=replace(self.noise, thermal=min(self.noise.thermal * self.supply_v / new_v, 1)),
        )
