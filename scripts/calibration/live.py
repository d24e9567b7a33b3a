"""Rows of the component table, recomputed by their own tools, at any node and bits.

Needs Python 3.12 and the packages of the extra `live`, hwcomponents-adc and hwcomponents-cacti
(MIT). Where a wheel of the latter asks for a newer glibc than the machine's, `pip install
--no-binary hwcomponents-cacti hwcomponents-cacti` builds it.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from pim_sim import InputError
from pim_sim.schema import check_integer, check_number, refuse
from pim_sim.technology import CostRow

_RATE_HZ = 1e8
_WORD_BITS = 64


def live_cost(name: str, *, node_nm: float, bits: int) -> CostRow:
    """Compute the cost of a name, as `pim_sim.technology.cost`, at a node and bits.

    Names are ``adc_conversion``, of 4 to 20 bits at 7 to 130 nm and 100 MS/s, and ``sram_read_8kb``
    with any number of KB, reads of 64 bits at 22 to 180 nm. Raises `InputError` for others, numbers
    outside these ranges, and a package that is not installed.
    """
    if name == "adc_conversion":
        return _conversion(node_nm, bits)
    if size := re.fullmatch(r"sram_read_(\d{1,6})kb", name):
        return _read(name, int(size[1]), node_nm, bits)
    raise refuse("component", name, "adc_conversion or sram_read_8kb (of any size)")


def _conversion(node_nm: float, bits: int) -> CostRow:
    check_number("node_nm", node_nm, 7, 130)
    check_integer("bits", bits, 4, 20)
    adc = _package("hwcomponents_adc").ADC(
        tech_node=node_nm * 1e-9, n_bits=bits, throughput=_RATE_HZ, n_adcs=1
    )
    # the package prints the leakage during a conversion separately
    energy = float(adc.convert().energy) + float(adc.leak_power) / _RATE_HZ
    return CostRow(
        name="adc_conversion",
        family="accelergy",
        value=energy * 1e12,
        unit="pJ",
        node_nm=node_nm,
        voltage_v=0,
        bits=bits,
        kind="bound",
        valid="1 to 200 MS/s",
        source="hwcomponents-adc (MIT), lower bound of the ADC survey, at 100 MS/s",
    )


def _read(name: str, size_kb: int, node_nm: float, bits: int) -> CostRow:
    check_number("node_nm", node_nm, 22, 180)
    check_integer("bits", bits, _WORD_BITS, _WORD_BITS)
    check_integer("KB", size_kb, 1, 65_536)
    cells = size_kb * 1024 * 8
    memory = _package("hwcomponents_cacti").SRAM(
        tech_node=node_nm * 1e-9, width=_WORD_BITS, depth=cells // _WORD_BITS, size=cells
    )
    return CostRow(
        name=name,
        family="cacti",
        value=float(memory.read(bits_per_action=_WORD_BITS).energy) * 1e12,
        unit="pJ",
        node_nm=node_nm,
        voltage_v=0,
        bits=bits,
        kind="printed",
        valid="scratchpad",
        source="CACTI as hwcomponents-cacti (MIT) runs it, access energy",
    )


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        needed = f"{name.replace('_', '-')}: pip install 'snnquant[live]', Python 3.12 or newer"
        raise InputError(f"component: needs the package {needed}") from None
