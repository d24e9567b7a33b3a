"""One HTML page per comparison that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from snnquant.io import replacing
from snnquant.report.compared_runs import Comparison
from snnquant.report.compared_tables import comparison_sections, names_of
from snnquant.report.pareto_plot import pareto_svg


def write_comparison(
    comparison: Comparison, pictures: Mapping[tuple[int, int], bytes], path: Path
) -> None:
    """Write the page of a comparison: tables that sort, the Pareto plot, difference maps.

    Args:
        comparison: The comparison.
        pictures: Difference maps as PNG files, by the numbers of the pair.
        path: HTML file to write, whole or not at all.

    Raises:
        InputError: If the page cannot be written.
    """
    names = names_of(comparison.networks)
    plot = pareto_svg(comparison, names)
    maps = [
        (f"{names[first]} against {names[second]}", base64.b64encode(picture).decode("ascii"))
        for (first, second), picture in pictures.items()
    ]
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    file = resources.files("snnquant.report").joinpath("compared_page.html.j2")
    page = environment.from_string(file.read_text(encoding="utf-8")).render(
        networks=comparison.networks,
        sections=comparison_sections(comparison),
        plot=None if plot is None else Markup(plot),
        maps=maps,
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
