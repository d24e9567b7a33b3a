"""Write pim_sim/technology/costs.csv, the table of component costs with the source of every row.

    python scripts/calibration/make_component_costs.py

With the extra `live` installed (Python 3.12 or newer) hwcomponents-adc and CACTI recompute their
rows. Without it the converters follow the same law, which `pim_sim` carries and tests, and CACTI's
numbers are its printed ones.
"""

from __future__ import annotations

import csv
from pathlib import Path

from live import live_cost

from pim_sim import InputError
from pim_sim.technology import accelergy_energy_pj

TARGET = Path(__file__).parents[2] / "pim_sim" / "technology" / "costs.csv"
FIELDS = [
    "name", "family", "value", "unit", "node_nm", "voltage_v", "bits", "kind", "valid", "source",
]  # fmt: skip

HOROWITZ = "Horowitz, Computing's energy problem, ISSCC 2014"
CACTI = "CACTI, 64-bit read, access energy and time as the tool prints them"
ZIGZAG = "ZigZag-IMC (KU Leuven, zigzag-dse 3.9.1, MIT), fitted at 28 nm and 0.9 V"
ACCELERGY = "hwcomponents-adc 1.0.21 (MIT), lower bound of the ADC survey, at 100 MS/s"
NVSIM = "RRAM cell of NVSim, also NVMExplorer's: SetEnergy, ResetEnergy, SetPulse, ResetPulse"
SET_OR_RESET = "one SET or RESET at 2 V"
FOUNDRY = (
    "published high-density 6T cells of foundries (recalled; IEDM and VLSI papers of each node)"
)

Row = tuple[str, str, float, str, float, float, int, str, str, str]


def arithmetic() -> list[Row]:
    """Return adders and multipliers of one family."""
    pj = {
        "int_add": {8: 0.03, 32: 0.1},
        "int_multiply": {8: 0.2, 32: 3.1},
        "float_add": {16: 0.4, 32: 0.9},
        "float_multiply": {16: 1.1, 32: 3.7},
    }
    return [
        (
            name,
            "horowitz",
            value,
            "pJ",
            45,
            0.9,
            bits,
            "recalled",
            "an operation, no memory",
            HOROWITZ,
        )
        for name, by_bits in pj.items()
        for bits, value in by_bits.items()
    ]


def memories() -> list[Row]:
    """Return reads of 64 bits from SRAM of several sizes (in KB, in the name)."""
    horowitz = {8: 10.0, 32: 20.0, 1024: 100.0}
    cacti = {(8, 45): 6.14, (32, 45): 17.04, (1024, 45): 93.52, (32, 65): 30.1, (32, 22): 3.79}
    dram = "64 bits from DRAM, the middle of 1.3 to 2.6 nJ; it does not follow the logic's node"
    return (
        [
            (f"sram_read_{size}kb", "horowitz", v, "pJ", 45, 0.9, 64, "recalled", "cache", HOROWITZ)
            for size, v in horowitz.items()
        ]
        + [("dram_read", "horowitz", 1950, "pJ", 0, 0, 64, "recalled", dram, HOROWITZ)]
        + [
            (
                name,
                "cacti",
                round(_live_pj(name, node, 64, v), 2),
                "pJ",
                node,
                0,
                64,
                "printed",
                "scratchpad",
                CACTI,
            )
            for (size, node), v in cacti.items()
            for name in [f"sram_read_{size}kb"]
        ]
    )


def gates() -> list[Row]:
    """Return gates, wires, cells and capacitors of a macro."""
    cells = {5: 0.021, 7: 0.027, 10: 0.042, 16: 0.07, 22: 0.1, 28: 0.127, 40: 0.242, 65: 0.525,
             130: 2.4}  # fmt: skip
    any_node = "3 to 250 nm, in proportion to the pitch of a 6T cell"
    return [
        ("gate_capacitance", "zigzag", 0.7, "fF", 28, 0, 0, "fitted", any_node, ZIGZAG),
        ("gate_area", "zigzag", 0.614, "um2", 28, 0, 0, "fitted", "square of that pitch", ZIGZAG),
        ("gate_delay", "zigzag", 0.0478, "ns", 28, 0.9, 0, "fitted", any_node, ZIGZAG),
        ("converter_step", "survey", 5.0, "fF", 28, 0, 1, "assumed", any_node,
         "4 fJ per level at 0.9 V: good converters of 5 to 8 bits in Murmann's ADC survey"),
        ("mram_conductance", "mram", 100.0, "uS", 0, 0, 0, "recalled",
         "magnetic tunnel junction, 5 to 20 kOhm", "MRAM papers (recalled)"),
        ("pcm_conductance", "pcm", 5.0, "uS", 0, 0, 0, "recalled",
         "phase-change device, 0 to 25 uS", "PCM papers (recalled)"),
        ("wire_capacitance", "wires", 0.2, "fF/um", 0, 0, 0, "recalled", "any node",
         "about 0.2 fF/um at every node (Ho, Mai & Horowitz, Proc. IEEE 89(4), 2001)"),
        ("unit_capacitor", "capacitors", 2.0, "fF", 0, 0, 0, "recalled",
         "metal capacitor above a cell, any node",
         "CiMLoop (MIT): unit C of the C-2C macro of Wang et al., JSSC 58(4), 2023"),
        ("sram_leakage", "sram", 10, "pW", 0, 0.9, 1, "recalled",
         "a 6T cell of a low-power process at room temperature, an order of magnitude",
         "low-power SRAM papers, about 10 pA a cell (recalled)"),
        ("rram_conductance", "rram", 2.0, "uS", 0, 0, 0, "recalled", "HfOx, 0.25 to 1 MOhm",
         "CiMLoop (MIT): cell of NeuRRAM, Wan et al., Nature 608, 2022"),
        ("rram_pulse", "rram", 0.6, "pJ", 0, 0, 1, "recalled", SET_OR_RESET, NVSIM),
        ("rram_pulse_time", "rram", 10, "ns", 0, 0, 1, "recalled", SET_OR_RESET, NVSIM),
        ("rram_pulses", "rram", 8.5, "count", 0, 0, 1, "recalled",
         "pulses until a cell is verified, on average", "NeuRRAM, Wan et al., Nature 608, 2022"),
    ] + [
        ("sram_cell_area", "foundry", area, "um2", node, 0, 1, "recalled", "6T", FOUNDRY)
        for node, area in cells.items()
    ]  # fmt: skip


def converters() -> list[Row]:
    """Return conversions at 100 MS/s."""
    return [
        ("adc_conversion", "accelergy", round(_live_pj("adc_conversion", node, bits,
         accelergy_energy_pj(bits, node, 1e8)), 5), "pJ", node, 0, bits,
         "bound", "1 to 200 MS/s", ACCELERGY)
        for node in (65, 45, 22, 7)
        for bits in (4, 6, 8, 10)
    ]  # fmt: skip


def _live_pj(name: str, node_nm: int, bits: int, printed: float) -> float:
    """Return the row's energy by its own tool where installed, or as printed."""
    try:
        return live_cost(name, node_nm=node_nm, bits=bits).value
    except InputError:
        return printed


def main() -> None:
    """Write the table."""
    rows = [*arithmetic(), *memories(), *gates(), *converters()]
    with TARGET.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows(rows)
    print(f"{len(rows)} rows in {TARGET}")


if __name__ == "__main__":
    main()
