"""Loops that numba compiles, and Triton's kernels, against torch's operations.

The kernels run on a CUDA device, else in Triton's interpreter: in a separate process, because
Triton reads `TRITON_INTERPRET` when it is imported.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from snnquant.spiking import (
    LIF,
    LIFParameters,
    LIFState,
    Reset,
    Surrogate,
    backends,
    lif_sequence,
    sequence,
)
from snnquant.spiking.backends import torch_ops
from snnquant.spiking.backends.autograd import Backend

RESETS = tuple(Reset)
SURROGATES = ("triangle", "arctan", "boxcar")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
GPU = torch.cuda.is_available() and not INTERPRETED
needs_triton = pytest.mark.skipif(not backends.TRITON, reason="Triton is not installed")
LOOPS = pytest.param(
    "loops", marks=pytest.mark.skipif(not backends.NUMBA, reason="numba is not installed")
)
KERNELS = pytest.param(
    "kernels",
    marks=[
        needs_triton,
        pytest.mark.skipif(
            not GPU and not INTERPRETED,
            reason="torch sees no CUDA device; test_kernels_in_the_interpreter runs them",
        ),
    ],
)
each_way = pytest.mark.parametrize("way", [LOOPS, KERNELS])


MODULES = {"loops": "numba_loops", "kernels": "triton_kernels", "operations": "torch_ops"}


def module_of(way: str) -> Any:
    """Import the backend, which may need a library that is not installed."""
    return importlib.import_module(f"snnquant.spiking.backends.{MODULES[way]}")


def functions(way: str) -> Backend:
    """Return the backend."""
    backend: Backend = module_of(way).BACKEND
    return backend


def block_of(way: str) -> int:
    """Return the neurons that run through all steps at once."""
    block: int = module_of(way).BLOCK
    return block


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch):
    """Make every sequence use one backend."""
    return lambda way: monkeypatch.setattr(sequence, "backend_for", lambda _: functions(way))


def device_of(way: str) -> str:
    return "cuda" if way == "kernels" and GPU else "cpu"


def outcome(way: str, leaves: list[Tensor], reset: str, kind: str, repeats: bool):
    """Return spikes, last potential and the gradients of current, leak, threshold and state."""
    current, leak, threshold, potential, spikes, *outer = leaves
    if repeats:
        current = current[:1]
    inputs = [x.clone().requires_grad_() for x in (current, leak, threshold, potential, spikes)]
    given = inputs[0].expand(len(outer[0]), *current.shape[1:])
    state = LIFState(*inputs[3:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequence, "backend_for", lambda _: functions(way))
        p = LIFParameters(inputs[1], inputs[2], reset)
        got, last = lif_sequence(given, p, state, Surrogate(kind, 0.6, 1.2))
        gradients = torch.autograd.grad([got, last.potential], inputs, outer, allow_unused=True)
        with torch.no_grad():
            bare, bare_last = lif_sequence(given, p, state)
    assert torch.equal(bare, got)
    assert torch.equal(bare_last.potential, last.potential)
    return got, last.potential, [g for g in gradients if g is not None]


def draw(
    seed: int, steps: int, shape: tuple[int, ...], dtype: torch.dtype, device: str = "cpu"
) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64).to(dtype)

    leak, threshold = torch.rand(2, generator=generator, dtype=torch.float64).to(dtype)
    state = [normal(*shape), (normal(*shape) > 0).to(dtype)]
    outer = [normal(steps, *shape), normal(*shape)]
    leaves = [normal(steps, *shape), leak, threshold + 0.2, *state, *outer]
    return [leaf.to(device) for leaf in leaves]


@each_way
@pytest.mark.parametrize("repeats", [False, True], ids=["own_current", "repeated_current"])
@pytest.mark.parametrize("kind", SURROGATES)
@pytest.mark.parametrize("reset", RESETS)
@given(
    seed=st.integers(0, 2**32 - 1),
    steps=st.integers(1, 6),
    blocks=st.integers(0, 2),
    neurons=st.sampled_from([0, 1, 5]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    halves=st.booleans(),
)
@settings(deadline=None, max_examples=5 if INTERPRETED else 15)
def test_compiled_and_operations_agree(
    way: str,
    reset: str,
    kind: str,
    repeats: bool,
    seed: int,
    steps: int,
    blocks: int,
    neurons: int,
    dtype: torch.dtype,
    halves: bool,
) -> None:
    shape = (2, blocks * block_of(way) + neurons)
    leaves = draw(seed, steps, shape, dtype, device_of(way))
    if halves:  # which potentials often meet the threshold with exactly
        leaves = [x.mul(2).round().div(2) for x in leaves]
        leaves[2].clamp_(min=0.5)
    spikes, last, gradients = outcome(way, leaves, reset, kind, repeats)
    plain_spikes, plain_last, plain = outcome("operations", leaves, reset, kind, repeats)
    assert torch.equal(spikes, plain_spikes)
    assert torch.equal(last, plain_last)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    for got, expected in zip(gradients, plain, strict=True):
        assert got.shape == expected.shape
        # Leak's and threshold's are sums over all neurons and steps, which may cancel.
        summands = spikes.numel() if expected.ndim == 0 else 1
        assert (got - expected).norm() <= tolerance * (expected.norm() + summands**0.5)


@each_way
@pytest.mark.parametrize("reset", RESETS)
def test_a_state_that_neurons_share_is_one_number(way: str, reset: str) -> None:
    current, leak, threshold, *_, outer, last = draw(3, 4, (2, 37), torch.float64, device_of(way))
    states = torch.tensor([0.3, 1.0], dtype=torch.float64, device=current.device)
    results = []
    for module, shape in ((way, ()), ("operations", ()), ("operations", (2, 37))):
        leaves = [x.clone().requires_grad_() for x in (current, leak, threshold, states)]
        state = LIFState(*(x.expand(shape) for x in leaves[3]))
        given = (*leaves[:3], state.potential, state.spikes, Reset(reset))
        found = functions(module).sequence.apply(*given, Surrogate())
        results.append([*found, *torch.autograd.grad(found, leaves, [outer, last])])
        with torch.no_grad():
            bare = functions(module).without_gradient(*given)
        assert all(torch.equal(a, b) for a, b in zip(bare, found, strict=True))
    for got in results[:2]:
        assert torch.equal(got[0], results[2][0])
        torch.testing.assert_close(got, results[2], rtol=1e-10, atol=1e-10)


@each_way
def test_a_gradient_that_repeats_is_that_of_its_copies(way: str) -> None:
    current, leak, threshold, *_, outer, _ = draw(4, 4, (2, 37), torch.float32, device_of(way))
    current.requires_grad_()
    nothing = torch.zeros_like(threshold)
    given = (current, leak, threshold, nothing, nothing, Reset.DELAYED, Surrogate())
    spikes, _ = functions(way).sequence.apply(*given)
    repeated = outer[:1].expand_as(outer)
    got, expected = (
        torch.autograd.grad(spikes, current, x, retain_graph=True)[0]
        for x in (repeated, repeated.contiguous())
    )
    assert torch.equal(got, expected)


@each_way
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_spikes_lie_in_memory_as_the_current_does(way: str, order: tuple[int, ...], take) -> None:
    take(way)
    layer = LIF(0.9, 0.5).to(device_of(way))
    current = torch.randn(3, 4, 5, 2, 6, device=device_of(way))
    current = current.permute(0, *(axis + 1 for axis in order)).requires_grad_()
    spikes = layer(current)
    assert spikes.stride() == current.stride()
    expected = layer(current.detach().contiguous())
    assert torch.equal(spikes, expected)
    outer = torch.randn_like(spikes)
    (gradient,) = torch.autograd.grad(spikes, current, outer)
    copied = current.detach().contiguous().requires_grad_()
    (plain,) = torch.autograd.grad(layer(copied), copied, outer)
    assert torch.equal(gradient, plain)


@pytest.mark.parametrize("way", [LOOPS])
def test_threads_share_the_neurons_and_change_nothing(way: str) -> None:
    leaves = draw(0, 5, (3, 7 * block_of(way) + 11), torch.float32)
    alone = outcome(way, leaves, "delayed", "triangle", False)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        shared = outcome(way, leaves, "delayed", "triangle", False)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(alone[0], shared[0])
    assert torch.equal(alone[1], shared[1])
    torch.testing.assert_close(alone[2], shared[2], rtol=1e-6, atol=1e-6)


@each_way
def test_nothing_but_the_current_is_kept_for_the_backward(way: str, take) -> None:
    take(way)
    current = torch.randn(5, 1000, device=device_of(way), requires_grad=True)
    kept: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        kept.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        LIF(0.9, 0.5).to(current.device)(current)
    storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in kept}
    assert storages.pop(current.untyped_storage().data_ptr()) == 4 * current.numel()
    assert sum(storages.values()) < 100


@pytest.mark.parametrize("way", [KERNELS])
def test_a_gradient_is_the_same_every_time(way: str) -> None:
    leaves = draw(1, 5, (3, 50 * block_of(way)), torch.float32, device_of(way))
    first, second = (outcome(way, leaves, "delayed", "triangle", False)[2] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("way", [KERNELS])
def test_kernels_agree_where_they_run(way: str) -> None:
    from snnquant.spiking.backends import triton_kernels

    assert triton_kernels.agree(torch.device(device_of(way)))


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter runs kernels on the processor")
def test_kernels_that_cannot_run_are_left_out_with_a_warning() -> None:
    from snnquant.spiking.backends import triton_kernels

    with pytest.warns(UserWarning, match="neurons on cpu run by torch's operations, not by Triton"):
        assert not triton_kernels.agree(torch.device("cpu"))


@dataclass
class Described:
    """The properties of a current that decide on its backend."""

    device: torch.device
    dtype: torch.dtype
    steps: int

    def __len__(self) -> int:
        return self.steps


@needs_triton
@pytest.mark.parametrize(
    ("device", "dtype", "steps", "allowed", "agree", "kernels_run"),
    [
        ("cuda:1", torch.float32, 5, "1", True, True),
        ("cuda:0", torch.float64, 32, "1", True, True),
        ("cuda:0", torch.float32, 33, "1", True, False),
        ("cuda:0", torch.float32, 5, "1", False, False),
        ("cuda:0", torch.float32, 5, "0", True, False),
        ("cuda:0", torch.float32, 5, "", True, False),
        ("cuda:0", torch.bfloat16, 5, "1", True, False),
        ("meta", torch.float32, 5, "1", True, False),
    ],
)
def test_kernels_are_chosen_on_gpus_where_allowed_and_in_agreement(
    device: str,
    dtype: torch.dtype,
    steps: int,
    allowed: str,
    agree: bool,
    kernels_run: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    triton_kernels = module_of("kernels")
    monkeypatch.setenv("SNNQUANT_TRITON", allowed)
    monkeypatch.setattr(triton_kernels, "agree", lambda device: agree)
    current: Any = Described(torch.device(device), dtype, steps)
    expected = triton_kernels.BACKEND if kernels_run else torch_ops.BACKEND
    assert backends.backend_for(current) is expected


@needs_triton
def test_kernels_stay_out_unless_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SNNQUANT_TRITON", raising=False)
    current: Any = Described(torch.device("cuda"), torch.float32, 5)
    assert backends.backend_for(current) is torch_ops.BACKEND


@needs_triton
@pytest.mark.skipif(INTERPRETED, reason="the interpreter compiles nothing")
@pytest.mark.parametrize("number", ["fp32", "fp64"])
@pytest.mark.parametrize(("reset", "kind"), list(zip(RESETS, SURROGATES, strict=True)))
def test_kernels_compile_without_a_fused_multiply_add(
    reset: str, kind: str, number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compile without a GPU; the compiler refuses more than the interpreter does."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from snnquant.spiking.backends import triton_kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    fixed = {"reset": reset, "kind": kind, "scale": 0.6, "width": 1.2, "steps": 3}
    fixed |= {"block": triton_kernels.BLOCK, "potential_hop": 1, "spikes_hop": 1}
    for kernel in (triton_kernels._run, triton_kernels._run_back):
        kinds = {name: f"*{number}" for name in kernel.arg_names}
        kinds |= {"neurons": "i32", "current_hop": "i32"}
        kinds |= {name: "constexpr" for name in kernel.arg_names if name in fixed}
        source = ASTSource(kernel, kinds, {name: fixed[name] for name in kinds if name in fixed})
        code, loose = (
            triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options).asm["ptx"]
            for options in (triton_kernels.EXACT, {"enable_fp_fusion": True})
        )
        assert "fma." not in code
        assert "fma." in loose


@needs_triton
@pytest.mark.slow
@pytest.mark.skipif(GPU or INTERPRETED, reason="the kernels run in this process")
def test_kernels_in_the_interpreter() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__, "-k", "kernels"],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


@pytest.mark.skipif(not backends.NUMBA, reason="numba is not installed")
def test_loops_are_compiled_anew_where_a_file_that_they_call_changed(tmp_path: Path) -> None:
    from snnquant.spiking.backends import vector_types as vectors

    (tmp_path / "loops.py").write_text("a = 1\n")
    before = vectors._sources(tmp_path)
    (tmp_path / "called.py").write_text("b = 1\n")
    vectors._sources.cache_clear()
    assert vectors._sources(tmp_path) != before
    from snnquant.spiking.backends import numba_loops

    stamp = numba_loops._forward._cache._cache_file._source_stamp
    assert stamp == vectors._sources(Path(numba_loops.__file__).parent)
