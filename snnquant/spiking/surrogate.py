"""The spike: a step forward, a surrogate backward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from snnquant.errors import InputError

SURROGATES = ("triangle", "arctan", "boxcar")
ENDLESS = 1e30
"""Half width beyond every potential; finite, because compiled kernels hold it as a constant."""
ESTIMATORS = {
    "polynomial": ("triangle", 2.0, 1.0),
    "clipped": ("boxcar", 1.0, 1.0),
    "ste": ("boxcar", 1.0, ENDLESS),
    "identity": ("boxcar", 1.0, ENDLESS),
}
"""Gradient estimators of quantization that are surrogates: kind, height and half width."""


@dataclass(frozen=True)
class Surrogate:
    r"""A stand-in for the derivative :math:`do/dz` of the spike, :math:`z = u/V - 1`.

    With height :math:`\gamma` (``scale``) and half width :math:`w` (``width``, in thresholds):

    - triangle: :math:`\gamma \max(0, 1 - |z|/w)` (ACE-SNN, with :math:`\gamma = 0.3, w = 1`)
    - arctan: :math:`\gamma / (1 + (z/w)^2)`, the derivative of :math:`\gamma w \arctan(z/w)`
    - boxcar: :math:`\gamma` where :math:`|z| < w`, else 0

    Args:
        kind: triangle, arctan or boxcar.
        scale: Height, above 0.
        width: Half width, above 0, in thresholds.

    Raises:
        InputError: For an unknown kind and for a scale or width that is not above 0.

    Example:
        >>> Surrogate("triangle", scale=0.5).derivative(torch.tensor([0.0, 0.5, 2.0])).tolist()
        [0.5, 0.25, 0.0]
    """

    kind: str = "triangle"
    scale: float = 0.3
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in SURROGATES:
            raise InputError(f"surrogate: found {self.kind!r}, expected one of {SURROGATES}")
        for name in ("scale", "width"):
            if not getattr(self, name) > 0:
                raise InputError(f"surrogate {name}: found {getattr(self, name)}, expected above 0")

    @classmethod
    def named(cls, name: str, scale: float = 1.0, width: float = 1.0) -> Self:
        """Return the surrogate of a kind, or the one that a gradient estimator of that name is.

        An estimator of a sign, with levels -1 and 1, and this surrogate have the same factor. Scale
        and width multiply the estimator's own height and half width.

        Args:
            name: Kind of a surrogate, or polynomial, clipped, ste or identity.
            scale: Height, above 0.
            width: Half width, above 0, in thresholds.

        Raises:
            InputError: For an unknown name and for a scale or width that is not above 0.

        Example:
            >>> Surrogate.named("polynomial")
            Surrogate(kind='triangle', scale=2.0, width=1.0)
        """
        kind, height, half = ESTIMATORS.get(name, (name, 1.0, 1.0))
        return cls(kind, scale * height, width * half)

    def derivative(self, z: Tensor) -> Tensor:
        """Return the surrogate at ``z``, of the same shape."""
        if self.kind == "triangle":
            return z.abs().div_(-self.width).add_(1).clamp_(min=0).mul_(self.scale)
        if self.kind == "arctan":
            return self.scale / (1 + (z / self.width).square_())
        if self.kind == "boxcar":
            return (z.abs() < self.width).to(z.dtype).mul_(self.scale)
        raise InputError(f"surrogate: found {self.kind!r}, expected one of {SURROGATES}")


ACE_SNN = Surrogate()
"""The paper's surrogate, and the default."""


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(z)
        ctx.surrogate = surrogate
        return (z > 0).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (z,) = ctx.saved_tensors
        return grads[0] * ctx.surrogate.derivative(z), None


def spike(z: Tensor, surrogate: Surrogate) -> Tensor:
    """Return 1 where z > 0, else 0; backward multiplies by the surrogate.

    Args:
        z: Distance from the threshold, of any shape.
        surrogate: Derivative of the spike by z.

    Returns:
        The spikes, in z's dtype and shape.

    Example:
        >>> z = torch.tensor([-0.5, 0.0, 0.5], requires_grad=True)
        >>> spikes = spike(z, Surrogate("boxcar", scale=1.0, width=0.2))
        >>> spikes.sum().backward()
        >>> spikes.tolist(), z.grad.tolist()
        ([0.0, 0.0, 1.0], [0.0, 1.0, 0.0])
    """
    spikes: Tensor = _Spike.apply(z, surrogate)  # type: ignore[no-untyped-call]
    return spikes
