"""Cards at the top of a run's page: accuracy, energy, memory, honesty."""

from __future__ import annotations

from dataclasses import dataclass

from snnquant.report.chip_prices import ChipPrices, Factor
from snnquant.report.rival_metrics import BEST, SCHEDULES, Rival
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.run_record import RunRecord
from snnquant.report.sections import CONTROLS, WIDTHS, headings
from snnquant.report.table_parts import percent
from snnquant.stored_networks import Network

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Card:
    """A card: a title, a figure, a verdict, lines of text, rows of figures to compare with."""

    title: str
    figure: str
    verdict: str = ""
    lines: tuple[str, ...] = ()
    rows: Rows = ()
    tone: str = ""
    """good, bad or warn; empty for neither."""


def cards(
    metrics: RunMetrics, record: RunRecord | None = None, chip: ChipPrices | None = None
) -> list[Card]:
    """Return the cards that the parts hold the figures of; the last one is that of honesty."""
    memory = _first_layer(metrics) if chip is None else _in_memory(chip)
    found = [_accuracy(metrics, record), _energy(metrics), memory, _honesty(metrics)]
    return [card for card in found if card is not None]


def main_network(metrics: RunMetrics) -> Network:
    """Return the last network of the run, which the page is about."""
    return list(metrics.networks)[-1]


def kind(network: Network) -> str:
    """Return "SNN" or "CNN"."""
    return "SNN" if network.spiking else "CNN"


def _accuracy(metrics: RunMetrics, record: RunRecord | None) -> Card:
    main, names = main_network(metrics), headings(metrics)
    own = metrics.networks[main]
    rows = [
        (names[network], f"{percent(scores.oa)} %")
        for network, scores in metrics.networks.items()
        if network != main
    ]
    if metrics.controls is not None:
        rows += [
            (name, f"{percent(getattr(metrics.controls, key).oa)} %")
            for key, name in CONTROLS.items()
        ]
    lines = [f"AA {percent(own.aa)} % · kappa {percent(own.kappa)} %"]
    if own.smoothed is not None and own.smoothed.oa != own.oa:
        lines.append(f"smoothed map {percent(own.smoothed.oa)} %")
    if record is not None:
        spread = record.seeds.spread(main)
        lines.append(spread or "one seed: no run of another seed stands beside this one")
    title = f"Overall accuracy of the {kind(main)}"
    return Card(title, f"{percent(own.oa)} %", "", tuple(lines), tuple(rows))


def _energy(metrics: RunMetrics) -> Card | None:
    if metrics.rival is not None:
        return _on_chip(metrics, metrics.rival)
    main, names = main_network(metrics), headings(metrics)
    prices = metrics.energy_pj.get(WIDTHS) or next(iter(metrics.energy_pj.values()), {})
    if main not in prices:
        return None
    rows = tuple(
        (names[network], f"{_number(prices[network] / 1000)} nJ")
        for network in metrics.networks
        if network != main and network in prices
    )
    lines = ("compute only, without memory",)
    return Card("Energy per pixel", f"{_number(prices[main] / 1000)} nJ", "", lines, rows)


def _on_chip(metrics: RunMetrics, rival: Rival) -> Card:
    names, main = headings(metrics), Network.SNN_TRAINED
    alone, ratio = rival.energy_nj[BEST], rival.ratio[BEST].same
    in_map = (rival.map_energy_nj or {}).get(BEST, {})
    rows = []
    for network in metrics.networks:
        if network != main and network in alone:
            rows.append((names[network], f"{_number(alone[network])} nJ"))
    for key, found in rival.ratio.items():
        if key != BEST:
            rows.append((f"over the twin, {SCHEDULES[key]}", f"{found.same:.2f}x"))
    lines = []
    if main in in_map and rival.map_ratio is not None:
        factor = rival.map_ratio[BEST].same
        lines.append(f"in a map {_number(in_map[main])} nJ, {factor:.2f}x its twin")
    lines.append(f"memory included, {rival.chip}, the cheapest schedule for each layer")
    met = sum(row.passed for row in rival.thresholds)
    if rival.thresholds:
        lines.append(f"{met} of {len(rival.thresholds)} published thresholds met")
    verdict = f"{ratio:.2f}x its twin: {'less' if ratio < 1 else 'not less'}"
    tone = "good" if ratio < 1 else "bad"
    title = "Energy per pixel, alone"
    return Card(title, f"{_number(alone[main])} nJ", verdict, tuple(lines), tuple(rows), tone)


