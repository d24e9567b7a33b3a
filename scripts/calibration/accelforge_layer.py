"""AccelForge's price of the first layer on Indian Pines on its Wang macro, at 8 bits.

    python3.12 -m venv other && other/bin/pip install accelforge
    other/bin/python scripts/calibration/accelforge_layer.py

Its figures stand in `pim_sim/validation/first_layer.py`. AccelForge (MIT) needs Python 3.12 and, to
draw a mapping, `dot` of Graphviz; where the wheel of hwcomponents-neurosim asks for a newer glibc
than the machine's, `pip install --force-reinstall --no-deps --no-binary hwcomponents-neurosim
hwcomponents-neurosim` builds it. Printed with accelforge 1.0.467, hwcomponents 1.0.114,
hwcomponents-adc 1.0.21 and hwcomponents-neurosim 1.0.43.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import chdir
from pathlib import Path

LAYER = """
renames:
  einsums:
  - name: default
    tensor_accesses:
    - {name: input, source: Inputs & Intermediates, expected_count: 1}
    - {name: output, source: Outputs, expected_count: 1}
    - {name: weight, source: ~(input | output), expected_count: 1}
workload:
  bits_per_value: {All: 8}
  rank_sizes: {N: 1}
  einsums:
  - einsum: "Y[d, p, q, n, m] = X[n, D: d + t, H: p + r, W: q + s] * F[t, r, s, m]"
    iteration_space_shape:
    - 0 <= d < 198
    - 0 <= p < 3
    - 0 <= q < 3
    - 0 <= m < 20
    - 0 <= t < 3
    - 0 <= r < 3
    - 0 <= s < 3
    renames: {output: Y, input: X, weight: F}
"""


def main() -> None:
    """Map the layer, print energy and how often each component acts, and the delay."""
    import accelforge as af

    arches = Path(af.__file__).parents[1] / "examples" / "arches" / "compute_in_memory"
    sys.path.insert(0, str(arches))
    from _load_spec import get_spec

    spec = get_spec("wang_vlsi_2022", add_dummy_main_memory=True, n_macros=1)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):  # it draws its mapping there
        Path("layer.yaml").write_text(LAYER, encoding="utf-8")
        spec.workload = af.Workload.from_yaml("layer.yaml", top_key="workload")
        spec.renames = af.Renames.from_yaml("layer.yaml", top_key="renames")
        found = spec.map_workload_to_arch(print_progress=False)
    print(f"{float(found.energy()) * 1e9:.2f} nJ, {float(found.latency()) * 1e6:.2f} us")
    actions = found.actions(per_component=True)
    for name, energy in found.energy(per_component=True).items():
        times = actions.get((name, "read"), 0)
        print(f"{name:24}{float(energy) * 1e9:9.3f} nJ in {float(times):,.0f}")


if __name__ == "__main__":
    main()
