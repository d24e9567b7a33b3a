"""The fixed-point network by plain convolutions, the reference of the integer engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from snnquant.inference.integer.fixed_point_network import FixedPointNetwork


@pytest.fixture(scope="session")
def reference() -> Callable[..., tuple[list[np.ndarray], np.ndarray]]:
    """Return a function of a fixed-point network and tiles to all spikes and logits."""
    return run_in_float64


def run_in_float64(
    fixed: FixedPointNetwork, x: torch.Tensor
) -> tuple[list[np.ndarray], np.ndarray]:
    """Run the fixed-point network in float64 by plain convolutions: all spikes, logits."""
    values = (x.double() * fixed.input_scale).round()
    values = values.clamp(-fixed.input_limit, fixed.input_limit)
    steps, samples = fixed.time_steps, len(x)
    all_spikes = []

    def sums(synapse, values):
        weight = torch.from_numpy(synapse.codes).double().permute(0, 4, 1, 2, 3)
        space = (synapse.padding, 0, 0)
        found = functional.conv3d(values, weight, None, (synapse.stride, 1, 1), space)
        assert found.abs().max() < 2**31
        return found

    for i, (synapse, neurons) in enumerate(zip(fixed.synapses, fixed.neurons, strict=False)):
        current = sums(synapse, values)
        if i == 0:
            current = current.repeat(steps, 1, 1, 1, 1)
        current = current.view(steps, samples, *current.shape[1:])

        def channelwise(numbers):
            return torch.from_numpy(numbers).double().view(-1, 1, 1, 1)

        shift, bias = channelwise(2.0**neurons.shift), channelwise(neurons.bias)
        limit, u = channelwise(neurons.threshold), channelwise(neurons.start)
        spikes, o = [], torch.zeros(())
        for t in range(steps):
            u = torch.floor(u * neurons.leak / 2.0**15) + current[t] * shift + bias
            if neurons.reset == "delayed":
                u = u - limit * o
            assert u.abs().max() < 2**31
            o = (u > limit).double()
            spikes.append(o)
            if neurons.reset == "same_step":
                u = u - limit * o
            elif neurons.reset == "zero":
                u = u * (1 - o)
        values = torch.cat(spikes)
        all_spikes.append(torch.stack(spikes).permute(0, 1, 4, 5, 3, 2).numpy())
    total = sums(fixed.synapses[-1], values).view(steps, samples, -1, *_space(fixed, x)).sum(0)
    by_class = (-1, 1, 1)
    logits = total * torch.from_numpy(fixed.multiplier).double().view(by_class)
    logits = logits + torch.from_numpy(fixed.output_bias).double().view(by_class)
    return all_spikes, logits.permute(0, 2, 3, 1).numpy()


def _space(fixed: FixedPointNetwork, x: torch.Tensor) -> tuple[int, int]:
    rows = sum(synapse.codes.shape[2] - 1 for synapse in fixed.synapses)
    columns = sum(synapse.codes.shape[3] - 1 for synapse in fixed.synapses)
    return x.shape[3] - rows, x.shape[4] - columns
