"""Tables of a run's metrics, as text, the same for the terminal and for the page."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import Any, TypeVar

from snnquant.report.calibration import Calibration
from snnquant.report.rival_metrics import BEST, SCHEDULES
from snnquant.report.rival_sections import over_twin, verdicts
from snnquant.report.run_metrics import Controls, FirstLayerMetrics, RunMetrics, SplitMetrics
from snnquant.report.table_parts import ALONE, BLANK, IN_MAP, Section, percent
from snnquant.stored_networks import Network

T = TypeVar("T")
CONTROLS = {
    "coordinates": "coordinates only",
    "lda": "LDA on spectrum and window mean",
    "svm": "SVM on window mean",
}
"""Controls by their keys in metrics.json, with their names."""
WIDTHS, PAPER = "horowitz_widths", "ace_snn"
"""Cost tables of the first table: compute only at true widths, and the ACE-SNN paper's rule."""
_ON_CHIP = "A, B, C: nJ per pixel on {}, memory included."
_ENERGIES = (
    "Compute only: nJ per pixel at 45 nm, every operation at the bits of its operands "
    "(horowitz_widths). Paper: its own rule (ace_snn), for comparison with the paper, whose ratios "
    "are those of a 32-bit and a 6-bit CNN, means of three scenes."
)


def summary(metrics: RunMetrics) -> str:
    """Describe scene, model and seed in one line."""
    scene, model = metrics.scene, metrics.model
    shape = "x".join(str(side) for side in scene.shape)
    classes = f"{len(scene.class_names)} classes, {scene.labelled:,} labelled pixels"
    patch = f"{model.window}x{model.window} patches"
    if model.pixel_bits != 32:
        patch += f" of {model.pixel_bits} bits"
    return f"{scene.name} ({shape}, {classes}), {model.name} on {patch}, seed {metrics.seed}"


def headings(metrics: RunMetrics) -> dict[Network, str]:
    """Return the networks that the run has, with their headings."""
    model = metrics.model
    widths = model.bits, model.time_steps, model.activation_bits
    return {network: network.heading_of(*widths) for network in metrics.networks}


def sections(metrics: RunMetrics) -> list[Section]:
    """Return every table that the metrics hold the numbers of."""
    paper = published(metrics)
    found = [_comparison(metrics, paper)]
    if metrics.rival is not None:
        found.append(over_twin(metrics.rival))
        found.append(verdicts(metrics.rival, metrics.model.time_steps))
    if {Network.SNN_CONVERTED, Network.SNN_TRAINED} <= metrics.networks.keys():
        found.append(_converted(metrics))
    found += [*_prices(metrics), _split(metrics.split)]
    if metrics.calibration:
        found.append(_confidence(metrics, metrics.calibration))
    if metrics.controls is not None:
        found.append(_controls(metrics.controls))
    if metrics.spike_rates is not None:
        found.append(_spikes(metrics.spike_rates))
    if metrics.pim is not None:
        found.append(_first_layer(metrics.pim, paper))
    return found


def published(metrics: RunMetrics) -> dict[str, Any] | None:
    """Return what the ACE-SNN paper reports, with its scores of the scene under "scores".

    None for a scene that the paper does not have, one of the user's own, and an imported CNN.
    """
    if metrics.scene.own or metrics.model.imported:
        return None
    file = resources.files("snnquant.report").joinpath("references", "ace_snn.toml")
    content = tomllib.loads(file.read_text(encoding="utf-8"))
    scores = content["scenes"].get(metrics.scene.name)
    return None if scores is None else {**content, "scores": scores}


def _price(price: float) -> str:
    return f"{price:,.0f}" if price >= 1000 else f"{price:,.3g}"


def _ratio(factor: float) -> str:
    return f"{factor:,.1f}x"


def _comparison(metrics: RunMetrics, paper: dict[str, Any] | None) -> Section:
    present = headings(metrics)
    if Network.SNN_TRAINED in present:
        present.pop(Network.SNN_CONVERTED, None)  # has a table of its own
    rows: list[tuple[str, ...]] = []

    def add(
        label: str, values: Mapping[Any, T], show: Callable[[T], str], beside: str = BLANK
    ) -> None:
        cells = (show(values[key]) if key in values else BLANK for key in present)
        rows.append((label, *cells) if paper is None else (label, *cells, beside))

    for score, label in (("oa", "OA, %"), ("aa", "AA, %"), ("kappa", "kappa, %")):
        reached = {key: getattr(network, score) for key, network in metrics.networks.items()}
        theirs = paper["scores"].get(score) if paper else None
        add(label, reached, percent, BLANK if theirs is None else f"{theirs:.2f}")
        if score == "oa":
            scored = {key: network.smoothed for key, network in metrics.networks.items()}
            smoothed = {key: entry.oa for key, entry in scored.items() if entry is not None}
            if smoothed:
                add("OA smoothed, %", smoothed, percent)
    parameters = {key: network.parameters for key, network in metrics.networks.items()}
    add("parameters", parameters, "{:,}".format)
    for kind in ("mac", "ac"):
        counts = {key: getattr(count, kind) for key, count in metrics.operations.items()}
        if counts:
            add(kind.upper(), counts, "{:,.0f}".format)
    for label, energies in _nanojoules(metrics):
        add(label, energies, _price)
    published = _published_ratio(paper)
    for place, ratio in ((ALONE, metrics.energy_ratio), (IN_MAP, metrics.map_energy_ratio or {})):
        if ratio.get(PAPER):
            add(f"paper: over SNN {place}", ratio[PAPER], _ratio, published)
            published = BLANK
    notes = (
        *_beaten_by(metrics),
        *(() if paper is None else (f"{paper['source']}.",)),
        "MAC: multiply-accumulate, AC: accumulate (spikes), of one pixel's patch"
        + ("; the twin skips zeros." if Network.CNN_TWIN in present else "."),
        *((_ON_CHIP.format(metrics.rival.chip),) if metrics.rival else ()),
        *((_ENERGIES,) if metrics.energy_pj else ()),
    )
    columns = (*present.values(), *(() if paper is None else ("ACE-SNN",)))
    return Section("Networks", columns, tuple(rows), notes)


