"""The networks: two of this package, made to spike, and those of published papers."""

from snnquant.models.catalogue import ModelSummary, summarise_models
from snnquant.models.graph import GraphNetwork, build_graph
from snnquant.models.networks import (
    LayerInfo,
    build_model,
    layer_table,
    parameter_count,
)
from snnquant.models.published import require_convertible

__all__ = [
    "GraphNetwork",
    "LayerInfo",
    "ModelSummary",
    "build_graph",
    "build_model",
    "layer_table",
    "parameter_count",
    "require_convertible",
    "summarise_models",
]
