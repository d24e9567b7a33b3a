"""LIF spikes against two independent simulators: Brian2 and snnTorch."""

from __future__ import annotations

import numpy as np
import pytest
import snntorch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from snnquant.spiking import LIFParameters, lif_sequence

# Multiples of an eighth against multiples of an eighth: potentials that meet V exactly are common.
VALUES = st.one_of(st.floats(-3, 5, width=32), st.integers(-24, 40).map(lambda k: k / 8))
LEAKS = st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.0, 0.5, 1.0]))
THRESHOLDS = st.one_of(st.floats(0.125, 3, width=32), st.integers(1, 24).map(lambda k: k / 8))

# Brian2 2.9 calls pyparsing by its old names.
QUIET_BRIAN2 = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def currents(steps: int, neurons: int) -> st.SearchStrategy[NDArray[np.float64]]:
    shapes = st.tuples(st.integers(1, steps), st.integers(1, neurons))
    return hnp.arrays(np.float64, shapes, elements=VALUES)


@st.composite
def neurons(draw: st.DrawFn, steps: int, most: int) -> tuple[NDArray[np.float64], ...]:
    """Draw currents [T, N] with a leak [N] and a threshold [N] per neuron."""
    current = draw(currents(steps, most))
    count = current.shape[1]
    leaks = draw(hnp.arrays(np.float64, count, elements=LEAKS))
    return current, leaks, draw(hnp.arrays(np.float64, count, elements=THRESHOLDS))


def brian2_spikes(
    current: NDArray[np.float64], leaks: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Simulate the paper's form: the spike of one step is subtracted in the next."""
    import brian2 as b2

    b2.prefs.codegen.target = "numpy"  # no compiler needed, and faster than one for small runs
    dt = 1 * b2.ms
    b2.defaultclock.dt = dt
    steps, count = current.shape
    group = b2.NeuronGroup(
        count,
        "v : 1\no : 1\nlam : 1\nV : 1",
        threshold="v > V",
        reset="o = 1",
        namespace={"I": b2.TimedArray(current, dt=dt)},
    )
    group.lam, group.V = leaks, thresholds
    group.run_regularly("v = lam*v + I(t, i) - V*o; o = 0", when="groups")
    monitor = b2.SpikeMonitor(group)
    b2.Network(group, monitor).run(steps * dt)
    spikes = np.zeros_like(current)
    spikes[np.round(monitor.t / dt).astype(int), np.asarray(monitor.i)] = 1
    return spikes


def assert_brian2_agrees(
    current: NDArray[np.float64], leaks: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> None:
    expected = brian2_spikes(current, leaks, thresholds)
    for column, leak, threshold, spikes in zip(
        current.T, leaks, thresholds, expected.T, strict=True
    ):
        parameters = LIFParameters(torch.tensor(leak), torch.tensor(threshold))
        found, _ = lif_sequence(torch.from_numpy(column.copy()[:, None]), parameters)
        np.testing.assert_array_equal(found[:, 0].numpy(), spikes)


# Brian2 takes half a second to set up a simulation of any size: few, of many kinds of neuron each.
@QUIET_BRIAN2
@given(drawn=neurons(12, 12))
@settings(deadline=None, max_examples=4, suppress_health_check=[HealthCheck.too_slow])
def test_brian2_gives_the_same_spikes(drawn: tuple[NDArray[np.float64], ...]) -> None:
    assert_brian2_agrees(*drawn)


@pytest.mark.slow
@QUIET_BRIAN2
@given(drawn=neurons(40, 50))
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.too_slow])
def test_brian2_gives_the_same_spikes_at_length(drawn: tuple[NDArray[np.float64], ...]) -> None:
    assert_brian2_agrees(*drawn)


@given(current=currents(16, 8), leak=LEAKS, threshold=THRESHOLDS)
@settings(deadline=None)
@pytest.mark.parametrize(("reset", "mechanism"), [("delayed", "subtract"), ("zero", "zero")])
def test_snntorch_gives_the_same_spikes(
    reset: str, mechanism: str, current: NDArray[np.float64], leak: float, threshold: float
) -> None:
    x = torch.from_numpy(current).float()
    neuron = snntorch.Leaky(leak, threshold, reset_mechanism=mechanism, reset_delay=True)
    expected, potential = [], torch.zeros_like(x[0])
    with torch.no_grad():
        for step in x:
            spikes, potential = neuron(step, potential)
            expected.append(spikes)
    got, _ = lif_sequence(x, LIFParameters(torch.tensor(leak), torch.tensor(threshold), reset))
    assert torch.equal(got, torch.stack(expected))
