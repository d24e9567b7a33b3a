"""Price a run's first layer, digital and in memory, from Python.

    python scripts/simulate_pim.py runs/my_run [sram_65nm]
    python scripts/simulate_pim.py workload.json my_hardware.toml

The same functions as `pim-sim run`, as a start for studies in Python.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pim_sim import InputError, Workload, load_hardware, simulate
from pim_sim.cli.text import summarise


def main() -> None:
    """Read the workload and the hardware, simulate, print."""
    parser = argparse.ArgumentParser(description="Price a run's first layer in memory.")
    parser.add_argument("workload", type=Path, help="run directory, or workload file")
    parser.add_argument("hardware", nargs="?", default="sram_65nm", help="name, or path to a .toml")
    options = parser.parse_args()

    path = options.workload / "workload.json" if options.workload.is_dir() else options.workload
    try:
        report = simulate(Workload.from_json(path), load_hardware(options.hardware))
    except InputError as error:
        print(f"simulate_pim.py: {error}", file=sys.stderr)
        sys.exit(2)
    print(summarise(report))


if __name__ == "__main__":
    main()
