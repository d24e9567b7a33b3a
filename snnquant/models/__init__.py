"""Networks that can run as CNN and as SNN: no max pooling, no padding, one ReLU a layer."""

from snnquant.models.networks import (
    LayerInfo,
    build_model,
    layer_table,
    parameter_count,
    to_spiking,
)

__all__ = ["LayerInfo", "build_model", "layer_table", "parameter_count", "to_spiking"]
