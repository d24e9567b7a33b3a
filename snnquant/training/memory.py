"""Memory that a training step needs, counted from its tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

OPTIMIZER_MOMENTS = 2
"""Tensors that AdamW keeps per trained parameter."""


@dataclass(frozen=True)
class TrainingBytes:
    """Bytes that a training step holds, by what they are for.

    >>> TrainingBytes(saved=8, parameters=4, gradients=4, optimizer=8).total
    24
    """

    saved: int
    """Tensors kept for the backward pass, each storage once; parameters are not among them."""
    parameters: int
    """Parameters and buffers of the network."""
    gradients: int
    """Gradients of the parameters."""
    optimizer: int
    """Moments of AdamW."""

    @property
    def total(self) -> int:
        """Sum of the parts."""
        return self.saved + self.parameters + self.gradients + self.optimizer


def training_bytes(network: nn.Module, patches: Tensor, classes: Tensor) -> TrainingBytes:
    """Count the memory of one training step, without what torch's allocator adds.

    Args:
        network: CNN or SNN; only the running statistics of its norms change.
        patches: Batch [N, 1, B, h, w].
        classes: Class numbers from 0, int64 [N].

    Returns:
        Bytes by part.

    >>> layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> step = training_bytes(layers, torch.zeros(8, 1, 4, 1, 1), torch.zeros(8).long())
    >>> step.parameters, step.gradients, step.optimizer
    (40, 40, 80)
    """
    own = [*network.parameters(), *network.buffers()]
    kept = {tensor.untyped_storage().data_ptr() for tensor in own}
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in kept:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor  # kept by the graph, so that no address is used twice

    was_training = network.training
    network.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = functional.cross_entropy(network(patches), classes)
    saved = sum(sizes.values())
    del loss
    network.train(was_training)
    trained = sum(p.nbytes for p in network.parameters() if p.requires_grad)
    return TrainingBytes(
        saved=saved,
        parameters=sum(tensor.nbytes for tensor in own),
        gradients=trained,
        optimizer=OPTIMIZER_MOMENTS * trained,
    )
