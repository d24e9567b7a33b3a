"""Adaptive gradient clipping, a rule that any method's plan may have among its rules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from snnquant.nn.kinds import SYNAPSES
from snnquant.quantization.passes.observed_layers import latent
from snnquant.quantization.rules import Rule


def filter_norms(tensor: Tensor) -> Tensor:
    """Return the length of every filter of a tensor [K, ...], as [K, 1, ...].

    >>> filter_norms(torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5.],
            [1.]])
    """
    return tensor.square().sum(tuple(range(1, tensor.ndim)), keepdim=True).sqrt()


class GradientClipping(Rule):
    """Rule that shortens the gradient of a filter to a share of the filter's own length.

    ``g <- g c max(|w|, floor) / |g|`` where ``|g|`` is larger, before every step (Brock et al.
    2021, arXiv 2102.06171). Biases and neurons keep their gradients.

    Args:
        network: CNN or SNN, quantized or not; the weights underneath quantizers are clipped.
        limit: Share c, above 0.
        floor: Length that shorter filters count as.

    >>> layer = nn.Linear(2, 1)
    >>> layer.weight.data = torch.tensor([[3.0, 4.0]])
    >>> layer.weight.grad = torch.tensor([[0.0, 9.0]])
    >>> GradientClipping(layer, limit=0.1).before_step()
    >>> layer.weight.grad
    tensor([[0.0000, 0.5000]])
    """

    def __init__(self, network: nn.Module, limit: float = 0.02, floor: float = 1e-3) -> None:
        self.limit, self.floor = limit, floor
        self.weights = [latent(m) for m in network.modules() if isinstance(m, SYNAPSES)]

    @torch.no_grad()
    def before_step(self) -> None:
        """Shorten the gradients that are too long."""
        for weight in self.weights:
            if weight.grad is not None:
                longest = self.limit * filter_norms(weight).clamp(min=self.floor)
                length = filter_norms(weight.grad)
                weight.grad.mul_(torch.where(length > longest, longest / length, 1.0))
