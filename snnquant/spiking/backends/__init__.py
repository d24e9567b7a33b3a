"""Backends of the LIF sequence: torch operations, numba loops, Triton kernels (experimental)."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch
from torch import Tensor

from snnquant.spiking.backends import torch_ops
from snnquant.spiking.backends.autograd import Backend

NUMBA = find_spec("numba") is not None
"""Whether numba is installed, which makes neurons on processors several times as fast."""
TRITON = find_spec("triton") is not None
"""Whether Triton is installed, as it is with torch's builds for GPUs."""
TRITON_VARIABLE = "SNNQUANT_TRITON"
"""Environment variable that allows the Triton kernels where it is 1."""


def backend_for(current: Tensor) -> Backend:
    """Return the fastest backend for a current [T, N, ...]; torch operations take any."""
    if current.dtype in (torch.float32, torch.float64) and not torch.compiler.is_compiling():
        if NUMBA and current.device.type == "cpu":
            from snnquant.spiking.backends import numba_loops

            return numba_loops.BACKEND
        if current.device.type == "cuda" and TRITON and os.environ.get(TRITON_VARIABLE) == "1":
            from snnquant.spiking.backends import triton_kernels

            if len(current) <= triton_kernels.MAX_STEPS and triton_kernels.agree(current.device):
                return triton_kernels.BACKEND
    return torch_ops.BACKEND
