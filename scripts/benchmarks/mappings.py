"""Best mappings of three layers, here and by zigzag-dse on the same architecture.

    python scripts/benchmarks/mappings.py

An array of 16x16 multipliers (filters by products) with one register per operand, an activation and
a weight buffer, without links. zigzag-dse (MIT; pip install zigzag-dse six) searches the orders of
its loops; here the split of the multipliers is searched too, and once fixed to zigzag's. Energies
of multiplications, registers and buffers are compared; 8-bit operands, sums of 24 bits there.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pim_sim import load_chip
from pim_sim.hardware import Chip
from pim_sim.network import Counts, Demand, Loading, candidates, digital_costs
from pim_sim.workload import Layer, one_layer

LAYERS = {
    "20 filters of 27 products, 198x9": ("20x27x1x1", "27x198x9"),
    "64 filters of 64x3x3, 16x16": ("64x64x3x3", "64x18x18"),
    "dense 4096 to 1000": ("1000x4096x1x1", "4096x1x1"),
}
PARTS = (
    "multiplies", "adds", "registers", "weight_reads", "input_reads", "partial_sums",
    "output_writes",
)  # fmt: skip
SIDE = 16


def architecture() -> Chip:
    """Return the chip that both search: one register per operand, buffers that hold every layer."""
    chip = load_chip("edge_22nm")
    core = replace(
        chip.core, multipliers=SIDE**2, weight_registers=1, input_registers=1, sum_registers=1,
        line_buffer_bits=1,
    )  # fmt: skip
    return replace(
        chip,
        core=core,
        activation_buffer=replace(chip.activation_buffer, kilobytes=4096),
        weight_buffer=replace(chip.weight_buffer, kilobytes=8192),
        macro=None,
    )


def ours(layer: Layer, chip: Chip, fixed: bool) -> tuple[float, float]:
    """Return the least energy in nJ and the seconds of the search."""
    start = time.perf_counter()
    demand = Demand(layer, 24, 0)
    (found,) = candidates(demand, chip, "dense")
    costs = digital_costs(demand, Counts(*found.table.T), chip, Loading(True, 0.0))
    energy = np.sum([np.broadcast_to(costs[part].energy_pj, len(found.table)) for part in PARTS], 0)
    if fixed and found.splits is not None:
        sizes = min(SIDE, layer.filters), min(SIDE, layer.fan_in)
        kept = (found.splits[:, 0] == sizes[0]) & (found.splits[:, 1] == sizes[1])
        energy = energy.reshape(len(found.splits), -1)[kept].ravel()
    return float(energy.min()) / 1e3, time.perf_counter() - start


def _memory(size: int, read: float, write: float, operands: str, served: str, bits: int) -> str:
    names = operands.strip("[]").split(", ")
    ports: dict[str, list[str]] = {"read": [], "write": []}
    for name in names:
        ports["read"] += [f"{name}, tl"] + (["O, th"] if name == "O" and served != "all" else [])
        ports["write"] += [f"{name}, fh"] if served != "all" else []
        ports["write"] += ["O, fl"] if name == "O" else []
    text = (
        f"    size: {size}\n    r_cost: {read}\n    w_cost: {write}\n    area: 0\n    latency: 1\n"
    )
    text += f"    auto_cost_extraction: False\n    operands: {operands}\n    ports:\n"
    for kind, allocation in ports.items():
        if allocation:
            lines = "".join(f"          - {entry}\n" for entry in allocation)
            text += (
                f"      - name: {kind[0]}_port_1\n        type: {kind}\n"
                f"        bandwidth_min: {bits}\n        bandwidth_max: {bits}\n"
                f"        allocation:\n{lines}"
            )
    dimensions = {"all": "[D1, D2]", "none": "[]", "products": "[D2]"}[served]
    return f"{text}    served_dimensions: {dimensions}\n"


def _hardware(chip: Chip) -> str:
    """Return the architecture as zigzag reads it; prices are of 8 bits (sums: 24)."""
    core = chip.core
    register = core.register_energy_pj * 8
    buffer = chip.activation_buffer.read_energy_pj / 8
    memories = {
        "reg_w": _memory(8, register, register, "[I2]", "none", 8),
        "reg_i": _memory(8, register, register, "[I1]", "none", 8),
        "reg_o": _memory(24, 3 * register, 3 * register, "[O]", "products", 24),
        "activations": _memory(chip.activation_buffer.bits, buffer, buffer, "[I1, O]", "all", 8),
        "weights": _memory(chip.weight_buffer.bits, buffer, buffer, "[I2]", "all", 8),
    }
    body = "".join(f"  {name}:\n{text}" for name, text in memories.items())
    mac = core.multiply_energy_pj + core.add_energy_pj * 3
    return (
        f"name: array\nmemories:\n{body}operational_array:\n  unit_energy: {mac}\n  unit_area: 1\n"
        f"  dimensions: [D1, D2]\n  sizes: [{SIDE}, {SIDE}]\n"
    )


_MAPPING = f"""- name: default
  spatial_mapping:
    D1:
      - K, {SIDE}
    D2:
      - C, {SIDE}
  memory_operand_links:
    O: O
    W: I2
    I: I1
