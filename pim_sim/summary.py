"""A report as text for the terminal, and its breakdown as a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pim_sim.atomic import replacing
from pim_sim.macro import Macro, Price
from pim_sim.mapping import Placement
from pim_sim.results import ACE_SNN_PERCENT, Design, Report

if TYPE_CHECKING:
    from pim_sim.validation import Validation


def summarise(report: Report) -> str:
    """Totals, both readings of "better by" beside ACE-SNN's, the breakdown and the placement."""
    sections = (_heading, _totals, _published, _breakdown, _placement, _sureness)
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


def _published(_: Report) -> Iterable[str]:
    energy, delay, edp = ACE_SNN_PERCENT.values()
    as_factors = [1 + percent / 100 for percent in (energy, delay)]
    as_savings = [1 - percent / 100 for percent in (energy, delay)]
    yield f"ACE-SNN reports {energy} / {delay} / {edp} % better energy / delay / EDP:"
    product = as_factors[0] * as_factors[1]
    yield f"  read as factors {as_factors[0]:.2f} x {as_factors[1]:.2f} = {product:.2f}"
    product = 1 - as_savings[0] * as_savings[1]
    yield f"  read as savings 1 - {as_savings[0]:.2f} x {as_savings[1]:.2f} = {product:.1%}"


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


def _placement(report: Report) -> Iterable[str]:
    used, layout = report.utilisation, report.utilisation.layout
    if isinstance(layout, Placement):
        yield (
            f"In memory: {layout.columns_per_group} columns a sum, {layout.groups_per_row} sums a "
            f"functional read, {layout.word_rows} word rows on {_arrays(layout.arrays)};"
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
        f"{used.products_per_conversion:.4g} products a conversion, "
        f"{used.input_drives:.4g} drives an input value"
    )


def _arrays(count: int) -> str:
    return f"{count} array{'s' if count > 1 else ''}"


def _sureness(report: Report) -> Iterable[str]:
    sure = report.interval
    bounds = [
        f"{name} {low:.2f} to {high:.2f}"
        for name, (low, high) in (("energy", sure.energy), ("delay", sure.delay), ("EDP", sure.edp))
    ]
    yield f"80 % interval of the factors: {', '.join(bounds)}; energy is decided by"
    for name, low, high in sure.decided_by:
        yield f"  {name.replace('_', ' ')}: factor {low:.2f} to {high:.2f}"
    network = report.network
    yield (
        f"Network: {network.digital_first_pj / 1e3:,.4g} nJ with the first layer digital, "
        f"{network.in_memory_first_pj / 1e3:,.4g} nJ with it in memory"
    )


def write_breakdown(report: Report, path: Path) -> None:
    """The breakdown as CSV, one line a component; `InputError` if it cannot be written."""
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("hardware", "design", "component", "energy_pj", "delay_ns"))
        for name, design in (("digital", report.digital), ("in_memory", report.in_memory)):
            for part, cost in design.components.items():
                writer.writerow((report.hardware, name, part, cost.energy_pj, cost.delay_ns))


def summarise_price(macro: Macro, price: Price) -> str:
    """A macro's figures and where its energy goes."""
    lines = [
        f"{macro.name}: {macro.description}",
        "",
        f"{price.tops_per_watt:.4g} TOPS/W, {price.tops:.4g} TOPS, "
        f"{price.tops_per_mm2:.4g} TOPS/mm2 ({price.area_mm2:.4g} mm2)",
        f"{price.energy_per_mac_fj:.4g} fJ a multiply-accumulate, {price.cycle_ns:.4g} ns a step",
        "",
    ]
    for name, energy in price.breakdown_fj.items():
        share = energy / price.energy_per_mac_fj
        lines.append(f"{name.replace('_', ' '):20}{energy:10.4g} fJ{share:8.1%}")
    return "\n".join(lines)


def summarise_validation(result: Validation) -> str:
    """Factor errors by chip, and every prediction made without its chip."""
    lines = [f"{'factor error of TOPS/W':26}{'calibrated':>12}{'left out':>12}"]
    for name, error in result.calibrated.items():
        lines.append(f"{name:26}{error:12.3f}{result.left_out[name]:12.3f}")
    lines += [f"{'geometric mean':38}{result.left_out_geomean:12.3f}", ""]
    for title, rows in (
        ("Predicted with the scales of the other chips", result.predictions),
        ("Never fitted to", result.checks),
    ):
        lines.append(f"{title + ', fJ a MAC':58}{'measured':>10}{'model':>10}{'factor':>8}")
        for row in rows:
            label = f"{row.chip}, {row.condition}"
            figures = f"{row.measured_fj:10.4g}{row.predicted_fj:10.4g}{row.factor_error:8.2f}"
            lines += [f"  {label:56}{figures}" + f"  {' + '.join(row.parts)}".replace("_", " ")]
        lines.append("")
    lines += _layer_beside_accelforge(result.layer)
    return "\n".join(lines)


def _layer_beside_accelforge(layer: dict[str, Any]) -> Iterable[str]:
    yield f"First layer on Indian Pines ({layer['macs']:,} products) at 8 bits on Wang's macro"
    yield f"  {'':18}{'ours':>10}{'AccelForge':>12}"
    theirs = layer["accelforge_parts_nj"]
    for name, energy in layer["parts_nj"].items():
        other = f"{theirs[name]:12.1f}" if name in theirs else f"{'-':>12}"
        yield f"  {name.replace('_', ' ') + ', nJ':18}{energy:10.1f}{other}"
    yield f"  {'energy, nJ':18}{layer['energy_nj']:10.1f}{layer['accelforge_energy_nj']:12.1f}"
    yield f"  {'delay, us':18}{layer['delay_us']:10.1f}{layer['accelforge_delay_us']:12.1f}"
