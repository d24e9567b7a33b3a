"""Thresholds into an SNN, and the weights behind them into the units of spikes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from snnquant.config import NeuronConfig
from snnquant.conversion.reference import ACTIVATIONS, POOLS, SHAPES, SYNAPSES, Twin, ceiling
from snnquant.errors import InputError
from snnquant.nn import INPUT
from snnquant.nn.wiring import Concatenate, Mean, WeightedSum
from snnquant.spiking import Neuron, SpikingNetwork


@torch.no_grad()
def set_thresholds(snn: SpikingNetwork, twin: Twin, thresholds: Mapping[str, float]) -> None:
    """Give the SNN its twin's weights, a threshold V for every LIF layer, and a leak of 1.

    A spike of a layer with threshold V stands for V / T of activation a step, but travels as 1: the
    weights behind the layer carry its V (those of a sum, where no synapse lies between). Biases
    are constant currents and stay.
    """
    carried = units(twin, thresholds)
    for name, factors in carried.items():
        layer, source = snn.layers.get_submodule(name), twin.layers.get_submodule(name)
        if isinstance(layer, Neuron):
            layer.threshold.copy_(thresholds[name] / factors[0])
            layer.leak.fill_(1.0)
        elif isinstance(layer, WeightedSum):
            layer.weights.copy_(source.get_buffer("weights") * torch.stack(factors))
        else:
            layer.get_parameter("weight").copy_(source.get_parameter("weight") * factors[0])
            if source.bias is not None:
                layer.get_parameter("bias").copy_(source.get_parameter("bias"))


@torch.no_grad()
def units(twin: Twin, thresholds: Mapping[str, float]) -> dict[str, list[Tensor]]:
    """What a 1 in each input of a layer stands for in the CNN: a factor for its weights.

    A scalar for an activation or a sum, and a tensor that broadcasts over the weights of a synapse.
    Raises InputError where concatenated layers reach one that cannot tell them apart.
    """
    anything = next(twin.parameters())
    one = anything.new_ones(())
    values: dict[str, Tensor] = {INPUT: one.expand(1, *twin.input_shape)}
    factors: dict[str, list[Tensor]] = {}
    for name, layer in twin.layers.named_children():
        node = twin.nodes[name]
        inputs = [values[source] for source in node.inputs]
        try:
            if isinstance(layer, (*ACTIVATIONS, WeightedSum)):
                factors[name] = [_uniform(x) for x in inputs]
            elif isinstance(layer, SYNAPSES):
                factors[name] = [_of_weights(layer, inputs[0])]
            values[name] = _output(layer, inputs, (1, *node.shape), thresholds.get(name, 1.0))
        except _MixedUnitsError:
            raise InputError(
                f"{node.where}: found concatenated activations of several thresholds mixed by "
                f"{type(layer).__name__}, expected a convolution or dense layer right behind a "
                "concatenation of channels"
            ) from None
    return factors


class _MixedUnitsError(Exception):
    """A layer would have to weigh values that its single factor cannot tell apart."""


def _output(
    layer: nn.Module, inputs: list[Tensor], shape: tuple[int, ...], threshold: float
) -> Tensor:
    """What a 1 in each place of a layer's output stands for."""
    if isinstance(layer, ACTIVATIONS):
        return inputs[0].new_tensor(threshold).expand(shape)
    if isinstance(layer, (*SYNAPSES, WeightedSum)):
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


def _uniform(unit: Tensor) -> Tensor:
    """The one value that all places have."""
    value = unit.reshape(-1)[0]
    if not (unit == value).all():
        raise _MixedUnitsError
    return value


def _per_channel(unit: Tensor) -> Tensor:
    """The values [C] that all places of a channel have."""
    first = unit.reshape(*unit.shape[:2], -1)[0, :, :1]
    if not (unit.reshape(*unit.shape[:2], -1)[0] == first).all():
        raise _MixedUnitsError
    return first.reshape(-1)


