"""Quantization of weights and neurons: a configuration a method, `quantize`, `freeze`."""

from snnquant.quantization.api import (
    freeze,
    integer_weights,
    quantize,
    register_method,
    scale_channels,
)

__all__ = ["freeze", "integer_weights", "quantize", "register_method", "scale_channels"]
