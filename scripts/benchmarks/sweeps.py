"""Designs per second of `pim-sim sweep` for one layer, beside zigzag-dse where installed.

    python scripts/benchmarks/sweeps.py

zigzag-dse (MIT; pip install zigzag-dse six) searches a mapping for every design, which this
simulator lays out by rule, so the two do different work; the time per design is shown.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import time
from pathlib import Path

from pim_sim import load_hardware
from pim_sim.sweep import sweep
from pim_sim.validation.first_layer import INDIAN_PINES

AXES = {
    "macro.array.rows": [16, 27, 32, 64, 128, 256, 512],
    "macro.array.columns": list(range(66, 1026, 12)),
    "macro.converter.bits": [4, 5, 6, 7, 8],
    "macro.converter.count": [1, 4, 16],
    "layer.weight_bits": [4, 6, 8],
    "macro.copies": [1, 2, 4, 8],
}


def ours(hardware: str) -> None:
    """Sweep one layer on one technology and print the rate."""
    start = time.perf_counter()
    points = len(sweep(INDIAN_PINES, load_hardware(hardware), AXES))
    seconds = time.perf_counter() - start
    print(f"{hardware:16}{points:10,} designs{seconds:8.2f} s{points / seconds:14,.0f} per second")


def zigzag() -> None:
    """Price the same layer as a matrix product on zigzag-dse's own analog array, one design."""
    import numpy as np
    import onnx
    import zigzag as package
    from onnx import TensorProto, helper
    from zigzag.api import get_hardware_performance_zigzag

    logging.disable(logging.CRITICAL)
    weights = onnx.numpy_helper.from_array(np.zeros((20, 27, 1, 1), np.float32), "w")
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 198, 9])
        for name, channels in (("x", 27), ("y", 20))
    ]
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv1", kernel_shape=[1, 1],
                            weight_size=8, act_size=8, output_size=16)  # fmt: skip
    graph = helper.make_graph([node], "layer", values[:1], values[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    inputs = Path(package.__file__).parent / "inputs"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.onnx"
        onnx.save(onnx.shape_inference.infer_shapes(model), str(path))
        start = time.perf_counter()
        get_hardware_performance_zigzag(
            str(path),
            str(inputs / "hardware" / "aimc.yaml"),
            str(inputs / "mapping" / "default_imc.yaml"),
            opt="energy",
            dump_folder=folder,
            pickle_filename=f"{folder}/result.pickle",
            in_memory_compute=True,
            loma_show_progress_bar=False,
        )
        seconds = time.perf_counter() - start
    print(f"{'zigzag-dse':16}{1:10,} design {seconds:8.2f} s{1 / seconds:14,.2f} per second")


def main() -> None:
    """Time every technology kind, then zigzag-dse."""
    for kind in ("bit_line_6t_28nm", "bit_line_8t_28nm", "charge_28nm", "c2c_22nm", "rram_22nm"):
        ours(kind)
    if importlib.util.find_spec("zigzag") is None:
        print("zigzag-dse is not installed")
    else:
        zigzag()


if __name__ == "__main__":
    main()
