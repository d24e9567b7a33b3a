"""Importance sampling of a layer's input channels, with a bound on the error of its outputs.

The sensitivity of a channel is the largest share that it has in any output of any input:

    s_j = max over inputs, outputs, places of  w_ij a_j / sum_k w_ik a_k,   p_j = s_j / sum s

on weights and inputs that are split by sign, so that no term cancels another. A kernel's values
count together, as the channel is kept or removed as a whole. m samples drawn by p keep every output
within a relative error eps on each part, with probability 1 - failure:

    m = 3 (6 + 2 eps) / eps^2 * sum s * 6 log(8 (places + 1) kernel / failure)

Constants and formula are those of the code of Liebenwein et al. 2020 (arXiv 1911.07412).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

SUB_GAUSSIAN = 3.0
"""Constant c of the distribution of sensitivities, as in the authors' code."""


def respond(layer: Any, inputs: Tensor, weight: Tensor) -> Tensor:
    """Return the output of a convolution or dense layer for another weight, without its bias."""
    if weight.ndim == 2:
        return functional.linear(inputs, weight)
    output: Tensor = layer._conv_forward(inputs, weight, None)
    return output


@torch.no_grad()
def channel_sensitivities(layer: Any, inputs: Tensor, channels: Tensor, count: int) -> Tensor:
    """Return the sensitivity of every group of a layer's input channels.

    Args:
        layer: Convolution or dense layer.
        inputs: Its inputs [N, C, ...].
        channels: Group of each input channel, int64 [C].
        count: Number of groups.

    Returns:
        Sensitivities [count], 0 to 1.

    >>> dense = torch.nn.Linear(3, 1)
    >>> _ = dense.weight.data.copy_(torch.tensor([[1.0, 3.0, -2.0]]))
    >>> channel_sensitivities(dense, torch.ones(1, 3), torch.arange(3), 3)
    tensor([0.2500, 0.7500, 1.0000])
    """
    sensitivities = inputs.new_zeros(count)
    weight = layer.weight.detach()
    smallest = torch.finfo(inputs.dtype).eps
    for values in _parts(inputs):
        for part in _parts(weight):
            total = respond(layer, values, part)
            total = total.masked_fill(total <= smallest, math.inf)
            for group in range(count):
                columns = channels == group
                share = _of_columns(layer, values, part, columns) / total
                sensitivities[group] = torch.maximum(sensitivities[group], share.max())
    return sensitivities


def _of_columns(layer: Any, values: Tensor, weight: Tensor, columns: Tensor) -> Tensor:
    """Return the part of a layer's output that some of its input channels, bool [C], make."""
    if getattr(layer, "groups", 1) == 1:
        return respond(layer, values[:, columns], weight[:, columns])
    kept = columns.view(-1, *(1 for _ in values.shape[2:]))
    return respond(layer, values * kept, weight)


def _parts(values: Tensor) -> list[Tensor]:
    """Split by sign into parts that are not negative, without those that are all zeros."""
    return [part for part in (values.clamp(min=0), (-values).clamp(min=0)) if part.any()]


@dataclass(frozen=True)
class ChannelLaw:
    """Probabilities of a layer's input channels, and what follows from a number of samples.

    >>> law = ChannelLaw(torch.tensor([0.5, 0.25, 0.25]), places=1, kernel=1, failure=0.1)
    >>> law.samples(1.0), round(law.error(law.samples(1.0)), 2)
    (731, 1.0)
    >>> round(law.distinct(2), 3)
    1.625
    """

    sensitivities: Tensor
    """Sensitivities [G] of the groups of channels that are kept or removed together."""
    places: int
    """Places of the layer's output, such as height times width."""
    kernel: int
    """Weights of the kernel per input and output channel."""
    failure: float
    """Probability that an output breaks the bound."""

    @property
    def probabilities(self) -> Tensor:
        """Share of each group in the sum of sensitivities, [G]; even where all are 0."""
        total = self.sensitivities.sum()
        if total == 0:
            return torch.full_like(self.sensitivities, 1 / len(self.sensitivities))
        return self.sensitivities / total

    def _factor(self, total: float) -> float:
        logarithm = math.log(8 * (self.places + 1) * self.kernel / self.failure)
        return total * 2 * SUB_GAUSSIAN * logarithm

    def samples(self, error: float) -> int:
        """Return the number of samples that keeps relative errors within `error`, at least 1."""
        factor = self._factor(float(self.sensitivities.sum()))
        return max(math.ceil(3 * (6 + 2 * error) / error**2 * factor), 1)

    def error(self, samples: int, among: Tensor | None = None) -> float:
        """Return the relative error that holds for a number of samples; the inverse of `samples`.

        Args:
            samples: Number of samples.
            among: Groups that the samples are drawn from, bool [G]; all of them by default.
        """
        drawn = self.sensitivities if among is None else self.sensitivities[among]
        factor = self._factor(float(drawn.sum()))
        return (3 * factor + math.sqrt(9 * factor**2 + 18 * samples * factor)) / samples

    def distinct(self, samples: float) -> float:
        """Return the expected number of different groups among a number of samples."""
        return float((1 - (1 - self.probabilities.double()) ** float(samples)).sum())


