"""The first layer on Indian Pines on Wang's macro, against the figure of another simulator."""

from __future__ import annotations

from typing import Any

from pim_sim.hardware import Mapping, load_hardware
from pim_sim.macro import Scales, load_macro
from pim_sim.macro.layers import macro_costs
from pim_sim.macro.tiling import tile
from pim_sim.workload import Layer

ACCELFORGE_NJ, ACCELFORGE_US = 266.0, 10.9
"""What AccelForge (MIT) answers for this layer at 8 bits on its Wang macro, with its mapper.

Its delay is 2,376 of its cycles, 4.59 ns, so it computes 15 outputs a cycle: it puts positions on
the columns that 20 filters leave of 16. Here two tiles of 10 filters each take 3,564 cycles. Its
converters were fitted to the chip too (3.15 times its own law). What it spends by component was not
to be had, so the rest of the difference is not attributed.
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
    """The layer with ``scales``: nJ by component and us, beside the other simulator's figures."""
    macro, mapping = load_macro("wang_2022"), Mapping()
    tiling = tile(INDIAN_PINES, macro, mapping)
    memory = load_hardware("c2c_22nm").memory
    costs = macro_costs(INDIAN_PINES, macro, memory, mapping, tiling, scales)
    parts = {name: cost.energy_pj / 1e3 for name, cost in costs.items() if cost.energy_pj}
    return {
        "macs": INDIAN_PINES.macs,
        "outputs": INDIAN_PINES.outputs,
        "energy_nj": sum(parts.values()),
        "delay_us": sum(cost.delay_ns for cost in costs.values()) / 1e3,
        "parts_nj": parts,
        "accelforge_energy_nj": ACCELFORGE_NJ,
        "accelforge_delay_us": ACCELFORGE_US,
    }
