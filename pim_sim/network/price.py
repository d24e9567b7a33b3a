"""Price of a whole network on a chip: energy, latency, throughput, EDP and area per pixel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from pim_sim.cost_model import Cost, Design, Uncertainty, tile, uncertainty
from pim_sim.cost_model.costs import ADD_ENERGY, LOGIC_ENERGY, MEMORY_ENERGY, MEMORY_TIME
from pim_sim.cost_model.loading_and_leakage import leakage
from pim_sim.errors import InputError
from pim_sim.hardware import Chip
from pim_sim.network.area import chip_area_mm2, leakage_pj_per_ns, leaking_cells
from pim_sim.network.demand import Demand, demands
from pim_sim.network.layer_price import (
    LayerPrice,
    Loading,
    Objective,
    add_pj,
    price_digital,
    price_in_memory,
)
from pim_sim.network.schedules import Schedule, check_schedule
from pim_sim.schema import unchecked
from pim_sim.workload import Layer, Operation, Workload, ceil_div

LEVEL = 0.8
_UNIT = Design({"unit": Cost(1.0, 1.0)}, 1.0)


@dataclass(frozen=True)
class NetworkPrice:
    """A network on a chip, per classified pixel.

    >>> from pim_sim import Layer, Workload, load_chip, price_network
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> price = price_network(Workload(name="demo", layers=(fc,)), load_chip("edge_22nm"))
    >>> sorted(price.to_dict())[:4]
    ['area_mm2', 'breakdown', 'decided_by', 'edp']
    """

    network: str
    chip: str
    layers: tuple[LayerPrice, ...]
    """Layers and operations, first layer first."""
    area_mm2: float
    """Area of the chip, with its macros where some layer is in memory."""

    @cached_property
    def design(self) -> Design:
        """All components of all layers as one design."""
        costs = {
            f"{layer.name}: {name}": cost
            for layer in self.layers
            for name, cost in layer.costs.items()
        }
        return Design(costs, self.area_mm2)

    @property
    def total(self) -> Cost:
        """Energy and latency of one pixel."""
        return self.design.total

    @property
    def interval_ns(self) -> float:
        """Time between two pixels, classified one after another in a pipeline.

        The digital cores compute their layers one after another; every layer in memory that keeps
        its macros works on a pixel of its own meanwhile.
        """
        shared, longest = 0.0, 0.0
        for layer in self.layers:
            delay = sum(cost.delay_ns for cost in layer.costs.values())
            if layer.place == "in memory" and layer.weights_stay:
                longest = max(longest, delay)
            else:
                shared += delay
        return max(shared, longest)

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """Interval of energy, latency and EDP."""
        return uncertainty(self.design, _UNIT)

    def by_component(self) -> dict[str, float]:
        """Return the energy in pJ by component, over all layers."""
        found: dict[str, float] = {}
        for layer in self.layers:
            for name, cost in layer.costs.items():
                found[name] = found.get(name, 0.0) + cost.energy_pj
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and text, ready for JSON; components sum to the totals."""
        total, bounds = self.total, self.uncertainty
        return {
            "network": self.network,
            "energy_pj": total.energy_pj,
            "latency_ns": total.delay_ns,
            "throughput_per_s": 1e9 / self.interval_ns,
            "edp": total.edp,
            "area_mm2": self.area_mm2,
            "breakdown": {
                layer.name: {name: cost.to_dict() for name, cost in layer.costs.items()}
                for layer in self.layers
            },
            "mapping": {
                layer.name: {"place": layer.place, "words": layer.mapping} for layer in self.layers
            },
            "interval": {
                "level": LEVEL,
                "energy_pj": list(bounds.energy),
                "latency_ns": list(bounds.delay),
                "edp": list(bounds.edp),
            },
            "decided_by": [constant.name for constant, _, _ in bounds.decided_by],
        }


