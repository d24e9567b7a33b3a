"""The subcommands; each imports its rooms when it is called, so that help stays fast."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from pim_sim.cli.sources import (
    DESIGN,
    LARGE,
    NO_SOURCE,
    SEARCH,
    AsJson,
    File,
    From,
    Technology,
)
from pim_sim.errors import InputError

if TYPE_CHECKING:
    from pim_sim.sweep import Exploration


def sweep(
    *,
    axis: Annotated[list[str], Parameter(negative=(), group=DESIGN)],
    source: From = NO_SOURCE,
    hardware: Technology = "sram_65nm",
    claim: Annotated[str, Parameter(group=SEARCH)] = "ace_snn",
    accuracy: Annotated[Path | None, Parameter(group=SEARCH)] = None,
    parquet: Annotated[Path | None, Parameter(group=LARGE)] = None,
    scheduler: Annotated[str | None, Parameter(group=LARGE)] = None,
    csv: File = None,
    svg: File = None,
    front_svg: File = None,
    as_json: AsJson = False,
) -> None:
    """Compute the first layer at every combination of fields of its hardware.

    Parameters
    ----------
    axis
        NAME=VALUE,VALUE,... or NAME=LOW:HIGH[:STEP], once per field; names are fields of the
        hardware file, like macro.array.rows, of the layer, like layer.weight_bits, or of the
        scales, like scales.converter.
    hardware
        Known name, or a path ending in .toml.
    claim
        Improvement to search for: factors like energy=1.30,delay=1.07,edp=1.38, or the name of a
        published claim, read as factors and as savings.
    accuracy
        File of overall accuracy measured over ADC bits and rows, to choose by; by default an
        estimated error of quantization.
    parquet
        Folder for the points of a large sweep, computed on Dask; rerun the same command to resume.
    scheduler
        Address of a Dask scheduler, for --parquet; by default the cores of this machine.
    csv
        File for all points, one line each.
    svg
        File for a picture: the energy over a single axis, or the first two axes with the designs
        that reach the claim.
    front_svg
        File for a picture of energy over accuracy, with the Pareto front.
    as_json
        Print one JSON object and nothing else.
    """
    from pim_sim.cli.curves import draw_front, draw_sweep
    from pim_sim.cli.text import summarise_exploration
    from pim_sim.hardware import load_hardware
    from pim_sim.sweep import MeasuredAccuracy, explore, explore_large, parse_claim, write_csv

    claims = parse_claim(claim)
    measured = MeasuredAccuracy.from_json(accuracy) if accuracy is not None else None
    layer, found = source.read().layers[0], load_hardware(hardware)
    result: Exploration
    if parquet is None:
        if scheduler is not None:
            raise InputError(f"--scheduler: found {scheduler!r} without --parquet FOLDER")
        explored = explore(layer, found, axis, accuracy=measured, claims=claims)
        if svg is not None:
            draw_sweep(explored, svg)
        if front_svg is not None:
            draw_front(explored, front_svg)
        if csv is not None:
            write_csv(explored.points, csv)
        result = explored.result
    elif (csv or svg or front_svg) is not None:
        raise InputError("--parquet: found --csv or --svg beside it, expected one of them")
    else:
        result = explore_large(
            layer, found, axis, parquet, scheduler=scheduler, accuracy=measured, claims=claims
        )
    print(json.dumps(result.to_dict()) if as_json else summarise_exploration(result))


def macro(
    file: str | None = None,
    *,
    input_bits: int = 8,
    weight_bits: int = 8,
    scales: Path | None = None,
    as_json: AsJson = False,
) -> None:
    """Price one compute-in-memory macro at full use, or list those of the package.

    Parameters
    ----------
    file
        Path ending in .toml, or a known name.
    input_bits
        Bits of an input value.
    weight_bits
        Bits of a weight.
    scales
        File of constants from `pim-sim fit --out`; by default those fitted to measured chips.
    as_json
        Print one JSON object and nothing else.
    """
    from pim_sim.cli.text import summarise_price
    from pim_sim.cost_model import load_scales, price
    from pim_sim.hardware import MACROS, load_macro

    if file is None:
        for name in MACROS.names():
            print(f"{name:20}{load_macro(name).description}")
        return
    described = load_macro(file)
    constants = None if scales is None else load_scales(scales)
    try:
        priced = price(described, input_bits, weight_bits, constants)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    print(json.dumps(priced.to_dict()) if as_json else summarise_price(described, priced))


def fields(hardware: str = "sram_65nm", *, as_json: AsJson = False) -> None:
    """List the fields of a hardware file that a sweep can move, with their values.

    Parameters
    ----------
    hardware
        Known name, or a path ending in .toml.
    as_json
        Print one JSON object and nothing else.
    """
    from pim_sim.hardware import load_hardware
    from pim_sim.sweep import axis_fields

    found = axis_fields(load_hardware(hardware))
    if as_json:
        print(json.dumps({field.name: field.value for field in found}))
        return
    for field in found:
        value = "default" if field.value is None else field.value
        print(f"{field.name:40}{value!s:>14}  {field.meaning}".rstrip())


def list_hardware() -> None:
    """List the hardware files of the package."""
    from pim_sim.hardware import HARDWARE, load_hardware

    for name in HARDWARE.names():
        print(f"{name:20}{load_hardware(name).description}")


def list_chips() -> None:
    """List the chip files of the package."""
    from pim_sim.hardware import CHIPS, load_chip

    for name in CHIPS.names():
        print(f"{name:20}{load_chip(name).description}")


def show_chip(name: str) -> None:
    """Print a chip file, with the unit and source of every number.

    Parameters
    ----------
    name
        Known name, or a path ending in .toml.
    """
    from pim_sim.hardware import CHIPS, load_chip

    load_chip(name)  # prints only files that pass their check
    print(CHIPS.file(name).read_text(encoding="utf-8"), end="")


def check_chip(file: str) -> None:
    """Check a chip file.

    Parameters
    ----------
    file
        Path ending in .toml, or a known name.
    """
    from pim_sim.hardware import load_chip

    print(f"{file}: {load_chip(file).description}")


def show(name: str) -> None:
    """Print a hardware file, with the unit and source of every number.

    Parameters
    ----------
    name
        Known name, or a path ending in .toml.
    """
    from pim_sim.hardware import HARDWARE, load_hardware

    load_hardware(name)  # prints only files that pass their check
    print(HARDWARE.file(name).read_text(encoding="utf-8"), end="")


def check(file: str) -> None:
    """Check a hardware file.

    Parameters
    ----------
    file
        Path ending in .toml, or a known name.
    """
    from pim_sim.hardware import load_hardware

    print(f"{file}: {load_hardware(file).description}")
