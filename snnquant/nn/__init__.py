"""Plain layers: kinds, wiring, graphs, convolutions, builders, layer tables and hooks."""

from snnquant.nn.graph import INPUT, Graph, GraphNetwork, build_graph
from snnquant.nn.hooks import evaluating, recording
from snnquant.nn.layer_table import LayerInfo, layer_table, parameter_count

__all__ = [
    "INPUT",
    "Graph",
    "GraphNetwork",
    "LayerInfo",
    "build_graph",
    "evaluating",
    "layer_table",
    "parameter_count",
    "recording",
]
