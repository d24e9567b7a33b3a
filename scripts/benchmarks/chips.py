"""Designs of a whole network per minute, each layer with its best mapping, on one core.

python scripts/benchmarks/chips.py [workload.json]
"""

from __future__ import annotations

import sys
import time

from pim_sim import Workload, load_chip
from pim_sim.network import price_designs
from pim_sim.workload import one_layer

AXES = {
    "core.multipliers": [64, 128, 256, 512],
    "core.weight_registers": [1, 4, 8],
    "supply_v": [0.7, 0.8, 0.9],
    "clock_ns": [1.0, 2.0, 3.0, 4.0],
    "weight_buffer.read_energy_pj": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
    "weight_buffer.words_per_cycle": [2, 4, 8],
    "links.bit_energy_pj": [0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2],
    "core.register_energy_pj": [0.0005, 0.001, 0.002],
}


def main() -> None:
    """Time a sweep without and with the first layer in memory."""
    example = one_layer("8x1x7x3x3", "1x200x5x5", weight_bits=6, stride="4x1x1")
    workload = Workload.from_json(sys.argv[1]) if len(sys.argv) > 1 else example
    for in_memory in ((), (workload.layers[0].name,)):
        start = time.process_time()
        designs = len(price_designs(workload, load_chip("edge_22nm"), AXES, in_memory).energy_pj)
        seconds = time.process_time() - start
        where = "first layer in memory" if in_memory else "digital"
        print(f"{where:24}{designs:10,} designs{60 * designs / seconds:14,.0f} per minute")


if __name__ == "__main__":
    main()
