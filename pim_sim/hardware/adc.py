"""Analog-to-digital converters: energy and time of a conversion, by named laws.

Energy laws
    accelergy: the fit of Andrulis et al. (arXiv 2404.06553; package hwcomponents-adc 1.0.21, MIT)
        to the best converters of Murmann's survey. It is a lower bound: published converters lie a
        median of ten times above it.
    typical: the median of converters to come, fitted to Murmann's survey
        (`pim_sim.components.survey`), at this rate and node.
    stated: the file's own `energy_pj`, at the file's own `bits`.

Time laws
    zigzag: ZigZag's in-memory converter (KU Leuven, zigzag-dse, MIT), fitted at 28 nm.
    stated: the file's own `time_ns`, at the file's own `bits`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from pim_sim.checks import check_choice, check_integer, refuse
from pim_sim.components.survey import typical_energy_pj
from pim_sim.errors import InputError
from pim_sim.hardware.limits import check_quantity
from pim_sim.numeric import exp, log, lower

EnergyLaw = Literal["accelergy", "typical", "stated"]
TimeLaw = Literal["zigzag", "stated"]

_ZIGZAG_NODE_NM = 28.0


@dataclass(frozen=True, kw_only=True)
class ADC:
    """The converter of one column group.

    Raises `InputError` for a law without its number, a number without its law, or bits outside
    what the law covers (accelergy: 4 to 20).
    """

    bits: int
    """Resolution, taken as effective bits."""
    energy_law: EnergyLaw
    """Where the energy of a conversion comes from."""
    time_law: TimeLaw
    """Where the time of a conversion comes from."""
    energy_pj: float | None = None
    """Energy of a conversion, of the stated law alone."""
    time_ns: float | None = None
    """Time of a conversion, of the stated law alone."""

    def __post_init__(self) -> None:
        check_choice("adc.energy_law", self.energy_law, get_args(EnergyLaw))
        check_choice("adc.time_law", self.time_law, get_args(TimeLaw))
        fewest, most = (4, 20) if self.energy_law == "accelergy" else (1, 24)
        check_integer("adc.bits", self.bits, fewest, most)
        for field, law in (("energy_pj", self.energy_law), ("time_ns", self.time_law)):
            value = getattr(self, field)
            if law == "stated":
                if value is None:
                    raise InputError(f"adc: missing field {field!r}, which the stated law needs")
                object.__setattr__(self, field, check_quantity(f"adc.{field}", value))
            elif value is not None:
                raise refuse(f"adc.{field}", value, f"no such field beside the {law} law")

    def conversion_energy_pj(self, node_nm: float, time_ns: float) -> float:
        """Energy of one conversion that takes ``time_ns`` at ``node_nm``."""
        if self.energy_pj is not None:
            return self.energy_pj
        if self.energy_law == "typical":
            return typical_energy_pj(self.bits, 1e9 / time_ns, node_nm)
        return accelergy_energy_pj(self.bits, node_nm, rate_hz=1e9 / time_ns)

    def conversion_time_ns(self, node_nm: float, shared_columns: int) -> float:
        """Time of one conversion of the charge that ``shared_columns`` columns share."""
        if self.time_ns is not None:
            return self.time_ns
        return zigzag_time_ns(self.bits, node_nm, shared_columns)


def accelergy_energy_pj(bits: float, node_nm: float, rate_hz: float) -> float:
    """Energy of a conversion in pJ after the Accelergy survey fit.

    With SNDR = 20 log10(2) bits + 10 log10(1.5) dB and the figure of merit
    FOMS = min(213.78 - 2.872 ln rate, 128.31 + 3.2205 bits) dB,

    E = exp(26.05 + 1.880 ln node - 2.829 ln bits - 1.470) / (2 * 10^((FOMS - SNDR) / 10)).

    Constants: hwcomponents_adc/adc_data/model.yaml of the release named above, node in nm.
    The cap in bits holds up to about 10 GHz at 6 bits, so slower converters cost no less.
    """
    sndr_db = 20 * math.log10(2) * bits + 10 * math.log10(1.5)
    by_rate_db = 213.7806687348118 - 2.8719030399529957 * log(rate_hz)
    by_bits_db = 128.3068287398817 + 3.2205115109774 * bits
    foms_db = lower(by_rate_db, by_bits_db)
    correction = (
        26.0496215686518
        + 1.8800369206815004 * log(node_nm)
        - 2.8291256050594527 * log(bits)
        - 1.4702022133784405
    )
    return exp(correction - (foms_db - sndr_db) / 10 * math.log(10)) / 2


def zigzag_time_ns(bits: int, node_nm: float, shared_columns: int) -> float:
    """Time of a conversion in ns after ZigZag's law for in-memory converters.

    t = bits * (0.00653 * cells + 0.640) ns at 28 nm, where ``cells`` hang on the line the converter
    senses; here these are the columns that share their charge. Other nodes follow constant-field
    scaling, delay proportional to the node (Dennard et al., JSSC 1974): t * node / 28.
    """
    return bits * (0.00653 * shared_columns + 0.640) * node_nm / _ZIGZAG_NODE_NM
