"""Weights projected onto few levels with a least-squares scale, as in BCGD, and DoReFa's levels.

    BCGD    1 bit: mean|w| sgn(w); 2 bits: ternary; from 3 bits: 2^b - 1 levels, scale by regression
    DoReFa  2 Q_b(tanh w / (2 max|tanh w|) + 1/2) - 1,  Q_b(x) = round((2^b - 1) x) / (2^b - 1)
"""

from __future__ import annotations

import torch
from torch import Tensor

from snnquant.quantization.estimators import Cells, Estimator, estimate

TERNARY_THRESHOLD = 0.7
"""Share of the mean of |w| from which a weight is no zero at 2 bits."""


def project(weight: Tensor, bits: int, *, per_channel: bool) -> tuple[Tensor, Tensor]:
    """Return the codes and scale that BCGD quantizes a weight to; ``codes * scale`` is the value.

    1 bit: signs, scale mean|w|; a zero counts as positive, a negative zero as negative. 2 bits: 0
    and signs from 0.7 mean|w|, scale the mean of |w| over those kept. From 3 bits: codes k up to
    K = 2^(b-1) - 1 with |w| in ((2k - 1) d, (2k + 1) d], d = max|w| / (2K + 1), and the scale of
    least squares, sum |w|k / sum k^2. BCGD has 1, 2 and 4 bits; others follow the rule of 4.

    Args:
        weight: Weight [K, ...].
        bits: Bits per weight, 1 to 8.
        per_channel: One scale per output channel, else one for the tensor.

    Returns:
        Codes [K, ...], whole numbers in the weight's dtype, and the scale, [K, 1, ...] or [1, ...].

    >>> import torch
    >>> codes, scale = project(torch.tensor([[0.9, -0.7, 0.1]]), 2, per_channel=False)
    >>> codes * scale
    tensor([[ 0.8000, -0.8000,  0.0000]])
    """
    size, axes = weight.abs(), tuple(range(int(per_channel), weight.ndim))
    sign = torch.where(weight.signbit(), -1.0, 1.0).to(weight.dtype)
    if bits == 1:
        return sign, size.mean(axes, keepdim=True)
    if bits == 2:
        steps = (size >= TERNARY_THRESHOLD * size.mean(axes, keepdim=True)).to(weight.dtype)
        steps = torch.where(size > 0, steps, 0)
    else:
        high = 2 ** (bits - 1) - 1
        cell = size.amax(axes, keepdim=True) * 2 / (2 * high + 1)
        cell = cell.clamp(min=torch.finfo(cell.dtype).tiny)
        steps = (size / cell - 0.5).ceil().clamp(0, high)
    squares = steps.square().sum(axes, keepdim=True).clamp(min=1)
    codes = torch.where(steps > 0, sign * steps, 0)  # never a negative zero, which no integer has
    return codes, (size * steps).sum(axes, keepdim=True) / squares


def tanh_codes(weight: Tensor, bits: int, estimator: Estimator) -> Tensor:
    """Return DoReFa's codes, odd numbers from -(2^b - 1) to 2^b - 1: it has no level 0.

    The gradient is that of ``(2^b - 1) tanh w / max|tanh w|``, the largest weight included, with
    the estimator's factor for rounding. ``codes / (2^b - 1)`` is DoReFa's weight.

    Args:
        weight: Weight [K, ...].
        bits: Bits per weight, 1 to 8.
        estimator: Entry of `ESTIMATORS`.

    Returns:
        Codes [K, ...], whole numbers in the weight's dtype.

    >>> import torch
    >>> from snnquant.quantization.estimators import ste
    >>> tanh_codes(torch.tensor([[2.0, 0.3, -0.3, -2.0]]), 2, ste)
    tensor([[ 3.,  1., -1., -3.]])
    """
    high = 2**bits - 1
    bent = weight.tanh()
    largest = bent.abs().amax().clamp(min=torch.finfo(bent.dtype).tiny)
    value = (bent / (2 * largest) + 0.5) * high
    with torch.no_grad():
        rounded = value.round()
        inside = torch.ones_like(value, dtype=torch.bool)
        cells = Cells(value, value - rounded, inside, high)
    return 2 * estimate(value, rounded, cells, estimator) - high