def price_network(
    workload: Workload,
    chip: Chip,
    in_memory: Collection[str] = (),
    objective: Objective = "energy",
    pixels: int = 1,
    schedule: Schedule = "best",
) -> NetworkPrice:
    """Price a network on a chip, every layer with the best mapping of a schedule.

    Args:
        workload: layers of the network.
        chip: the chip.
        in_memory: names of the layers that macros compute.
        objective: quantity that the mapping of every digital layer minimises.
        pixels: pixels that the workload classifies at once, as a part of a map does.
        schedule: mappings from which every digital layer after the one that takes pixels has its
            own: events, time_inner, dense, or all of them (best).

    Returns:
        Energy, latency and area per pixel.

    Raises:
        InputError: a layer of `in_memory` is unknown, the chip has no macro, its macros do not
            hold one weight of such a layer, or it has no accumulators for the schedule.

    >>> from pim_sim import Layer, Workload, load_chip
    >>> fc = Layer(name="fc", kind="linear", input_shape=(64,), weight_shape=(10, 64), stride=(),
    ...            padding=(), weight_bits=6, input_bits=8, signed=True, time_steps=1,
    ...            input_density=1.0, repeats_input=True)
    >>> demo, chip = Workload(name="demo", layers=(fc,)), load_chip("edge_22nm")
    >>> price_network(demo, chip, in_memory=["fc"]).layers[0].place
    'in memory'
    """
    check_schedule(schedule, chip)
    used = chip if in_memory else unchecked(chip, macro=None)
    leaks = leakage_pj_per_ns(used)

    def digital(demand: Demand, loading: Loading) -> LayerPrice:
        return price_digital(demand, chip, loading, objective, schedule, leaks)

    layers = layer_prices(workload, chip, in_memory, pixels, digital)
    return NetworkPrice(workload.name, chip.name, tuple(map(_plain, layers)), chip_area_mm2(used))


def layer_prices(
    workload: Workload,
    chip: Chip,
    in_memory: Collection[str],
    pixels: int,
    digital: Callable[[Demand, Loading], LayerPrice],
) -> list[LayerPrice]:
    """Return the prices of all layers and operations, those on a digital core by ``digital``.

    Prices of the chip that are arrays, of many designs at once, give arrays.
    """
    known = [layer.name for layer in workload.layers]
    for name in in_memory:
        if name not in known:
            raise InputError(f"layer in memory: found {name!r}, expected one of {', '.join(known)}")
    if in_memory and chip.macro is None:
        raise InputError(f"chip {chip.name}: found no macro, expected one for layers in memory")
    found = demands(workload)
    on_cores = [demand for demand in found if demand.layer.name not in in_memory]
    macros = [demand for demand in found if demand.layer.name in in_memory]
    loadings = _digital_loadings(on_cores, chip, pixels)
    shares = _macro_shares(macros, chip, pixels)
    prices = []
    for demand in found:
        if demand.layer.name in in_memory:
            count, loading = shares[demand.layer.name]
            prices.append(price_in_memory(demand, chip, count, loading))
        else:
            prices.append(digital(demand, loadings[demand.layer.name]))
    prices = [
        _with_spilled(price, demand, chip) for price, demand in zip(prices, found, strict=True)
    ]
    prices += [_operation(operation, chip) for operation in workload.operations]
    arrival = _arrival(workload.layers[0], chip)
    prices[0] = replace(prices[0], costs={"arrival": arrival, **prices[0].costs})
    used = chip if macros else unchecked(chip, macro=None)
    return [_per_pixel(_leaking(price, used), pixels) for price in prices]


def _digital_loadings(digital: Sequence[Demand], chip: Chip, pixels: int) -> dict[str, Loading]:
    """Decide which layers keep their weights in the buffer: in order, while it has space."""
    left = chip.weight_buffer.bits
    found = {}
    for demand in digital:
        bits = demand.layer.weights * demand.layer.weight_bits
        resident = bits <= left
        left -= bits * resident
        share = pixels / chip.mapping.pixels_per_load
        larger = bits > chip.weight_buffer.bits  # read from DRAM by every pass, so counted there
        found[demand.layer.name] = Loading(resident, share if resident else float(not larger))
    return found