"""


def zigzag(layer: Layer, chip: Chip) -> tuple[float, float]:
    """Return zigzag's least energy in nJ and the seconds of its search."""
    import onnx
    from onnx import TensorProto, helper
    from zigzag.api import get_hardware_performance_zigzag

    logging.disable(logging.CRITICAL)
    weights = onnx.numpy_helper.from_array(np.zeros(layer.weight_shape, np.float32), "w")
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *shape])
        for name, shape in (("x", layer.input_shape), ("y", layer.output_shape))
    ]
    kernel = list(layer.weight_shape[2:])
    sizes: dict[str, Any] = {"weight_size": 8, "act_size": 8, "output_size": 24}
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="l", kernel_shape=kernel, **sizes)
    graph = helper.make_graph([node], "layer", values[:1], values[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    with tempfile.TemporaryDirectory() as folder:
        files = {name: str(Path(folder) / name) for name in ("l.onnx", "hw.yaml", "map.yaml")}
        onnx.save(onnx.shape_inference.infer_shapes(model), files["l.onnx"])
        Path(files["hw.yaml"]).write_text(_hardware(chip), encoding="utf-8")
        Path(files["map.yaml"]).write_text(_MAPPING, encoding="utf-8")
        start = time.perf_counter()
        energy, *_ = get_hardware_performance_zigzag(
            files["l.onnx"], files["hw.yaml"], files["map.yaml"], opt="energy", dump_folder=folder,
            pickle_filename=f"{folder}/result.pickle", loma_show_progress_bar=False,
        )  # fmt: skip
        return float(energy) / 1e3, time.perf_counter() - start


def main() -> None:
    """Search every layer on both sides."""
    chip = architecture()
    print(f"{'layer':36}{'here, nJ':>11}{'split fixed':>13}{'s':>8}{'zigzag, nJ':>13}{'s':>8}")
    for name, shapes in LAYERS.items():
        layer = one_layer(*shapes).layers[0]
        best, seconds = ours(layer, chip, fixed=False)
        same, _ = ours(layer, chip, fixed=True)
        line = f"{name:36}{best:11.4g}{same:13.4g}{seconds:8.3f}"
        if importlib.util.find_spec("zigzag") is not None:
            theirs, long = zigzag(layer, chip)
            line += f"{theirs:13.4g}{long:8.2f}  {same / theirs:.2f} of it, "
            line += f"{long / seconds:,.0f} x faster"
        print(line)
    if importlib.util.find_spec("zigzag") is None:
        print("zigzag-dse is not installed")


if __name__ == "__main__":
    main()
