"""Thresholds of an SNN, and the weights after them in units of spikes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from snnquant.config import NeuronConfig
from snnquant.conversion.reference import ReferenceCNN, allowed
from snnquant.errors import InputError
from snnquant.nn import INPUT, recording
from snnquant.nn.kinds import (
    ACTIVATIONS,
    AVERAGE_POOLS,
    CONVOLUTIONS,
    MAX_POOLS,
    PADS,
    SHAPES,
    SYNAPSES,
    UPSAMPLES,
)
from snnquant.nn.wiring import Concatenate, Mean, Sum, WeightedSum
from snnquant.spiking import Neuron, SpikingNetwork

POOLS = (*AVERAGE_POOLS, *MAX_POOLS, *PADS, *UPSAMPLES, Mean)
"""Layers that mix places but, except for a mean, no channels."""


@torch.no_grad()
def set_thresholds(
    snn: SpikingNetwork, reference: ReferenceCNN, thresholds: Mapping[str, float]
) -> None:
    """Give the SNN the CNN's weights, a threshold V for every LIF layer, and a leak of 1.

    A spike of a layer with threshold V stands for V / T of activation per step, but travels as 1:
    the weights after the layer carry its V (those of a sum, where no synapse lies between). Biases
    are constant currents and stay.
    """
    for name, factors in spike_scales(reference, thresholds).items():
        layer, source = snn.layers.get_submodule(name), reference.layers.get_submodule(name)
        if isinstance(layer, Neuron):
            layer.threshold.copy_(thresholds[name] / factors[0])
            layer.leak.fill_(1.0)
        elif isinstance(layer, WeightedSum) and isinstance(source, Sum):
            layer.weights.copy_(layer.weights.new_tensor(source.weights) * torch.stack(factors))
        else:
            layer.get_parameter("weight").copy_(source.get_parameter("weight") * factors[0])
            if source.bias is not None:
                layer.get_parameter("bias").copy_(source.get_parameter("bias"))


@torch.no_grad()
def spike_scales(
    reference: ReferenceCNN, thresholds: Mapping[str, float]
) -> dict[str, list[Tensor]]:
    """Find, per layer and input, the CNN's activation that one spike stands for.

    These are the factors of the layer's weights: a scalar for an activation or a sum, and a tensor
    that broadcasts over the weights of a synapse.
    Raises InputError where concatenated layers reach one that cannot tell them apart.
    """
    one = next(reference.parameters()).new_ones(())
    values: dict[str, Tensor] = {INPUT: one.expand(1, *reference.input_shape)}
    factors: dict[str, list[Tensor]] = {}
    for name, layer in reference.layers.named_children():
        origin = reference.origins[name]
        inputs = [values[source] for source in reference.inputs[name]]
        try:
            if isinstance(layer, (*ACTIVATIONS, Sum)):
                factors[name] = [_uniform(x) for x in inputs]
            elif isinstance(layer, SYNAPSES):
                factors[name] = [_of_weights(layer, inputs[0])]
            values[name] = _output(layer, inputs, (1, *origin.shape), thresholds.get(name, 1.0))
        except _MixedScalesError:
            raise InputError(
                f"{origin.where}: found concatenated activations of several thresholds mixed by "
                f"{type(layer).__name__}, expected a convolution or dense layer right after a "
                "concatenation of channels"
            ) from None
    return factors


class _MixedScalesError(Exception):
    """Values of several scales that a layer with a single factor would have to weigh."""


def _output(
    layer: nn.Module, inputs: list[Tensor], shape: tuple[int, ...], threshold: float
) -> Tensor:
    """Return the activation that a 1 in each place of a layer's output stands for."""
    if isinstance(layer, ACTIVATIONS):
        return inputs[0].new_tensor(threshold).expand(shape)
    if isinstance(layer, (*SYNAPSES, Sum)):
        return inputs[0].new_ones(()).expand(shape)
    if isinstance(layer, Concatenate):
        return torch.cat(inputs, layer.axis)
    if isinstance(layer, SHAPES):
        reshaped: Tensor = layer(inputs[0])
        return reshaped
    if isinstance(layer, POOLS):
        channels = _per_channel(inputs[0])
        if shape[1] != len(channels) or (isinstance(layer, Mean) and 1 in layer.axes):
            return _uniform(channels).expand(shape)
        return channels.view(1, -1, *[1] * (len(shape) - 2)).expand(shape)
    return inputs[0]


def _uniform(scale: Tensor) -> Tensor:
    """Return the only value, which all places have."""
    value = scale.reshape(-1)[0]
    if not (scale == value).all():
        raise _MixedScalesError
    return value


