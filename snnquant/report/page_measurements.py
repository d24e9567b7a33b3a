"""Parts of the page about measurements: spikes, weight levels, training, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from snnquant.report.answer import main_network
from snnquant.report.charts import line_chart
from snnquant.report.page_pictures import membrane_png, membrane_scale
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.run_record import RunRecord
from snnquant.report.scene_views import Levels, SceneViews, Spikes
from snnquant.report.sections import headings
from snnquant.report.table_parts import percent

NEURONS = 256
"""Neurons of a layer that a raster shows, evenly spaced where the layer has more."""


def measurements(
    metrics: RunMetrics, views: SceneViews | None, record: RunRecord | None
) -> dict[str, Any]:
    """Return the parts that the metrics, the views and the record hold the numbers of."""
    spikes = None if views is None else views.spikes
    return {
        "rates": _rates(metrics),
        **_spike_parts(metrics, spikes),
        "levels": [_levels(entry) for entry in (views.levels if views is not None else ())],
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
        return {"step_chart": "", "rasters": [], "raster_layer": "", "spike_pixels": 0} | {
            "raster_neurons": "",
            "membrane_scale": [],
        }
    series = {
        layer: [(float(step), rate) for step, rate in enumerate(rates, 1)]
        for layer, rates in spikes.rates.items()
    }
    many = max(len(rates) for rates in spikes.rates.values()) > 1
    label = "spikes per neuron, by step"
    ends = 0.0, max(max(rates) for rates in spikes.rates.values()) or 1.0
    neurons = max((raster.shape[1] for raster in spikes.rasters.values()), default=0)
    shown = np.unique(np.linspace(0, max(neurons - 1, 0), min(NEURONS, neurons)).astype(int))
    chart = line_chart("Spike rates by step", series, "step", label, marks=True, y_ends=ends)
    return {
        "step_chart": chart if many else "",
        "spike_pixels": spikes.pixels,
        "raster_layer": spikes.layer,
        "raster_neurons": f"{len(shown):,} of {neurons:,} neurons, evenly spaced"
        if len(shown) < neurons
        else f"{neurons:,} neurons",
        "membrane_scale": membrane_scale() if spikes.potentials else [],
        "rasters": [
            {
                "name": metrics.scene.class_names[number - 1],
                "place": spikes.places[number],
                "neurons": len(shown),
                "steps": len(raster),
                "spikes": f"{int(raster.sum()):,}",
                "path": _path(raster[:, shown]),
                "membranes": membrane_png(spikes.potentials[number][:, shown])
                if number in spikes.potentials
                else "",
            }
            for number, raster in spikes.rasters.items()
        ],
    }


def _path(raster: NDArray[np.bool_]) -> str:
    """Return an SVG path with a vertical line per spike."""
    return "".join(f"M{neuron}.5 {8 * step + 1}v6" for step, neuron in np.argwhere(raster))


def _levels(entry: Levels) -> dict[str, Any]:
    """Return the histogram of a layer's levels: a bar per level, as an SVG path."""
    whole, most = int(entry.counts.sum()), int(entry.counts.max())
    low, high = int(entry.codes[0]), int(entry.codes[-1])
    shares = entry.counts / whole
    bits = float(-(shares * np.log2(shares)).sum()) + 0.0  # no -0 for a layer of one level
    zeros = float(shares[entry.codes == 0].sum())
    path = "".join(
        f"M{int(code) - low}.5 60v-{max(1.0, 58 * int(count) / most):.1f}"
        for code, count in zip(entry.codes, entry.counts, strict=True)
    )
    return {
        "layer": entry.layer,
        "path": path,
        "width": high - low + 1,
        "low": low,
        "high": high,
        "text": f"{len(entry.codes)} levels in use at {entry.bits} bits, {whole:,} weights, "
        f"{percent(zeros)} % are 0, entropy {bits:.2f} bits",
    }


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
