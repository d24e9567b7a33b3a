r"""LIF neurons whose potential is a whole number of a few bits, saturating.

Potentials are counted in steps :math:`\Delta` of a grid. Neurons after quantized weights have one
per channel: a weight's scale times a power of two, so that hardware adds codes of weights, shifts
the sum and needs no multiplication. :math:`\Delta` is such that the threshold
:math:`\Theta = \mathrm{round}(V / \Delta)` has b - 2 bits, of a potential's b with its sign, which
leaves a range of 2 to 4 thresholds on either side. With the current in steps
:math:`i = \lfloor I / \Delta + 1/2 \rfloor`,

.. math::
    u[t] = \mathrm{sat}(\lfloor \lambda u[t-1] \rfloor + i[t] - \Theta o[t-1]), \quad
    o[t] = u[t] > \Theta

(here for the delayed reset; the others are those of `snnquant.spiking.lif`). Gradients pass through
the roundings as if there were none, and not through a potential that saturates.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from snnquant.spiking.backends.torch_ops import after_reset
from snnquant.spiking.lif import Reset
from snnquant.spiking.straight_through import replaced
from snnquant.spiking.surrogate import Surrogate, spike


class PotentialGrid(NamedTuple):
    """Steps of the potentials of a layer, scalars or per channel [K]."""

    unit: Tensor
    """Step of the sums of weights and bias, at most that of the potential."""
    shift: Tensor
    """Whole number n of a potential's step, which is 2^n units."""
    threshold: Tensor
    """Threshold in steps of the potential, whole."""
    bits: int
    """Bits of a potential, its sign among them."""

    @property
    def step(self) -> Tensor:
        """Step of the potential, in the units of the current."""
        return torch.ldexp(self.unit, self.shift)

    @property
    def low(self) -> int:
        """Smallest potential."""
        return -(1 << (self.bits - 1))

    @property
    def high(self) -> int:
        """Largest potential."""
        return (1 << (self.bits - 1)) - 1


@torch.no_grad()
def lay_grid(threshold: Tensor, bits: int, units: Tensor | None = None) -> PotentialGrid:
    """Lay the grid of potentials of so many bits under a threshold.

    Args:
        threshold: Threshold V, a scalar.
        bits: Bits of a potential.
        units: Steps of the sums per channel [K]; without, the potential's step is a power of two.

    >>> grid = lay_grid(torch.tensor(3.0), bits=8)
    >>> grid.step.item(), grid.threshold.item(), grid.low, grid.high
    (0.0625, 48.0, -128, 127)
    """
    if units is None:
        units = torch.ldexp(torch.ones_like(threshold), _exponent(threshold) - (bits - 2))
    shift = (_exponent(threshold / units) - (bits - 2)).clamp(min=0)
    found = (threshold / torch.ldexp(units, shift)).round().clamp(min=1)
    return PotentialGrid(units, shift, found, bits)


@torch.no_grad()
def units_of(scale: Tensor, threshold: Tensor, bits: int) -> Tensor:
    """Return the steps of sums of weights of a scale [K], not coarser than the potential's.

    >>> units_of(torch.tensor([1.0, 0.5]), torch.tensor(32.0), bits=8)
    tensor([1.0000, 0.5000])
    """
    missing = (bits - 2) - _exponent(threshold / scale)
    return torch.ldexp(scale, -missing.clamp(min=0))


def _exponent(x: Tensor) -> Tensor:
    """Return e with 2^(e-1) <= x < 2^e."""
    return torch.frexp(x).exponent


def saturating_spikes(
    current: Tensor,
    leak: Tensor,
    threshold: Tensor,
    grid: PotentialGrid,
    reset: Reset,
    initial: float,
    surrogate: Surrogate | None,
) -> Tensor:
    """Run all steps from a fresh start.

    Args:
        current: Input current [T, N, K, ...].
        leak: Leak with at most 8 fractional bits, a scalar.
        threshold: Threshold V, a scalar, in the units of the current.
        grid: Grid of the potentials.
        reset: Reset convention.
        initial: Potential before the first step, in thresholds.
        surrogate: Derivative of the spike; None for plain operations without gradient.

    Returns:
        The spikes [T, N, K, ...], in the current's dtype.
    """
    if grid.unit.ndim:  # [K], to stand beside [N, K, ...]
        shape = [-1, *(1 for _ in current.shape[3:])]
        unit, shift, whole = (x.view(shape) for x in grid[:3])
        grid = PotentialGrid(unit, shift, whole, grid.bits)
    leak, step = leak.to(current.dtype), grid.step.to(current.dtype)
    limit = replaced(threshold.to(current.dtype) / step, grid.threshold.to(current.dtype))
    # Of a current that repeats over the steps one is enough.
    repeats = current.stride(0) == 0
    steps = _in_steps(current[:1] if repeats else current, grid, step)
    u = replaced(initial * limit, (initial * limit.detach()).round())
    o: Tensor | None = None
    fired = []
    for t in range(len(current)):
        decayed = leak * u
        v = replaced(decayed, decayed.detach().floor()) + steps[0 if repeats else t]
        if reset is Reset.DELAYED and o is not None:
            v = v - limit * o
        v = v.clamp(grid.low, grid.high)
        o = (v > limit).to(v.dtype) if surrogate is None else spike((v - limit) / limit, surrogate)
        fired.append(o)
        u = after_reset(v, o, limit, reset)
    return torch.stack(fired)


def _in_steps(current: Tensor, grid: PotentialGrid, step: Tensor) -> Tensor:
    """Return the current as whole steps of the potential, half a step rounded up.

    Sums of whole weights are whole units, up to the rounding of their sum in floating point, which
    the nearest one removes: what is left is exactly what integers give.
    """
    found = current.detach()
    with torch.no_grad():
        sums = (found / grid.unit.to(found.dtype)).round() if grid.unit.ndim else found / step
        part = torch.ldexp(torch.ones_like(step), -grid.shift) if grid.unit.ndim else 1
        whole = (sums * part + 0.5).floor()
    return replaced(current / step, whole)
