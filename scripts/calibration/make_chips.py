# ruff: noqa: E501 (lines of the files it writes)
"""Write the files of pim_sim/hardware/systems from the table of component costs.

    python scripts/calibration/make_chips.py

Digital numbers are of one family on both sides of every comparison: Horowitz's arithmetic at 45 nm,
scaled by cell pitch and V^2, CACTI's reads of 32 KB at the node itself, wires of 0.2 fF/um, and gates
of ZigZag's model for the registers.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pim_sim.io import replacing
from pim_sim.technology import GATES, Node, cost, energy_ratio

FOLDER = Path(__file__).parents[2] / "pim_sim" / "hardware" / "systems"
LINK_MM = 1.0


class System(NamedTuple):
    """One file: node, supply, clock and the macro of its arrays."""

    node_nm: int
    supply_v: float
    clock_ns: float
    words: str
    macro: str
    copies: int


SYSTEMS = {
    "edge_22nm": System(
        22,
        0.8,
        2.0,
        "C-2C ladders",
        """cell = "c2c"
rows = 64                # rows summed at once, as Wang (VLSI 2022)
columns = 126            # columns, as Wang but a multiple of 6
columns_merged = 6       # weight bits of a ladder (chosen; Wang has 8)
depth = 8                # words kept for each ladder, as Wang

[macro.input]
encoding = "dac"         # as Wang
bits_per_step = 8        # bits of the DAC, as Wang

[macro.converter]
bits = 8                 # bits, as Wang""",
        40,
    ),
    "edge_65nm": System(
        65,
        1.0,
        5.0,
        "charge-domain capacitors above SRAM",
        """cell = "charge"
rows = 256               # rows summed at once (chosen; Jia has 2304)
columns = 256            # columns of cells (chosen)

[macro.converter]
bits = 7                 # bits (chosen; Jia has 8 at 2304 rows)""",
        48,
    ),
}


def text(system: System) -> str:
    """Return the file of a chip."""
    node_nm, supply = system.node_nm, system.supply_v
    ratio = energy_ratio(45, 0.9, node_nm, supply)
    scaled = f"pJ x {ratio:.4g} (cell pitch and V^2, 45 nm 0.9 V to {node_nm} nm {supply:g} V)"
    multiply = cost("int_multiply", bits=8).value
    add = cost("int_add", bits=8).value
    node = Node(node_nm, supply)
    register = GATES.register * node.gate_ff * supply**2 * 1e-3
    read = cost("sram_read_32kb", family="cacti", node_nm=node_nm).value
    wire = cost("wire_capacitance").value
    link = wire * 1000 * LINK_MM * supply**2 / 2 * 1e-3
    dram = cost("dram_read")
    return f"""# Written by scripts/calibration/make_chips.py from the table of component costs; do not edit.
# "chosen" marks a size that a designer picks.
schema = 1
description = "edge chip at {node_nm} nm: 256 multipliers, 64 event-driven accumulators, {system.words}"
node_nm = {node_nm}              # nm; of everything in this file except the DRAM
supply_v = {supply:g}           # V; usual supply of the node

[chip]
clock_ns = {system.clock_ns:g}             # ns (chosen; {system.clock_ns / node.gate_ns:.0f} delays of a two-input gate)

[chip.core]
multipliers = 256        # multipliers (chosen)
operand_bits = 8         # bits at which the two energies below hold: Horowitz's int8
multiply_energy_pj = {multiply * ratio:.4g}  # pJ, Horowitz's int8, {multiply:g} {scaled}
add_energy_pj = {add * ratio:.4g}  # pJ, Horowitz's int8, {add:g} {scaled}
register_energy_pj = {register:.4g}  # pJ per bit, a flip-flop of {GATES.register} gates of {node.gate_ff:.3g} fF (ZigZag)
weight_registers = 8     # weights per multiplier (chosen)
input_registers = 8      # inputs per multiplier (chosen)
sum_registers = 8        # sums per multiplier (chosen)
line_buffer_bits = 65536  # bits, 8 KB (chosen)

[chip.events]
accumulators = 64        # accumulators (chosen: the area of a quarter as many multipliers)
sum_registers = 16       # sums per accumulator (chosen)

[chip.neurons]
units = 16               # neuron units (chosen)
leak_bits = 8            # bits of the leak (chosen)

[chip.activation_buffer]
kilobytes = 64           # KB, two banks of 32 KB (chosen)
word_bits = 64           # bits per access, as the CACTI run below
words_per_cycle = 2      # accesses at once, one per bank
read_energy_pj = {read:g}  # pJ, CACTI's 64-bit read of 32 KB at {node_nm} nm
write_energy_pj = {read:g}  # pJ, as a read (assumed)

[chip.weight_buffer]
kilobytes = 256          # KB, eight banks of 32 KB (chosen: holds the weights of cnn32h at 6 bits)
word_bits = 64           # bits per access, as the CACTI run below
words_per_cycle = 8      # accesses at once, one per bank
read_energy_pj = {read:g}  # pJ, CACTI's 64-bit read of 32 KB at {node_nm} nm
write_energy_pj = {read:g}  # pJ, as a read (assumed)

[chip.dram]
word_bits = 64           # bits per access, as Horowitz's figure
access_energy_pj = {dram.value:g}  # pJ per 64 bits, the middle of Horowitz's 1.3 to 2.6 nJ; not scaled
bits_per_ns = 32.0       # bits per ns: 32 pins of 1 Gb/s (chosen)

[chip.links]
bit_energy_pj = {link:.4g}    # pJ per bit: {LINK_MM:g} mm of {wire:g} fF/um, half of the bits change (Ho, Mai & Horowitz 2001)

[macro]
copies = {system.copies}              # macros (chosen: hold the weights of cnn32h at 6 bits)

[macro.array]
{system.macro}

[mapping]
packing = "shifted"      # small kernels fill the rows with one longer window
pipelined = true         # rows take the next input while the converters still work
"""


if __name__ == "__main__":
    for name, system in SYSTEMS.items():
        with replacing(FOLDER / f"{name}.toml") as temporary:
            temporary.write_text(text(system), encoding="utf-8")
