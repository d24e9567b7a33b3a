"""Energy of whole networks on a chip, memory included, by schedule."""

from __future__ import annotations

from collections.abc import Mapping

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


def chip_energies(
    networks: Mapping[str, Workload], chip: Chip, *, in_map: bool = False
) -> dict[str, dict[str, float]] | None:
    """Return the energy in nJ per pixel of networks on a chip, by schedule and network.

    Args:
        networks: Networks of one window per pixel.
        chip: The chip.
        in_map: Price a pixel of a map, whose windows share work, instead of one on its own.

    Returns:
        Energies, memory included; None where the windows of a network share nothing.

    >>> from pim_sim import Layer
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> demo = Workload(name="demo", layers=(fc,))
    >>> found = chip_energies({"cnn": demo}, find_chip("edge_22nm"))
    >>> list(found), found["best"]["cnn"] <= found["dense"]["cnn"]
    (['events', 'time_inner', 'dense', 'best'], True)
    """
    found: dict[str, dict[str, float]] = {}
    for name, workload in networks.items():
        part, pixels = workload, 1
        if in_map:
            try:
                part, pixels = map_part(workload, chip.activation_buffer.bits)
            except InputError:
                return None
        for schedule in SCHEDULES if chip.events is not None else SCHEDULES[2:]:
            price = price_network(part, chip, pixels=pixels, schedule=schedule)
            found.setdefault(schedule, {})[name] = price.total.energy_pj / 1000
    return found
