"""Prices of a run's networks: by cost tables, on a chip, and of the first layer in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pim_sim.workload import Workload
from snnquant.checkpoints import Checkpoint
from snnquant.energy import (
    LayerActivity,
    Observation,
    Operation,
    load_costs,
    observe,
    price_first_layer,
    shared_between_windows,
    to_cnn_workload,
    to_workload,
    with_front_end,
)
from snnquant.inference import dense_form
from snnquant.pipeline.run import Run
from snnquant.pipeline.run_start import batch_size_for, twin_method
from snnquant.report.run_metrics import FirstLayerMetrics, Gain, LayerEnergy, OperationCount
from snnquant.stored_networks import Network
from snnquant.training import Samples

WORKLOADS = {
    Network.SNN_TRAINED: "workload.json",
    Network.CNN_TWIN: "workload_cnn_twin.json",
    Network.CNN_QUANTIZED: "workload_cnn_quantized.json",
    Network.CNN_FP32: "workload_cnn.json",
}
"""Files of the networks that a chip is asked about."""


@dataclass(frozen=True, eq=False)
class Observed:
    """A network with what one pass over the test pixels showed of it."""

    checkpoint: Checkpoint
    seen: Observation
    skips_zeros: bool = False
    """True for a CNN whose products with activations that are 0 take no energy."""

    @classmethod
    def of(cls, name: Network, checkpoint: Checkpoint, test: Samples) -> Observed:
        """Run a network of a run over the test pixels."""
        example = test.patches.gather(test.indices[:1])
        batch = batch_size_for(checkpoint.network, example)
        bits = pixel_bits_of(checkpoint)
        seen = observe(checkpoint.network, test.patches, test.indices, batch, bits)
        return cls(checkpoint, seen, skips_zeros=name is Network.CNN_TWIN)

    @property
    def layers(self) -> list[LayerActivity]:
        """Everything that is priced: the layers and the matrix of the normalisation."""
        layers = self.seen.layers
        if self.skips_zeros:  # pixels, which the first layer receives, are hardly ever 0
            layers = [layers[0], *(replace(row, mac=products(row)) for row in layers[1:])]
        return priced(self.checkpoint, layers)


def products(layer: LayerActivity) -> float:
    """Return a CNN layer's products per pixel whose input is not 0."""
    return layer.mac if layer.fetched is None else layer.fetched


def pixel_bits_of(checkpoint: Checkpoint) -> int:
    """Return the bits per value of a pixel that a network receives; 32 for floating point."""
    return getattr(checkpoint.normalisation, "bits", 32)


def priced(checkpoint: Checkpoint, layers: list[LayerActivity]) -> list[LayerActivity]:
    """Return layers with the matrix of the network's normalisation."""
    return with_front_end(layers, checkpoint.normalisation, checkpoint.model.window)


def energies(run: Run, observed: Mapping[Network, Observed]) -> dict[str, Any]:
    """Return prices and their ratios, single and in a map, by their names in the metrics."""
    activity = {name: entry.layers for name, entry in observed.items()}
    found = {"": activity}
    cnn = (
        run.load(Network.CNN_FP32)
        if Network.CNN_FP32 not in observed
        else observed[Network.CNN_FP32].checkpoint
    )
    if dense_form(cnn.network, run.patches.bands, run.config.model.window):
        found["map_"] = {name: shared_between_windows(rows) for name, rows in activity.items()}
    values: dict[str, Any] = {"energy_by_layer": _by_layer(activity, found.get("map_"))}
    for place, layers_by_network in found.items():
        for quantity in ("energy_pj", "energy_ratio", "effort", "effort_ratio"):
            values[f"{place}{quantity}"] = {}
        for costs in load_costs():
            spent = {name: costs.of(layers) for name, layers in layers_by_network.items()}
            kind = "energy" if costs.unit == "pJ" else "effort"
            own = {str(name): price for name, price in spent.items()}
            values[f"{place}{'energy_pj' if kind == 'energy' else kind}"][costs.name] = own
            if Network.SNN_TRAINED in spent:
                values[f"{place}{kind}_ratio"][costs.name] = {
                    str(name): price / spent[Network.SNN_TRAINED]
                    for name, price in spent.items()
                    if not name.spiking
                }
    return values


def _by_layer(
    single: Mapping[Network, list[LayerActivity]],
    in_map: Mapping[Network, list[LayerActivity]] | None,
) -> dict[str, tuple[LayerEnergy, ...]]:
    tables = [costs for costs in load_costs() if costs.unit == "pJ"]

    def priced_by(layer: LayerActivity) -> dict[str, float]:
        return {costs.name: costs.of([layer]) for costs in tables}

    found = {}
    for name, layers in single.items():
        shared = [None] * len(layers) if in_map is None else [*map(priced_by, in_map[name])]
        found[str(name)] = tuple(
            LayerEnergy(layer.info.name.removeprefix("layers."), priced_by(layer), of_map)
            for layer, of_map in zip(layers, shared, strict=True)
        )
    return found


def by_width(layers: list[LayerActivity]) -> tuple[OperationCount, ...]:
    """Add up the operations of a network's layers by kind and widths."""
    total: Counter[Operation] = Counter()
    for layer in layers:
        total.update(layer.operations())
    return tuple(
        OperationCount(kind, i, j, into, "float32" if floating else "integer", number)
        for (kind, i, j, into, floating), number in total.items()
    )


def workloads(run: Run, observed: Mapping[Network, Observed]) -> dict[Network, Workload]:
    """Describe the networks of a run for pim_sim, without the matrix of the normalisation.

    Returns:
        Workloads of the networks of `WORKLOADS` that were observed; of none at 32 bits.
    """
    method = run.quantization
    found: dict[Network, Workload] = {}
    if method is None:
        return {}
    name = f"{run.scene.name} {run.config.model.name}"
    for network in WORKLOADS.keys() & observed.keys():
        layers = observed[network].seen.layers
        if network is Network.SNN_TRAINED:
            neuron, bits = run.config.neuron, run.normalisation.bits
            widths = neuron.time_steps, bits, neuron.potential_bits
            found[network] = to_workload(name, layers, method, *widths)
        else:
            own = twin_method(run.config) if network is Network.CNN_TWIN else method
            own = None if network is Network.CNN_FP32 else own
            found[network] = to_cnn_workload(name, layers, own)
    return {network: found[network] for network in WORKLOADS if network in found}


def first_layer(run: Run, workload: Workload | None) -> FirstLayerMetrics | None:
    """Price the trained SNN's first layer in memory, whose arrays hold integers only."""
    if workload is None:
        return None
    report = price_first_layer(workload, run.hardware, run.path / WORKLOADS[Network.SNN_TRAINED])
    gains = {name: Gain(**values) for name, values in report.to_dict()["ratio"].items()}
    return FirstLayerMetrics(run.config.hardware, **gains)