@dataclass(frozen=True)
class Choice:
    """Factors of the groups of channels, 0 where one is removed, and the error bound."""

    factors: Tensor
    """Factor of each group's weights, [G]."""
    error: float
    """Bound on the relative error of an output on each part of one sign."""


def choose(law: ChannelLaw, kept: int, kind: str, generator: np.random.Generator) -> Choice:
    """Keep a number of groups of channels of a layer.

    Args:
        law: Probabilities of the groups.
        kept: Number of groups that is kept, at least 1; where they are drawn, on average.
        kind: `random` draws them, `deterministic` takes the largest sensitivities, `hybrid` takes
            those of probability 1/m and more, of m samples, and draws the others.
        generator: Source of the samples.

    Returns:
        The factors. Drawn groups have the number of their draws over its mean, so that outputs are
        right on average; groups that are taken keep their weights. The error is the smaller of that
        of the number of samples, which an output breaks with the law's probability of failure, and
        the sum of |factor - 1| times sensitivity, which holds for every input that those cover.

    >>> law = ChannelLaw(torch.tensor([0.9, 0.1]), places=1, kernel=1, failure=0.1)
    >>> choice = choose(law, 1, "deterministic", np.random.default_rng(0))
    >>> choice.factors, round(choice.error, 3)
    (tensor([1., 0.]), 0.1)
    """
    probabilities = law.probabilities
    used = int((probabilities > 0).sum())
    taken = torch.zeros_like(probabilities)
    if kind == "deterministic" or kept >= used:
        taken[probabilities.topk(kept).indices] = 1
        return Choice(taken, _covered(law, taken))
    if kind == "hybrid":
        likely = int((probabilities >= 1 / _samples_for(probabilities, kept)).sum())
        taken[probabilities.topk(min(likely, kept)).indices] = 1
    rest = taken == 0
    remaining = kept - int(taken.sum())
    if not remaining:
        return Choice(taken, _covered(law, taken))
    among = torch.where(rest, probabilities, 0).double()
    among = among / among.sum()
    samples = _samples_for(among, remaining)
    counts = torch.from_numpy(generator.multinomial(samples, among.cpu().numpy()))
    drawn = counts.to(among) / (samples * among).clamp(min=torch.finfo(among.dtype).tiny)
    factors = torch.where(rest, drawn, taken.double()).to(taken.dtype)
    return Choice(factors, min(law.error(samples, rest), _covered(law, factors)))


def _covered(law: ChannelLaw, factors: Tensor) -> float:
    return float(((factors - 1).abs() * law.sensitivities).sum())


def kept_groups(law: ChannelLaw, error: float) -> int:
    """Return the number of groups that are expected among the samples for an error, at least 1."""
    return max(round(law.distinct(law.samples(error))), 1)


def _samples_for(probabilities: Tensor, distinct: int) -> int:
    """Return the fewest samples that are expected to contain `distinct` groups, to the nearest."""
    law = ChannelLaw(probabilities, 1, 1, 1.0)
    low, high = 1, 1
    while law.distinct(high) < distinct - 0.5:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if law.distinct(middle) < distinct - 0.5:
            low = middle + 1
        else:
            high = middle
    return high
