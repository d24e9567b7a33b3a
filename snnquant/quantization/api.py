"""Functions on a model: `quantize` it, `freeze` it, read its `integer_weights`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnquant.config import METHODS, MethodConfig
from snnquant.errors import InputError
from snnquant.nn.kinds import SYNAPSE_NAMES, SYNAPSES
from snnquant.quantization.plan import LayerPlace, Plan, Quantizer, WeightQuantizer


def quantize(model: nn.Module, config: MethodConfig) -> nn.Module:
    """Put the quantizers of a method on a model's parameters, in place, and return the model.

    The parameters stay in floating point underneath (``parametrizations.weight.original``) and
    train through the quantizers; ``module.weight`` reads the quantized value. Biases stay in
    floating point: a bias is a constant current, added once per step, not a synapse.

    Args:
        model: Network in floating point with at least one convolution or dense layer.
        config: Options of a registered method.

    Returns:
        The same model.

    Raises:
        InputError: The options are of no method, or the model is quantized already (`freeze` it
            first) or has nothing to quantize.

    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, quantize
    >>> layer = quantize(nn.Linear(64, 1), QuantizationConfig(bits=2))
    >>> len(layer.weight.unique())
    3
    """
    if not isinstance(config, MethodConfig):
        known = ", ".join(method.__name__ for method in METHODS)
        raise InputError(f"quantization: found {type(config).__name__}, expected one of {known}")
    if any(_quantized_parameters(module) for module in model.modules()):
        raise InputError("quantization: found a quantized model, expected one in floating point")
    plan: Plan = config.plan()
    synapses = {name: m for name, m in model.named_modules() if isinstance(m, SYNAPSES)}
    if not synapses:
        raise InputError(
            "quantization: found no convolution or linear layer, expected at least one"
        )
    for name, synapse in synapses.items():
        kind = next(name for kind, name in SYNAPSE_NAMES.items() if isinstance(synapse, kind))
        quantizer = plan.weight(synapse.weight, LayerPlace(name, kind))
        parametrize.register_parametrization(synapse, "weight", quantizer)
    _quantize_neurons(model, plan)
    return model


def _quantize_neurons(model: nn.Module, plan: Plan) -> None:
    if not plan.neuron:
        return
    # Neurons are known by their parameters: this room and the spiking one do not import each other.
    for module in list(model.modules()):
        if plan.neuron.keys() <= dict(module.named_parameters(recurse=False)).keys():
            for name, make in plan.neuron.items():
                parametrize.register_parametrization(module, name, make())


def freeze(model: nn.Module) -> nn.Module:
    """Replace quantized parameters by their values, in place: plain parameters, bit-equal outputs.

    Args:
        model: Network, quantized or not.

    Returns:
        The same model.

    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, freeze, quantize
    >>> layer = freeze(quantize(nn.Linear(8, 2), QuantizationConfig()))
    >>> sorted(name for name, parameter in layer.named_parameters())
    ['bias', 'weight']
    """
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
    """Multiply a synapse's weight by one factor per output channel, in place, its levels along.

    Args:
        synapse: Convolution or dense layer, quantized or not.
        factors: Factors [K].

    Raises:
        InputError: The weight's quantizer cannot follow, such as one scale per layer.

    >>> import torch
    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, quantize, scale_channels
    >>> layer = quantize(nn.Linear(8, 2), QuantizationConfig())
    >>> before = layer.weight.detach()
    >>> scale_channels(layer, torch.tensor([4.0, -0.5]))
    >>> torch.equal(layer.weight, before * torch.tensor([[4.0], [-0.5]]))
    True
    """
    quantized = "weight" in _quantized_parameters(synapse)
    steps: Any = synapse.parametrizations.weight if quantized else None  # type: ignore[union-attr]
    weight: Any = steps.original if quantized else synapse.weight
    column = factors.view(-1, *(1 for _ in weight.shape[1:]))
    if quantized:
        if len(steps) > 1:
            raise InputError("weight: found several parametrizations, expected its quantizer only")
        steps[0].scale_channels_(weight, column)
    weight.mul_(column)


@torch.no_grad()
def integer_weights(module: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes, scale and zero point of a quantized module's weight.

    ``(codes - zero_point) * scale`` is the weight that the module computes with, bit for bit.

    Args:
        module: Quantized convolution or dense layer.

    Returns:
        Codes of the weight's shape, int8 or, where none is negative, uint8; the scale (float) and
        the zero point (int32), both [1, 1, ...] or [K, 1, ...].

    Raises:
        InputError: The weight is in floating point, or its levels are on no uniform grid.

    >>> import torch
    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, integer_weights, quantize
    >>> layer = quantize(nn.Linear(8, 2), QuantizationConfig(bits=4))
    >>> codes, scale, zero_point = integer_weights(layer)
    >>> codes.dtype, torch.equal((codes - zero_point) * scale, layer.weight)
    (torch.int8, True)
    """
    if "weight" not in _quantized_parameters(module):
        found = type(module).__name__
        raise InputError(
            f"integer_weights: found {found} in floating point, expected a quantized one"
        )
    steps: Any = module.parametrizations.weight  # type: ignore[union-attr]
    weight = steps.original
    for step in steps:  # what precedes the quantizer belongs to its input
        if isinstance(step, WeightQuantizer):
            break
        weight = step(weight)
    grid = step.grid(weight)
    dtype = torch.int8 if grid.low < 0 else torch.uint8
    return grid.codes(weight).to(dtype), grid.scale, grid.zero_point.to(torch.int32)


def _quantized_parameters(module: nn.Module) -> list[str]:
    """Return the names of a module's own parameters that `quantize` has put a quantizer on."""
    if not parametrize.is_parametrized(module):
        return []
    lists: Any = module.parametrizations
    return [
        name for name, steps in lists.items() if any(isinstance(step, Quantizer) for step in steps)
    ]
