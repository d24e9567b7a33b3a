"""Base of optimizers that move weights by a rule of their own and all else by AdamW."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def at_random(values: Tensor) -> Tensor:
    """Round values to a whole number next to them, at random, so that the mean stays.

    Args:
        values: Values of any shape.

    >>> at_random(torch.tensor([2.0, -3.0]))
    tensor([ 2., -3.])
    """
    return (values + torch.rand_like(values)).floor_()


def nearest_power(size: Tensor) -> Tensor:
    """Return 2^round(log2 size), and the smallest normal power where the size is 0.

    Args:
        size: Sizes, 0 or more, of any shape.

    >>> nearest_power(torch.tensor([1.3, 1.5, 4.0]))
    tensor([1., 2., 4.])
    """
    exponent = size.clamp(min=torch.finfo(size.dtype).tiny).log2().round_()
    return torch.ldexp(torch.ones_like(size), exponent.int())


class WeightDescent(torch.optim.AdamW):
    """AdamW on a network, except on the parameters that `move_` moves in its place.

    Args:
        network: Network that is trained.
        moved: Those of its parameters that `move_` moves.
        rate: Peak learning rate of the moved parameters.
        other_rate: Peak learning rate of AdamW.
        weight_decay: Weight decay of the moved parameters; the others have none.
    """

    def __init__(
        self,
        network: nn.Module,
        moved: Iterable[nn.Parameter],
        rate: float,
        other_rate: float,
        weight_decay: float,
    ) -> None:
        own = list(moved)
        known = {id(parameter) for parameter in own}
        others = [p for p in network.parameters() if id(p) not in known]
        groups: list[dict[str, Any]] = [
            {"params": own, "lr": rate, "weight_decay": weight_decay, "moved": True},
            {"params": others, "lr": other_rate, "weight_decay": 0.0, "moved": False},
        ]
        super().__init__(groups)
        for parameter in own:
            self.state[parameter]["step"] = torch.zeros(())

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move all parameters that have a gradient."""
        gradients: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            for parameter in group["params"] if group["moved"] else ():
                if parameter.grad is not None:
                    self.state[parameter]["step"] += 1
                    self.move_(parameter, parameter.grad, group)
                    gradients.append((parameter, parameter.grad))
                    parameter.grad = None  # AdamW passes over it
        super().step(closure)
        for parameter, gradient in gradients:
            parameter.grad = gradient

    @abstractmethod
    def move_(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move a parameter in place; what it keeps of it is in `state[parameter]`.

        There, `step` counts the moves, this one included.

        Args:
            parameter: Parameter of any shape.
            gradient: Gradient of the same shape.
            group: Its group, with `lr` and `weight_decay`.
        """
