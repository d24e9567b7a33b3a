"""Energies on a chip for the page of a run, from the workloads in its folder."""

from __future__ import annotations

from pim_sim import Comparison, simulate
from pim_sim.cost_model import Uncertainty
from pim_sim.workload import Workload
from snnquant.energy import chip_breakdown, find_chip, find_hardware, network_in_memory
from snnquant.pipeline.prices import WORKLOADS
from snnquant.pipeline.run import Run
from snnquant.report.chip_prices import ChipPrices, Factor, InMemory
from snnquant.stored_networks import Network


def chip_prices(run: Run) -> ChipPrices | None:
    """Price the networks of a run on its chip, by schedule, layer and component.

    No network is run: evaluation has described them in the folder's workloads.

    Returns:
        The energies; None for a run without workloads, such as one at 32 bits.

    Raises:
        InputError: If a workload is damaged, or the chip or the hardware cannot be read.
    """
    files = {name: run.path / file for name, file in WORKLOADS.items()}
    described = {
        name: Workload.from_json(file)
        for name, file in files.items()
        if file.exists() and run.has(name)
    }
    if not described:
        return None
    chip = find_chip(run.chip)
    by_key = {str(name): workload for name, workload in described.items()}
    alone = chip_breakdown(by_key, chip)
    assert alone is not None  # only of a map
    found = ChipPrices(run.config.chip, alone, chip_breakdown(by_key, chip, in_map=True))
    snn = described.get(Network.SNN_TRAINED)
    if snn is None:
        return found
    whole = network_in_memory(snn, chip)
    first = simulate(snn, find_hardware(run.hardware))
    return ChipPrices(
        found.chip,
        found.alone,
        found.in_map,
        network=None
        if whole is None
        else _in_memory(whole.ratio, whole.uncertainty, whole.digital_nj, whole.in_memory_nj),
        hardware=run.config.hardware,
        first_layer=_in_memory(
            first.comparison,
            first.uncertainty,
            first.digital.total.energy_pj / 1000,
            first.in_memory.total.energy_pj / 1000,
        ),
    )


def _in_memory(
    ratio: Comparison, uncertainty: Uncertainty, digital_nj: float, in_memory_nj: float
) -> InMemory:
    return InMemory(
        Factor(ratio.energy.factor, *uncertainty.energy),
        Factor(ratio.delay.factor, *uncertainty.delay),
        Factor(ratio.edp.factor, *uncertainty.edp),
        digital_nj,
        in_memory_nj,
    )
