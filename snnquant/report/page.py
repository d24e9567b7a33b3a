"""One HTML page per run that needs no other file and no network."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from snnquant.io import replacing
from snnquant.report.answer import cards
from snnquant.report.chip_prices import ChipPrices
from snnquant.report.page_energy import energy_parts
from snnquant.report.page_measurements import measurements
from snnquant.report.page_scene import class_parts, map_parts
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.run_record import RunRecord
from snnquant.report.scene_views import SceneViews
from snnquant.report.sections import headings, sections, summary
from snnquant.report.table_parts import percent

_CONTENTS = {
    **{"answer": "Answer", "map": "Map", "classes": "Classes", "spikes": "Spikes"},
    **{"energy": "Energy", "training": "Training", "calibration": "Calibration"},
    **{"repeat": "Repeat it", "tables": "All tables"},
}


def write_html(
    metrics: RunMetrics,
    path: Path,
    views: SceneViews | None = None,
    record: RunRecord | None = None,
    chip: ChipPrices | None = None,
) -> None:
    """Write the page of a run.

    Args:
        metrics: Content of metrics.json; the page has no part for what it lacks.
        path: HTML file to write, whole or not at all.
        views: Maps and spectra of the scene; None for a page without them.
        record: Options, digests and training curves; None for a page without them.
        chip: Energies on a chip by layer and component; None for a page without them.

    Raises:
        InputError: If the page cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> from snnquant.report.run_metrics import ModelMetrics, NetworkMetrics, SceneMetrics
    >>> from snnquant.report.run_metrics import SplitMetrics
    >>> from snnquant.stored_networks import Network
    >>> metrics = RunMetrics(
    ...     run="runs/mine",
    ...     seed=0,
    ...     networks={Network.CNN_FP32: NetworkMetrics(0.9, 0.8, 0.7, [0.8, 0.8], parameters=99)},
    ...     scene=SceneMetrics("field", (20, 30, 100), 250, ("Corn", "Oats")),
    ...     model=ModelMetrics("cnn32h", 5, 5, 6, ()),
    ...     split=SplitMetrics("blocks", 0, 90, 10, 150, leakage=0.0, coordinates_only_oa=0.6),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     write_html(metrics, Path(folder) / "report.html")
    ...     "Accuracy of each class" in (Path(folder) / "report.html").read_text()
    True
    """
    by_network = [network.class_accuracy for network in metrics.networks.values()]
    script = _asset("page.js")
    title = record.source.get("title") if record is not None else None
    parts: dict[str, Any] = {
        "title": title or metrics.scene.name,
        "summary": summary(metrics),
        "cards": cards(metrics, record, chip),
        "sections": sections(metrics),
        "headings": list(headings(metrics).values()),
        "classes": list(zip(metrics.scene.class_names, zip(*by_network, strict=True), strict=True)),
        "run": metrics.run,
        "seed": metrics.seed,
        "record": record,
        "style": Markup(_asset("page.css")),
        "script": Markup(script),
        "script_digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **class_parts(metrics, views),
        **map_parts(metrics, views),
        **measurements(metrics, views, record),
        **energy_parts(metrics, chip),
    }
    page = _render(parts)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _render(parts: dict[str, Any]) -> str:
    names = ("page.html.j2", "map.html.j2", "classes.html.j2", "measurements.html.j2")
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        loader=DictLoader({name: _asset(name) for name in names}),
    )
    environment.filters["percent"] = percent
    has = {"answer": True, "classes": True, "tables": True, "map": parts["pictures"]}
    has |= {
        "spikes": parts["rates"] or parts["rasters"] or parts["levels"],
        "energy": parts["energies"],
    }
    has |= {"training": parts["losses"], "repeat": parts["record"]}
    has |= {"calibration": parts["reliability"] or parts["selective"]}
    contents = [(key, text) for key, text in _CONTENTS.items() if has[key]]
    return environment.get_template("page.html.j2").render(contents=contents, **parts)


def _asset(name: str) -> str:
    file = resources.files("snnquant.report").joinpath("assets", name)
    return file.read_text(encoding="utf-8")
