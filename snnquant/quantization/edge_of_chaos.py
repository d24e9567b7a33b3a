"""Pruning at initialisation: scores of weights, weights on the edge of chaos, rescaling.

Scores are those of SNIP, |w dL/dw|; the smallest of all layers together are removed. Where weights
of variance sigma_w^2 / fan-in let gradients grow or shrink with depth, whole layers are removed; on
the edge of chaos (tanh: sigma_w = 1; ReLU: sigma_w^2 = 2; sigma_b = 0) they are not. Pruning leaves
the edge, and rescaling the layers returns to it. After Hayou et al. 2021 (arXiv 2002.08797).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnquant.nn.hooks import evaluating, recording
from snnquant.nn.kinds import SYNAPSES

CHUNK = 64
"""Inputs whose gradients are computed at once."""


@torch.no_grad()
def draw_weights(network: nn.Module, sigma_w: float, sigma_b: float, seed: int) -> None:
    """Draw all weights and biases of a network anew, in place, and set neurons to their start.

    Args:
        network: CNN or SNN in floating point.
        sigma_w: Standard deviation of weights times the square root of the fan-in.
        sigma_b: Standard deviation of biases.
        seed: Seed of the normal distribution.

    >>> layer = nn.Linear(1000, 100)
    >>> draw_weights(layer, sigma_w=2.0, sigma_b=0.0, seed=0)
    >>> round(float(layer.weight.data.std() * 1000**0.5), 2), float(layer.bias.data.abs().max())
    (2.0, 0.0)
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, SYNAPSES):
            fan_in = module.weight[0].numel()
            _fill(module.weight, sigma_w / math.sqrt(fan_in), generator)
            if module.bias is not None:
                _fill(module.bias, sigma_b, generator)
        elif {"leak", "threshold"} <= dict(module.named_parameters(recurse=False)).keys():
            neuron: Any = module
            neuron.reset_parameters()


def _fill(parameter: Tensor, deviation: float, generator: torch.Generator) -> None:
    parameter.copy_(deviation * torch.randn(parameter.shape, generator=generator))


def weight_scores(network: nn.Module, inputs: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """Return |w dL/dw| of every weight for the mean cross-entropy.

    Args:
        network: CNN or SNN in floating point; it is not changed.
        inputs: Training inputs [N, ...].
        classes: Their class numbers, int64 [N].

    Returns:
        Scores of the weight's shape, by the layer's name.

    >>> layer = nn.Linear(2, 2)
    >>> scores = weight_scores(nn.Sequential(layer), torch.tensor([[1.0, 0.0]]), torch.tensor([0]))
    >>> (scores["0"] > 0).tolist()
    [[True, False], [True, False]]
    """
    weights = weights_of(network)
    totals = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    frozen = [weight for weight in weights.values() if not weight.requires_grad]
    with evaluating(network), torch.enable_grad():
        for weight in frozen:
            weight.requires_grad_(True)
        batches = zip(torch.split(inputs, CHUNK), torch.split(classes, CHUNK), strict=True)
        for x, y in batches:
            loss = functional.cross_entropy(network(x), y, reduction="sum")
            gradients = torch.autograd.grad(
                loss, list(weights.values()), allow_unused=True, materialize_grads=True
            )
            for name, gradient in zip(weights, gradients, strict=True):
                totals[name] += gradient / len(inputs)
        for weight in frozen:
            weight.requires_grad_(False)
    return {name: (totals[name] * weight.detach()).abs() for name, weight in weights.items()}


def weights_of(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of all convolutions and dense layers by the layer's name."""
    return {n: m.weight for n, m in network.named_modules() if isinstance(m, SYNAPSES)}


def largest(scores: Mapping[str, Tensor], keep: float) -> dict[str, Tensor]:
    """Return masks of the largest scores of all layers together.

    Args:
        scores: Scores by layer.
        keep: Share of all weights that is kept, 0 to 1.

    Returns:
        True where a weight is kept, by layer; the kept are round(keep N) of N to the unit.

    >>> masks = largest({"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([2.0, 0.0])}, keep=0.5)
    >>> masks["a"].tolist(), masks["b"].tolist()
    ([True, False], [True, False])
    """
    joined = torch.cat([score.flatten() for score in scores.values()])
    kept = torch.zeros_like(joined, dtype=torch.bool)
    kept[joined.topk(round(keep * len(joined))).indices] = True
    parts = torch.split(kept, [score.numel() for score in scores.values()])
    return {
        name: part.view_as(score) for (name, score), part in zip(scores.items(), parts, strict=True)
    }


@torch.no_grad()
def clear(network: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the weights where masks are False to zeros, in place."""
    for name, weight in weights_of(network).items():
        weight.mul_(masks[name])


@torch.no_grad()
def rescale_to_variance(network: nn.Module, sigma_w: float) -> None:
    """Multiply each weight so that fan-in times its mean square is sigma_w^2 again, in place.

    The factor is rho = sqrt(sigma_w^2 / (fan-in mean(w^2))), with the mean over all weights of the
    layer, zeros among them.

    Args:
        network: Pruned network without empty layers.
        sigma_w: Deviation that the dense weights were drawn with.

    >>> layer = nn.Linear(4, 1)
    >>> _ = layer.weight.data.copy_(torch.tensor([[1.0, 0, 0, 0]]))
    >>> rescale_to_variance(layer, sigma_w=3.0)
    >>> layer.weight.tolist()
    [[3.0, 0.0, 0.0, 0.0]]
    """
    for weight in weights_of(network).values():
        weight.mul_(sigma_w / (weight[0].numel() * weight.square().mean()).sqrt())


@torch.no_grad()
def layer_rms(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    """Return the root mean square of every layer's output without its bias, by name.

    Args:
        network: CNN or SNN.
        inputs: Inputs [N, ...].
    """
    found: dict[str, float] = {}

    def note(name: str, layer: Any, given: Any, output: Tensor) -> None:
        if layer.bias is not None:
            axes = output.ndim - 2 if output.ndim > 2 and not isinstance(layer, nn.Linear) else 0
            output = output - layer.bias.view(-1, *(1 for _ in range(axes)))
        found[name] = float(output.square().mean().sqrt())

    synapses = {n: m for n, m in network.named_modules() if isinstance(m, SYNAPSES)}
    with evaluating(network), recording(synapses, note):
        network(inputs)
    return found


@torch.no_grad()
def rescale_to_rms(network: nn.Module, inputs: Tensor, wanted: Mapping[str, float]) -> None:
    """Multiply each weight so that its layer's output has a wanted size, in place.

    The layers follow each other as they run, each on the output of the rescaled ones before it.

    Args:
        network: Pruned network without empty layers.
        inputs: Inputs [N, ...].
        wanted: Root mean square of each layer's output without its bias, from `layer_rms` of the
            dense network.

    >>> _ = torch.manual_seed(0)
    >>> network = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    >>> x = torch.rand(5, 3)
    >>> rescale_to_rms(network, x, {"0": 2.0, "2": 3.0})
    >>> [round(size, 3) for size in layer_rms(network, x).values()]
    [2.0, 3.0]
    """
    weights = weights_of(network)
    for name, size in wanted.items():
        found = layer_rms(network, inputs)[name]
        if found > 0:  # no input reaches a layer after silent neurons
            weights[name].mul_(size / found)
