"""Rules: what a quantization method does in every step and epoch of a training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor


class Rule:
    """Base of rules; every method does nothing.

    A rule keeps what it changes from step to step in tensors, so that a training that was stopped
    resumes bit for bit.

    >>> Rule().allows()
    True
    """

    def before_epoch(self, progress: float) -> None:
        """Act before an epoch of training.

        Args:
            progress: Share of the training that is done, 0 to below 1.
        """

    def compare(self, loss: Callable[[], float]) -> None:
        """Compare the network with others on the batch of the step, right before `before_step`.

        Args:
            loss: Returns the batch's loss for the network as it is when called, in evaluation mode,
                without gradients and without a penalty on spikes.
        """

    def before_step(self) -> None:
        """Act after the backward pass and before the optimizer's step."""

    def after_step(self) -> None:
        """Act after the optimizer's step."""

    def after_epoch(self, loss: float) -> None:
        """Act after an epoch of training, before its validation.

        Args:
            loss: Mean training loss of the epoch.
        """

    def allows(self) -> bool:
        """Return whether the network, as it is after this epoch, may be the training's result."""
        return True

    def deployed(self) -> AbstractContextManager[object]:
        """Return a context in which the network has the form that is validated and kept."""
        return nullcontext()

    def figures(self) -> dict[str, float]:
        """Return what the training is to report of the method, by name."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors that a resumed training needs, by name."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the tensors of `state_dict`."""