def _of_weights(layer: nn.Module, unit: Tensor) -> Tensor:
    """The factor of a synapse's weight [out, in / groups, ...], of its input's units."""
    if isinstance(layer, nn.Linear):
        rows = unit.reshape(-1, unit.shape[-1])
        if not (rows == rows[:1]).all():
            raise _MixedUnitsError
        return rows[:1]
    assert isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
    by_group = _per_channel(unit).view(layer.groups, -1)
    factor = by_group.repeat_interleave(layer.out_channels // layer.groups, 0)
    return factor.view(*factor.shape, *[1] * (layer.weight.ndim - 2))


PERCENTILE = 99.7
"""Percentile of the pre-activations that the threshold starts from (DIET-SNN's released code)."""
LEAST = 1e-3
"""Smallest threshold; a layer that never fires gets it."""
VALUES = 2**23
"""Values of a layer that are looked at, and of inputs that run at a time; of a larger layer some
neurons, the same for all inputs."""
CANDIDATES = 200
"""Thresholds that the search for the least squared error tries, evenly up to the maximum."""


@torch.no_grad()
def preactivations(twin: Twin, calibration: Tensor) -> dict[str, Tensor]:
    """What goes into every ReLU over the calibration inputs [N, ...]: `VALUES` numbers at most."""
    kept: dict[str, list[Tensor]] = {name: [] for name in twin.activations()}
    neurons: dict[str, Tensor | slice] = {}
    most = max(1, VALUES // len(calibration))

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            values = inputs[0].flatten(1)
            if name not in neurons:
                count = values.shape[1]
                random = torch.Generator().manual_seed(0)
                drawn = torch.randperm(count, generator=random)[:most].to(values.device)
                neurons[name] = drawn if count > most else slice(None)
            kept[name].append(values[:, neurons[name]])

        return hook

    handles = [
        layer.register_forward_hook(keep(name)) for name, layer in twin.activations().items()
    ]
    for batch in torch.split(calibration, max(1, VALUES // calibration[0].numel())):
        twin(batch)
    for handle in handles:
        handle.remove()
    return {name: torch.cat(values).flatten() for name, values in kept.items()}


def percentile(values: Tensor) -> float:
    """The `PERCENTILE` of a layer's pre-activations, or `LEAST` where that is smaller."""
    # kthvalue, because torch.quantile takes at most 16 million elements.
    rank = max(1, round(values.numel() * PERCENTILE / 100))
    return max(float(values.kthvalue(rank).values), LEAST)


def least_error(values: Tensor, time_steps: int, initial: float) -> float:
    r"""The threshold V whose staircase of T steps comes closest to the ReLU in the mean square.

    A neuron that starts at the potential :math:`bV` and gets the same current :math:`a` in T steps
    spikes :math:`n = \min(T, \lfloor T a / V + b \rfloor)` times, which stands for the activation
    :math:`n V / T` (Bu et al. 2022). A finer staircase is also a lower one: the best V balances
    rounding against clipping.
    """
    active = values.relu()
    largest = max(float(active.max()), LEAST)
    # Zeros cost nothing at any threshold, and a sample of the rest says as much as all of it.
    active = active[active > 0]
    active = active[:: len(active) // 2**18 + 1]
    best, threshold = float("inf"), largest
    for i in range(1, CANDIDATES + 1):
        candidate = largest * i / CANDIDATES
        counts = (active * (time_steps / candidate) + initial).floor_().clamp_(0, time_steps)
        error = float((counts * (candidate / time_steps) - active).square_().sum())
        if error < best:
            best, threshold = error, candidate
    return max(threshold, LEAST)


def starting_thresholds(
    twin: Twin, values: dict[str, Tensor], method: str, neuron: NeuronConfig
) -> dict[str, float]:
    """A threshold for every LIF layer by `method`, none above where its ReLU clips.

    At that ceiling a neuron that spikes in every step is clipped as the ReLU is.
    """
    methods: dict[str, Callable[[Tensor], float]] = {
        "percentile": percentile,
        "maximum": lambda x: max(float(x.max()), LEAST),
        "mse": lambda x: least_error(x, neuron.time_steps, neuron.initial),
    }
    return {
        name: min(methods[method](values[name]), ceiling(layer))
        for name, layer in twin.activations().items()
    }