def _macro_shares(
    in_memory: Sequence[Demand], chip: Chip, pixels: int
) -> dict[str, tuple[int, Loading]]:
    """Return the macros of every layer in memory, and whether its weights stay there.

    Layers keep their macros, largest first, as long as one macro is left for those that do not;
    macros left over take copies, of the first layers first. The other layers share what is left and
    exchange their weights.
    """
    macro = chip.macro
    if macro is None:
        return {}
    arrays = {d.layer.name: int(tile(d.layer, macro, chip.mapping).arrays) for d in in_memory}
    needed = {name: ceil_div(count, macro.array.depth) for name, count in arrays.items()}
    left, found = macro.copies, {}
    all_fit = sum(needed.values()) <= left
    share = pixels / chip.mapping.pixels_per_load
    for name in sorted(needed, key=lambda name: -needed[name]):
        if needed[name] <= left - (not all_fit):
            found[name] = (needed[name], Loading(True, share))
            left -= needed[name]
    if not all_fit:
        return {name: found.get(name, (left, Loading(False, 1.0))) for name in arrays}
    for name, count in arrays.items():
        macros = needed[name] + left
        # words of one macro wait for each other: a macro per array, then whole copies
        macros = macros // count * count if macros >= count else macros
        left -= macros - needed[name]
        found[name] = (macros, Loading(True, share))
    return found


def _with_spilled(price: LayerPrice, demand: Demand, chip: Chip) -> LayerPrice:
    """Add the traffic of inputs and outputs that the activation buffer does not hold."""
    spilled = max(0, demand.kept_bits - chip.activation_buffer.bits)
    if not spilled:
        return price
    moved = 2 * spilled * demand.layer.applications
    cost = Cost(
        moved * chip.dram.bit_pj, moved / chip.dram.bits_per_ns, (MEMORY_ENERGY, MEMORY_TIME)
    )
    return replace(price, costs={**price.costs, "spilled": cost})


def _operation(operation: Operation, chip: Chip) -> LayerPrice:
    """Price a pooling or an addition: every operand read, every output written once."""
    buffer, steps = chip.activation_buffer, operation.time_steps
    bits = operation.bits
    width = bits + (0 if operation.kind == "max_pool" else 1)
    adds = operation.additions * steps
    moved = (operation.operands + operation.outputs) * bits * steps
    energy = moved * (buffer.read_energy_pj / buffer.word_bits + chip.links.bit_energy_pj)
    time = moved / (buffer.word_bits * buffer.words_per_cycle) * chip.clock_ns
    computing = ceil_div(adds, chip.core.multipliers) * chip.clock_ns
    costs = {
        "adds": Cost(
            adds * add_pj(width, chip), computing * (computing > time), (ADD_ENERGY, MEMORY_TIME)
        ),
        "input_reads": Cost(energy, time * (computing <= time), (MEMORY_ENERGY, MEMORY_TIME)),
    }
    return LayerPrice(operation.name, "digital", operation.kind.replace("_", " "), costs)


def _arrival(layer: Layer, chip: Chip) -> Cost:
    """Return the cost of the network's input on its way from the sensor into the buffer."""
    bits = layer.inputs * layer.input_bits
    buffer = chip.activation_buffer
    energy = bits * (buffer.write_energy_pj / buffer.word_bits + chip.links.bit_energy_pj)
    return Cost(energy, 0.0, (LOGIC_ENERGY, MEMORY_TIME))


def _leaking(price: LayerPrice, chip: Chip) -> LayerPrice:
    delay = sum(cost.delay_ns for cost in price.costs.values())
    leaked = leakage(leaking_cells(chip), chip.supply_v, delay)
    return replace(price, costs={**price.costs, "leakage": leaked})


def _per_pixel(price: LayerPrice, pixels: int) -> LayerPrice:
    costs = {
        name: Cost(cost.energy_pj / pixels, cost.delay_ns / pixels, cost.by)
        for name, cost in price.costs.items()
    }
    return replace(price, costs=costs)


def _plain(price: LayerPrice) -> LayerPrice:
    costs = {
        name: Cost(float(cost.energy_pj), float(cost.delay_ns), cost.by)
        for name, cost in price.costs.items()
        if cost.energy_pj or cost.delay_ns
    }
    return replace(price, costs=costs)
