"""Plain layers: kinds, wiring, graphs as data, convolutions and the table of a network's layers."""

from snnquant.nn.graph import INPUT, GraphNetwork, build_graph
from snnquant.nn.layer_table import LayerInfo, layer_table, parameter_count

__all__ = ["INPUT", "GraphNetwork", "LayerInfo", "build_graph", "layer_table", "parameter_count"]
