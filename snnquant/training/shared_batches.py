"""Training on several processes: each computes a part of every batch, all take the same step.

The network receives its own rows of a batch and returns the logits of all, so that losses are those
of one process. Layers that look at a whole batch, norms, and those that draw random numbers for it,
dropout, are given the rows of all processes. What is left to differ is the order of sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from snnquant.errors import InputError
from snnquant.nn.kinds import DROPOUTS

WHOLE_BATCH = (_BatchNorm, *DROPOUTS)
"""Layers whose output for a row depends on the other rows, or on their number."""


def processes() -> int:
    """Return the number of processes that train together.

    >>> processes()
    1
    """
    started = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if started else 1


@contextmanager
def shared_batches(network: nn.Module) -> Iterator[None]:
    """Divide the network's batches among the processes while the block trains it.

    It starts with the weights of the first process everywhere.

    Raises:
        InputError: For a batch of fewer patches than processes; and after the block, where the
            processes have come to different networks.
    """
    if processes() == 1:
        yield
        return
    for tensor in network.state_dict().values():
        distributed.broadcast(tensor, 0)
    share, handles = _Share(), []
    for module in network.modules():
        if isinstance(module, WHOLE_BATCH):
            handles.append(module.register_forward_pre_hook(share.gather_rows))
            handles.append(module.register_forward_hook(share.take_rows))
    handles.append(network.register_forward_pre_hook(share.take_patches))
    handles.append(network.register_forward_hook(share.gather_logits))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    _require_one_network(network)


def sum_gradients(network: nn.Module) -> None:
    """Give every process the sum of the gradients of all."""
    if processes() > 1:
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        whole = parameters_to_vector(gradients)
        distributed.all_reduce(whole)
        vector_to_parameters(whole, gradients)


def _require_one_network(network: nn.Module) -> None:
    sums = torch.stack([tensor.double().sum() for tensor in network.state_dict().values()])
    lowest, highest = sums.clone(), sums.clone()
    distributed.all_reduce(lowest, distributed.ReduceOp.MIN)
    distributed.all_reduce(highest, distributed.ReduceOp.MAX)
    if not torch.equal(lowest, highest):
        raise InputError(
            "torchrun: found other weights or statistics per process, expected one process for a "
            "method that learns from the values of a batch"
        )


class _Share:
    """Rows of this process in a batch of `count`, and of T steps of them, [T N, ...]."""

    def __init__(self) -> None:
        self.rank, self.size = distributed.get_rank(), distributed.get_world_size()
        self.count, self.own = 0, slice(0)

    def take_patches(self, network: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        """Divide a batch; those of evaluation stay whole."""
        if not network.training:
            return None
        self.count = len(inputs[0])
        if self.count < self.size:
            found = f"a batch of {self.count} patches for {self.size} processes"
            raise InputError(f"--batch-size: found {found}, expected at least one each")
        first, end = (self.count * i // self.size for i in (self.rank, self.rank + 1))
        self.own = slice(first, end)
        return (inputs[0][self.own],)

    def gather_logits(self, network: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        """Return the logits of the batch, of which every process makes the same loss."""
        return self._gathered(output, False) if network.training else None

    def gather_rows(self, layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor] | None:
        """Return the inputs of all processes."""
        return (self._gathered(inputs[0], True),) if layer.training else None

    def take_rows(self, layer: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        """Return the outputs of this process."""
        return _rows(output, self.own, self.count) if layer.training else None

    def _gathered(self, part: Tensor, shared: bool) -> Tensor:
        whole: Tensor = _Gathered.apply(part, self.own, self.count, shared)  # type: ignore[no-untyped-call]
        return whole


def _rows(whole: Tensor, own: slice, count: int) -> Tensor:
    return whole.reshape(-1, count, *whole.shape[1:])[:, own].flatten(0, 1)


class _Gathered(torch.autograd.Function):
    """Rows [T n, ...] of each process to those of all, [T N, ...]."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, own: slice, count: int, shared: bool) -> Tensor:
        ctx.own, ctx.count, ctx.shared = own, count, shared
        steps = part.reshape(-1, own.stop - own.start, *part.shape[1:])
        whole = part.new_zeros(len(steps), count, *part.shape[1:])
        whole[:, own] = steps
        distributed.all_reduce(whole)  # rows of the others are zeros
        return whole.flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        if ctx.shared:  # every process has the gradient of its own outputs only
            gradient = gradient.clone(memory_format=torch.contiguous_format)
            distributed.all_reduce(gradient)
        return _rows(gradient, ctx.own, ctx.count), None, None, None
