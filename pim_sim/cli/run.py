"""`pim-sim run`: a whole network on a chip, and its first layer on a technology."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pim_sim.cli.sources import DESIGN, NO_SOURCE, AsJson, File, From
from pim_sim.errors import InputError

if TYPE_CHECKING:
    from pim_sim.hardware import Chip
    from pim_sim.network import NetworkPrice
    from pim_sim.workload import Workload

_Of = Parameter(group=DESIGN)
PLACEMENTS = ("none", "first", "all")


def run(
    *,
    source: From = NO_SOURCE,
    chip: Annotated[str | None, _Of] = None,
    in_memory: Annotated[str, _Of] = "none",
    objective: Annotated[Literal["energy", "latency", "edp"], _Of] = "energy",
    schedule: Annotated[Literal["best", "events", "time_inner", "dense"], _Of] = "best",
    map_: Annotated[bool, Parameter(name="--map", negative=(), group=DESIGN)] = False,
    equal: Annotated[Literal["area", "throughput"] | None, _Of] = None,
    macro: Annotated[Path | None, _Of] = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative=(), group=DESIGN)] = (),
    supply: Annotated[float | None, _Of] = None,
    hardware: Annotated[str, _Of] = "sram_65nm",
    csv: File = None,
    svg: File = None,
    as_json: AsJson = False,
) -> None:
    """Simulate networks on a chip, and their first layer.

    Parameters
    ----------
    chip
        Known name, or a path ending in .toml; by default the shipped chip whose node is nearest to
        that of --hardware.
    in_memory
        Layers that macros compute: none, first, all, or names like conv1,conv3.
    objective
        Quantity that the mapping of every digital layer minimises.
    schedule
        Mappings of the layers after the first: events (time outermost, inputs that are not zero are
        addresses), time_inner (all time steps of an input at once), dense, or best of all.
    map_
        Price a pixel of a whole map, where windows share the work of the pixels that they share.
    equal
        Compare layers in memory with a digital chip of equal area or throughput.
    macro
        Macro file for the macros of the chip, which moves to its node and supply.
    set_
        Field of the chip and its value, like macro.converter.bits=4; may be repeated.
    supply
        Supply of the chip in V.
    hardware
        Technology of the first layer: known name, or a path ending in .toml.
    csv
        File for the breakdown of the first layer, one line per component of each design.
    svg
        File for the breakdown of the first layer as a picture.
    as_json
        Print one JSON object and nothing else.
    """
    from pim_sim.cli.network_text import summarise_networks
    from pim_sim.cli.text import summarise, write_breakdown
    from pim_sim.cost_model import simulate
    from pim_sim.hardware import load_hardware

    technology = load_hardware(hardware)
    chosen = chosen_chip(chip, technology.node_nm, macro, set_, supply)
    networks = source.networks()
    found = {
        name: _network(workload, chosen, in_memory, objective, schedule, map_, equal)
        for name, workload in networks.items()
    }
    priced = {name: answer for name, (_, answer) in found.items()}
    ratios = _ratios({name: price for name, (price, _) in found.items()})
    report = simulate(next(iter(networks.values())), technology)
    if csv is not None:
        write_breakdown(report, csv)
    if svg is not None:
        from pim_sim.cli.charts import draw_breakdown

        draw_breakdown(report, svg)
    if as_json:
        described = {"name": chosen.name, "node_nm": chosen.node_nm, "supply_v": chosen.supply_v}
        answer = {"chip": described, "network": priced, "network_ratio": ratios}
        print(json.dumps(report.to_dict() | answer))
    else:
        text = summarise_networks(chosen, schedule, priced, ratios)
        print(f"{text}\n\n{summarise(report)}")


def chosen_chip(
    name: str | None,
    node_nm: float,
    macro: Path | None,
    fields: tuple[str, ...],
    supply: float | None,
) -> Chip:
    """Return the chip of the options; `InputError` for one that cannot be."""
    from pim_sim.hardware import CHIPS, load_chip, load_macro, with_fields, with_macro

    if name is None:
        name = min(CHIPS.names(), key=lambda name: abs(load_chip(name).node_nm - node_nm))
    chip = load_chip(name)
    if macro is not None:
        chip = with_macro(chip, load_macro(macro))
    chip = with_fields(chip, fields)
    return chip if supply is None else chip.moved(supply_v=supply)


def placed(workload: Workload, in_memory: str) -> list[str]:
    """Return the layers that ``--in-memory`` names."""
    names = [layer.name for layer in workload.layers]
    match in_memory:
        case "none":
            return []
        case "first":
            return names[:1]
        case "all":
            return names
    return in_memory.split(",")


def _network(
    workload: Workload,
    chip: Chip,
    in_memory: str,
    objective: Any,
    schedule: Any,
    as_map: bool,
    equal: Any,
) -> tuple[NetworkPrice, dict[str, Any]]:
    """Price one network as asked, and beside it under all schedules and with other placements."""
    from pim_sim.network import SCHEDULES, digital_equal, map_part, price_network

    part, pixels = workload, 1
    if as_map:
        part, pixels = map_part(workload, chip.activation_buffer.bits)

    def price(
        placement: str, chip: Chip = chip, objective: Any = objective, schedule: Any = schedule
    ) -> NetworkPrice:
        return price_network(part, chip, placed(part, placement), objective, pixels, schedule)

    asked = price(in_memory)
    found = {**asked.to_dict(), "pixels_at_once": pixels, "schedule": schedule}
    found |= {"schedules": {}, "alternatives": {}}
    if chip.events is not None:
        totals = {name: _totals(price(in_memory, schedule=name)) for name in SCHEDULES}
        found["schedules"] = totals
    for placement in PLACEMENTS:
        try:
            found["alternatives"][placement] = _totals(price(placement))
        except InputError:
            continue  # its weights do not fit the macros, or the chip has none
    if equal is not None:
        aim = "latency" if equal == "throughput" else objective
        times, other = digital_equal(chip, asked, equal, lambda chip: price("none", chip, aim))
        found["digital_of_equal"] = {"equal": equal, "times_wider": times, **_totals(other)}
    return asked, found


def _ratios(prices: dict[str, NetworkPrice]) -> dict[str, Any]:
    """Return each CNN over the SNN, with intervals in which what both spend alike cancels."""
    from pim_sim.cost_model import uncertainty

    if "snn" not in prices:
        return {}
    snn, found = prices["snn"], {}
    for name, price in prices.items():
        if name != "snn":
            bounds = uncertainty(price.design, snn.design)
            found[f"{name}_over_snn"] = {
                "energy": price.total.energy_pj / snn.total.energy_pj,
                "latency": price.total.delay_ns / snn.total.delay_ns,
                "edp": price.total.edp / snn.total.edp,
                "interval": {
                    "energy": list(bounds.energy),
                    "latency": list(bounds.delay),
                    "edp": list(bounds.edp),
                },
            }
    return found


def _totals(price: NetworkPrice) -> dict[str, float]:
    names = ("energy_pj", "latency_ns", "throughput_per_s", "edp", "area_mm2")
    every = price.to_dict()
    return {name: every[name] for name in names}