def _per_channel(scale: Tensor) -> Tensor:
    """Return the values [C], which all places of a channel have."""
    first = scale.reshape(*scale.shape[:2], -1)[0, :, :1]
    if not (scale.reshape(*scale.shape[:2], -1)[0] == first).all():
        raise _MixedScalesError
    return first.reshape(-1)


def _of_weights(layer: nn.Module, scale: Tensor) -> Tensor:
    """Return the factor of a synapse's weight [out, in / groups, ...] for its input's scales."""
    if isinstance(layer, nn.Linear):
        rows = scale.reshape(-1, scale.shape[-1])
        if not (rows == rows[:1]).all():
            raise _MixedScalesError
        return rows[:1]
    assert isinstance(layer, CONVOLUTIONS)
    by_group = _per_channel(scale).view(layer.groups, -1)
    factor = by_group.repeat_interleave(layer.out_channels // layer.groups, 0)
    return factor.view(*factor.shape, *[1] * (layer.weight.ndim - 2))


PERCENTILE = 99.7
"""Percentile of the pre-activations that the threshold starts from (DIET-SNN's released code)."""
MIN_THRESHOLD = 1e-3
"""Smallest threshold; a layer that never fires gets it."""
MAX_VALUES = 2**23
"""Values of a layer that are kept, and of inputs that run at a time; of a larger layer some
neurons, the same for all inputs."""
CANDIDATES = 200
"""Thresholds that the search for the least squared error tries, evenly up to the maximum."""


@torch.no_grad()
def preactivations(reference: ReferenceCNN, calibration: Tensor) -> dict[str, Tensor]:
    """Collect the pre-activations of every ReLU over inputs [N, ...], at most `MAX_VALUES` each."""
    activations = reference.activations()
    kept: dict[str, list[Tensor]] = {name: [] for name in activations}
    neurons: dict[str, Tensor | slice] = {}
    most = max(1, MAX_VALUES // len(calibration))

    def keep(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        values = inputs[0].flatten(1)
        if name not in neurons:
            count = values.shape[1]
            random = torch.Generator().manual_seed(0)
            drawn = torch.randperm(count, generator=random)[:most].to(values.device)
            neurons[name] = drawn if count > most else slice(None)
        kept[name].append(values[:, neurons[name]])

    with recording(activations, keep):
        for batch in torch.split(calibration, max(1, MAX_VALUES // calibration[0].numel())):
            reference(batch)
    return {name: torch.cat(values).flatten() for name, values in kept.items()}


def percentile(values: Tensor) -> float:
    """Return the `PERCENTILE` of a layer's pre-activations, at least `MIN_THRESHOLD`."""
    # kthvalue, because torch.quantile takes at most 16 million elements.
    rank = max(1, round(values.numel() * PERCENTILE / 100))
    return max(float(values.kthvalue(rank).values), MIN_THRESHOLD)


def least_error(values: Tensor, time_steps: int, initial: float) -> float:
    r"""Find the threshold V whose staircase of T steps is closest to the ReLU in the mean square.

    A neuron that starts at the potential :math:`bV` and gets the same current :math:`a` in T steps
    spikes :math:`n = \min(T, \lfloor T a / V + b \rfloor)` times, which stands for the activation
    :math:`n V / T` (Bu et al. 2022). A finer staircase is also a lower one: the best V balances
    rounding against clipping.
    """
    active = values.relu()
    largest = max(float(active.max()), MIN_THRESHOLD)
    # Zeros add no error at any threshold, and a sample of the rest is as good as all of it.
    active = active[active > 0]
    active = active[:: len(active) // 2**18 + 1]
    best, threshold = float("inf"), largest
    for i in range(1, CANDIDATES + 1):
        candidate = largest * i / CANDIDATES
        counts = (active * (time_steps / candidate) + initial).floor_().clamp_(0, time_steps)
        error = float((counts * (candidate / time_steps) - active).square_().sum())
        if error < best:
            best, threshold = error, candidate
    return max(threshold, MIN_THRESHOLD)


def starting_thresholds(
    reference: ReferenceCNN, values: dict[str, Tensor], method: str, neuron: NeuronConfig
) -> dict[str, float]:
    """Choose a threshold for every LIF layer by `method`, as far as its ReLU's ceiling allows.

    At that ceiling a neuron that spikes in every step is clipped as the ReLU is.
    """
    methods: dict[str, Callable[[Tensor], float]] = {
        "percentile": percentile,
        "maximum": lambda x: max(float(x.max()), MIN_THRESHOLD),
        "mse": lambda x: least_error(x, neuron.time_steps, neuron.initial),
    }
    return {
        name: allowed(layer, methods[method](values[name]))
        for name, layer in reference.activations().items()
    }
