"""Analog-to-digital converters: energy and time of a conversion, by named laws.

Energy laws
    accelergy: the fit of Andrulis et al. (arXiv 2404.06553; package hwcomponents-adc 1.0.21, MIT)
        to the best converters of Murmann's survey from 8 bits on. With fewer bits, at old nodes and
        low rates it lies above most converters that were built, so it bounds nothing there: at 65
        nm, 100 MS/s and 4 bits above the typical law's 90th percentile.
    typical: the median of Murmann's survey as it goes on (`pim_sim.technology.adc_survey`), at this
        rate and node; the law of the shipped files.
    stated: the file's own `energy_pj`, at the file's own `bits`.

Time laws
    zigzag: ZigZag's in-memory converter (KU Leuven, zigzag-dse, MIT), fitted at 28 nm.
    stated: the file's own `time_ns`, at the file's own `bits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from pim_sim.errors import InputError
from pim_sim.schema import check_choice, check_integer, check_quantity, refuse, set_field
from pim_sim.technology import accelergy_energy_pj, typical_energy_pj, zigzag_time_ns

EnergyLaw = Literal["accelergy", "typical", "stated"]
TimeLaw = Literal["zigzag", "stated"]


@dataclass(frozen=True, kw_only=True)
class ADC:
    """The converter of one column group.

    Raises `InputError` for a law without its number, a number without its law, or bits outside
    the range of the law (accelergy: 4 to 20).
    """

    bits: int
    """Resolution, taken as effective bits."""
    energy_law: EnergyLaw
    """Law of the energy of a conversion."""
    time_law: TimeLaw
    """Law of the time of a conversion."""
    energy_pj: float | None = None
    """Energy of a conversion; of the stated law only."""
    time_ns: float | None = None
    """Time of a conversion; of the stated law only."""

    def __post_init__(self) -> None:
        check_choice("adc.energy_law", self.energy_law, get_args(EnergyLaw))
        check_choice("adc.time_law", self.time_law, get_args(TimeLaw))
        low, high = (4, 20) if self.energy_law == "accelergy" else (1, 24)
        check_integer("adc.bits", self.bits, low, high)
        for field, law in (("energy_pj", self.energy_law), ("time_ns", self.time_law)):
            value = getattr(self, field)
            if law == "stated":
                if value is None:
                    raise InputError(f"adc: missing field {field!r}, which the stated law needs")
                set_field(self, field, check_quantity(f"adc.{field}", value))
            elif value is not None:
                raise refuse(f"adc.{field}", value, f"no such field beside the {law} law")

    def conversion_energy_pj(self, node_nm: float, time_ns: float) -> float:
        """Return the energy of one conversion that takes ``time_ns`` at ``node_nm``."""
        if self.energy_pj is not None:
            return self.energy_pj
        if self.energy_law == "typical":
            return typical_energy_pj(self.bits, 1e9 / time_ns, node_nm)
        return accelergy_energy_pj(self.bits, node_nm, rate_hz=1e9 / time_ns)

    def conversion_time_ns(self, node_nm: float, shared_columns: int) -> float:
        """Return the time of one conversion of the charge that ``shared_columns`` share."""
        if self.time_ns is not None:
            return self.time_ns
        return zigzag_time_ns(self.bits, node_nm, shared_columns)
