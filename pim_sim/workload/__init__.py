"""Workloads: what a network demands of the hardware, kept as JSON."""

from pim_sim.workload.given import one_layer
from pim_sim.workload.layer import Layer, LayerKind, ceil_div
from pim_sim.workload.onnx_workload import from_onnx
from pim_sim.workload.operation import Operation, OperationKind
from pim_sim.workload.workload_file import SCHEMA, Workload

__all__ = [
    "SCHEMA",
    "Layer",
    "LayerKind",
    "Operation",
    "OperationKind",
    "Workload",
    "ceil_div",
    "from_onnx",
    "one_layer",
]
