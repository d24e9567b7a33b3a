"""Quantization of weights, activations and neurons: one registered method, `quantize`, `freeze`.

To add a method, write one file as in `snnquant.config.methods`. `Plan` states which quantizers it
puts on a network, `WeightQuantizer` is the base of those for weights.
"""

from snnquant.config import METHODS, About, MethodConfig, QuantizationConfig, register_method
from snnquant.quantization.activations import QuantizedInput, QuantizedReLU
from snnquant.quantization.api import (
    activation_bits,
    complete,
    freeze,
    install,
    integer_weights,
    layer_bits,
    quantize,
    scale_channels,
    weight_codes,
    weight_quantizer,
)
from snnquant.quantization.codes import Codes, PowersOfTwo, Terms, Uniform
from snnquant.quantization.estimators import (
    ESTIMATORS,
    Cells,
    estimate,
    fake_quantize,
    straight_through,
)
from snnquant.quantization.gradient_clipping import GradientClipping
from snnquant.quantization.grids import Grid
from snnquant.quantization.plan import (
    Calibration,
    ErrorQuantizer,
    LayerPlace,
    Pass,
    Plan,
    Quantizer,
    UniformQuantizer,
    WeightQuantizer,
)
from snnquant.quantization.rules import Rule

__all__ = [
    "ESTIMATORS",
    "METHODS",
    "About",
    "Calibration",
    "Cells",
    "Codes",
    "ErrorQuantizer",
    "GradientClipping",
    "Grid",
    "LayerPlace",
    "MethodConfig",
    "Pass",
    "Plan",
    "PowersOfTwo",
    "QuantizationConfig",
    "QuantizedInput",
    "QuantizedReLU",
    "Quantizer",
    "Rule",
    "Terms",
    "Uniform",
    "UniformQuantizer",
    "WeightQuantizer",
    "activation_bits",
    "complete",
    "estimate",
    "fake_quantize",
    "freeze",
    "install",
    "integer_weights",
    "layer_bits",
    "quantize",
    "register_method",
    "scale_channels",
    "straight_through",
    "weight_codes",
    "weight_quantizer",
]
