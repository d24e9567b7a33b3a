"""LIF gradients against central differences of a NumPy model, float64.

A step has no useful derivative, so differences are taken of what backward claims to differentiate:
around a base point, every spike is o0 + S(z) - S(z0), with S the antiderivative of the surrogate.
At the base point that network is the spiking one, and its derivative is the surrogate gradient,
reset path, threshold and all. With S = 0 what is left is the smooth part alone: the exact
derivative of the membrane while no spike changes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from snnquant.spiking import LIFParameters, LIFState, Surrogate, lif_sequence

Array = NDArray[np.float64]
STEPS, NEURONS, H = 5, 3, 1e-6


def antiderivative(kind: str, gamma: float, width: float) -> Callable[[Array], Array]:
    def triangle(z: Array) -> Array:
        inside = np.clip(z, -width, width)
        return gamma * (inside - np.sign(inside) * inside**2 / (2 * width))

    return {
        "triangle": triangle,
        "arctan": lambda z: gamma * width * np.arctan(z / width),
        "boxcar": lambda z: gamma * np.clip(z, -width, width),
    }[kind]


def unpack(theta: Array) -> tuple[Array, float, float, Array]:
    """Split theta into current [T, N], leak, threshold, initial potential [N]."""
    current, rest = theta[: STEPS * NEURONS].reshape(STEPS, NEURONS), theta[STEPS * NEURONS :]
    return current, rest[0], rest[1], rest[2:]


def run(
    theta: Array,
    reset: str,
    relax: Callable[[Array], Array],
    base: list[tuple[Array, Array]] | None,
) -> tuple[Array, Array, list[tuple[Array, Array]]]:
    """Return spikes, last potential and (z, o) per step; relaxed around ``base`` if given."""
    current, leak, threshold, u = unpack(theta)
    o = np.zeros(NEURONS)
    trace = []
    for t in range(STEPS):
        u = leak * u + current[t]
        if reset == "delayed":
            u = u - threshold * o
        z = u / threshold - 1
        o = (z > 0).astype(float) if base is None else base[t][1] + relax(z) - relax(base[t][0])
        trace.append((z, o))
        if reset == "same_step":
            u = u - threshold * o
        elif reset == "zero":
            u = u * (1 - o)
    return np.stack([o for _, o in trace]), u, trace


def differences(
    theta: Array, reset: str, relax: Callable[[Array], Array], grad_out: Array
) -> Array:
    """Return central differences of sum(grad_out * [spikes, last potential]) by theta."""
    base = run(theta, reset, relax, None)[2]

    def objective(shifted: Array) -> float:
        spikes, potential, _ = run(shifted, reset, relax, base)
        return float((grad_out * np.concatenate([spikes.ravel(), potential])).sum())

    shifts = H * np.eye(len(theta))
    return np.array([(objective(theta + s) - objective(theta - s)) / (2 * H) for s in shifts])


def backward(theta: Array, reset: str, surrogate: Surrogate, grad_out: Array) -> Array:
    leaves = [torch.tensor(part, requires_grad=True) for part in unpack(theta)]
    leaves[1:3] = [leaf.detach().double().requires_grad_() for leaf in leaves[1:3]]
    current, leak, threshold, start = leaves
    spikes, state = lif_sequence(
        current,
        LIFParameters(leak, threshold, reset),
        LIFState(start, torch.zeros(NEURONS, dtype=torch.float64)),
        surrogate,
    )
    both = torch.cat([spikes.flatten(), state.potential])
    gradients = torch.autograd.grad((both * torch.from_numpy(grad_out)).sum(), leaves)
    return np.concatenate([gradient.numpy().ravel() for gradient in gradients])


def points(reset: str, kinks: tuple[float, ...]) -> list[tuple[Array, Array]]:
    """Draw twenty (theta, grad_out) with spikes and silence, every |z| clear of the kinks."""
    rng = np.random.default_rng(7)
    found = []
    while len(found) < 20:
        current = rng.normal(0.5, 1, STEPS * NEURONS)
        theta = np.concatenate(
            [current, rng.uniform((0.1, 0.4), (1, 1.5)), rng.normal(size=NEURONS)]
        )
        spikes, _, trace = run(theta, reset, np.zeros_like, None)
        z = np.abs([z for z, _ in trace])
        clear = all(np.abs(z - kink).min() > 1e-3 for kink in kinks)
        if clear and 0 < spikes.mean() < 1:
            found.append((theta, rng.normal(size=STEPS * NEURONS + NEURONS)))
    return found


@pytest.mark.parametrize("kind", ["triangle", "arctan", "boxcar"])
@pytest.mark.parametrize("reset", ["delayed", "same_step", "zero"])
def test_backward_differentiates_the_relaxed_network(reset: str, kind: str) -> None:
    surrogate = Surrogate(kind, scale=0.6, width=0.8)
    relax = antiderivative(kind, 0.6, 0.8)
    for theta, grad_out in points(reset, kinks=(0.0, 0.8)):
        expected = differences(theta, reset, relax, grad_out)
        np.testing.assert_allclose(
            backward(theta, reset, surrogate, grad_out), expected, rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("reset", ["delayed", "same_step", "zero"])
def test_backward_is_exact_where_no_spike_changes(reset: str) -> None:
    nowhere = Surrogate("boxcar", scale=1.0, width=1e-9)
    for theta, grad_out in points(reset, kinks=(0.0,)):
        expected = differences(theta, reset, np.zeros_like, grad_out)
        np.testing.assert_allclose(
            backward(theta, reset, nowhere, grad_out), expected, rtol=1e-6, atol=1e-6
        )


@pytest.mark.parametrize("reset", ["delayed", "same_step", "zero"])
def test_gradcheck_of_the_silent_membrane(reset: str) -> None:
    current = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    leak = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    start = torch.randn(3, dtype=torch.float64, requires_grad=True)
    threshold = torch.tensor(1e3, dtype=torch.float64)

    def potential(current: torch.Tensor, leak: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        state = LIFState(start, torch.zeros_like(start))
        surrogate = Surrogate(width=0.5)  # nothing comes near the threshold
        return lif_sequence(current, LIFParameters(leak, threshold, reset), state, surrogate)[
            1
        ].potential

    assert torch.autograd.gradcheck(potential, (current, leak, start))
