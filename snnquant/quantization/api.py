"""The verbs: `quantize` a model under a configuration, `freeze` it, read its `integer_weights`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnquant.config import QuantizationConfig
from snnquant.errors import InputError
from snnquant.quantization.uniform import FixedPointLeak, FixedPointThreshold, QuantizedWeight

SYNAPSES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
PARAMETRIZATIONS = (QuantizedWeight, FixedPointLeak, FixedPointThreshold)

Handler = Callable[[nn.Module, Any], None]
_HANDLERS: dict[type, Handler] = {}


def register_method(config_type: type) -> Callable[[Handler], Handler]:
    """Decorator: the function quantizes a model in place under configurations of this type."""

    def register(handler: Handler) -> Handler:
        _HANDLERS[config_type] = handler
        return handler

    return register


def quantize(model: nn.Module, config: QuantizationConfig) -> nn.Module:
    """Put quantizers on a model's parameters, in place, and return the model.

    The parameters stay in floating point underneath (``parametrizations.weight.original``) and
    train straight through; ``module.weight`` reads the quantized value. How is up to the handler
    registered for the configuration's type.

    Raises `InputError` for a configuration without a handler, a model that is quantized already
    (`freeze` it first) and a model with nothing to quantize.
    """
    handler = _HANDLERS.get(type(config))
    if handler is None:
        known = ", ".join(t.__name__ for t in _HANDLERS)
        raise InputError(f"quantization: found {type(config).__name__}, expected one of {known}")
    if any(_quantized_parameters(module) for module in model.modules()):
        raise InputError("quantization: found a quantized model, expected one in floating point")
    handler(model, config)
    return model


@register_method(QuantizationConfig)
def _quantize_uniform(model: nn.Module, config: QuantizationConfig) -> None:
    """Weights of convolutions and linear layers; leaks and thresholds if ``neuron_bits`` is set.

    Biases stay in floating point: a bias is a constant current, added once a step, not a synapse.
    """
    synapses = [module for module in model.modules() if isinstance(module, SYNAPSES)]
    if not synapses:
        raise InputError(
            "quantization: found no convolution or linear layer, expected at least one"
        )
    for synapse in synapses:
        quantizer = QuantizedWeight(synapse.weight, config)
        parametrize.register_parametrization(synapse, "weight", quantizer)
    if config.neuron_bits is None:
        return
    # Neurons are known by their parameters: this room and the spiking one do not import each other.
    for module in list(model.modules()):
        if {"leak", "threshold"} <= dict(module.named_parameters(recurse=False)).keys():
            for name, fixed_point in (("leak", FixedPointLeak), ("threshold", FixedPointThreshold)):
                parametrize.register_parametrization(module, name, fixed_point(config.neuron_bits))


def freeze(model: nn.Module) -> nn.Module:
    """Bake the quantized values in, in place: plain parameters again, with bit-equal outputs."""
    for module in list(model.modules()):
        for name in _quantized_parameters(module):
            # torch deletes the parameter's property from a class that deep copies share: without
            # a class of its own here, freezing a copy would break the model it was copied from.
            shared = type(module)
            module.__class__ = type(shared.__name__, shared.__bases__, dict(shared.__dict__))
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    return model


@torch.no_grad()
def scale_channels(synapse: nn.Module, factors: Tensor) -> None:
    """Multiply a synapse's weight by a factor an output channel, in place, its grid along.

    `factors` are [K]. The codes stay what they are, up to the sign.

    Raises `InputError` for a weight quantized with one scale a tensor: its grid cannot follow.
    """
    quantized = "weight" in _quantized_parameters(synapse)
    lists: Any = synapse.parametrizations if quantized else None
    weight: Any = lists.weight.original if quantized else synapse.weight
    column = factors.view(-1, *(1 for _ in weight.shape[1:]))
    if quantized:
        lists.weight[0].scale_channels_(weight, column)
    weight.mul_(column)


@torch.no_grad()
def integer_weights(module: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, scale and zero point of a quantized module's weight.

    ``codes`` has the weight's shape, int8 (symmetric) or uint8 (affine); ``scale`` (float) and
    ``zero_point`` (int32) are [1, 1, ...] or [K, 1, ...]. ``(codes - zero_point) * scale`` is
    the weight that the module computes with, bit for bit.

    Raises `InputError` for a module whose weight is not quantized.
    """
    if "weight" not in _quantized_parameters(module):
        found = type(module).__name__
        raise InputError(
            f"integer_weights: found {found} in floating point, expected a quantized one"
        )
    parametrization: Any = module.parametrizations.weight  # type: ignore[union-attr]
    weight = parametrization.original
    grid = parametrization[0].grid(weight)
    dtype = torch.int8 if grid.low < 0 else torch.uint8
    return grid.codes(weight).to(dtype), grid.scale, grid.zero_point.to(torch.int32)


def _quantized_parameters(module: nn.Module) -> list[str]:
    """Names of a module's own parameters that `quantize` has put a quantizer on."""
    if not parametrize.is_parametrized(module):
        return []
    lists: Any = module.parametrizations
    return [name for name, steps in lists.items() if isinstance(steps[0], PARAMETRIZATIONS)]
