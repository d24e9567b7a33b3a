"""First layer on Indian Pines on Wang's macro, against the figure of another simulator."""

from __future__ import annotations

from typing import Any

from pim_sim.cost_model import Scales, macro_costs, tile
from pim_sim.hardware import Mapping, load_hardware, load_macro
from pim_sim.workload import Layer

ACCELFORGE_US = 10.91
ACCELFORGE_NJ = {
    "input_drivers": 34.746 + 78.620,  # RowDrivers, SelectWordlineDrivers: 192,456 drives
    "dac": 44.886,  # 106,920 conversions
    "cells": 4.821 + 6.393 + 0.031 + 0.465,  # C2CMultiplier, its PortB, CimUnit, ColumnDrivers
    "converters": 96.384,  # 35,640 conversions
}
"""Answer of AccelForge (MIT) for this layer at 8 bits on its Wang macro, with its mapper.

Printed by `scripts/calibration/accelforge_layer.py`; here by the names of this model's components.

Its delay is 2,376 of its cycles, 4.59 ns, so it computes 15 outputs a cycle: it puts positions on
the columns that 20 filters leave of 16. Here two tiles of 10 filters each take 3,564 cycles. The
converters were fitted to the chip on both sides (there 3.15 times its own law). The energies part
at the drivers: a drive of a row and of its word select is 0.59 pJ there, and 5 products share it in
this layer; at full use 16 do, and it is the larger part of the chip's 40 % for its arrays. Here
that share sits in the cells, which only products charge. The chip's paper does not print how its
40 % divide, so it decides for neither. Only this model charges control and the memory of inputs
and outputs.
"""

INDIAN_PINES = Layer(
    name="conv1",
    kind="conv3d",
    input_shape=(1, 200, 5, 5),
    weight_shape=(20, 1, 3, 3, 3),
    stride=(1, 1, 1),
    padding=(0, 0, 0),
    weight_bits=8,
    input_bits=8,
    signed=True,
    time_steps=1,
    input_density=1.0,
    repeats_input=True,
)


def check_layer(scales: Scales) -> dict[str, Any]:
    """Price the layer with ``scales``, in nJ by component and us, beside the other simulator."""
    macro, mapping = load_macro("wang_2022"), Mapping()
    tiling = tile(INDIAN_PINES, macro, mapping)
    memory = load_hardware("c2c_22nm").memory
    costs = macro_costs(INDIAN_PINES, macro, memory, mapping, tiling, scales)
    parts = {name: float(cost.energy_pj / 1e3) for name, cost in costs.items() if cost.energy_pj}
    return {
        "macs": INDIAN_PINES.macs,
        "outputs": INDIAN_PINES.outputs,
        "energy_nj": sum(parts.values()),
        "delay_us": float(sum(cost.delay_ns for cost in costs.values())) / 1e3,
        "parts_nj": parts,
        "accelforge_energy_nj": sum(ACCELFORGE_NJ.values()),
        "accelforge_parts_nj": ACCELFORGE_NJ,
        "accelforge_delay_us": ACCELFORGE_US,
    }
