from __future__ import annotations

import copy

import numpy as np
import pytest
import snntorch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from snnquant.errors import InputError
from snnquant.spiking import LIF, LIFParameters, lif_sequence
from snnquant.spiking.snntorch_adapter import from_snntorch, to_snntorch

VALUES = st.one_of(st.floats(-3, 5, width=32), st.integers(-24, 40).map(lambda k: k / 8))
CURRENTS = hnp.arrays(np.float32, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=VALUES)
LEAKS = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.5, 1.0]))
THRESHOLDS = st.one_of(st.floats(0.125, 3, width=32), st.integers(1, 24).map(lambda k: k / 8))


@torch.no_grad()
def run(neuron: snntorch.Leaky, current: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    spikes, potential = [], torch.zeros_like(current[0])
    for step in current:
        out, potential = neuron(step, potential)
        spikes.append(out)
    return torch.stack(spikes), potential


@pytest.mark.parametrize("reset", ["delayed", "zero"])
@given(current=CURRENTS, leak=LEAKS, threshold=THRESHOLDS)
@settings(deadline=None)
def test_to_snntorch_keeps_spikes_and_potentials(
    reset: str, current: NDArray[np.float32], leak: float, threshold: float
) -> None:
    lif, x = LIF(leak, threshold, reset=reset), torch.from_numpy(current)
    spikes, potential = run(to_snntorch(lif), x)
    expected, state = lif_sequence(x, LIFParameters(lif.leak, lif.threshold, reset))
    assert torch.equal(spikes, expected)
    assert torch.equal(potential, state.potential)


@pytest.mark.parametrize(
    ("mechanism", "delay"), [("subtract", True), ("zero", True), ("zero", False)]
)
@given(current=CURRENTS, leak=st.one_of(LEAKS, st.sampled_from([-0.5, 1.5])), threshold=THRESHOLDS)
@settings(deadline=None)
def test_from_snntorch_keeps_spikes(
    mechanism: str, delay: bool, current: NDArray[np.float32], leak: float, threshold: float
) -> None:
    neuron = snntorch.Leaky(leak, threshold, reset_mechanism=mechanism, reset_delay=delay)
    x = torch.from_numpy(current)
    assert torch.equal(from_snntorch(neuron)(x), run(neuron, x)[0])


def test_round_trip_keeps_every_field() -> None:
    for reset, learned in (("delayed", "leak"), ("zero", "threshold")):
        lif = LIF(0.75, 0.3, reset=reset).requires_grad_(False)
        getattr(lif, learned).requires_grad_(True)
        neuron = to_snntorch(lif)
        theirs = {"beta": "leak", "threshold": "threshold"}
        assert [theirs[name] for name, _ in neuron.named_parameters()] == [learned]
        back = from_snntorch(neuron)
        assert (back.leak, back.threshold, back.reset) == (lif.leak, lif.threshold, reset)
        copy.deepcopy(neuron)  # snnTorch refuses this once the neuron has run


def test_soft_reset_without_delay_is_neither_of_ours() -> None:
    """Justify the refusal: at 2.4 V snnTorch's residue suppresses the next reset."""
    x = torch.tensor([[2.4], [0.0], [0.0]])
    theirs, _ = run(snntorch.Leaky(1.0, 1.0, reset_delay=False), x)
    for reset in ("delayed", "same_step"):
        assert not torch.equal(LIF(1.0, 1.0, reset=reset)(x), theirs)


@pytest.mark.parametrize(
    ("lif", "message"),
    [(LIF(reset="same_step"), "same_step"), (LIF(initial=0.5), "initial potential 0.5")],
)
def test_to_snntorch_refuses_what_snntorch_cannot_hold(lif: LIF, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_snntorch(lif)


@pytest.mark.parametrize(
    ("neuron", "message"),
    [
        (snntorch.Leaky(0.5, reset_delay=False), "reset_delay=False"),
        (snntorch.Leaky(0.5, reset_mechanism="none"), "'none'"),
        (snntorch.Leaky(torch.rand(4)), "beta"),
        (snntorch.Leaky(0.5, torch.rand(4)), "threshold"),
        (snntorch.Leaky(0.5, graded_spikes_factor=2.0), "graded_spikes_factor"),
        (snntorch.Leaky(0.5, state_quant=torch.round), "state_quant"),
        (snntorch.Synaptic(0.5, 0.5), "Synaptic"),
        (snntorch.Leaky(0.5, -1.0), "threshold"),
    ],
)
def test_from_snntorch_refuses_what_lif_cannot_hold(neuron: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_snntorch(neuron)
