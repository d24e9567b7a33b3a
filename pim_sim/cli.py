"""The command line: ``pim-sim run``, ``sweep``, ``macro``, ``validate`` and ``hardware``.

Exit codes: 0 done, 2 the user's input is wrong (one line on stderr), 1 a defect, 130 Ctrl-C.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter

from pim_sim.draw import draw_breakdown
from pim_sim.errors import InputError
from pim_sim.hardware import HARDWARE, load_hardware
from pim_sim.io import exit_codes
from pim_sim.macro import MACROS, load_macro, price
from pim_sim.model import simulate
from pim_sim.source import Source
from pim_sim.summary import summarise, summarise_price, summarise_validation, write_breakdown

From = Annotated[Source, Parameter(name="*")]
NOWHERE = Source()

app = App(
    name="pim-sim",
    help="Energy and delay of a network's first layer, digital and in memory.",
    version_flags=(),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # `main` says that it was Ctrl-C
)
hardware_app = App(name="hardware", help="List, show and check hardware files.")
app.command(hardware_app)


@app.command
def run(
    *,
    source: From = NOWHERE,
    hardware: str = "sram_65nm",
    csv: Path | None = None,
    svg: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Simulate the first layer of a run, a workload file or a checkpoint.

    Parameters
    ----------
    hardware
        Known name, or a path ending in .toml.
    csv
        File for the breakdown, one line a component of each design.
    svg
        File for the same as a picture.
    as_json
        Print one JSON object and nothing else.
    """
    report = simulate(source.read(), load_hardware(hardware))
    if csv is not None:
        write_breakdown(report, csv)
    if svg is not None:
        draw_breakdown(report, svg)
    print(json.dumps(report.to_dict()) if as_json else summarise(report))


@app.command
def sweep(
    *,
    axis: Annotated[list[str], Parameter(negative=())],
    source: From = NOWHERE,
    hardware: str = "sram_65nm",
    csv: Path | None = None,
    svg: Path | None = None,
    parquet: Path | None = None,
    scheduler: str | None = None,
    accuracy: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Compute the first layer at every combination of fields of its hardware.

    Parameters
    ----------
    axis
        NAME=VALUE,VALUE,... or NAME=LOW:HIGH[:STEP], once for each field; names are fields of the
        hardware file, like macro.array.rows, of the layer, like layer.weight_bits, or of the
        scales, like scales.converter.
    hardware
        Known name, or a path ending in .toml.
    csv
        File for all points, one line each.
    svg
        File for a picture of the first two axes, with where ACE-SNN's figures hold.
    parquet
        Folder for the points of a large sweep, computed on Dask; the same command goes on with one
        that was stopped.
    scheduler
        Address of your own Dask scheduler, for --parquet; by default the cores of this machine.
    accuracy
        File of overall accuracy measured over ADC bits and rows (scripts/analog_accuracy.py), to
        choose by; by default an estimated error of quantization.
    as_json
        Print one JSON object and nothing else.
    """
    from pim_sim.sweep.accuracy import MeasuredAccuracy  # numpy
    from pim_sim.sweep.command import explore, explore_large

    measured = MeasuredAccuracy.from_json(accuracy) if accuracy is not None else None
    layer, found = source.read().layers[0], load_hardware(hardware)
    if parquet is None:
        if scheduler is not None:
            raise InputError(f"--scheduler: found {scheduler!r} without --parquet FOLDER")
        explored = explore(layer, found, axis, table=csv, picture=svg, accuracy=measured)
    elif csv is not None or svg is not None:
        raise InputError("--parquet: found --csv or --svg beside it, expected one of them")
    else:
        explored = explore_large(layer, found, axis, parquet, scheduler, measured)
    print(json.dumps(explored.to_dict()) if as_json else explored.summary())


@app.command
def macro(
    file: str | None = None,
    *,
    input_bits: int = 8,
    weight_bits: int = 8,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Price one compute-in-memory macro at full use; without a file, list those that ship.

    Parameters
    ----------
    file
        Path ending in .toml, or a known name.
    input_bits
        Bits of an input value.
    weight_bits
        Bits of a weight.
    as_json
        Print one JSON object and nothing else.
    """
    if file is None:
        for name in MACROS.names():
            print(f"{name:20}{load_macro(name).description}")
        return
    described = load_macro(file)
    try:
        priced = price(described, input_bits, weight_bits)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    print(json.dumps(priced.to_dict()) if as_json else summarise_price(described, priced))


@app.command
def validate(
    *,
    adc_survey: Path | None = None,
    svg: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> None:
    """Check the model against measured chips, fitted to each and to all but each, and its laws.

    Parameters
    ----------
    adc_survey
        B. Murmann's ADC survey as CSV, to check the converter laws against row by row.
    svg
        File for a picture of measured against predicted energy.
    as_json
        Print one JSON object and nothing else.
    """
    from pim_sim import validation  # fits for half a second

    survey = validation.check_survey(adc_survey) if adc_survey else ()
    result = validation.validate()
    if svg is not None:
        validation.draw_parity(result, svg)
    if as_json:
        rows = {"adc_survey": validation.survey_to_dict(survey)} if survey else {}
        print(json.dumps(result.to_dict() | rows))
    else:
        laws = validation.summarise_references(result.references)
        print(f"{summarise_validation(result)}\n\n{laws}")
        if survey:
            print(f"\n{validation.summarise_survey(survey)}")


@hardware_app.default
@hardware_app.command(name="list")
def list_hardware() -> None:
    """List the hardware files that come with the package."""
    for name in HARDWARE.names():
        print(f"{name:20}{load_hardware(name).description}")


@hardware_app.command
def show(name: str) -> None:
    """Print a hardware file, with the unit and source of every number.

    Parameters
    ----------
    name
        Known name, or a path ending in .toml.
    """
    load_hardware(name)  # so that what is shown is known to be right
    print(HARDWARE.file(name).read_text(encoding="utf-8"), end="")


@hardware_app.command
def check(file: str) -> None:
    """Check a hardware file of your own.

    Parameters
    ----------
    file
        Path ending in .toml, or a known name.
    """
    print(f"{file}: {load_hardware(file).description}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the codes of `pim_sim.io.exit_codes`."""
    with exit_codes("pim-sim", CycloptsError):
        app(arguments, exit_on_error=False, print_error=False)