def _converted(metrics: RunMetrics) -> Section:
    name, cells = Network.SNN_CONVERTED, dict[str, str]()
    scores, count = metrics.networks[name], metrics.operations.get(name)
    if count is not None:
        cells |= {"MAC": f"{count.mac:,.0f}", "AC": f"{count.ac:,.0f}"}
    cells |= {"OA, %": percent(scores.oa)}
    if scores.smoothed is not None:
        cells |= {"OA smoothed, %": percent(scores.smoothed.oa)}
    cells |= {"AA, %": percent(scores.aa), "kappa, %": percent(scores.kappa)}
    rows = ((name.heading, *cells.values()),)
    return Section("Before the training of the SNN", tuple(cells), rows)


def _nanojoules(metrics: RunMetrics) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield rows of energies in nJ by network: on a chip, compute only, by the paper's rule."""
    alone, in_map = metrics.energy_pj, metrics.map_energy_pj or {}
    rival = metrics.rival
    on_chip = ({}, {}) if rival is None else (rival.energy_nj, rival.map_energy_nj or {})
    for place, spent, prices in zip((ALONE, IN_MAP), on_chip, (alone, in_map), strict=True):
        for schedule, by_network in spent.items():
            if schedule != BEST:
                yield f"nJ {place}: {SCHEDULES[schedule]}", by_network
        if WIDTHS in prices:
            yield f"nJ {place}: compute only", _thousandths(prices[WIDTHS])
    for place, prices in ((ALONE, alone), (IN_MAP, in_map)):
        if PAPER in prices:
            yield f"paper: nJ {place}", _thousandths(prices[PAPER])


def _thousandths(prices: Mapping[str, float]) -> dict[str, float]:
    return {name: price / 1000 for name, price in prices.items()}


PIXEL, MAP = "per pixel classified on its own", "per pixel of a map"
ENERGY, EFFORT = "Energy, pJ", "Effort, bit operations"
NOTES = {
    ENERGY: (
        "ratio: energy of a CNN over that of the trained SNN. Other cost tables than those of the "
        "first table; horowitz prices MAC and AC by the bits of the weights."
    ),
    EFFORT: (
        "ace: bits of a weight times bits of an input, per product; acev2 adds element-wise work; "
        "ns_ace counts accumulates by spike rate."
    ),
}
"""Explanations under the tables of a pixel classified on its own."""


def _prices(metrics: RunMetrics) -> list[Section]:
    """Return the tables of energies and efforts; a map's windows share their work."""
    present, found = headings(metrics), []
    for quantity, place, prices, ratios in (
        (ENERGY, PIXEL, metrics.energy_pj, metrics.energy_ratio),
        (ENERGY, MAP, metrics.map_energy_pj, metrics.map_energy_ratio),
        (EFFORT, PIXEL, metrics.effort, metrics.effort_ratio),
        (EFFORT, MAP, metrics.map_effort, metrics.map_effort_ratio),
    ):
        rows: list[tuple[str, ...]] = []
        for table, values in (prices or {}).items():
            if table not in (WIDTHS, PAPER):
                cells = (_price(values[key]) if key in values else BLANK for key in present)
                rows.append((table, *cells))
        for table, factors in (ratios or {}).items():
            if factors and table not in (WIDTHS, PAPER):
                cells = (_ratio(factors[key]) if key in factors else BLANK for key in present)
                rows.append((f"ratio ({table})", *cells))
        if prices and rows:
            notes = (NOTES[quantity],) if place == PIXEL else ()
            found.append(
                Section(f"{quantity} {place}", tuple(present.values()), tuple(rows), notes)
            )
    return found


def _published_ratio(paper: dict[str, Any] | None) -> str:
    if paper is None:
        return BLANK
    factors = (paper["energy_ratio"][key] for key in (Network.CNN_FP32, Network.CNN_QUANTIZED))
    return ", ".join(_ratio(factor) for factor in factors)


