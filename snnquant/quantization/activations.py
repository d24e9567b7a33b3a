r"""Quantized activations with a learnt ceiling: step-size learning, PACT and BCGD.

With the ceiling c and L codes above 0, an activation is a whole number of steps :math:`s = c / L`:

.. math:: y = s \cdot \mathrm{clamp}(\mathrm{round}(x / s), l, L)

A rectified activation of b bits has :math:`l = 0` and :math:`L = 2^b - 1`; a signed one, for values
that no ReLU made, has :math:`l = -L` and :math:`L = 2^{b-1} - 1`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from snnquant.config.methods import ACTIVATION_BITS, ActivationQuantizerName
from snnquant.errors import InputError
from snnquant.nn.hooks import evaluating
from snnquant.nn.tracing import Leaf
from snnquant.quantization.estimators import ESTIMATORS, Cells

DEFAULT_ESTIMATOR = "clipped_relu"
Gradients = tuple[Tensor, Tensor]
"""Gradients of the input and of the step (PACT: of the ceiling)."""
CANDIDATES = 100
"""Ceilings that the search for the min squared error tries, evenly up to the largest value."""
SAMPLE = 2**18
"""Values that the search looks at, evenly spaced."""
STARTING = 128
"""Inputs from which ceilings start."""
MIN_STEP, MAX_STEP = 1e-3, 5.0
"""Range of BCGD's step."""


def lsq_gradients(grad: Tensor, ratio: Tensor, low: int, high: int) -> Gradients:
    """Return the gradients of learnt step size quantization (Esser et al. 2020).

    Inside the range the step's is round(x / s) - x / s, outside it is the code; their sum is
    divided by the root of L times the values per sample.

    Args:
        grad: Gradient of the quantized values, [N, ...].
        ratio: Values over the step, x / s, of the same shape.
        low: Smallest code.
        high: Largest code L.

    Returns:
        Gradient of x, and of s.
    """
    inside = (ratio > low) & (ratio < high)
    codes = ratio.round().clamp_(low, high)
    of_step = (grad * (codes - torch.where(inside, ratio, 0))).sum()
    features = ratio.numel() // max(1, len(ratio)) if ratio.ndim else 1
    return grad * inside, of_step / math.sqrt(max(1, features) * high)


def pact_gradients(grad: Tensor, ratio: Tensor, low: int, high: int) -> Gradients:
    """Return the gradients of parameterized clipping (PACT, Choi et al. 2018).

    That of the ceiling is 1 where a value is clipped there, and 0 elsewhere.

    Args and Returns as `lsq_gradients`, with the gradient of the ceiling, s L, in the second place.
    """
    above, below = ratio >= high, ratio <= low if low else ratio < low
    clipped = above.to(grad.dtype) - (below.to(grad.dtype) if low else 0)
    return grad * ~(above | below), (grad * clipped).sum()


def bcgd_gradients(grad: Tensor, ratio: Tensor, low: int, high: int) -> Gradients:
    """Return the gradients of blended coarse gradient descent (Yin et al. 2019), three values.

    The step's is 0 for x <= 0, 2^(b - 1) inside and 2^b - 1 above; their sum is clamped to -1..1
    and multiplied by 0.01, as in the authors' code.

    Args and Returns as `lsq_gradients`, for codes from 0.
    """
    positive, above = ratio > 0, ratio > high
    slopes = torch.where(above, high, (high + 1) / 2).to(grad.dtype) * positive
    of_step = (grad * slopes).sum().clamp(-1, 1) * 0.01
    return grad * (positive & ~above), of_step


@dataclass(frozen=True)
class _Rule:
    """Rounding and gradients of a quantizer; `of_ceiling` where these are not of the step."""

    gradients: Callable[[Tensor, Tensor, int, int], Gradients]
    rounding: Callable[[Tensor], Tensor] = torch.round
    of_ceiling: bool = False


_RULES: dict[str, _Rule] = {
    "lsq": _Rule(lsq_gradients),
    "pact": _Rule(pact_gradients, of_ceiling=True),
    "bcgd": _Rule(bcgd_gradients, torch.ceil),
}


class _Quantize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, ceiling: Tensor, of: ActivationQuantizer) -> Tensor:
        step = ceiling / of.high
        ratio = x / step
        ctx.save_for_backward(ratio)
        ctx.of = of
        quantized: Tensor = of.codes(ratio) * step
        return quantized

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (ratio,), of = ctx.saved_tensors, ctx.of
        of_x, found = of.rule.gradients(grads[0], ratio, of.low, of.high)
        if of.estimator != DEFAULT_ESTIMATOR:
            factor = ESTIMATORS.get(of.estimator)(of.cells(ratio), grads[0])
            of_x = torch.where(factor == 0, 0, grads[0] * factor)
        return of_x, found if of.rule.of_ceiling else found / of.high, None


