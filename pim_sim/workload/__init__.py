"""Workloads: what a network demands of the hardware, kept as JSON."""

from pim_sim.workload.given import one_layer
from pim_sim.workload.layer import Layer, LayerKind, ceil_div
from pim_sim.workload.network import SCHEMA, Workload
from pim_sim.workload.onnx_file import from_onnx
from pim_sim.workload.operation import Operation, OperationKind

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
