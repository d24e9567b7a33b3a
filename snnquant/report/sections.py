"""The numbers of a run as tables of text, the same for the terminal and for the page."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

Metrics = Mapping[str, Any]
"""The content of metrics.json; accuracies and rates in 0..1, energies in pJ a classified pixel."""
BLANK = "-"


@dataclass(frozen=True)
class Section:
    """A table: a heading for every column of values, rows that start with their label, notes."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def summary(metrics: Metrics) -> str:
    """One line: scene, model and seed."""
    scene, model = metrics["scene"], metrics["model"]
    shape = "x".join(str(side) for side in scene["shape"])
    classes = f"{len(scene['class_names'])} classes, {scene['labelled']:,} labelled pixels"
    patch = f"{model['window']}x{model['window']} patches"
    return (
        f"{scene['name']} ({shape}, {classes}), {model['name']} on {patch}, seed {metrics['seed']}"
    )


def networks(metrics: Metrics) -> dict[str, str]:
    """The networks that the run has, by their key in the metrics, with their headings."""
    bits, steps = metrics["model"]["bits"], metrics["model"]["time_steps"]
    headings = {
        "cnn_fp32": "CNN 32-bit",
        "cnn_quantized": f"CNN {bits}-bit",
        "snn_converted": "SNN as converted",
        "snn_trained": f"SNN trained, {bits}-bit, T = {steps}",
    }
    return {key: heading for key, heading in headings.items() if key in metrics}


def sections(metrics: Metrics) -> list[Section]:
    """Every table that the metrics have the numbers for."""
    found = [_comparison(metrics), _split(metrics)]
    if "spike_rates" in metrics:
        found.append(_spikes(metrics))
    if "pim" in metrics:
        found.append(_first_layer(metrics))
    return found


def percent(share: float | None) -> str:
    """A share of 1 in per cent."""
    return BLANK if share is None else f"{100 * share:.2f}"


def _published() -> dict[str, Any]:
    file = resources.files("snnquant.report").joinpath("ace_snn.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _energy(pj: float) -> str:
    return f"{pj:,.0f}" if pj >= 1000 else f"{pj:,.3g}"


def _ratio(factor: float) -> str:
    return f"{factor:,.1f}x"


def _comparison(metrics: Metrics) -> Section:
    published = _published()
    reached = published["scenes"].get(metrics["scene"]["name"], {})
    present = networks(metrics)

    def row(
        label: str, values: Mapping[str, Any], show: Callable[[Any], str], beside: str = BLANK
    ) -> tuple[str, ...]:
        cells = (show(values[key]) if key in values else BLANK for key in present)
        return (label, *cells, beside)

    rows = []
    for score, label in (("oa", "OA, %"), ("aa", "AA, %"), ("kappa", "kappa, %")):
        values = {key: metrics[key][score] for key in present}
        beside = f"{reached[score]:.2f}" if score in reached else BLANK
        rows.append(row(label, values, percent, beside))
    parameters = {key: metrics[key]["parameters"] for key in present}
    rows.append(row("parameters", parameters, "{:,}".format))
    for kind in ("mac", "ac"):
        counts = {key: count[kind] for key, count in metrics.get("operations", {}).items()}
        if counts:
            rows.append(row(kind.upper(), counts, "{:,.0f}".format))
    paper = published["energy_ratio"]
    beside = f"{_ratio(paper['cnn_fp32'])}, {_ratio(paper['cnn_quantized'])}"
    for kind, place in (("energy", "alone"), ("map_energy", "in a map")):
        for accounting, energies in metrics.get(f"{kind}_pj", {}).items():
            rows.append(row(f"{place}, pJ ({accounting})", energies, _energy))
        for accounting, ratios in metrics.get(f"{kind}_ratio", {}).items():
            if ratios:
                theirs = beside if accounting == paper["accounting"] else BLANK
                rows.append(row(f"{place}, ratio ({accounting})", ratios, _ratio, theirs))
    notes = (
        f"{published['source']}. Its ratios: 32-bit and 6-bit CNN, mean of three scenes.",
        "MAC: multiply-accumulate, AC: accumulate (spikes). Operations are those of one pixel's "
        "patch. Energy: of a pixel alone, and of one in a map, where overlapping windows share "
        "their work. Ratio: the energy of a CNN over that of the trained SNN, by each rule.",
    )
    return Section("Networks", (*present.values(), "ACE-SNN"), tuple(rows), notes)


def _split(metrics: Metrics) -> Section:
    split = metrics["split"]
    pixels = " / ".join(f"{split[name]:,}" for name in ("train", "val", "test"))
    rows = (
        ("protocol", split["protocol"]),
        ("training / validation / test pixels", pixels),
        ("leakage: test patches that hold a training pixel, %", percent(split["leakage"])),
        (
            "OA of coordinates alone (nearest training pixel), %",
            percent(split["coordinates_only_oa"]),
        ),
    )
    return Section("Split", ("",), rows, tuple(split.get("notes", ())))


def _spikes(metrics: Metrics) -> Section:
    rows = tuple((layer, f"{rate:.4f}") for layer, rate in metrics["spike_rates"].items())
    return Section("Spikes a neuron a step, trained SNN", ("rate",), rows)


def _first_layer(metrics: Metrics) -> Section:
    paper, rows = _published()["first_layer"], []
    for key, label in (("energy", "energy"), ("delay", "delay"), ("edp", "EDP")):
        ours, better = metrics["pim"][key], paper[key] / 100
        rows.append(
            (
                label,
                f"{ours['factor']:.2f}x",
                f"{100 * ours['saved']:.1f} %",
                f"{1 + better:.2f}x, {100 * better / (1 + better):.1f} %",
                f"{1 / (1 - better):.2f}x, {100 * better:.0f} %",
            )
        )
    notes = (
        "The paper says 30, 7 and 38 % better, not of what. Read as factors, energy and delay give "
        "1.39x, its EDP; read as savings they would give 34.9 %.",
    )
    columns = ("digital / in memory", "saved", "ACE-SNN as factors", "ACE-SNN as savings")
    title = f"First layer, digital against in memory ({metrics['pim']['hardware']})"
    return Section(title, columns, tuple(rows), notes)
