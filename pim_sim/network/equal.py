"""A digital chip to compare layers in memory with: of equal area, or of equal throughput."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pim_sim.hardware import Buffer, Chip
from pim_sim.network.area import chip_area_mm2
from pim_sim.network.price import NetworkPrice
from pim_sim.schema import unchecked

Equal = Literal["area", "throughput"]
_MOST = 64


def widened(chip: Chip, times: int) -> Chip:
    """Return a digital chip with so many times the cores, neuron units and ports of its buffers."""

    def wider(buffer: Buffer) -> Buffer:
        return unchecked(buffer, words_per_cycle=buffer.words_per_cycle * times)

    events = chip.events
    return unchecked(
        chip,
        core=unchecked(chip.core, multipliers=chip.core.multipliers * times),
        events=events and unchecked(events, accumulators=events.accumulators * times),
        neurons=unchecked(chip.neurons, units=chip.neurons.units * times),
        activation_buffer=wider(chip.activation_buffer),
        weight_buffer=wider(chip.weight_buffer),
        macro=None,
    )


def digital_equal(
    chip: Chip, in_memory: NetworkPrice, equal: Equal, price: Callable[[Chip], NetworkPrice]
) -> tuple[int, NetworkPrice]:
    """Return the widening of a digital chip that equals one with macros, and its price.

    Args:
        chip: the chip, with its macros.
        in_memory: price of the network with layers in memory.
        equal: area: as wide as fits the area with macros; throughput: no wider than it takes to
            classify as many pixels per second, at most 64 times.
        price: price of the network on a digital chip.
    """
    if equal == "area":
        times = 1
        while times < _MOST and chip_area_mm2(widened(chip, times + 1)) <= in_memory.area_mm2:
            times += 1
        return times, price(widened(chip, times))
    times = 1
    found = price(widened(chip, times))
    while found.interval_ns > in_memory.interval_ns and times < _MOST:
        times *= 2
        found = price(widened(chip, times))
    return times, found
