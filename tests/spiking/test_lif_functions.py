from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snnquant.errors import InputError
from snnquant.spiking import (
    LIFParameters,
    LIFState,
    Reset,
    Surrogate,
    initial_state,
    lif_sequence,
    lif_step,
    spike,
)

RESETS = tuple(Reset)
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SEEDS = st.integers(0, 2**32 - 1)


def parameters(leak: float = 0.9, threshold: float = 1.0, reset: str = "delayed") -> LIFParameters:
    return LIFParameters(torch.tensor(leak), torch.tensor(threshold), reset)


def random_current(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steps(current: Tensor, p: LIFParameters, state: LIFState) -> tuple[Tensor, LIFState]:
    spikes = []
    for step_current in current:
        step_spikes, state = lif_step(step_current, p, state, Surrogate())
        spikes.append(step_spikes)
    return torch.stack(spikes), state


@pytest.mark.parametrize(
    ("reset", "spikes", "last"),
    [
        # 1 + 0.5 -> 1.5 > 1; V off one step later: 0.5*1.5 + 1 - 1 = 0.75; 0.375 + 1 = 1.375
        ("delayed", [1, 0, 1], 1.375),
        # 1.5 - 1 = 0.5; 0.25 + 1 = 1.25 - 1 = 0.25; 0.125 + 1 = 1.125 - 1
        ("same_step", [1, 1, 1], 0.125),
        # 1.5 -> 0; 1.0 is not above 1; 0.5 + 1 = 1.5 -> 0
        ("zero", [1, 0, 1], 0.0),
    ],
)
def test_three_steps_worked_by_hand(reset: str, spikes: list[int], last: float) -> None:
    p = parameters(0.5, 1.0, reset)
    current = torch.ones(3, 1)
    got, state = lif_sequence(current, p, initial_state(current, p, 1.0))
    assert got.flatten().tolist() == spikes
    assert state.potential.item() == last
    assert state.spikes.item() == spikes[-1]


@pytest.mark.parametrize("dtype", FLOATS)
@given(threshold=st.floats(0.0625, 50, width=16))
@settings(deadline=None)
def test_a_spike_needs_more_than_the_threshold(dtype: torch.dtype, threshold: float) -> None:
    v = torch.tensor(threshold, dtype=dtype)
    above = torch.nextafter(v, v.new_tensor(math.inf)) if dtype != torch.float16 else v * 1.01
    current = torch.stack([v, above])[None]
    p = LIFParameters(torch.tensor(1.0), v)
    expected = [[0.0, 1.0]]
    assert lif_sequence(current, p)[0].tolist() == expected
    start = LIFState(torch.zeros_like(current[0]), torch.zeros_like(current[0]))
    assert lif_step(current[0], p, start, Surrogate())[0].tolist() == expected[0]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("reset", RESETS)
def test_sequence_and_steps_agree_in_every_dtype(reset: str, dtype: torch.dtype) -> None:
    current = random_current(0, 6, 50).to(dtype)
    p = parameters(0.83, 0.4, reset)
    start = initial_state(current, p, 0.5)
    spikes, state = lif_sequence(current, p, start)
    expected, last = steps(current, p, start)
    assert spikes.dtype == state.potential.dtype == dtype
    assert torch.equal(spikes, expected)
    assert torch.equal(state.potential, last.potential)
    assert torch.equal(state.spikes, last.spikes)


@pytest.mark.parametrize("reset", RESETS)
def test_sequence_and_steps_have_one_gradient(reset: str) -> None:
    leaves = [random_current(0, 6, 50), torch.tensor(0.8), torch.tensor(0.4)]
    leaves = [leaf.double().requires_grad_() for leaf in leaves]
    current, p = leaves[0], LIFParameters(leaves[1], leaves[2], reset)
    start = initial_state(current, p, 0.5)
    outer = random_current(1, 6, 50)
    torch.testing.assert_close(
        torch.autograd.grad(lif_sequence(current, p, start)[0], leaves, outer, retain_graph=True),
        torch.autograd.grad(steps(current, p, start)[0], leaves, outer),
    )


@pytest.mark.parametrize("reset", RESETS)
@given(seed=SEEDS, cut=st.integers(1, 5))
@settings(deadline=None)
def test_a_run_may_be_cut_anywhere_and_continued(reset: str, seed: int, cut: int) -> None:
    current = random_current(seed, 6, 7)
    leaves = [torch.tensor(value, requires_grad=True) for value in (0.8, 0.5)]
    p = LIFParameters(*leaves, reset)
    whole, end = lif_sequence(current, p)
    first, state = lif_sequence(current[:cut], p)
    second, cut_end = lif_sequence(current[cut:], p, state)
    assert torch.equal(torch.cat([first, second]), whole)
    assert torch.equal(cut_end.potential, end.potential)
    # The state carries the gradient over the cut, through potential and (delayed) spikes.
    outer = random_current(seed + 1, 7)
    grads = torch.autograd.grad((end.potential * outer).sum(), leaves)
    cut_grads = torch.autograd.grad((cut_end.potential * outer).sum(), leaves)
    torch.testing.assert_close(cut_grads, grads, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("reset", RESETS)
@given(seed=SEEDS, exponent=st.integers(-8, 8))
@settings(deadline=None)
def test_only_the_ratio_of_potential_to_threshold_matters(
    reset: str, seed: int, exponent: int
) -> None:
    """Scale input, potential and threshold by a power of two: no spike changes."""
    current, scale = random_current(seed, 6, 20), 2.0**exponent
    spikes, state = lif_sequence(current, parameters(0.7, 0.5, reset))
    scaled, scaled_state = lif_sequence(current * scale, parameters(0.7, 0.5 * scale, reset))
    assert torch.equal(scaled, spikes)
    assert torch.equal(scaled_state.potential, state.potential * scale)


@given(seed=SEEDS, steps=st.integers(1, 40), rate=st.floats(0, 1, width=32))
@settings(deadline=None)
def test_soft_reset_without_leak_counts_the_input_in_thresholds(
    seed: int, steps: int, rate: float
) -> None:
    """Compare counts after T steps of current rate * V with T * rate: at most one spike apart."""
    current = (torch.rand(30, generator=torch.Generator().manual_seed(seed)) * rate).expand(
        steps, 30
    )
    for reset in ("delayed", "same_step"):
        spikes, _ = lif_sequence(current.double(), parameters(1.0, 1.0, reset))
        assert ((spikes.sum(0) - steps * current[0]).abs() <= 1 + 1e-9).all()


@pytest.mark.parametrize("reset", RESETS)
def test_an_expanded_current_is_one_that_repeats(reset: str) -> None:
    once = random_current(3, 40).requires_grad_()
    copied = once.detach().repeat(5, 1).requires_grad_()
    outer = random_current(4, 5, 40)
    spikes, _ = lif_sequence(once.expand(5, 40), parameters(reset=reset))
    expected, _ = lif_sequence(copied, parameters(reset=reset))
    assert torch.equal(spikes, expected)
    (gradient,) = torch.autograd.grad(spikes, once, outer)
    (summed,) = torch.autograd.grad(expected, copied, outer)
    torch.testing.assert_close(gradient, summed.sum(0))


@pytest.mark.parametrize("reset", RESETS)
def test_the_reset_path_is_attached(reset: str) -> None:
    """Vary the surrogate: the potential after a step depends on that step's spike."""
    current = torch.full((2, 1), 1.2, requires_grad=True)
    silent = Surrogate("boxcar", 1.0, width=1e-6)
    gradients = [
        torch.autograd.grad(
            lif_sequence(current, parameters(reset=reset), None, s)[1].potential.sum(), current
        )[0]
        for s in (Surrogate(), silent)
    ]
    assert gradients[0][0] != gradients[1][0]


@pytest.mark.parametrize(
    ("kind", "formula"),
    [
        ("triangle", lambda z: 0.4 * max(0.0, 1 - abs(z) / 1.5)),
        ("arctan", lambda z: 0.4 / (1 + (z / 1.5) ** 2)),
        ("boxcar", lambda z: 0.4 * (abs(z) < 1.5)),
    ],
)
@given(z=st.floats(-5, 5))
def test_spike_is_a_step_with_the_surrogate_for_gradient(kind: str, formula, z: float) -> None:  # type: ignore[no-untyped-def]
    x = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    out = spike(x, Surrogate(kind, 0.4, 1.5))
    (gradient,) = torch.autograd.grad(out, x, torch.tensor(2.0, dtype=torch.float64))
    assert out.item() == (1.0 if z > 0 else 0.0)
    assert gradient.item() == pytest.approx(2 * formula(z), abs=1e-12)


def test_initial_potential_is_a_share_of_the_threshold_and_trains_it() -> None:
    threshold = torch.tensor(0.5, requires_grad=True)
    state = initial_state(torch.zeros(3, 2, 4), LIFParameters(torch.tensor(1.0), threshold), 0.5)
    assert state.potential.shape == state.spikes.shape == ()
    assert state.potential.item() == 0.25
    assert state.spikes.item() == 0
    assert torch.autograd.grad(state.potential, threshold)[0].item() == 0.5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Surrogate("sine"), "surrogate: found 'sine', expected one of"),
        (lambda: Surrogate(scale=0), "surrogate scale: found 0, expected above 0"),
        (lambda: Surrogate(width=math.nan), "surrogate width: found nan"),
        (lambda: parameters(reset="soft"), "reset: found 'soft', expected one of"),
        (lambda: LIFParameters(torch.ones(3), torch.tensor(1.0)), r"leak: found shape \(3,\)"),
        (lambda: lif_sequence(torch.ones(3, 2).int(), parameters()), "current: found torch.int32"),
        (lambda: lif_sequence(torch.ones(3), parameters()), r"current: .* shape \(3,\)"),
        (lambda: lif_sequence(torch.ones(0, 3), parameters()), "T >= 1"),
    ],
)
def test_wrong_values_are_refused(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        make()
