"""The loops that numba compiles against the same in torch's operations."""

from __future__ import annotations

import importlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snnquant.spiking import LIF, LIFParameters, LIFState, Surrogate, lif_sequence

pytest.importorskip("numba")
from snnquant.spiking import loops

lif = importlib.import_module("snnquant.spiking.lif")

RESETS = ("delayed", "same_step", "zero")
SURROGATES = ("triangle", "arctan", "boxcar")


def outcome(compiled: bool, leaves: list[Tensor], reset: str, kind: str, repeats: bool):
    """Spikes, last potential and the gradients of current, leak, threshold and first potential."""
    current, leak, threshold, potential, spikes, *outer = leaves
    if repeats:
        current = current[:1]
    inputs = [x.clone().requires_grad_() for x in (current, leak, threshold, potential)]
    given = inputs[0].expand(len(outer[0]), *current.shape[1:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lif, "NUMBA", compiled)
        got, state = lif_sequence(
            given,
            LIFParameters(inputs[1], inputs[2], reset),
            LIFState(inputs[3], spikes),
            Surrogate(kind, 0.6, 1.2),
        )
        gradients = torch.autograd.grad([got, state.potential], inputs, outer)
    return got, state.potential, gradients


def draw(seed: int, steps: int, shape: tuple[int, ...], dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    leak, threshold = torch.rand(2, generator=generator, dtype=torch.float64).to(dtype)
    state = [normal(*shape), (normal(*shape) > 0).to(dtype)]
    outer = [normal(steps, *shape), normal(*shape)]
    return [normal(steps, *shape), leak, threshold + 0.2, *state, *outer]


@pytest.mark.parametrize("repeats", [False, True], ids=["own_current", "repeated_current"])
@pytest.mark.parametrize("kind", SURROGATES)
@pytest.mark.parametrize("reset", RESETS)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 6),
    neurons=st.sampled_from([0, 1, 5, loops.BLOCK, 2 * loops.BLOCK + 7]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
@settings(deadline=None, max_examples=15)
def test_loops_and_operations_agree(
    reset: str, kind: str, repeats: bool, seed: int, steps: int, neurons: int, dtype: torch.dtype
) -> None:
    leaves = draw(seed, steps, (2, neurons), dtype)
    spikes, last, gradients = outcome(True, leaves, reset, kind, repeats)
    plain_spikes, plain_last, plain = outcome(False, leaves, reset, kind, repeats)
    assert torch.equal(spikes, plain_spikes)
    assert torch.equal(last, plain_last)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-11
    for got, expected in zip(gradients, plain, strict=True):
        assert got.shape == expected.shape
        # Leak's and threshold's are sums over all neurons and steps, which may cancel.
        summands = spikes.numel() if expected.ndim == 0 else 1
        size = expected.abs().sum() / max(1, expected.numel()) + summands**0.5
        assert ((got - expected).abs() <= tolerance * size).all()


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_spikes_lie_in_memory_as_the_current_does(order: tuple[int, ...]) -> None:
    layer = LIF(0.9, 0.5)
    current = torch.randn(3, 4, 5, 2, 6).permute(0, *(axis + 1 for axis in order))
    current.requires_grad_()
    spikes = layer(current)
    assert spikes.stride() == current.stride()
    expected = layer(current.detach().contiguous())
    assert torch.equal(spikes, expected)
    outer = torch.randn(spikes.shape)
    (gradient,) = torch.autograd.grad(spikes, current, outer)
    copied = current.detach().contiguous().requires_grad_()
    (plain,) = torch.autograd.grad(layer(copied), copied, outer)
    assert torch.equal(gradient, plain)


def test_threads_share_the_neurons_and_change_nothing() -> None:
    leaves = draw(0, 5, (3, 7 * loops.BLOCK + 11), torch.float32)
    alone = outcome(True, leaves, "delayed", "triangle", False)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        shared = outcome(True, leaves, "delayed", "triangle", False)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone[0], shared[0])
    assert torch.equal(alone[1], shared[1])
    torch.testing.assert_close(alone[2], shared[2], rtol=1e-6, atol=1e-6)


def test_nothing_but_the_current_is_kept_for_the_backward() -> None:
    current = torch.randn(5, 1000, requires_grad=True)
    kept: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        LIF(0.9, 0.5)(current)
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in kept}
    assert storages.pop(current.untyped_storage().data_ptr()) == 4 * current.numel()
    assert sum(storages.values()) < 100
