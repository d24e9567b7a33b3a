"""LIF sequences against loops written from the equations: NumPy forward, autograd backward."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor

from snnquant.spiking import LIFParameters, LIFState, Reset, Surrogate, lif_sequence

RESETS = tuple(Reset)
SURROGATES = ("triangle", "arctan", "boxcar")

# Multiples of a quarter meet quarter thresholds exactly: ties and exact zeros are common.
VALUES = st.one_of(st.floats(-4, 4, width=32), st.integers(-16, 16).map(lambda k: k / 4))
CURRENTS = hnp.arrays(np.float64, st.tuples(st.integers(1, 7), st.integers(1, 4)), elements=VALUES)
LEAKS = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.5, 1.0]))
THRESHOLDS = st.one_of(st.floats(0.125, 3, width=32), st.sampled_from([0.25, 0.5, 1.0]))


def numpy_loop(
    current: NDArray[np.float64], leak: float, threshold: float, reset: str, initial: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spikes [T, N] and the last potential [N], one neuron and one step at a time."""
    steps, neurons = current.shape
    spikes = np.zeros_like(current)
    last = np.zeros(neurons)
    for n in range(neurons):
        u, o = initial, 0.0
        for t in range(steps):
            u = leak * u + current[t, n]
            if reset == "delayed" and o:
                u = u - threshold
            o = 1.0 if u > threshold else 0.0
            if reset == "same_step" and o:
                u = u - threshold
            if reset == "zero" and o:
                u = 0.0
            spikes[t, n] = o
        last[n] = u
    return spikes, last


@pytest.mark.parametrize("reset", RESETS)
@given(current=CURRENTS, leak=LEAKS, threshold=THRESHOLDS, initial=VALUES)
@settings(deadline=None)
def test_spikes_and_potential_are_those_of_the_scalar_loop(
    reset: str, current: NDArray[np.float64], leak: float, threshold: float, initial: float
) -> None:
    spikes, potential = numpy_loop(current, leak, threshold, reset, initial)
    parameters = LIFParameters(
        torch.tensor(leak, dtype=torch.float64), torch.tensor(threshold, dtype=torch.float64), reset
    )
    start = torch.full(current.shape[1:], initial, dtype=torch.float64)
    got, state = lif_sequence(
        torch.from_numpy(current), parameters, LIFState(start, torch.zeros_like(start))
    )
    np.testing.assert_array_equal(got.numpy(), spikes)
    np.testing.assert_array_equal(state.spikes.numpy(), spikes[-1])
    np.testing.assert_array_equal(state.potential.numpy(), potential)


class StepSpike(torch.autograd.Function):
    """1 where u > V; the gradient of z = u / V - 1 is the surrogate's formula."""

    @staticmethod
    def forward(ctx, z, above, surrogate):  # type: ignore[no-untyped-def]
        ctx.save_for_backward(z)
        ctx.surrogate = surrogate
        return above.to(z.dtype)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        (z,) = ctx.saved_tensors
        kind, gamma, width = ctx.surrogate.kind, ctx.surrogate.scale, ctx.surrogate.width
        formula = {
            "triangle": gamma * torch.clamp(1 - z.abs() / width, min=0),
            "arctan": gamma / (1 + (z / width) ** 2),
            "boxcar": gamma * (z.abs() < width).to(z.dtype),
        }[kind]
        return grad * formula, None, None


def autograd_loop(
    current: Tensor,
    leak: Tensor,
    threshold: Tensor,
    start: Tensor,
    reset: str,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """The same by autograd; leak and threshold may be one a neuron."""
    u, o, spikes = start, torch.zeros_like(current[0]), []
    for step_current in current:
        u = leak * u + step_current
        if reset == "delayed":
            u = u - threshold * o
        o = StepSpike.apply(u / threshold - 1, u > threshold, surrogate)
        if reset == "same_step":
            u = u - threshold * o
        elif reset == "zero":
            u = u * (1 - o)
        spikes.append(o)
    return torch.stack(spikes), u


def draw(seed: int, dtype: torch.dtype, repeats: bool) -> tuple[Tensor, ...]:
    """Current [6, 5, 4], leak, threshold, initial potential and two outer gradients."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    current = normal(1 if repeats else 6, 5, 4)
    leak, threshold = torch.rand(2, generator=generator, dtype=torch.float64).to(dtype)
    return current, leak, threshold + 0.2, normal(5, 4), normal(6, 5, 4), normal(5, 4)


@pytest.mark.parametrize("repeats", [False, True], ids=["own_current", "repeated_current"])
@pytest.mark.parametrize("kind", SURROGATES)
@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-6)])
def test_gradients_are_those_of_the_autograd_loop(
    dtype: torch.dtype, tolerance: float, reset: str, kind: str, repeats: bool
) -> None:
    for seed in range(8):
        current, leak, threshold, start, *outer = draw(seed, dtype, repeats)
        leaves = [t.requires_grad_() for t in (current, leak, threshold, start)]
        surrogate = Surrogate(kind, scale=0.7, width=1.5)

        state = LIFState(start, torch.zeros_like(start))
        got = lif_sequence(
            current.expand(6, 5, 4), LIFParameters(leak, threshold, reset), state, surrogate
        )
        gradients = torch.autograd.grad([got[0], got[1].potential], leaves, outer)

        # One leak and threshold a neuron, so that the size of the summed terms is known: a sum
        # that cancels is only good to the rounding of its terms.
        own = [leaves[0], *(t.detach().expand(5, 4).requires_grad_() for t in (leak, threshold))]
        expected = autograd_loop(current.expand(6, 5, 4), *own[1:], start, reset, surrogate)
        oracle = torch.autograd.grad(expected, [*own, start], outer)

        assert torch.equal(got[0], expected[0])
        for gradient, terms in zip(gradients, oracle, strict=True):
            if gradient.shape == terms.shape:
                assert (gradient - terms).abs().max() <= tolerance * terms.abs().max()
            else:
                assert (gradient - terms.sum()).abs() <= tolerance * terms.abs().sum()
