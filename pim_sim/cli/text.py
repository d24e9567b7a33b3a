"""Results as text for the terminal, and the breakdown of a report as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pim_sim.cost_model import Design, Placement, Price, Report
from pim_sim.hardware import Macro
from pim_sim.io import replacing
from pim_sim.technology import survey_fit

if TYPE_CHECKING:  # rooms that a single design does not need
    from pim_sim.sweep import Exploration
    from pim_sim.validation import Reference, SurveyRow

MAX_SHOWN = 20
"""Designs of a Pareto front that are printed."""


def summarise(report: Report) -> str:
    """Return totals, both readings of "better by", the breakdown, the layout and uncertainty."""
    sections = (_heading, _totals, _breakdown, _layout, _uncertainty)
    return "\n\n".join("\n".join(section(report)) for section in sections)


def _heading(report: Report) -> Iterable[str]:
    layer = report.layer
    shape = "x".join(map(str, layer.weight_shape))
    yield f"Layer {layer.name} ({layer.kind} {shape}) on {report.hardware}"
    yield (
        f"{layer.macs:,} multiply-accumulates, {layer.outputs:,} outputs, "
        f"{layer.weight_bits}-bit weights, {layer.input_bits}-bit inputs"
    )
    steps = f"{layer.time_steps} time step{'s' if layer.time_steps > 1 else ''}"
    yield f"computed {layer.applications} x for {steps} of one classification"


def _totals(report: Report) -> Iterable[str]:
    digital, in_memory = report.digital.total, report.in_memory.total
    ratio = report.comparison
    yield f"{'':14}{'digital':>12}{'in memory':>12}{'factor':>9}{'saved':>9}"
    for name, first, second, versus in (
        ("energy, nJ", digital.energy_pj / 1e3, in_memory.energy_pj / 1e3, ratio.energy),
        ("delay, us", digital.delay_ns / 1e3, in_memory.delay_ns / 1e3, ratio.delay),
        ("EDP, nJ us", digital.edp / 1e6, in_memory.edp / 1e6, ratio.edp),
    ):
        yield f"{name:14}{first:12,.4g}{second:12,.4g}{versus.factor:9.3f}{versus.saved:9.1%}"
    yield f"{'area, mm2':14}{report.digital.area_mm2:12,.4g}{report.in_memory.area_mm2:12,.4g}"


def _breakdown(report: Report) -> Iterable[str]:
    yield f"{'where it goes':32}{'energy, nJ':>12}{'share':>8}{'delay, us':>12}"
    for title, design in (("digital", report.digital), ("in memory", report.in_memory)):
        yield from _components(title, design)


def _components(title: str, design: Design) -> Iterable[str]:
    total = design.total
    for name, cost in design.components.items():
        label = f"{title}: {name.replace('_', ' ')}"
        share = cost.energy_pj / total.energy_pj
        yield (f"{label:32}{cost.energy_pj / 1e3:12,.4g}{share:8.1%}{cost.delay_ns / 1e3:12,.4g}")


def _layout(report: Report) -> Iterable[str]:
    used, layout = report.utilisation, report.utilisation.layout
    if isinstance(layout, Placement):
        yield (
            f"In memory: {layout.columns_per_group} columns per sum, {layout.groups_per_row} sums "
            f"per functional read, {layout.word_rows} word rows on {_arrays(layout.arrays)};"
        )
        yield f"{layout.reads:,} functional reads, {layout.conversions:,} conversions"
    else:
        yield (
            f"In memory: {_arrays(layout.arrays)}, {layout.copies} cop"
            f"{'ies' if layout.copies > 1 else 'y'} of the weights, {layout.windows} output "
            f"position{'s' if layout.windows > 1 else ''} at once;"
        )
        yield f"{layout.activations:,} steps, {layout.conversions:,} conversions"
    yield (
        f"{used.rows:.1%} of the rows and {used.columns:.1%} of the columns used, "
        f"{used.products_per_conversion:.4g} products per conversion, "
        f"{used.input_drives:.4g} drives per input value"
    )


def _arrays(count: int) -> str:
    return f"{count} array{'s' if count > 1 else ''}"


def _uncertainty(report: Report) -> Iterable[str]:
    found = report.uncertainty
    bounds = [
        f"{name} {low:.2f} to {high:.2f}"
        for name, (low, high) in (
            ("energy", found.energy),
            ("delay", found.delay),
            ("EDP", found.edp),
        )
    ]
    yield f"80 % interval of the factors: {', '.join(bounds)}; energy is decided by"
    for constant, low, high in found.decided_by:
        yield f"  {constant.name.replace('_', ' ')}: factor {low:.2f} to {high:.2f}"


def write_breakdown(report: Report, path: Path) -> None:
    """Write the breakdown as CSV, one line per component; `InputError` as `replacing`."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("hardware", "design", "component", "energy_pj", "delay_ns"))
        for name, design in report.designs.items():
            for part, cost in design.components.items():
                writer.writerow((report.hardware, name, part, cost.energy_pj, cost.delay_ns))


