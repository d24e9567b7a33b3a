"""Peaks of this processor, measured on the spot, and the bounds that they set to a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from snnquant.energy import LayerActivity
from snnquant.inference.integer.vectors import LANES, add_words, load_words, store

SIDE = 1024
"""Rows and columns of the matrices that are multiplied."""
ARRAY = 2**27
"""Numbers of float32 that are summed up, more bytes than a cache has."""
ROWS, EVENTS, ROUNDS = 32, 1024, 200
"""Rows of 16-bit numbers that are added from the nearest cache, how many, and how often."""
REPEATS = 25


@dataclass(frozen=True)
class Peaks:
    """The most that one core does per processor second."""

    int8: float
    """Multiply-accumulates of bytes, of a product of matrices."""
    float32: float
    """Multiply-accumulates of float32, of a product of matrices."""
    additions: float
    """Additions of 16-bit integers from the nearest cache to sums in registers."""
    read_bytes: float
    """Bytes read, of the sum of an array in memory."""

    @classmethod
    def measure(cls) -> Peaks:
        """Measure them, the best of some repeats each."""
        generator = torch.Generator().manual_seed(0)
        numbers = torch.randint(-127, 128, (2, SIDE, SIDE), dtype=torch.int8, generator=generator)
        floats, large = numbers.float(), torch.ones(ARRAY)
        table = np.ones((1, ROWS, 8 * LANES), np.int16)
        events = (np.arange(EVENTS) % ROWS * (table.shape[2] // LANES)).astype(np.int32)
        sums = np.zeros(table.shape[2], np.int16)
        additions = ROUNDS * EVENTS * table.shape[2]
        with _one_thread():
            return cls(
                SIDE**3 / _shortest(lambda: torch._int_mm(*numbers)),
                SIDE**3 / _shortest(lambda: torch.mm(*floats)),
                additions / _shortest(lambda: _add(events, table, sums)),
                large.nbytes / _shortest(large.sum),
            )

    def reading(self, array: Tensor) -> Peaks:
        """Return the peaks with the bytes read of this array, which may lie in a cache."""
        with _one_thread():
            return replace(self, read_bytes=array.nbytes / _shortest(array.sum))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _shortest(work: Callable[[], object]) -> float:
    """Return the shortest processor time after a call that warms up."""
    work()
    times = []
    for _ in range(REPEATS):
        start = time.thread_time()
        work()
        times.append(time.thread_time() - start)
    return min(times)


@numba.njit(nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _add(events: NDArray[np.int32], table: NDArray[np.int16], sums: NDArray[np.int16]) -> None:
    """Add rows of four vectors to sums in registers, as the engine does for spikes."""
    each = 2 * LANES
    s0, s1 = load_words(sums, 0), load_words(sums, each)
    s2, s3 = load_words(sums, 2 * each), load_words(sums, 3 * each)
    for _ in range(ROUNDS):
        for e in range(len(events)):
            row = np.int64(events[np.uint64(e)]) * LANES
            s0 = add_words(table, s0, load_words(table, row))
            s1 = add_words(table, s1, load_words(table, row + each))
            s2 = add_words(table, s2, load_words(table, row + 2 * each))
            s3 = add_words(table, s3, load_words(table, row + 3 * each))
    store(sums, 0, s0)
    store(sums, each, s1)
    store(sums, 2 * each, s2)
    store(sums, 3 * each, s3)


@dataclass(frozen=True)
class Bound:
    """Operations and bytes that a pixel, or patch, takes, and the most of them per second."""

    products: float
    additions: float
    read_bytes: float
    per_processor_second: float


def bound(
    layers: Sequence[LayerActivity], read_bytes: float, peaks: Peaks, *, steps: int, floats: bool
) -> Bound:
    """Return the bound that the peaks of one core set, with the caches holding all weights.

    Spikes are added one by one or multiplied densely at every step, whichever takes less time, and
    those of the last layer as the sum over the steps. Neurons cost nothing.

    Args:
        layers: Operations per pixel or patch.
        read_bytes: Bytes of a pixel or patch.
        peaks: Those of this processor.
        steps: Time steps; 1 of a CNN.
        floats: True for products of float32, not of bytes.
    """
    products, additions = 0.0, 0.0
    multiplies = peaks.float32 if floats else peaks.int8
    for i, layer in enumerate(layers, 1):
        # What is linear in spikes takes their sum over all steps, once.
        products += layer.mac / (steps if layer.changing else 1)
        if layer.spiking and layer.input_density:
            dense = layer.ac_by_rate / layer.input_density
            dense /= steps if i == len(layers) else 1
            if dense / multiplies < layer.ac / peaks.additions:
                products += dense
            else:
                additions += layer.ac
    seconds = max(
        products / multiplies + additions / peaks.additions, read_bytes / peaks.read_bytes
    )
    return Bound(products, additions, read_bytes, 1 / seconds)


def as_numbers(found: Bound, reached: float) -> dict[str, float]:
    """Return a bound with the share of it that was reached, per processor second."""
    return {**asdict(found), "share_reached": reached / found.per_processor_second}


def peak_lines(peaks: dict[str, Any]) -> list[str]:
    """Return the paragraph of the page on the peaks."""
    return [
        "One core was measured to do, per processor second, "
        f"{peaks['int8'] / 1e9:.0f} * 10^9 multiply-accumulates of bytes, "
        f"{peaks['float32'] / 1e9:.0f} * 10^9 of float32 (products of matrices), "
        f"{peaks['additions'] / 1e9:.0f} * 10^9 additions of 16 bits (from the nearest cache), and "
        f"to read {peaks['read_bytes'] / 1e9:.1f} * 10^9 bytes of memory (the sum of an array). "
        "Products, additions and bytes of the input, counted on the network, over these peaks give "
        "the bound: spikes are added or multiplied, whichever takes less, neurons are left out, "
        "and bytes are read as fast as the sum of the same input, which may lie in a cache.",
        "",
    ]


def bound_cells(found: dict[str, float] | None) -> str:
    """Return the cells of a row: products, additions, bytes, bound and share reached."""
    if found is None:
        return "| " * 5
    return (
        f"| {found['products']:,.0f} | {found['additions']:,.0f} | {found['read_bytes']:,.0f} "
        f"| {found['per_processor_second']:,.0f} | {100 * found['share_reached']:.0f} % "
    )


BOUND_TITLES = "| products | additions | bytes | bound per processor second | reached "
