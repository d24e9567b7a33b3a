"""Energy of whole networks on a chip, memory included, by schedule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pim_sim import Chip, NetworkPrice, load_chip, price_network
from pim_sim.cost_model import Comparison, Uncertainty, uncertainty
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
    prices = _prices(networks, chip, in_map)
    if prices is None:
        return None
    found: dict[str, dict[str, float]] = {}
    for schedule, name, price in prices:
        found.setdefault(schedule, {})[name] = price.total.energy_pj / 1000
    return found


Breakdown = dict[str, dict[str, dict[str, dict[str, float]]]]
"""Energies in nJ per pixel by schedule, network, layer and component."""


def chip_breakdown(
    networks: Mapping[str, Workload], chip: Chip, *, in_map: bool = False
) -> Breakdown | None:
    """Return the energies of `chip_energies` by layer and component.

    >>> from pim_sim import Layer
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> networks, chip = {"cnn": Workload(name="demo", layers=(fc,))}, find_chip("edge_22nm")
    >>> parts = chip_breakdown(networks, chip)["best"]["cnn"]["fc"]
    >>> total = chip_energies(networks, chip)["best"]["cnn"]
    >>> abs(sum(parts.values()) / total - 1) < 1e-12
    True
    """
    prices = _prices(networks, chip, in_map)
    if prices is None:
        return None
    found: Breakdown = {}
    for schedule, name, price in prices:
        found.setdefault(schedule, {})[name] = {
            layer.name: {part: cost.energy_pj / 1000 for part, cost in layer.costs.items()}
            for layer in price.layers
        }
    return found


def _prices(
    networks: Mapping[str, Workload], chip: Chip, in_map: bool
) -> Iterator[tuple[Schedule, str, NetworkPrice]] | None:
    """Return schedule, name and price of networks; None where windows of a map share nothing."""
    parts = {name: (workload, 1) for name, workload in networks.items()}
    if in_map:
        try:
            bits = chip.activation_buffer.bits
            parts = {name: map_part(workload, bits) for name, workload in networks.items()}
        except InputError:
            return None
    schedules = SCHEDULES if chip.events is not None else SCHEDULES[2:]
    return (
        (schedule, name, price_network(part, chip, pixels=pixels, schedule=schedule))
        for name, (part, pixels) in parts.items()
        for schedule in schedules
    )


@dataclass(frozen=True)
class NetworkInMemory:
    """A network whose layers all are in memory, against the same network on the chip's cores."""

    digital_nj: float
    """Energy in nJ per pixel of the digital cores."""
    in_memory_nj: float
    """Energy in nJ per pixel with all layers in memory."""
    ratio: Comparison
    """Digital over in memory."""
    uncertainty: Uncertainty
    """80 % intervals of these ratios."""


def network_in_memory(workload: Workload, chip: Chip) -> NetworkInMemory | None:
    """Compare a network with all its layers in memory to the same one on a chip's digital cores.

    Args:
        workload: Network of one window per pixel.
        chip: The chip.

    Returns:
        The comparison; None where the chip has no macros, or its macros do not hold a layer.

    >>> from pim_sim import Layer
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> found = network_in_memory(Workload(name="demo", layers=(fc,)), find_chip("edge_22nm"))
    >>> low, high = found.uncertainty.energy
    >>> low < found.ratio.energy.factor < high
    True
    """
    digital = price_network(workload, chip)
    try:
        layers = [layer.name for layer in workload.layers]
        in_memory = price_network(workload, chip, in_memory=layers)
    except InputError:
        return None
    return NetworkInMemory(
        digital.total.energy_pj / 1000,
        in_memory.total.energy_pj / 1000,
        Comparison(digital.total, in_memory.total),
        uncertainty(digital.design, in_memory.design),
    )
