from __future__ import annotations

import copy
from collections.abc import Iterable

import pytest
import torch

from snnquant.config import NeuronConfig, QuantizationConfig, RunConfig
from snnquant.errors import InputError
from snnquant.spiking import LIF, Leak, Reset, Surrogate, build_neuron, lif_sequence, shifts
from snnquant.spiking.leaks import levels
from snnquant.spiking.lif import LIFParameters, initial_state


def sums_of_powers(most: int) -> set[float]:
    """Return 1 less every sum of up to `most` different powers 2^-1 ... 2^-8."""
    sums = {0}
    for _ in range(most):
        sums |= {total | 1 << k for total in sums for k in range(8)}
    return {1 - total / 256 for total in sums}


@pytest.mark.parametrize(("kind", "most"), [("power-of-two", 1), ("two-powers", 2)])
def test_a_grid_has_the_leaks_of_so_many_powers(kind: str, most: int) -> None:
    found = levels(Leak(kind))
    assert list(found) == sorted(found)
    assert set(found) == sums_of_powers(most)
    assert max(shifts(leak) for leak in found) == most


@pytest.mark.parametrize("kind", ["power-of-two", "two-powers"])
@pytest.mark.parametrize("leak", [0.0, 0.3, 0.62, 0.8, 0.97, 0.999, 1.0])
def test_a_leak_is_the_nearest_of_its_grid_and_learns_as_itself(kind: str, leak: float) -> None:
    lif = LIF(leak, leaks=kind)
    used = lif.constants().leak
    assert min(abs(level - leak) for level in levels(Leak(kind))) == pytest.approx(
        abs(used.item() - leak)
    )
    used.backward()  # type: ignore[no-untyped-call]
    assert lif.leak.grad == 1


def gradients(spikes: torch.Tensor, of: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    weights = torch.linspace(-1, 1, spikes.numel(), dtype=spikes.dtype).view(spikes.shape)
    return list(torch.autograd.grad((spikes * weights).sum(), list(of)))


@pytest.mark.parametrize("reset", tuple(Reset))
def test_gradients_are_those_of_floats_where_nothing_is_rounded(reset: str) -> None:
    torch.manual_seed(0)
    current = (torch.randint(-40, 80, (4, 2, 3, 5)).double() / 32).requires_grad_()
    surrogate = Surrogate("arctan")
    narrow = LIF(
        *(0.5, 1.25),
        reset=reset,
        initial=0.5,
        surrogate=surrogate,
        leaks="power-of-two",
        potential_bits=16,
    ).double()
    parameters = LIFParameters(narrow.leak, narrow.threshold, reset)
    spikes, _ = lif_sequence(
        current, parameters, initial_state(current, parameters, 0.5), surrogate
    )
    found = narrow(current)
    assert torch.equal(found, spikes)
    of = (current, narrow.leak, narrow.threshold)
    for mine, expected in zip(gradients(found, of), gradients(spikes, of), strict=True):
        torch.testing.assert_close(mine, expected)


def test_a_potential_that_saturates_has_no_gradient() -> None:
    lif = LIF(1.0, 1.0, surrogate=Surrogate("arctan"), potential_bits=8)
    current = torch.tensor([[[0.5, 900.0, -900.0]]], requires_grad=True)
    lif(current).sum().backward()
    assert current.grad is not None
    assert (current.grad != 0).flatten().tolist() == [True, False, False]


def test_a_current_that_repeats_is_that_of_every_step() -> None:
    torch.manual_seed(0)
    lif = LIF(0.75, 1.0, leaks="power-of-two", potential_bits=8)
    current = torch.randn(3, 4, 5)
    repeated = current.expand(6, *current.shape)
    assert torch.equal(lif(repeated), lif(repeated.contiguous()))


def test_a_state_brings_its_units_along() -> None:
    lif = LIF(0.75, 1.0, potential_bits=8)
    plain = copy.deepcopy(lif.state_dict())
    lif.lay_units(torch.tensor([0.1, 0.3]))
    other = LIF(potential_bits=8)
    other.load_state_dict(lif.state_dict())
    assert other.units is not None
    assert torch.equal(other.units, torch.tensor([0.1, 0.3]) / torch.tensor([4, 16]))
    other.load_state_dict(plain)
    assert other.units is None


def test_options_reach_the_layer_and_are_checked() -> None:
    config = NeuronConfig(leak="two-powers", potential_bits=12)
    neuron = build_neuron(config)
    assert isinstance(neuron, LIF)
    assert (neuron.leaks, neuron.potential_bits) == ("two-powers", 12)
    for bits in (7, 17, 31, 33):
        with pytest.raises(InputError, match=f"--potential-bits: found {bits}, expected 8 to 16"):
            NeuronConfig(potential_bits=bits)
    with pytest.raises(InputError, match="--neuron-bits: found 8, expected none"):
        RunConfig(neuron=config, quantization=QuantizationConfig(neuron_bits=8))
