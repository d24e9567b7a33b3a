"""Parts of the page about measurements: spikes, energy, training, calibration."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from snnquant.report.answer import main_network
from snnquant.report.charts import line_chart
from snnquant.report.rival_metrics import BEST, SCHEDULES
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.run_record import RunRecord
from snnquant.report.scene_views import SceneViews, Spikes
from snnquant.report.sections import WIDTHS, headings
from snnquant.report.table_parts import ALONE, IN_MAP, percent

_FOLDED = tuple(name for schedule, name in SCHEDULES.items() if schedule != BEST)


def measurements(
    metrics: RunMetrics, views: SceneViews | None, record: RunRecord | None
) -> dict[str, Any]:
    """Return the parts that the metrics, the views and the record hold the numbers of."""
    spikes = None if views is None else views.spikes
    return {
        "rates": _rates(metrics),
        **_spike_parts(metrics, spikes),
        "energies": _energies(metrics),
        **_training(record),
        **_calibration(metrics, views),
    }


def _rates(metrics: RunMetrics) -> list[dict[str, Any]]:
    rates = metrics.spike_rates or {}
    largest = max(rates.values(), default=0) or 1
    return [
        {"label": layer, "width": f"{100 * rate / largest:.1f}", "text": f"{rate:.4f}"}
        for layer, rate in rates.items()
    ]


def _spike_parts(metrics: RunMetrics, spikes: Spikes | None) -> dict[str, Any]:
    if spikes is None:
        return {"step_chart": "", "rasters": [], "raster_layer": "", "spike_pixels": 0}
    series = {
        layer: [(float(step), rate) for step, rate in enumerate(rates, 1)]
        for layer, rates in spikes.rates.items()
    }
    many = max(len(rates) for rates in spikes.rates.values()) > 1
    label = "spikes per neuron, by step"
    ends = 0.0, max(max(rates) for rates in spikes.rates.values()) or 1.0
    return {
        "step_chart": line_chart(
            "Spike rates by step", series, "step", label, marks=True, y_ends=ends
        )
        if many
        else "",
        "spike_pixels": spikes.pixels,
        "raster_layer": spikes.layer,
        "rasters": [
            {
                "name": metrics.scene.class_names[number - 1],
                "place": spikes.places[number],
                "neurons": raster.shape[1],
                "steps": len(raster),
                "spikes": f"{int(raster.sum()):,}",
                "path": _path(raster),
            }
            for number, raster in spikes.rasters.items()
        ],
    }


def _path(raster: NDArray[np.bool_]) -> str:
    """Return an SVG path with a vertical line per spike."""
    return "".join(f"M{neuron}.5 {8 * step + 1}v6" for step, neuron in np.argwhere(raster))


def _energies(metrics: RunMetrics) -> list[dict[str, Any]]:
    """Return groups of bars: by schedule on the chip, and compute only, alone and in a map."""
    groups: list[tuple[str, dict[str, float]]] = []
    rival = metrics.rival
    on_chip = ({}, {}) if rival is None else (rival.energy_nj, rival.map_energy_nj or {})
    for schedule in reversed(SCHEDULES):  # the best one first
        for place, spent in zip((ALONE, IN_MAP), on_chip, strict=True):
            groups.append((f"{SCHEDULES[schedule]}, {place}", spent.get(schedule, {})))
    for place, prices in ((ALONE, metrics.energy_pj), (IN_MAP, metrics.map_energy_pj or {})):
        nanojoules = {name: price / 1000 for name, price in prices.get(WIDTHS, {}).items()}
        groups.append((f"compute only, {place}", nanojoules))
    names, main = headings(metrics), main_network(metrics)
    found = []
    for title, by_network in groups:
        values = {name: by_network[name] for name in names if by_network.get(name, 0) > 0}
        if not values:
            continue
        low, high = (math.log10(end(values.values())) for end in (min, max))
        bars = [
            {
                "label": names[name],
                "own": name == main,
                "width": f"{10 + 90 * (math.log10(value) - low) / (high - low or 1):.1f}",
                "text": f"{value:,.0f} nJ" if value >= 1000 else f"{value:,.3g} nJ",
            }
            for name, value in values.items()
        ]
        found.append({"title": title, "bars": bars, "folded": title.startswith(_FOLDED)})
    return found


def _training(record: RunRecord | None) -> dict[str, Markup]:
    if record is None:
        return {"losses": Markup(""), "accuracies": Markup("")}
    accuracy = "validation accuracy, %"
    return {
        "losses": line_chart("Loss", record.losses, "epoch", "loss", log=True),
        "accuracies": line_chart(accuracy, record.accuracies, "epoch", accuracy),
    }


def _calibration(metrics: RunMetrics, views: SceneViews | None) -> dict[str, Any]:
    main = main_network(metrics)
    own = (metrics.calibration or {}).get(main)
    bins = [] if views is None else views.reliability()
    chart = Markup("")
    if bins:
        low = min(0.9, *(min(confidence, accuracy) for confidence, accuracy, _ in bins))
        most = max(count for _, _, count in bins)
        sizes = [2.5 + 9 * (count / most) ** 0.5 for _, _, count in bins]
        points = [(confidence, accuracy) for confidence, accuracy, _ in bins]
        series = {main.heading: points, "perfectly calibrated": [(low, low), (1.0, 1.0)]}
        label = "accuracy of test pixels; the area of a dot is their number"
        chart = line_chart(
            "Reliability", series, "confidence", label, y_ends=(low, 1.0), sizes=sizes
        )
    if own is None:
        return {"reliability": chart, "selective": Markup(""), "calibration_note": ""}
    names = headings(metrics)
    series = {
        names[name]: [(100 * point.coverage, 100 * (point.accuracy)) for point in entry.selective]
        for name, entry in (metrics.calibration or {}).items()
    }
    label = "accuracy of the most certain test pixels, %"
    note = (
        f"Expected calibration error ({main.heading}): {percent(own.ece)} % at temperature "
        f"{own.temperature:.2f}, {percent(own.ece_uncalibrated)} % at temperature 1 (15 bins, Guo "
        "et al. 2017). Chosen on validation pixels, measured on test pixels."
    )
    selective = line_chart("Selective accuracy", series, "share of the pixels, %", label)
    return {"reliability": chart, "selective": selective, "calibration_note": note}
