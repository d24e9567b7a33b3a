"""Quantization of weights and neurons: one registered method, `quantize`, `freeze`.

To add a method, write one file as in `snnquant.config.methods`. `Plan` states which quantizers it
puts on a network, `WeightQuantizer` is the base of those for weights.
"""

from snnquant.config import METHODS, MethodConfig, QuantizationConfig, register_method
from snnquant.quantization.api import freeze, integer_weights, quantize, scale_channels
from snnquant.quantization.estimators import fake_quantize, straight_through
from snnquant.quantization.grids import Grid
from snnquant.quantization.plan import LayerPlace, Plan, Quantizer, WeightQuantizer

__all__ = [
    "METHODS",
    "Grid",
    "LayerPlace",
    "MethodConfig",
    "Plan",
    "QuantizationConfig",
    "Quantizer",
    "WeightQuantizer",
    "fake_quantize",
    "freeze",
    "integer_weights",
    "quantize",
    "register_method",
    "scale_channels",
    "straight_through",
]
