"""Early exit: stopping a pixel's time steps when its decision is settled."""

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
    """Return logits [T, N, K] of the pixels with flat `indices` [N] after 1, 2, ... T steps.

    A step depends on no later one, so a run of t steps gives the logits after step t.
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
    """Return, per step, the lead of the best logit above which a decision stays.

    It is the smallest margin such that no validation pixel of `logits` [T, N, K] with a larger lead
    has another class at the end.
    """
    undecided = logits.argmax(2) != logits[-1].argmax(1)
    found: list[float] = _leads(logits).where(undecided, 0).amax(1).tolist()
    return found


def exits(logits: Tensor, step_margins: list[float]) -> Exits:
    """Return classes and steps at which pixels with logits [T, N, K] stop."""
    settled = _leads(logits) > torch.tensor(step_margins)[:, None]
    settled[-1] = True
    first = settled.int().argmax(0)
    classes = logits.argmax(2).gather(0, first[None])[0]
    return Exits(classes, first + 1)


def _leads(logits: Tensor) -> Tensor:
    """Return the best logit minus the second best, [T, N]."""
    best = logits.topk(2, dim=2).values
    return best[..., 0] - best[..., 1]
