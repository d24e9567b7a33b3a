"""The subcommands ``validate`` and ``fit``, and their answers as text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pim_sim.cli.sources import AsJson, File

if TYPE_CHECKING:
    from pim_sim.validation import FittedChip, LeftOut, Missed, Silicon, Validation

_UNITS = {"energy": "fJ per MAC", "time": "ns per product of all rows", "area": "mm2"}


def validate(
    *,
    adc_survey: Path | None = None,
    svg: File = None,
    silicon_svg: File = None,
    as_json: AsJson = False,
) -> None:
    """Check the model against measured chips, left out of the fit by family, and its laws.

    Parameters
    ----------
    adc_survey
        B. Murmann's ADC survey as CSV, to check the converter laws against row by row.
    svg
        File for a picture of measured against predicted energy.
    silicon_svg
        File for a picture of the digital side beside shipped spiking chips and CNN accelerators.
    as_json
        Print one JSON object and nothing else.
    """
    from pim_sim.cli.charts import draw_parity, draw_silicon
    from pim_sim.cli.text import summarise_references, summarise_survey
    from pim_sim.validation import check_survey, survey_to_dict
    from pim_sim.validation import validate as validate_model

    survey = check_survey(adc_survey) if adc_survey else ()
    result = validate_model()
    if svg is not None:
        draw_parity(result, svg)
    if silicon_svg is not None:
        draw_silicon(result.silicon, silicon_svg)
    if as_json:
        rows = {"adc_survey": survey_to_dict(survey)} if survey else {}
        print(json.dumps(result.to_dict() | rows))
        return
    print(f"{summarise_validation(result)}\n\n{summarise_references(result.references)}")
    if survey:
        print(f"\n{summarise_survey(survey)}")


def fit(file: str, *, out: File = None, as_json: AsJson = False) -> None:
    """Fit the model's constants to a chip of yours: a macro file with tables [[measured]].

    Parameters
    ----------
    file
        Path ending in .toml; each [[measured]] has input_bits, weight_bits, figures (tops_per_watt
        or fj_per_mac, tops, area_mm2), and supply_v, mean or part where they differ.
    out
        File for the constants, for `pim-sim macro --scales`.
    as_json
        Print one JSON object and nothing else.
    """
    from pim_sim.io import write_json
    from pim_sim.validation import fit_file

    result = fit_file(file)
    if out is not None:
        write_json(out, result.to_dict())
    print(json.dumps(result.to_dict()) if as_json else summarise_fit(result))


def summarise_validation(result: Validation) -> str:
    """Return factor errors by family and quantity, and the digital side beside shipped chips."""
    sections = [_heading(result)]
    sections += [_families(left_out) for left_out in result.left_out.values()]
    sections += [_silicon(result.silicon), layer_beside_accelforge(result.layer)]
    return "\n\n".join("\n".join(section) for section in sections)


def _heading(result: Validation) -> Iterable[str]:
    yield "Measured macros, each family predicted by a fit that has not seen it"
    yield f"{'geometric mean factor error':44}{'energy':>9}{'time':>9}{'area':>9}"
    every = list(result.left_out.values())
    for words, volatile, doubtful in (
        ("SRAM and digital", True, False),
        ("with doubtful families", True, True),
        ("non-volatile", False, False),
    ):
        values = [f"{found.geomean(volatile, doubtful):9.2f}" for found in every]
        yield f"  {words:42}{''.join(values)}"
    yield "share inside their 80 % intervals"
    for words, volatile in (("SRAM and digital", True), ("non-volatile", False)):
        values = [f"{found.coverage(volatile):9.0%}" for found in every]
        yield f"  {words:42}{''.join(values)}"
    values = [f"{found.count():9}" for found in every]
    yield f"{'families, SRAM and digital':44}{''.join(values)}"


def _families(found: LeftOut) -> Iterable[str]:
    title = f"Left out: {found.quantity}, {_UNITS[found.quantity]}"
    yield f"{title:40}{'factor':>8}{'over/under':>12}{'interval':>10}{'inside':>8}"
    for missed in sorted(found.missed, key=lambda m: (not m.volatile, m.doubtful, m.factor)):
        yield _family(missed)


def _family(missed: Missed) -> str:
    note = "" if not missed.doubtful else "  doubtful: not counted"
    label = f"{missed.family} ({missed.kind.replace('_', ' ')})"
    return (
        f"  {label:38}{missed.factor:8.2f}{missed.predicted_over_measured:12.2f}"
        f"{missed.spread:10.2f}{missed.inside:8.0%}{note}"
    )


def _silicon(rows: Iterable[Silicon]) -> Iterable[str]:
    title = "Digital cores beside measured chips, pJ per operation"
    yield f"{title:58}{'measured':>10}{'ours':>10}{'factor':>8}"
    for row in sorted(rows, key=lambda row: (row.operation, row.factor)):
        bits = f"{row.bits[0]} x {row.bits[1]} b" if row.operation == "MAC" else f"{row.bits[1]} b"
        label = f"{row.chip}, {row.operation}, {row.node_nm:g} nm, {row.supply_v:g} V, {bits}"
        yield f"  {label:56}{row.measured_pj:10.4g}{row.ours_pj:10.4g}{row.factor:8.2f}"


def layer_beside_accelforge(layer: dict[str, Any]) -> Iterable[str]:
    """Yield the first layer on Indian Pines beside the answer of another simulator."""
    yield f"First layer on Indian Pines ({layer['macs']:,} products) at 8 bits on Wang's macro"
    yield f"  {'':18}{'ours':>10}{'AccelForge':>12}"
    theirs = layer["accelforge_parts_nj"]
    for name, energy in layer["parts_nj"].items():
        other = f"{theirs[name]:12.1f}" if name in theirs else f"{'-':>12}"
        yield f"  {name.replace('_', ' ') + ', nJ':18}{energy:10.1f}{other}"
    yield f"  {'energy, nJ':18}{layer['energy_nj']:10.1f}{layer['accelforge_energy_nj']:12.1f}"
    yield f"  {'delay, us':18}{layer['delay_us']:10.1f}{layer['accelforge_delay_us']:12.1f}"


def summarise_fit(result: FittedChip) -> str:
    """Return the figures before and after the fit, and the constants that moved."""
    found = result.to_dict()
    lines = [f"{'figure':58}{'measured':>10}{'before':>10}{'after':>10}{'factor':>8}"]
    for row in result.figures:
        label = f"{row.quantity}, {_UNITS[row.quantity]}: {row.condition}"
        lines.append(
            f"  {label:56}{row.measured:10.4g}{row.before:10.4g}{row.after:10.4g}"
            f"{row.factors()[1]:8.2f}"
        )
    lines += ["", f"{'constant':32}{'package':>10}{'this chip':>10}"]
    for name, (before, after) in found["moved"].items():
        lines.append(f"  {name:30}{before:10.4g}{after:10.4g}")
    return "\n".join(lines)