def summarise_price(macro: Macro, price: Price) -> str:
    """Return a macro's figures and its energy by component."""
    lines = [
        f"{macro.name}: {macro.description}",
        "",
        f"{price.tops_per_watt:.4g} TOPS/W, {price.tops:.4g} TOPS, "
        f"{price.tops_per_mm2:.4g} TOPS/mm2 ({price.area_mm2:.4g} mm2)",
        f"{price.energy_per_mac_fj:.4g} fJ per multiply-accumulate, "
        f"{price.cycle_ns:.4g} ns per step",
        "",
    ]
    within = "80 % intervals: " + ", ".join(
        f"{name} {low:.3g} to {high:.3g}"
        for name, (low, high) in (
            ("TOPS/W", price.interval["tops_per_watt"]),
            ("TOPS", price.interval["tops"]),
            ("mm2", price.interval["area_mm2"]),
        )
    )
    lines[-1:] = [within, "", f"{'energy per multiply-accumulate':20}"]
    for name, energy in price.breakdown_fj.items():
        share = energy / price.energy_per_mac_fj
        lines.append(f"{name.replace('_', ' '):20}{energy:10.4g} fJ{share:8.1%}")
    return "\n".join(lines)


def summarise_exploration(result: Exploration) -> str:
    """Return counts, the Pareto front, the effects of the axes and the regions of a claim."""
    sections = (_counts, _front, _effects, _regions)
    return "\n\n".join("\n".join(section(result)) for section in sections)


def _counts(result: Exploration) -> Iterable[str]:
    yield (
        f"{result.designs:,} designs, {result.impossible:,} impossible; "
        f"{result.computed:,} computed at {result.computed / result.seconds:,.0f} per second"
    )


def _front(result: Exploration) -> Iterable[str]:
    measured = "oa" in result.front[0]
    worth = "measured OA" if measured else "estimated error of quantization"
    yield f"Pareto front of energy, delay, area and {worth}: {len(result.front)} designs"
    yield (
        f"  {'energy, nJ':>12} {'80 % interval':>17} {'delay, us':>12} {'area, mm2':>10} "
        f"{'OA' if measured else 'error':>6}  design"
    )
    for row in result.front[:MAX_SHOWN]:
        low, high = (bound / 1e3 for bound in row["energy_pj_interval"])
        design = ", ".join(f"{name.rpartition('.')[2]} {row[name]}" for name in result.axes)
        yield (
            f"  {row['energy_pj'] / 1e3:12.4g} {f'{low:.3g} to {high:.3g}':>17} "
            f"{row['delay_ns'] / 1e3:12.4g} {row['area_mm2']:10.3g} "
            f"{row['oa' if measured else 'quantization_error']:6.1%}  {design}"
        )
    if len(result.front) > MAX_SHOWN:
        yield f"  and {len(result.front) - MAX_SHOWN} more (--json has them)"


def _effects(result: Exploration) -> Iterable[str]:
    title = "Energy factor with one axis moved, the others as in the file"
    yield title
    yield f"  {'axis':32}{'lowest':>8}    {'highest'}"
    for name, low, high in result.effects:
        yield f"  {name:32}{low:8.3f} to {high:.3f}"


def _regions(result: Exploration) -> Iterable[str]:
    for found in result.regions:
        quantities = " / ".join(name.replace("edp", "EDP") for name in found["factors"])
        needs = " / ".join(f"{factor:.2f}" for factor in found["factors"].values())
        yield (
            f"{found['claim']} read as {found['reading']} ({quantities} {needs}): "
            f"{found['points']:,} designs"
        )
        for name, bounds in found["bounds"].items():
            words = isinstance(bounds[0], str)
            yield f"  {name:32}{', '.join(bounds) if words else f'{bounds[0]} to {bounds[1]}'}"


def summarise_references(rows: Iterable[Reference]) -> str:
    """Return laws and table rows beside other sources."""
    title = "Laws and table against other sources"
    lines = [f"{title:78}{'reference':>10}{'ours':>10}{'factor':>8}"]
    for row in rows:
        label = f"{row.quantity}, {row.unit}: {row.law}"
        lines.append(
            f"  {label:76}{row.reference:10.6g}{row.ours:10.6g}{row.factor:8.3f}  {row.use}"
        )
    return "\n".join(lines)


def summarise_survey(rows: Sequence[SurveyRow]) -> str:
    """Return the rows of the ADC survey by band; the typical law was fitted to 2017."""
    lines = [
        f"ADC survey, fitted to: {survey_fit()['source'].partition(';')[0]}",
        f"{'effective bits':16}{'converters':>11}{'miss of the median':>20}"
        f"{'in the 80 % interval':>22}{'above the bound':>17}",
    ]
    for row in rows:
        lines.append(
            f"{row.enob:16}{row.converters:>11}{row.typical_factor:>20.2f}{row.inside:>22.0%}"
            f"{row.above_bound:>17.0%}"
        )
    return "\n".join(lines)
