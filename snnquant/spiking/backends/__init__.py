"""Backends of the LIF sequence: torch operations, numba loops, Triton kernels."""