def _split(split: SplitMetrics) -> Section:
    rows = (
        ("protocol", split.protocol),
        (
            "training / validation / test pixels",
            f"{split.train:,} / {split.val:,} / {split.test:,}",
        ),
        ("leakage: test patches that hold a training pixel, %", percent(split.leakage)),
        (
            "OA of coordinates only (nearest training pixel), %",
            percent(split.coordinates_only_oa),
        ),
    )
    return Section("Split", ("",), rows, split.notes)


def _confidence(metrics: RunMetrics, calibration: Mapping[Network, Calibration]) -> Section:
    present = headings(metrics)
    rows: list[tuple[str, ...]] = []

    def add(label: str, values: Mapping[Network, T], show: Callable[[T], str]) -> None:
        rows.append((label, *(show(values[key]) if key in values else BLANK for key in present)))

    add("smoothing, sigma in pixels", calibration, lambda entry: f"{entry.sigma:g}")
    if any(entry.edge_passes for entry in calibration.values()):
        label = "smoothing within edges, passes"
        add(label, calibration, lambda entry: f"{entry.edge_passes or 0}")
    add("temperature", calibration, lambda entry: f"{entry.temperature:.2f}")
    add("ECE at temperature 1, %", calibration, lambda entry: percent(entry.ece_uncalibrated))
    add("ECE, %", calibration, lambda entry: percent(entry.ece))
    add("ECE smoothed, %", calibration, lambda entry: percent(entry.ece_smoothed))
    for tenth in (5, 8):
        accuracies = {key: entry.selective[tenth - 1] for key, entry in calibration.items()}
        add(
            f"OA smoothed, most certain {10 * tenth} %, %",
            accuracies,
            lambda point: percent(point.accuracy),
        )
    unknown = {key: entry.unknown for key, entry in calibration.items() if entry.unknown}
    if unknown:
        wanted = percent(next(iter(unknown.values())).wanted_accuracy)
        add("known pixels, %", unknown, lambda entry: percent(entry.coverage))
        label = f"OA of known pixels, % ({wanted} on validation)"
        add(label, unknown, lambda entry: percent(entry.accuracy))
    note = (
        "Chosen on validation pixels, measured on test pixels. ECE: expected calibration error, "
        "the mean distance between confidence and accuracy over 15 bins (Guo et al. 2017)."
    )
    return Section("Confidence", tuple(present.values()), tuple(rows), (note,))


def _beaten_by(metrics: RunMetrics) -> tuple[str, ...]:
    """Name the controls that the trained SNN, or else the best CNN, does not beat in OA."""
    networks, controls = metrics.networks, metrics.controls
    compared = [Network.SNN_TRAINED] if Network.SNN_TRAINED in networks else list(networks)
    compared = [network for network in compared if not network.spiking] or compared
    if controls is None or not compared:
        return ()
    own = max(compared, key=lambda network: networks[network].oa)
    scores = {key: getattr(controls, key).oa for key in CONTROLS}
    above = [key for key in CONTROLS if scores[key] >= networks[own].oa]
    if not above:
        return ()
    names = ", ".join(f"{CONTROLS[key]} ({percent(scores[key])} %)" for key in above)
    kind = "SNN" if own.spiking else "CNN"
    lines = [f"The {kind} (OA {percent(networks[own].oa)} %) does not beat {names}."]
    if "coordinates" in above and metrics.split.protocol != "blocks":
        lines.append("This split does not test spectra: coordinates suffice. Try --split blocks.")
    return tuple(lines)


def _controls(controls: Controls) -> Section:
    rows = tuple(
        (
            name,
            *(percent(getattr(getattr(controls, key), score)) for score in ("oa", "aa", "kappa")),
        )
        for key, name in CONTROLS.items()
    )
    notes = (
        "Learnt from training and validation pixels (coordinates: training), scored on the test "
        "pixels of the networks. LDA: linear discriminant analysis with shrinkage; SVM: Gaussian "
        "kernel.",
    )
    return Section("Controls without a network, %", ("OA", "AA", "kappa"), rows, notes)


def _spikes(rates: Mapping[str, float]) -> Section:
    rows = tuple((layer, f"{rate:.4f}") for layer, rate in rates.items())
    return Section("Spikes per neuron per step, trained SNN", ("rate",), rows)


def _first_layer(pim: FirstLayerMetrics, paper: dict[str, Any] | None) -> Section:
    rows = []
    for label, key in (("energy", "energy"), ("delay", "delay"), ("EDP", "edp")):
        ours = getattr(pim, key)
        cells: tuple[str, ...] = (f"{ours.factor:.2f}x", f"{100 * ours.saved:.1f} %")
        if paper is not None:
            better = paper["first_layer"][key] / 100
            cells += (
                f"{1 + better:.2f}x, {100 * better / (1 + better):.1f} %",
                f"{1 / (1 - better):.2f}x, {100 * better:.0f} %",
            )
        rows.append((label, *cells))
    columns: tuple[str, ...] = ("digital / in memory", "saved")
    if paper is not None:
        columns += ("ACE-SNN as factors", "ACE-SNN as savings")
    title = f"First layer, digital against in memory ({pim.hardware})"
    return Section(title, columns, tuple(rows))
