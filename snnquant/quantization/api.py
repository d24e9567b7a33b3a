"""Functions on a model: `quantize` it, `freeze` it, read its `integer_weights`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from snnquant.config import METHODS, MethodConfig
from snnquant.errors import InputError
from snnquant.nn.kinds import BATCH_NORMS, SYNAPSE_NAMES, SYNAPSES
from snnquant.quantization.activations import ActivationQuantizer, start_activations
from snnquant.quantization.codes import Codes
from snnquant.quantization.plan import (
    Calibration,
    LayerPlace,
    Pass,
    Plan,
    Quantizer,
    Role,
    WeightQuantizer,
)

SHORTCUTS = ("shortcut", "downsample")
"""Starts of the names of residual blocks' projections, here and in torchvision."""
_Kind = TypeVar("_Kind", bound=WeightQuantizer)


def quantize(
    model: nn.Module, config: MethodConfig, calibration: Calibration | None = None
) -> nn.Module:
    """Quantize a model by a method, in place, and return the model.

    The parameters stay in floating point underneath (``parametrizations.weight.original``) and
    train through the quantizers; ``module.weight`` reads the quantized value. Biases stay in
    floating point: a bias is a constant current, added once per step, not a synapse. A method
    that trains is not done until `complete` has run after the training.

    Args:
        model: Network in floating point with at least one convolution or dense layer.
        config: Options of a registered method.
        calibration: Training pixels, for methods with passes.

    Returns:
        The same model.

    Raises:
        InputError: The options are of no method, the model is quantized already (`freeze` it
            first), has nothing to quantize or a layer that the method refuses, or a pass needs
            calibration pixels and has none.

    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, quantize
    >>> layer = quantize(nn.Linear(64, 1), QuantizationConfig(bits=2))
    >>> len(layer.weight.unique())
    3
    """
    plan = _plan(config)
    _require_float(model)
    _run_passes(model, plan.before, calibration, config)
    _install(model, plan)
    if calibration is not None:
        start_activations(model, calibration.inputs)
    if not plan.trains:
        complete(model, config, calibration)
    return model


def complete(
    model: nn.Module, config: MethodConfig, calibration: Calibration | None = None
) -> nn.Module:
    """Run the passes that a method has for the end of the training, in place.

    Args:
        model: Network that `quantize` has quantized by the same method.
        config: Options of the method.
        calibration: Training pixels, for methods with passes.

    Returns:
        The same model.

    Raises:
        InputError: A pass needs calibration pixels and has none.

    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, complete, quantize
    >>> config = QuantizationConfig(bits=2)
    >>> layer = complete(quantize(nn.Linear(64, 1), config), config)
    >>> len(layer.weight.unique())
    3
    """
    _run_passes(model, _plan(config).after, calibration, config)
    return model


def install(model: nn.Module, config: MethodConfig) -> nn.Module:
    """Put a method's quantizers on a model, in place, and run none of its passes.

    `load_state_dict` restores a quantized model after it.

    Args:
        model: Network in floating point with at least one convolution or dense layer.
        config: Options of a registered method.

    Returns:
        The same model.

    Raises:
        InputError: As `quantize`.

    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, install
    >>> list(install(nn.Linear(4, 1), QuantizationConfig()).state_dict())
    ['bias', 'parametrizations.weight.original']
    """
    return _install(model, _plan(config))


def _install(model: nn.Module, plan: Plan) -> nn.Module:
    _require_float(model)
    places = layer_places(model)
    if not places:
        raise InputError(
            "quantization: found no convolution or linear layer, expected at least one"
        )
    for synapse, place in places:
        if plan.weight is not None:
            quantizer = plan.weight(synapse.weight, place)  # type: ignore[arg-type]
            parametrize.register_parametrization(synapse, "weight", quantizer)
    if plan.activation is not None:
        _replace_activations(model, plan.activation)
    if plan.norm is not None:
        for name, module in list(model.named_modules()):
            if isinstance(module, BATCH_NORMS):
                model.set_submodule(name, plan.norm(module, LayerPlace(name, "norm")))
    _quantize_neurons(model, plan)
    return model


def layer_bits(model: nn.Module) -> dict[str, int]:
    """Return the bits per weight of every quantized layer, by the layer's name.

    Args:
        model: Network, quantized or not.

    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, layer_bits, quantize
    >>> layer_bits(quantize(nn.Sequential(nn.Linear(4, 1)), QuantizationConfig(bits=3)))
    {'0': 3}
    """
    return {
        name: quantizer.bits
        for name, module in model.named_modules()
        if (quantizer := weight_quantizer(module)) is not None
    }


def activation_bits(model: nn.Module) -> dict[str, int]:
    """Return the bits of every quantized activation of a CNN, by the layer's name.

    Args:
        model: Network, quantized or not.

    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, activation_bits, quantize
    >>> layers = nn.Sequential(nn.Linear(4, 1), nn.ReLU())
    >>> activation_bits(quantize(layers, QuantizationConfig(bits=6, activation_bits=3)))
    {'1': 3}
    """
    modules = model.named_modules()
    return {name: m.bits for name, m in modules if isinstance(m, ActivationQuantizer)}


