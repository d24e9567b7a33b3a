"""`LIF` to ``snntorch.Leaky`` and back, where the two can spike alike (snnTorch 1.0).

========== ============================================= =======================
reset      snnTorch                                      same
========== ============================================= =======================
delayed    ``"subtract"``, ``reset_delay=True``          spikes and potentials
zero       ``"zero"``, ``reset_delay=False``             spikes and potentials
zero       ``"zero"``, ``reset_delay=True``              spikes
same_step  none: ``"subtract"``, ``reset_delay=False``   no, from potential 2V up
========== ============================================= =======================

Only the forward behaviour is carried over. Gradients differ: snnTorch's surrogate is a
function of u - V instead of u/V - 1, and its reset is detached.
"""

from __future__ import annotations

from typing import Any

from snnquant.errors import InputError
from snnquant.io import require_extra
from snnquant.spiking.layers import LIF, require_floating
from snnquant.spiking.lif import Reset, unknown_reset

RESETS = {Reset.DELAYED: ("subtract", True), Reset.ZERO: ("zero", False)}
"""snnTorch's mechanism and delay for the resets that both have."""


def _leaky() -> Any:
    (snntorch,) = require_extra("snntorch", "snntorch")
    return snntorch.Leaky


def to_snntorch(lif: LIF) -> Any:
    """Return a ``snntorch.Leaky`` with this layer's leak, threshold and reset.

    It runs one step per call and learns what the layer learns. Raises `InputError` for the
    same_step reset, for an initial potential and for narrow potentials, which snnTorch's modules
    cannot hold, and without snnTorch.
    """
    if lif.reset not in RESETS:
        raise unknown_reset(lif.reset, "snntorch", tuple(RESETS))
    require_floating(lif, "LIF", "snntorch")
    if lif.initial:
        raise InputError(f"snntorch: found initial potential {lif.initial}, expected 0")
    mechanism, delay = RESETS[lif.reset]
    return _leaky()(
        lif.constants().leak.detach().clone(),
        lif.threshold.detach().clone(),
        learn_beta=lif.leak.requires_grad,
        learn_threshold=lif.threshold.requires_grad,
        reset_mechanism=mechanism,
        reset_delay=delay,
    )


def from_snntorch(neuron: Any) -> LIF:
    """Return a `LIF` that spikes as this ``snntorch.Leaky`` does.

    The surrogate is this package's default. Raises `InputError` for another class, a leak or
    threshold per neuron, a soft reset without delay, no reset, inhibition, quantized state
    and graded spikes, and without snnTorch.
    """
    if not isinstance(neuron, _leaky()):
        raise InputError(f"snntorch: found {type(neuron).__name__}, expected Leaky")
    mechanism = (neuron.reset_mechanism, neuron.reset_delay)
    if mechanism == ("subtract", True):
        reset = Reset.DELAYED
    elif mechanism[0] == "zero":
        reset = Reset.ZERO
    else:
        raise InputError(
            f"snntorch: found reset {mechanism[0]!r} with reset_delay={mechanism[1]}, "
            "expected 'subtract' with delay, or 'zero'"
        )
    for name in ("beta", "threshold"):
        if getattr(neuron, name).numel() != 1:
            found = tuple(getattr(neuron, name).shape)
            raise InputError(f"snntorch {name}: found shape {found}, expected one per layer")
    for name, absent in (
        ("inhibition", False),
        ("state_quant", False),
        ("graded_spikes_factor", 1),
    ):
        if getattr(neuron, name) != absent:
            found = getattr(neuron, name)
            raise InputError(f"snntorch {name}: found {found}, expected {absent}")
    leak = neuron.beta.clamp(0, 1).item()  # as snnTorch does at every step
    return LIF(leak, neuron.threshold.item(), reset=reset)
