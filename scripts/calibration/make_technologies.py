# ruff: noqa: E501 (lines of the files it writes)
"""Write the files of pim_sim/hardware/technologies from the table of component costs.

    python scripts/calibration/make_technologies.py

Each file pairs one kind of macro with multipliers and a memory of the same node and supply. The
digital numbers are of one family: Horowitz's at 45 nm beside CACTI's memory, both scaled by the law
that moves the macros (`pim_sim.technology.node`), so that no node is mixed with another. sram_65nm,
sram_45nm and ace_snn are written by hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from pim_sim.technology import cost, delay_ratio, energy_ratio

FOLDER = Path(__file__).parents[2] / "pim_sim" / "hardware" / "technologies"
KT_J = 1.380649e-23 * 300
CAPACITOR_MISMATCH = 0.0085  # of 1 fF; Tripathi & Murmann, TCSI 61(8), 2014 (recalled)


@dataclass(frozen=True)
class Technology:
    """One file: its macro's tables and its header."""

    name: str
    node_nm: int
    supply_v: float
    words: str
    macro: str
    arithmetic: str = "Horowitz's arithmetic"
    baseline: str = ""
    """Tables of a digital macro, in place of the multipliers."""


ROWS = 256
TECHNOLOGIES = [
    Technology(f"bit_line_6t_{node}nm", node, supply, "6T SRAM bit lines (IMAC, DIMA)", "6t")
    for node, supply in ((65, 1.0), (28, 0.9))
] + [
    Technology(f"bit_line_8t_{node}nm", node, supply, "8T SRAM bit lines", "8t")
    for node, supply in ((28, 0.9), (7, 0.8))
] + [
    Technology(f"charge_{node}nm", node, supply, "charge-domain capacitors above SRAM", "charge")
    for node, supply in ((65, 1.0), (28, 0.9), (16, 0.8), (7, 0.8))
] + [
    Technology("colonnade_65nm", 65, 1.0, "charge-domain capacitors above SRAM", "charge",
               "a digital macro like Colonnade", "colonnade"),
    Technology("c2c_22nm", 22, 0.8, "C-2C ladders", "c2c"),
    Technology("rram_65nm", 65, 1.0, "RRAM", "rram"),
    Technology("rram_22nm", 22, 0.8, "RRAM", "rram"),
]  # fmt: skip

MACROS = {
    "6t": """cell = "sram_6t"
rows = 256                # rows summed at once (chosen)
columns = 256             # columns of cells (chosen)
signed = "differential_columns"  # a 6T cell has two bit lines, but reads of both signs take two cells

[macro.input]
encoding = "pulse_width"  # as DIMA's word lines
bits_per_step = 4         # bits of a pulse (chosen; DIMA takes 4 bits a pulse)
""",
    "8t": """cell = "sram_8t"
rows = 256                # rows summed at once (chosen; Sinangil has 64)
columns = 256             # columns of cells (chosen)
columns_merged = 2        # bits merged by binary-weighted capacitors (chosen; Sinangil has 4)

[macro.input]
encoding = "pulse_count"  # as Sinangil
bits_per_step = 4         # bits of a pulse train, as Sinangil
""",
    "charge": """cell = "charge"
rows = 256                # rows summed at once (chosen; Jia has 2304)
columns = 256             # columns of cells (chosen)

[macro.input]
encoding = "bit_serial"   # as Jia
bits_per_step = 1         # bits per step, as Jia
""",
    "c2c": """cell = "c2c"
rows = 64                 # rows summed at once, as Wang
columns = 126             # columns, as Wang but a multiple of 6
columns_merged = 6        # weight bits of a ladder (chosen; Wang has 8)
depth = 8                 # words kept for each ladder, as Wang

[macro.input]
encoding = "dac"          # as Wang
bits_per_step = 8         # bits of the DAC, as Wang
""",
    "rram": """cell = "rram"
rows = 128                # inputs summed at once, as NeuRRAM
columns = 256             # columns, as NeuRRAM
bits_per_cell = 3         # bits of a cell as levels (chosen; NeuRRAM has 4)
signed = "differential_rows"  # two cells for each weight, as NeuRRAM
read_ns = 10              # ns, one read pulse, as NeuRRAM

[macro.input]
encoding = "bit_serial"   # as NeuRRAM
steps_per_conversion = 3  # steps gathered before a conversion, as NeuRRAM
sign_magnitude = true     # as NeuRRAM
""",
}
BASELINES = {
    "": "",
    "colonnade": """
[digital_macro]           # the digital side, in place of the multipliers above; fitted to the chip
copies = 4                # macros, as many as of the other side (chosen)

[digital_macro.array]
cell = "digital"          # bit-serial adders in the array, as Colonnade
rows = 128                # inputs of a chain, as Colonnade
columns = 128             # columns of cells, as Colonnade

[digital_macro.logic]
adder = "chain"           # as Colonnade
rows_per_register = 8     # rows of a pipeline stage, as Colonnade
""",
}
CONVERTER_BITS = {"6t": 7, "8t": 7, "charge": 7, "c2c": 8, "rram": 7}


