"""Narrow potentials against an integer loop, one neuron at a time, and a simulator."""

from __future__ import annotations

import math

import numpy as np
import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from snnquant.spiking import LIF, Reset
from snnquant.spiking.snntorch_adapter import to_snntorch

BITS = st.sampled_from([8, 10, 16])
CURRENTS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.just(1), st.integers(1, 4)),
    elements=st.floats(-8, 8, width=32),
)
SHIFTS = st.one_of(st.none(), st.integers(1, 8))


def integer_loop(
    currents: list[int], shift: int | None, limit: int, bits: int, reset: str, start: int
) -> list[int]:
    """Step a neuron as a register of so many bits does: shifts, additions, saturation."""
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    u, o, spikes = start, 0, []
    for current in currents:
        # The part that leaks is rounded up, so that the rest is rounded down.
        leaked = 0 if shift is None else -(-u // 2**shift)
        u = u - leaked + current - (limit if reset == "delayed" and o else 0)
        u = low if u < low else high if u > high else u
        o = int(u > limit)
        spikes.append(o)
        if o and reset == "same_step":
            u -= limit
        elif o and reset == "zero":
            u = 0
    return spikes


@pytest.mark.parametrize("reset", tuple(Reset))
@given(current=CURRENTS, shift=SHIFTS, bits=BITS, threshold=st.floats(0.25, 4, width=32))
@settings(deadline=None, max_examples=60)
def test_spikes_are_those_of_a_register(
    reset: str, current: NDArray[np.float32], shift: int | None, bits: int, threshold: float
) -> None:
    leak = 1.0 if shift is None else 1 - 2.0**-shift
    options = {"reset": reset, "initial": 0.5, "leaks": "power-of-two", "potential_bits": bits}
    lif = LIF(leak, threshold, **options)
    step = 2.0 ** (math.frexp(threshold)[1] - (bits - 2))
    limit = round(threshold / step)
    assert 2 ** (bits - 3) <= limit <= 2 ** (bits - 2)
    spikes = lif(torch.from_numpy(current))[:, 0].detach().numpy()
    for n, column in enumerate(current[:, 0].T):
        codes = [math.floor(float(x) / step + 0.5) for x in column]
        expected = integer_loop(codes, shift, limit, bits, reset, round(limit / 2))
        assert spikes[:, n].tolist() == expected


@given(
    units=hnp.arrays(np.float32, 3, elements=st.floats(2**-12, 0.25, width=32)),
    sums=hnp.arrays(np.int64, (4, 2, 3, 2), elements=st.integers(-3000, 3000)),
    bits=BITS,
    threshold=st.floats(0.25, 4, width=32),
)
@settings(deadline=None, max_examples=60)
def test_sums_of_whole_weights_are_shifted_and_never_multiplied(
    units: NDArray[np.float32], sums: NDArray[np.int64], bits: int, threshold: float
) -> None:
    lif = LIF(0.75, threshold, leaks="power-of-two", potential_bits=bits)
    lif.lay_units(torch.from_numpy(units))
    assert lif.units is not None
    finer = np.log2(units / lif.units.numpy())
    assert (finer == finer.round()).all()
    assert (finer >= 0).all()
    grid = lif.grid()
    shift = grid.shift.tolist()
    current = torch.from_numpy(sums) * torch.from_numpy(units)[:, None]
    # A sum in floating point is off by some rounding.
    spikes = lif(current * (1 + 1e-6)).detach().numpy()
    for k in range(3):
        limit = int(grid.threshold[k])
        assert 2 ** (bits - 3) <= limit <= 2 ** (bits - 2)
        whole = (sums[:, :, k] << int(finer[k])) + (1 << shift[k] >> 1) >> shift[k]
        for n, place in np.ndindex(2, 2):
            expected = integer_loop(whole[:, n, place].tolist(), 2, limit, bits, "delayed", 0)
            assert spikes[:, n, k, place].tolist() == expected


@given(
    current=hnp.arrays(np.float32, (6, 3), elements=st.integers(-40, 40).map(lambda k: k / 16)),
    leak=st.sampled_from([1.0, 0.5, 0.75, 0.875, 0.625]),
)
@settings(deadline=None, max_examples=40)
def test_leaks_on_the_grid_spike_as_in_a_simulator(
    current: NDArray[np.float32], leak: float
) -> None:
    lif = LIF(leak - 0.001, 1.0, leaks="two-powers")
    assert lif.constants().leak == leak
    leaky = to_snntorch(lif)
    assert isinstance(leaky, snntorch.Leaky)
    assert leaky.beta == leak
    mem, steps = torch.zeros(3), []
    for step in torch.from_numpy(current):
        spikes, mem = leaky(step, mem)
        steps.append(spikes)
    assert torch.equal(torch.stack(steps), lif(torch.from_numpy(current)))


@given(
    current=hnp.arrays(np.float64, (5, 1, 4), elements=st.integers(-64, 64).map(lambda k: k / 32)),
    reset=st.sampled_from(tuple(Reset)),
    leak=st.sampled_from([1.0, 0.5]),
)
@settings(deadline=None, max_examples=40)
def test_where_nothing_is_rounded_or_saturates_spikes_are_those_of_floats(
    current: NDArray[np.float64], reset: str, leak: float
) -> None:
    """Steps of 2^-14 hold five halvings of multiples of 2^-5; 16 bits hold 2 thresholds of 8."""
    x = torch.from_numpy(current)
    wide = LIF(leak, 7.5, reset=reset).double()
    narrow = LIF(leak, 7.5, reset=reset, leaks="power-of-two", potential_bits=16).double()
    assert torch.equal(narrow(x * 4), wide(x * 4))
