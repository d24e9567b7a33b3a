"""Loss of a batch: cross-entropy, distillation and a penalty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

from snnquant.config import TrainingConfig
from snnquant.nn.hooks import evaluating

Teacher: TypeAlias = nn.Module | Tensor
"""A CNN, or soft labels [H W, K] of a scene's pixels."""


@dataclass(frozen=True)
class Loss:
    """Loss that a training minimises."""

    network: nn.Module
    teacher: Teacher | None
    config: TrainingConfig
    penalty: Callable[[], Tensor] | None

    def __call__(self, patches: Tensor, classes: Tensor, pixels: Tensor) -> Tensor:
        """Return the loss of patches [N, ...], of which the first, one per class, are labelled.

        `pixels` [N] are the flat indices of the patches.
        """
        lower = self.config.precision == "bfloat16"
        with torch.autocast(patches.device.type, torch.bfloat16, enabled=lower):
            logits = self.network(patches)
        logits, share = logits.float() if lower else logits, self.config.distillation
        loss = functional.cross_entropy(logits[: len(classes)], classes)
        if self.teacher is not None and share > 0:
            target = self._target(self.teacher, patches, pixels)
            divergence = functional.kl_div(
                logits.log_softmax(1), target, log_target=True, reduction="batchmean"
            )
            loss = (1 - share) * loss + share * divergence
        if self.penalty is not None:
            loss = loss + self.penalty()
        return loss

    def again(self, patches: Tensor, classes: Tensor, pixels: Tensor) -> float:
        """Return the loss of the network as it is now, in evaluation mode, without the penalty."""
        with evaluating(self.network):
            return float(replace(self, penalty=None)(patches, classes, pixels))

    @staticmethod
    @torch.no_grad()
    def _target(teacher: Teacher, patches: Tensor, pixels: Tensor) -> Tensor:
        """Return the logarithms of the soft labels [N, K]."""
        if isinstance(teacher, Tensor):
            return teacher[pixels].clamp(min=1e-8).log().to(patches.device)
        found: Tensor = teacher(patches).log_softmax(1)
        return found
