"""Single laws and rows of the component table beside numbers from other sources.

A row for calibration is equal by construction: the law has its constants from that very source,
and the row shows that they were copied correctly. A row for a check comes from a source that the
law was not made from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pim_sim.cost_model import LayerOnMultipliers, Setup, add_pj, configured_for, lay_out
from pim_sim.hardware import load_hardware
from pim_sim.technology import (
    CostRow,
    accelergy_energy_pj,
    component_costs,
    cost,
    energy_ratio,
    typical_energy_pj,
)
from pim_sim.validation.first_layer import INDIAN_PINES
from pim_sim.validation.measured_chips import Measured, measured_chips
from pim_sim.workload import Layer


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One number from another source beside the number here."""

    quantity: str
    law: str
    """Law or row that gives `ours`, in words."""
    unit: str
    reference: float
    ours: float
    use: Literal["calibration", "check"]
    source: str
    """Source of `reference`."""

    @property
    def factor(self) -> float:
        """The larger over the smaller of the two; 1 is right."""
        return max(self.ours / self.reference, self.reference / self.ours)


def references() -> tuple[Reference, ...]:
    """Return every row."""
    return (
        *_counts(),
        *_hardware_constants(),
        *_memories(),
        *_arithmetic(),
        *_bounds(),
        *_converters_in_chips(),
    )


def _counts() -> Iterator[Reference]:
    """Count by hand: 20 filters of 3x3x3 have 3 x 3 x 198 positions in 5x5x200."""
    for quantity, stated, ours in (
        ("products of the first layer", 962_280, INDIAN_PINES.macs),
        ("outputs of the first layer", 35_640, INDIAN_PINES.outputs),
    ):
        yield Reference(
            quantity=quantity,
            law="20 filters of 3x3x3 on 5x5x200",
            unit="count",
            reference=stated,
            ours=ours,
            use="check",
            source="3 x 3 x 198 positions of 20 filters of 27 products, by hand",
        )


def _hardware_constants() -> Iterator[Reference]:
    """Compare constants of a shipped file that are copies of rows of the table."""
    hardware = load_hardware("sram_45nm")
    for row, ours in (
        (cost("int_multiply", family="horowitz", bits=8), hardware.digital.multiply_energy_pj),
        (cost("int_add", family="horowitz", bits=8), hardware.digital.add_energy_pj),
        (cost("sram_read_8kb", family="cacti"), hardware.memory.read_energy_pj),
    ):
        yield _of_row(row, f"constant of {hardware.name}", ours, "calibration")


def _memories() -> Iterator[Reference]:
    """Compare CACTI's reads at 45 nm, which the shipped files scale: by node, and by family."""
    at_45 = cost("sram_read_32kb", family="cacti", node_nm=45)
    horowitz_v = cost("sram_read_32kb", family="horowitz").voltage_v
    for node_nm, supply_v in ((65, 1.0), (22, 0.8)):  # as the shipped files of these nodes
        ratio = energy_ratio(45, horowitz_v, node_nm, supply_v)
        row = cost("sram_read_32kb", family="cacti", node_nm=node_nm)
        yield _of_row(row, "45 nm scaled by cell pitch and V^2", at_45.value * ratio, "check")
    for size in (8, 32, 1024):
        row = cost(f"sram_read_{size}kb", family="horowitz")
        ours = cost(row.name, family="cacti", node_nm=row.node_nm).value
        yield _of_row(row, "CACTI's row of the table", ours, "check")


def _arithmetic() -> Iterator[Reference]:
    """Compare Horowitz's integers with each other, by the digital side's scaling with bits."""
    hardware = load_hardware("sram_45nm")
    for known, asked in ((8, 32), (32, 8)):
        multiply, add = (
            cost(name, family="horowitz", bits=known).value for name in ("int_multiply", "int_add")
        )
        digital = replace(
            hardware.digital,
            operand_bits=known,
            multiply_energy_pj=multiply,
            add_energy_pj=add,
        )
        one = _one_product(asked)
        mapped = LayerOnMultipliers(Setup(one, hardware), digital)
        products = mapped.costs()["multiplies"]
        # the sum of one product of b by c bits has b + c bits
        added = add_pj(_one_product(asked // 2), digital)
        for name, ours in (("int_multiply", products.energy_pj), ("int_add", added)):
            row = cost(name, family="horowitz", bits=asked)
            yield _of_row(row, f"digital law from {known} bits", ours, "check")


def _one_product(bits: int) -> Layer:
    """Return a layer of one multiplication of ``bits`` by ``bits``."""
    return Layer(
        name="one product",
        kind="linear",
        input_shape=(1,),
        weight_shape=(1, 1),
        stride=(),
        padding=(),
        weight_bits=bits,
        input_bits=bits,
        signed=True,
        time_steps=1,
        input_density=1.0,
        repeats_input=True,
    )


def _bounds() -> Iterator[Reference]:
    """Compare Accelergy's totals; the law carries that package's constants."""
    for row in component_costs():
        if row.name == "adc_conversion":
            ours = accelergy_energy_pj(row.bits, row.node_nm, 1e8)
            yield _of_row(row, "accelergy law", ours, "calibration")


def _converters_in_chips() -> Iterator[Reference]:
    """Compare converters of measured chips, which neither law was fitted to."""
    for row in measured_chips():
        for parts, fj_per_mac in row.parts:
            if parts == ("converters",):
                yield from _converter(row, fj_per_mac)


def _converter(row: Measured, fj_per_mac: float) -> Iterator[Reference]:
    macro = configured_for(row.macro, row.input_bits, row.weight_bits)
    bits, node = macro.adc_bits, macro.node_nm
    layout = lay_out(macro, row.input_bits, row.weight_bits)
    rate_hz = 1e9 * layout.steps * macro.conversions_in_turn / (row.product_ns or 1e3)
    for law, ours in (
        ("accelergy law of the best converters", accelergy_energy_pj(bits, node, rate_hz)),
        ("typical law, the median", typical_energy_pj(bits, rate_hz, node)),
    ):
        yield Reference(
            quantity=f"converter of {row.name}, {bits} bits at {node:g} nm",
            law=law,
            unit="pJ",
            reference=fj_per_mac * macro.array.rows / layout.conversions / 1e3,
            ours=ours,
            use="check",
            source=f"{row.chip}, {row.source}",
        )


def _of_row(
    row: CostRow, law: str, ours: float, purpose: Literal["calibration", "check"]
) -> Reference:
    name = row.name.replace("_", " ")
    return Reference(
        quantity=f"{row.family} {name}, {row.bits} bits at {row.node_nm:g} nm",
        law=law,
        unit=row.unit,
        reference=row.value,
        ours=ours,
        use=purpose,
        source=row.source,
    )
