"""The networks: two of this package, made to spike, and those of published papers."""

from snnquant.models.catalogue import ModelSummary, summarise_models
from snnquant.models.networks import (
    LayerInfo,
    build_model,
    layer_table,
    parameter_count,
)

__all__ = [
    "LayerInfo",
    "ModelSummary",
    "build_model",
    "layer_table",
    "parameter_count",
    "summarise_models",
]
