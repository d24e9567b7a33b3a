"""The fused LIF sequence on GPUs: a Triton kernel forward, one backward. Experimental.

They compute what `torch_ops` computes, the spikes bit for bit and the gradients up to rounding. A
program runs a block of neurons through all steps in registers, so that the current is read once,
and twice with a gradient: potentials are recomputed, nothing is kept. Resets and surrogates are
constants of a compiled kernel; unknown resets are refused before it is launched.
"""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from snnquant.io import one_line
from snnquant.spiking.backends.autograd import Backend, Given, recomputing
from snnquant.spiking.backends.layout import Order
from snnquant.spiking.backends.torch_ops import LIFSequence
from snnquant.spiking.lif import Reset, unknown_reset
from snnquant.spiking.surrogate import ACE_SNN, Surrogate

BLOCK = 256
"""Neurons per program: two per thread."""
MAX_STEPS = 32
"""Steps that fit a thread's registers; with twice as many the compiler takes half a minute."""
EXACT = {"enable_fp_fusion": False}
"""Compiler option: a fused multiply-add rounds once where torch rounds twice, and moves spikes."""
RESETS = (Reset.DELAYED, Reset.SAME_STEP, Reset.ZERO)


@triton.jit
def _integrate(
    u: tl.tensor,
    current: tl.tensor,
    o: tl.tensor,
    leak: tl.tensor,
    threshold: tl.tensor,
    reset: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Compute the potential v that is compared with the threshold, and its spikes."""
    v = u * leak + current
    if reset == "delayed":
        v -= threshold * o
    return v, (v > threshold).to(v.dtype)


@triton.jit
def _reset(v: tl.tensor, o: tl.tensor, threshold: tl.tensor, reset: tl.constexpr) -> tl.tensor:
    """Compute the potential u that the next step starts from."""
    if reset == "same_step":
        v -= threshold * o
    elif reset == "zero":
        v *= 1 - o
    return v


@triton.jit
def _surrogate(
    v: tl.tensor, threshold: tl.tensor, kind: tl.constexpr, width: tl.constexpr
) -> tl.tensor:
    """Compute the derivative of the spike by the potential v, of height 1."""
    if v.dtype == tl.float64:
        z = tl.abs((v - threshold) / threshold)
    else:  # where `/` is an approximation, which would move the boxcar's edges
        z = tl.abs(tl.div_rn(v - threshold, threshold))
    if kind == "triangle":
        shape = tl.maximum(1 - z * (1 / width), 0)
    elif kind == "arctan":
        z *= 1 / width
        shape = 1 / (1 + z * z)
    else:
        shape = (z < width).to(v.dtype)
    return shape


@triton.jit
def _run(
    current: tl.tensor,
    leak: tl.tensor,
    threshold: tl.tensor,
    potential: tl.tensor,
    spikes: tl.tensor,
    fired: tl.tensor,
    last: tl.tensor,
    neurons: tl.tensor,
    current_hop: tl.tensor,
    potential_hop: tl.tensor,
    spikes_hop: tl.tensor,
    reset: tl.constexpr,
    steps: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Run all steps of a block of neurons: fill `fired` [T, M] and `last` [M].

    The hops are the distances between steps of the current and between values of the state: 0
    where all share one.
    """
    n = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = n < neurons
    by, th = tl.load(leak), tl.load(threshold)
    u = tl.load(potential + n * potential_hop, mask=there, other=0)
    o = tl.load(spikes + n * spikes_hop, mask=there, other=0)
    for t in tl.static_range(steps):
        source = tl.load(current + t * tl.cast(current_hop, tl.int64) + n, mask=there, other=0)
        v, o = _integrate(u, source, o, by, th, reset)
        u = _reset(v, o, th, reset)
        tl.store(fired + t * tl.cast(neurons, tl.int64) + n, o, mask=there)
    tl.store(last + n, u, mask=there)


@triton.jit
def _run_back(
    current: tl.tensor,
    leak: tl.tensor,
    threshold: tl.tensor,
    potential: tl.tensor,
    spikes: tl.tensor,
    grad_spikes: tl.tensor,
    grad_state: tl.tensor,
    grad_current: tl.tensor,
    sums: tl.tensor,
    neurons: tl.tensor,
    current_hop: tl.tensor,
    potential_hop: tl.tensor,
    spikes_hop: tl.tensor,
    reset: tl.constexpr,
    kind: tl.constexpr,
    scale: tl.constexpr,
    width: tl.constexpr,
    steps: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Compute the gradients of a block: fill `grad_current` [T, M].

    `grad_state` [M] goes from the gradient of the last potential to that of the first; `sums`
    [2, programs] receives the block's terms of the gradients of leak and threshold.
    """
    n = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    there = n < neurons
    by, th = tl.load(leak), tl.load(threshold)
    u = tl.load(potential + n * potential_hop, mask=there, other=0)
    first = tl.load(spikes + n * spikes_hop, mask=there, other=0)
    o = first
    v_pre: tl.tuple = ()
    u_post: tl.tuple = ()
    for t in tl.static_range(steps):
        source = tl.load(current + t * tl.cast(current_hop, tl.int64) + n, mask=there, other=0)
        v, o = _integrate(u, source, o, by, th, reset)
        v_pre += (v,)
        u_post += (u,)
        u = _reset(v, o, th, reset)
    grad_u = tl.load(grad_state + n, mask=there, other=0)
    grad_v = tl.zeros_like(grad_u)
    leaks = grad_v
    thresholds = grad_v
    per_threshold = 1 / th
    for t in tl.static_range(steps - 1, -1, -1):
        v = v_pre[t]
        o = (v > th).to(v.dtype)
        row = t * tl.cast(neurons, tl.int64) + n
        grad_o = tl.load(grad_spikes + row, mask=there, other=0)
        if reset == "delayed":
            grad_o -= th * grad_v
            thresholds -= grad_v * o
        elif reset == "same_step":
            grad_o -= th * grad_u
            thresholds -= grad_u * o
        else:
            grad_o -= v * grad_u
            grad_u *= 1 - o
        by_spike = grad_o * _surrogate(v, th, kind, width) * (scale * per_threshold)
        thresholds -= by_spike * v * per_threshold
        grad_v = grad_u + by_spike
        leaks += grad_v * u_post[t]
        tl.store(grad_current + row, grad_v, mask=there)
        grad_u = grad_v * by
    if reset == "delayed":
        thresholds -= grad_v * first
    tl.store(grad_state + n, grad_u, mask=there)
    tl.store(sums + tl.program_id(0), tl.sum(leaks, 0))
    tl.store(sums + tl.num_programs(0) + tl.program_id(0), tl.sum(thresholds, 0))


def run(
    current: Tensor,
    leak: Tensor,
    threshold: Tensor,
    potential: Tensor,
    spikes: Tensor,
    reset: Reset,
) -> tuple[Tensor, Tensor]:
    """Return the spikes [T, N, ...] and the last potential [N, ...]."""
    order = Order(current)
    fired = current.new_empty(len(current), order.size)
    last = torch.empty_like(fired[0])
    _launch(_run, (current, leak, threshold, potential, spikes), (fired, last), reset)
    return order.restore(fired), order.restore_state(last)


def run_back(
    given: Given,
    grads: tuple[Tensor, Tensor],
    filled: tuple[Tensor, Tensor],
    reset: Reset,
    surrogate: Surrogate,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of leak and threshold; see `recomputing`."""
    gradient, first = filled
    grad_out = grads[0].expand_as(gradient).contiguous()
    last = grads[1].expand_as(gradient[0]).clone(memory_format=torch.contiguous_format)
    sums = grad_out.new_zeros(2, triton.cdiv(len(last), BLOCK))
    options = {"kind": surrogate.kind, "scale": surrogate.scale, "width": surrogate.width}
    _launch(_run_back, given, (grad_out, last, gradient, sums), reset, **options)
    if len(first):
        first.copy_(last)
    # Blocks are summed in float64, and by torch, always in one order.
    grad_leak, grad_threshold = sums.sum(1, dtype=torch.float64).to(grad_out.dtype)
    return grad_leak, grad_threshold


def _launch(
    kernel: Any,
    given: tuple[Tensor, ...],
    flows: tuple[Tensor, ...],
    reset: Reset,
    **options: Any,
) -> None:
    """Run a kernel on the arguments of a sequence and on its [T, M] and [M] arrays."""
    if reset not in RESETS:
        raise unknown_reset(reset, "Triton kernels", RESETS)
    current, leak, threshold, *state = given
    order, neurons = Order(current), current[0].numel()
    source, values = order.source(current), [order.shared(x) for x in state]
    # No hop to the next where all share one.
    hops = (neurons if len(source) > 1 else 0, *(int(len(x) > 1) for x in values))
    with torch.cuda.device_of(current):  # type: ignore[no-untyped-call]
        kernel[(triton.cdiv(neurons, BLOCK),)](
            *(source, leak, threshold, *values, *flows),
            *(neurons, *hops),
            reset=reset.value,
            steps=len(current),
            block=BLOCK,
            **options,
            **EXACT,
        )


BACKEND = Backend(recomputing(run, run_back), run)
"""For float32 and float64, and at most `MAX_STEPS` steps."""


@cache
def agree(device: torch.device) -> bool:
    """Return whether the kernels run on this device and agree with torch's operations.

    If not (no C compiler for Triton's launcher, Triton before 3.3, a GPU too old for it), a
    warning says why.
    """
    try:
        with torch.inference_mode(False), torch.enable_grad():
            ours, theirs = (
                _example(sequence, device) for sequence in (BACKEND.sequence, LIFSequence)
            )
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
            if torch.equal(ours[0], theirs[0]):
                return True
        reason = "their spikes are not those of torch's operations"
    except Exception as error:  # whatever a compiler, a driver and a launcher raise
        reason = f"{type(error).__name__}: {one_line(error)}"
    warnings.warn(
        f"neurons on {device} run by torch's operations, not by Triton's kernels: {reason}",
        stacklevel=2,
    )
    return False


def _example(sequence: Any, device: torch.device) -> list[Tensor]:
    """Return spikes, last potential and gradients of a sequence, without random numbers."""
    current = torch.linspace(-1, 2, 4 * BLOCK, device=device).view(4, BLOCK)
    leaves = [current, *(torch.tensor(x, device=device) for x in (0.9, 0.7))]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    state = [torch.zeros(BLOCK, device=device)] * 2
    outputs = sequence.apply(*leaves, *state, Reset.SAME_STEP, ACE_SNN)
    return [*outputs, *torch.autograd.grad(outputs, leaves, [x.detach() for x in outputs])]
