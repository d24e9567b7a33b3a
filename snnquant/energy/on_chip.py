"""Energy of whole networks on a chip, memory included, by schedule."""

from __future__ import annotations

from pim_sim import Chip, load_chip, price_network
from pim_sim.network import Schedule, map_part
from pim_sim.workload import Workload
from snnquant.errors import InputError

SCHEDULES: tuple[Schedule, ...] = ("events", "time_inner", "dense", "best")
"""Schedules that networks are compared under; the first two need a chip with accumulators."""


def find_chip(name: str) -> Chip:
    """Read the chip of a name or TOML file; raise InputError if that fails."""
    try:
        return load_chip(name)
    except InputError as error:
        raise InputError(f"--chip: {error}") from None


def chip_energies(workload: Workload, chip: Chip) -> dict[str, float]:
    """Return the energy in nJ per pixel classified on its own, by schedule.

    Args:
        workload: The network.
        chip: The chip.

    >>> from pim_sim import Layer
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> found = chip_energies(Workload(name="demo", layers=(fc,)), find_chip("edge_22nm"))
    >>> list(found), found["best"] <= found["dense"]
    (['events', 'time_inner', 'dense', 'best'], True)
    """
    return _energies(workload, chip, 1)


def map_energies(workload: Workload, chip: Chip) -> dict[str, float] | None:
    """Return the energy in nJ per pixel of a map, whose windows share work, by schedule.

    Args:
        workload: The network, of one window per pixel.
        chip: The chip.

    Returns:
        As `chip_energies`; None for a network whose windows share nothing.
    """
    try:
        part, pixels = map_part(workload, chip.activation_buffer.bits)
    except InputError:
        return None
    return _energies(part, chip, pixels)


def _energies(workload: Workload, chip: Chip, pixels: int) -> dict[str, float]:
    def nanojoules(schedule: Schedule) -> float:
        return price_network(workload, chip, pixels=pixels, schedule=schedule).total.energy_pj / 1e3

    able = SCHEDULES if chip.events is not None else SCHEDULES[2:]
    return {schedule: nanojoules(schedule) for schedule in able}
