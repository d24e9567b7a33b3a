"""The trained SNN against its twin: on a chip with memory, and by published thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pim_sim.workload import Workload
from snnquant.energy import COSTS, Cost, LayerActivity, chip_energies, find_chip
from snnquant.pipeline.prices import Observed, products
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import activation_width
from snnquant.report.rival_metrics import Rival, RivalRatio, ratios, thresholds
from snnquant.report.run_metrics import NetworkMetrics
from snnquant.stored_networks import Network

WIDTHS = "horowitz_widths"
"""Cost table of compute energy at true widths."""
Energies = dict[str, dict[str, float]]


def compare_with_twin(
    run: Run,
    observed: Mapping[Network, Observed],
    scores: Mapping[Network, NetworkMetrics],
    described: Mapping[Network, Workload],
    prices: Mapping[str, Any],
) -> Rival | None:
    """Compare the trained SNN of a run with its twin.

    Args:
        run: The run.
        observed: Its networks on the test pixels.
        scores: Their scores.
        described: Their workloads.
        prices: Energies by their names in the metrics, as `energies` returns them.

    Returns:
        The comparison; None for a run without one of the two, and for networks of one layer.
    """
    snn, twin = Network.SNN_TRAINED, Network.CNN_TWIN
    if not {snn, twin} <= described.keys() or len(observed[snn].seen.layers) < 2:
        return None
    chip, mapped = find_chip(run.chip), "map_energy_pj" in prices
    by_key = {str(name): workload for name, workload in described.items()}
    alone = chip_energies(by_key, chip)
    assert alone is not None  # only of a map
    in_map = chip_energies(by_key, chip, in_map=True) if mapped else None
    figures = rival_figures(
        observed[snn].seen.layers, observed[twin].seen.layers, COSTS.get(WIDTHS)
    )
    steps, bits = run.config.neuron.time_steps, run.config.quantization.bits
    activation = activation_width(observed[twin].checkpoint.network)
    figures |= {"spike_bits": steps * bits, "activation_bits": activation * bits}
    return Rival(
        chip=run.config.chip,
        twin_oa=scores[twin].oa,
        snn_oa=scores[snn].oa,
        zeros=figures["zeros"],
        accumulates_per_mac=figures["accumulates_per_mac"],
        spike_rate=figures["spike_rate"],
        energy_nj=alone,
        ratio=_ratios(alone),
        compute_ratio=_quotient(prices["energy_pj"][WIDTHS]),
        thresholds=thresholds(figures, steps),
        map_energy_nj=in_map,
        map_ratio=None if in_map is None else _ratios(in_map),
        map_compute_ratio=_quotient(prices["map_energy_pj"][WIDTHS]) if mapped else None,
    )


def rival_figures(
    snn: Sequence[LayerActivity], twin: Sequence[LayerActivity], costs: Cost
) -> dict[str, float]:
    """Return what the published thresholds are stated in, over the layers after the first.

    Args:
        snn: Layers of the SNN, as `measure` returns them.
        twin: Layers of the CNN of the same shape, zeros not skipped.
        costs: Energies of a multiply-accumulate and an accumulate at the widths of the layers.

    Returns:
        "accumulates_per_mac", "spike_rate" (spikes per neuron per step), "zeros" (0 to 1) and
        "compute_limit", E_MAC / E_AC (1 - zeros), the energies means over the dense products.
    """
    behind, own = snn[1:], twin[1:]
    dense = sum(row.info.mac for row in behind)
    inputs = {row.info.name: math.prod(row.info.input_shape) for row in behind if row.spiking}
    spikes = sum(row.input_density * inputs[row.info.name] for row in behind if row.spiking)
    share = sum(map(products, own)) / dense

    def energy(rows: Sequence[LayerActivity]) -> float:
        return sum(costs.price({row.synaptic: float(row.info.mac)}) for row in rows)

    return {
        "accumulates_per_mac": sum(row.ac + row.mac for row in behind) / dense,
        "spike_rate": spikes / max(1, sum(inputs.values())),
        "zeros": 1 - share,
        "compute_limit": energy(own) / energy(behind) * share,
    }


def _ratios(energy: Energies) -> dict[str, RivalRatio]:
    snn, twin = (
        {schedule: by_network[name] for schedule, by_network in energy.items()}
        for name in (Network.SNN_TRAINED, Network.CNN_TWIN)
    )
    return ratios(snn, twin)


def _quotient(energy: Mapping[str, float]) -> float:
    return energy[Network.SNN_TRAINED] / energy[Network.CNN_TWIN]