def _in_memory(chip: ChipPrices) -> Card | None:
    """Return the card of the network in memory, or of its first layer where the rest is not."""
    whole, first = chip.network, chip.first_layer
    own = whole or first
    if own is None:
        return None
    rows = [("energy", f"{_number(own.digital_nj)} → {_number(own.in_memory_nj)} nJ")]
    rows += [("delay", str(own.delay)), ("energy × delay", str(own.edp))]
    if whole is not None and first is not None:
        rows += [(f"only its first layer, {chip.hardware}", str(first.energy))]
    where = f"all layers, {chip.chip}" if whole is not None else f"{chip.hardware}"
    energy = own.energy
    lines = (
        f"80 % interval {energy.low:.2f} to {energy.high:.2f}x; digital over in memory, {where}",
    )
    title = "Network in memory" if whole is not None else "First layer in memory"
    return Card(title, *_gain(energy), lines, tuple(rows), _tone(energy))


def _gain(energy: Factor) -> tuple[str, str]:
    """Return the figure and the verdict of a card."""
    less = energy.value >= 1
    figure = f"{energy.value:.2f}x" if less else f"{1 / energy.value:.2f}x"
    verdict = f"{'less' if less else 'more'} energy than digital"
    return figure, verdict if energy.decided else f"{verdict}, within the uncertainty"


def _tone(energy: Factor) -> str:
    if not energy.decided:
        return ""
    return "good" if energy.value >= 1 else "bad"


def _first_layer(metrics: RunMetrics) -> Card | None:
    pim = metrics.pim
    if pim is None:
        return None
    rows = tuple(
        (label, f"{gain.factor:.2f}x, {100 * gain.saved:+.1f} % saved")
        for label, gain in (("energy", pim.energy), ("delay", pim.delay), ("EDP", pim.edp))
    )
    less = pim.energy.factor >= 1
    figure = f"{pim.energy.factor:.2f}x" if less else f"{1 / pim.energy.factor:.2f}x"
    verdict = "less energy than digital" if less else "more energy than digital"
    lines = (f"{pim.hardware}; digital over in memory:",)
    tone = "good" if less else "bad"
    return Card("First layer in memory", figure, verdict, lines, rows, tone)


def _honesty(metrics: RunMetrics) -> Card:
    main, split = main_network(metrics), metrics.split
    position, own = split.coordinates_only_oa, metrics.networks[main].oa
    above = _above(metrics)
    beaten, leaks = position >= own, split.leakage > 0
    lines = []
    if beaten:
        lines.append(f"more than the {kind(main)}: this split does not test spectra.")
    else:
        lines.append(f"less than the {kind(main)} by {100 * (own - position):.2f} points.")
    for name, oa in above.items():
        lines.append(f"{name} scores {percent(oa)} %, more than the {kind(main)}.")
    if leaks:
        lines.append(f"{percent(split.leakage)} % of the test patches hold a training pixel.")
    else:
        lines.append("No test patch holds a training pixel.")
    if (beaten or leaks) and split.protocol != "blocks":
        lines.append("Try --split blocks.")
    pixels = f"{split.train:,} / {split.val:,} / {split.test:,}"
    rows = (("split", split.protocol), ("training / validation / test", pixels))
    tone = "warn" if beaten or leaks or above else "good"
    return Card("Position alone scores", f"{percent(position)} %", "", tuple(lines), rows, tone)


def _above(metrics: RunMetrics) -> dict[str, float]:
    """Return the controls that see spectra and score at least as much as the network."""
    if metrics.controls is None:
        return {}
    own = metrics.networks[main_network(metrics)].oa
    scores = {
        name: float(getattr(metrics.controls, key).oa)
        for key, name in CONTROLS.items()
        if key != "coordinates"
    }
    return {name: oa for name, oa in scores.items() if oa >= own}


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.3g}"