def text(tech: Technology) -> str:
    """Return the file of one technology."""
    ratio = energy_ratio(45, 0.9, tech.node_nm, tech.supply_v)
    how = (
        f"x {ratio:.3f} (cell pitch and V^2, 45 nm 0.9 V to {tech.node_nm} nm {tech.supply_v:g} V)"
    )
    slower = delay_ratio(45, 0.9, tech.node_nm, tech.supply_v)
    gate = f"x {slower:.3f} (delay of a gate)"
    multiply_ns = 4.0 * delay_ratio(65, 1.0, tech.node_nm, tech.supply_v)
    memory, mult, add = (
        cost("sram_read_8kb", family="cacti"),
        cost("int_multiply", family="horowitz", bits=8),
        cost("int_add", family="horowitz", bits=8),
    )
    bits = CONVERTER_BITS[tech.macro]
    thermal, mismatch = noise(tech.supply_v)
    return f"""# Written by scripts/calibration/make_technologies.py from the table of component costs; do not edit.
# "chosen" marks a size that a designer picks; the energies of the macro follow from the capacitances
# and the scales fitted to measured chips (pim-sim validate).
schema = 1
description = "{tech.words} at {tech.node_nm} nm with {tech.arithmetic} and CACTI's memory, scaled"
node_nm = {tech.node_nm}              # nm; of everything in this file
supply_v = {tech.supply_v:g}            # V; usual supply of the node

[memory]
word_bits = 64            # bits per read, as the CACTI run below
banks = 4                 # banks, as sram_65nm (chosen)
read_energy_pj = {memory.value * ratio:.4g}    # pJ, CACTI's 64-bit read of 8 KB at 45 nm, 6.14 pJ {how}
read_time_ns = {1.06 * slower:.4g}      # ns, access of the same run, 1.06 ns {gate}

[digital]
multipliers = 175         # multipliers, as sram_65nm (chosen)
operand_bits = 8          # bits at which the two energies below hold: Horowitz's int8
multiply_energy_pj = {mult.value * ratio:.4g}  # pJ, Horowitz's int8 at 45 nm, 0.2 pJ {how}
add_energy_pj = {add.value * ratio:.4g}  # pJ, Horowitz's int8 at 45 nm, 0.03 pJ {how}
multiply_time_ns = {multiply_ns:.4g}  # ns, that of sram_65nm, 4 ns, by the delay of a gate

[macro]
copies = 4                # macros, as many as banks (chosen)

[macro.array]
{MACROS[tech.macro]}
[macro.converter]
bits = {bits}                  # bits; a first layer of 27 products needs 6 to 7 (chosen)

[mapping]
packing = "shifted"       # small kernels fill the rows with one longer window
pipelined = true          # rows take the next input while the converters still work

[noise]
thermal_lsb = 0.289       # converter steps: half a bit lost, as much noise as quantization's 1 / sqrt(12) (chosen)
inl_lsb = 0.5             # converter steps: monotonic without calibration (chosen)
thermal = {thermal:.4g}      # share of full scale: kT/C of {ROWS} capacitors of 2 fF over the supply
capacitor = {mismatch:.4g}  # share: 0.85 % of 1 fF (Tripathi & Murmann, TCSI 61(8), 2014; recalled), of 2 fF
{BASELINES[tech.baseline]}"""


def noise(supply_v: float) -> tuple[float, float]:
    """Return thermal noise of the summed capacitors over the supply, and mismatch of one."""
    unit_ff = cost("unit_capacitor").value
    rms_v = math.sqrt(KT_J / (ROWS * unit_ff * 1e-15))
    return rms_v / supply_v, CAPACITOR_MISMATCH / math.sqrt(unit_ff)


def main() -> None:
    """Write every file."""
    for tech in TECHNOLOGIES:
        path = FOLDER / f"{tech.name}.toml"
        path.write_text(text(tech), encoding="utf-8")
        print(path.name)


if __name__ == "__main__":
    main()
