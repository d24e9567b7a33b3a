"""Where thresholds start from: the CNN's activations on the calibration inputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from snnquant.config import NeuronConfig
from snnquant.conversion.twin import Twin, ceiling

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
