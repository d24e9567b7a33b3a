"""One HTML page per run that needs no other file and no network."""

from __future__ import annotations

import base64
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined, Template

from snnquant.errors import InputError
from snnquant.io import replacing
from snnquant.report.run_metrics import RunMetrics
from snnquant.report.sections import headings, sections, summary
from snnquant.report.table_parts import percent

MAPS = {
    "map_and_truth.png": "Classification map",
    "map_smoothed_and_truth.png": "Smoothed classification map",
    "map_confidence.png": "Confidence map",
    "map_distance.png": "Distance map",
}
"""Headings of the maps that a page shows, by their files."""


def write_html(metrics: RunMetrics, class_map_png: Path | None, path: Path) -> None:
    """Write the page of a run.

    Args:
        metrics: Content of metrics.json; the page has no part for what it lacks.
        class_map_png: Classification map to embed; None for a page without a map. A file of
            `MAPS` has the others of its folder after it.
        path: HTML file to write, whole or not at all.

    Raises:
        InputError: If the map cannot be read or the page cannot be written.

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
    ...     write_html(metrics, None, Path(folder) / "report.html")
    ...     "Accuracy of each class" in (Path(folder) / "report.html").read_text()
    True
    """
    by_network = [network.class_accuracy for network in metrics.networks.values()]
    page = _template().render(
        title=f"{metrics.scene.name} as a quantized spiking network",
        summary=summary(metrics),
        sections=sections(metrics),
        headings=list(headings(metrics).values()),
        classes=list(zip(metrics.scene.class_names, zip(*by_network, strict=True), strict=True)),
        maps=[] if class_map_png is None else _maps(class_map_png),
        run=metrics.run,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _maps(first: Path) -> list[tuple[str, str]]:
    """Return heading and content of every map to show."""
    files = [first]
    if first.name in MAPS:
        others = (first.with_name(name) for name in MAPS if name != first.name)
        files += [file for file in others if file.exists()]
    return [(MAPS.get(file.name, "Classification map"), _base64(file)) for file in files]


def _template() -> Template:
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters["percent"] = percent
    file = resources.files("snnquant.report").joinpath("page.html.j2")
    return environment.from_string(file.read_text(encoding="utf-8"))


def _base64(file: Path) -> str:
    try:
        return base64.b64encode(file.read_bytes()).decode("ascii")
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from error