class ActivationQuantizer(Leaf):
    """Base of the modules that quantize activations, with one learnt ceiling per module.

    The ceiling starts from the first values that the module receives, by `start`, unless a state
    dict has brought one.

    Args:
        bits: Bits per activation, 1 to 8.
        quantizer: Gradients of input and ceiling: lsq, pact or bcgd.
        estimator: Key of `ESTIMATORS`, which replaces the gradient of the input.

    Raises:
        InputError: The bits or the quantizer are not allowed.
    """

    ceiling: nn.Parameter
    signed = False

    def __init__(
        self,
        bits: int,
        quantizer: ActivationQuantizerName = "lsq",
        estimator: str = DEFAULT_ESTIMATOR,
    ) -> None:
        super().__init__()
        lowest = ACTIVATION_BITS.start + self.signed
        if not lowest <= bits < ACTIVATION_BITS.stop:
            expected = f"{lowest} to {ACTIVATION_BITS.stop - 1}"
            raise InputError(f"activation bits: found {bits}, expected {expected}")
        if quantizer not in _RULES:
            expected = " or ".join(_RULES)
            raise InputError(f"activation quantizer: found {quantizer!r}, expected {expected}")
        if self.signed and quantizer == "bcgd":
            raise InputError("activation quantizer: found bcgd for signed values, expected lsq")
        self.bits, self.quantizer, self.rule = bits, quantizer, _RULES[quantizer]
        self.estimator = estimator
        self.ceiling = nn.Parameter(torch.zeros(()))
        self._started = False

    @property
    def high(self) -> int:
        """Largest code."""
        return int(2 ** (self.bits - self.signed) - 1)

    @property
    def low(self) -> int:
        """Smallest code."""
        return -self.high if self.signed else 0

    @property
    def step(self) -> Tensor:
        """Distance of two levels, a scalar."""
        step: Tensor = self.ceiling.detach() / self.high
        return step

    def codes(self, ratio: Tensor) -> Tensor:
        """Return the codes, as whole numbers, of values over the step."""
        return self.rule.rounding(ratio).clamp_(self.low, self.high)

    def cells(self, ratio: Tensor) -> Cells:
        """Return the places of values over the step among the cells of the levels."""
        level = self.rule.rounding(ratio)
        position = ratio - level + (0.5 if self.rule.rounding is torch.ceil else 0)
        return Cells(ratio, position, (level >= self.low) & (level <= self.high), self.high)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Set the ceiling to that of min squared error on values of any shape."""
        values = x.detach().flatten()
        values = values if self.signed else values[values > 0]
        values = values[:: len(values) // SAMPLE + 1].to(self.ceiling)
        largest = float(values.abs().max()) if len(values) else 0.0
        found: list[tuple[float, float]] = []
        for i in range(CANDIDATES, 0, -1):
            step = (largest or 1.0) * i / CANDIDATES / self.high
            error = float((self.codes(values / step) * step - values).square().sum())
            found.append((error, step * self.high))
        self.ceiling.fill_(min(found, key=lambda pair: pair[0])[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations of x [N, ...] on their levels, in the ceiling's dtype."""
        if not self._started:
            if self.ceiling == 0:
                self.start(x)
            self._started = True
        if self.training:
            low = self.high * MIN_STEP if self.quantizer == "bcgd" else 1e-6
            high = self.high * MAX_STEP if self.quantizer == "bcgd" else math.inf
            with torch.no_grad():
                self.ceiling.clamp_(low, high)
        result: Tensor = _Quantize.apply(x.to(self.ceiling.dtype), self.ceiling, self)  # type: ignore[no-untyped-call]
        return result

    def extra_repr(self) -> str:
        """Return the settings, for ``print(model)``."""
        return f"bits={self.bits}, {self.quantizer}, ceiling={self.step * self.high:.3g}"


class QuantizedReLU(ActivationQuantizer, nn.ReLU):
    """ReLU of b bits, ``2^b`` levels from 0 to a learnt ceiling.

    Args and Raises as `ActivationQuantizer`.

    >>> relu = QuantizedReLU(bits=2)
    >>> relu.start(torch.tensor([1.0, 2.0, 3.0]))
    >>> relu(torch.tensor([[-1.0, 0.4, 1.1, 1.9, 9.0]])).tolist()
    [[0.0, 0.0, 1.0, 2.0, 3.0]]
    >>> isinstance(relu, nn.ReLU)
    True
    """


class QuantizedInput(ActivationQuantizer, nn.Identity):
    """Values of either sign on ``2^b - 1`` levels around 0, for inputs that no ReLU made.

    Args and Raises as `ActivationQuantizer`; 2 bits or more, lsq or pact.

    >>> QuantizedInput(bits=2)(torch.tensor([[-2.0, 0.0, 2.0]])).tolist()
    [[-2.0, 0.0, 2.0]]
    """

    signed = True


@torch.no_grad()
def start_activations(model: nn.Module, inputs: Tensor) -> None:
    """Start the ceilings of a network's quantized activations from its inputs, layer by layer.

    Args:
        model: Network with quantized activations, or without any, which is left as it is.
        inputs: Patches [N, ...], of which at most `STARTING` are used.

    >>> layers = nn.Sequential(nn.Flatten(), QuantizedReLU(bits=2))
    >>> start_activations(layers, torch.tensor([[1.0], [2.0], [3.0]]))
    >>> float(layers[1].ceiling.detach())
    3.0
    """
    if any(isinstance(module, ActivationQuantizer) for module in model.modules()):
        with evaluating(model):
            model(inputs[:STARTING])
