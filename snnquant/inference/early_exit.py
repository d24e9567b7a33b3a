"""When a pixel's decision is settled before the last time step, and what stopping then costs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from snnquant.sampling import Patches
from snnquant.spiking import SpikingNetwork
from snnquant.training import predict


@dataclass(frozen=True)
class Exits:
    """Classes [N] from 0 and the steps [N] after which they were settled."""

    classes: Tensor
    steps: Tensor


def logits_by_step(network: SpikingNetwork, patches: Patches, indices: Tensor) -> Tensor:
    """Logits [T, N, K] of the pixels with flat `indices` [N] after 1, 2, ... T steps.

    A step depends on none after it, so a network that runs t steps says what was known by then.
    """
    last = network.time_steps
    try:
        by_step = []
        for network.time_steps in range(1, last + 1):
            by_step.append(predict(network, patches, indices))
        return torch.stack(by_step)
    finally:
        network.time_steps = last


def margins(logits: Tensor) -> list[float]:
    """For every step the difference of the two best logits from which on a decision stays.

    The smallest with which no pixel of `logits` [T, N, K], validation pixels, that goes beyond it
    has another class in the end; a pixel is settled where its difference is larger.
    """
    undecided = logits.argmax(2) != logits[-1].argmax(1)
    found: list[float] = _leads(logits).where(undecided, 0).amax(1).tolist()
    return found


def exits(logits: Tensor, step_margins: list[float]) -> Exits:
    """Where pixels with logits [T, N, K] stop, the last step at the latest."""
    settled = _leads(logits) > torch.tensor(step_margins)[:, None]
    settled[-1] = True
    first = settled.int().argmax(0)
    classes = logits.argmax(2).gather(0, first[None])[0]
    return Exits(classes, first + 1)


def _leads(logits: Tensor) -> Tensor:
    """The best logit less the second best, [T, N]."""
    best = logits.topk(2, dim=2).values
    return best[..., 0] - best[..., 1]