def weight_quantizer(module: nn.Module) -> WeightQuantizer | None:
    """Return the quantizer of a module's own weight; None for a weight in floating point."""
    if "weight" not in _quantized_parameters(module):
        return None
    steps: Any = module.parametrizations.weight  # type: ignore[union-attr]
    return next(step for step in steps if isinstance(step, WeightQuantizer))


def latent_weights(model: nn.Module, kind: type[_Kind]) -> dict[str, tuple[_Kind, nn.Parameter]]:
    """Return quantizer and weight in floating point of every layer that a kind quantizes."""
    found = {}
    for name, module in model.named_modules():
        quantizer = weight_quantizer(module)
        if isinstance(quantizer, kind):
            steps: Any = module.parametrizations
            found[name] = quantizer, steps.weight.original
    return found


def _plan(config: MethodConfig) -> Plan:
    if not isinstance(config, MethodConfig):
        known = ", ".join(method.__name__ for method in METHODS)
        raise InputError(f"quantization: found {type(config).__name__}, expected one of {known}")
    plan: Plan = config.plan()
    return plan


def _require_float(model: nn.Module) -> None:
    kinds = (Quantizer, ActivationQuantizer)
    quantized = any(_quantized_parameters(m) or isinstance(m, kinds) for m in model.modules())
    if quantized:
        raise InputError("quantization: found a quantized model, expected one in floating point")


def _run_passes(
    model: nn.Module,
    passes: tuple[Pass, ...],
    calibration: Calibration | None,
    config: MethodConfig,
) -> None:
    if passes and calibration is None:
        raise InputError(
            f"quantization {config.method}: found no calibration pixels, expected "
            "calibration=Calibration(inputs)"
        )
    for one in passes:
        assert calibration is not None
        one(model, calibration)


def layer_places(model: nn.Module) -> list[tuple[nn.Module, LayerPlace]]:
    """Return every convolution and dense layer with its place, in the order of the model."""
    found = [(name, m) for name, m in model.named_modules() if isinstance(m, SYNAPSES)]
    places: list[tuple[nn.Module, LayerPlace]] = []
    for position, (name, module) in enumerate(found):
        kind = next(name for kind, name in SYNAPSE_NAMES.items() if isinstance(module, kind))
        role: Role = "other"
        if position in (0, len(found) - 1):
            role = "last" if position else "first"
        elif any(part.startswith(SHORTCUTS) for part in name.split(".")):
            role = "shortcut"
        elif kind != "linear":
            convolution: Any = module
            if 1 < convolution.groups == convolution.in_channels:
                role = "depthwise"
            elif math.prod(convolution.kernel_size) == 1:
                role = "pointwise"
        places.append((module, LayerPlace(name, kind, role)))
    return places


def _replace_activations(model: nn.Module, make: Callable[[LayerPlace], nn.ReLU]) -> None:
    device = next(model.parameters()).device
    for name, module in list(model.named_modules()):
        kind = type(module)
        if kind is nn.ReLU:
            model.set_submodule(name, make(LayerPlace(name, "relu")).to(device))
        elif kind.__module__ == nn.ReLU.__module__ and "Softmax" not in kind.__name__:
            raise InputError(
                f"layer {name}: found {kind.__name__}, expected ReLU as the activation that is "
                "quantized, or --activation-bits 32"
            )


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
    codes = weight_codes(module).uniform()
    return codes.codes, codes.scale, codes.zero_point


@torch.no_grad()
def weight_codes(module: nn.Module) -> Codes:
    """Return the codes of a quantized module's weight, which decode to it bit for bit.

    Args:
        module: Quantized convolution or dense layer.

    Raises:
        InputError: The weight is in floating point, or its quantizer has no codes.

    >>> import torch
    >>> from torch import nn
    >>> from snnquant.quantization import QuantizationConfig, quantize, weight_codes
    >>> layer = quantize(nn.Linear(8, 2), QuantizationConfig(bits=4))
    >>> torch.equal(weight_codes(layer).decode(), layer.weight)
    True
    """
    if "weight" not in _quantized_parameters(module):
        found = type(module).__name__
        raise InputError(f"weight codes: found {found} in floating point, expected a quantized one")
    steps: Any = module.parametrizations.weight  # type: ignore[union-attr]
    weight = steps.original
    for step in steps:  # what precedes the quantizer belongs to its input
        if isinstance(step, WeightQuantizer):
            break
        weight = step(weight)
    return cast(WeightQuantizer, step).encode(weight)


def _quantized_parameters(module: nn.Module) -> list[str]:
    """Return the names of a module's own parameters that `quantize` has put a quantizer on."""
    if not parametrize.is_parametrized(module):
        return []
    lists: Any = module.parametrizations
    return [
        name for name, steps in lists.items() if any(isinstance(step, Quantizer) for step in steps)
    ]
