"""Measured in-memory chips: `macros.csv`, each row as the macro that `pim_sim` prices.

The columns of the table and its sources are described in docs/pim_sim.md. A row that a source
contradicts is marked "n" for that quantity and never used, one with a doubt "?".
"""

from __future__ import annotations

import csv
import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pim_sim.hardware import CellArray, Converter, Input, Logic, Macro
from pim_sim.hardware.macro import ConverterKind, Signed

Quantity = Literal["energy", "time", "area"]
QUANTITIES: tuple[Quantity, ...] = ("energy", "time", "area")
_FOLDER = Path(__file__).parent
_CELLS = {
    "charge": "charge", "c2c": "c2c", "digital": "digital", "rram": "rram", "pcm": "pcm",
    "mram": "mram", "flash": "rram", "edram": "sram_8t",
}  # fmt: skip
_KINDS: dict[str, ConverterKind] = {"flash": "flash", "integrating": "ramp", "oscillator": "ramp"}
_NON_VOLATILE = ("rram", "pcm", "mram", "flash")
_CONVERTED_IN_TURN = ("xnorsram", "hsieh")
"""Families whose columns settle at once and pass one converter in turn; in all others a converter
serves the columns of further words."""
_TWO_CELLS: dict[str, Signed] = {"imec_22nm": "differential_columns",
              "neurram": "differential_rows"}  # fmt: skip
_SUPPLY_V = {"neurram": 1.8, "correll22": 1.0, "ibm_14nm_pcm": 0.8}
"""Supplies that no source lists (assumed)."""
_CONVERTER_BITS = {"su_28nm_384kb": 5}
"""Of rows that list the bits of the digital output; 5 by the family's other source."""
_OUTPUT_MEAN = {"out0": 0.02, "out6": 0.612, "out15": 0.968}
"""Mean input at an output code of Sinangil, sqrt(code) / 4 (CiMLoop, MIT)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """One row: a chip under some conditions, and what was measured of it."""

    name: str
    family: str
    """Chips of one line; errors and the fit count families."""
    chip: str
    kind: str
    source: str
    """DOI or document, and the databases that list the figures."""
    macro: Macro
    """The chip, its step as long as measured."""
    input_bits: int
    weight_bits: int
    fj_per_mac: float | None
    product_ns: float | None
    """Time of one product of all rows with a whole input."""
    area_mm2: float | None
    use: dict[str, str]
    """``y``, ``?`` or ``n`` for each quantity."""
    parts: tuple[tuple[tuple[str, ...], float], ...]
    """Printed energies of components, in fJ per multiply-accumulate."""

    @property
    def volatile(self) -> bool:
        """True for SRAM and digital macros, false for those read through resistive devices."""
        return self.kind not in _NON_VOLATILE

    def value(self, quantity: Quantity) -> float | None:
        """Return the measured value: fJ per multiply-accumulate, ns or mm2."""
        values = {"energy": self.fj_per_mac, "time": self.product_ns, "area": self.area_mm2}
        return values[quantity] if self.use[quantity] in ("y", "?") else None


@functools.cache
def measured_chips() -> tuple[Measured, ...]:
    """Return every row that can be used for something, in the order of the file."""
    parts: dict[str, list[tuple[tuple[str, ...], float]]] = {}
    for entry in tomllib.loads((_FOLDER / "parts.toml").read_text(encoding="utf-8"))["part"]:
        parts.setdefault(entry["row"], []).append((tuple(entry["parts"]), entry["fj_per_mac"]))
    with (_FOLDER / "macros.csv").open(encoding="utf-8", newline="") as file:
        rows = [_numbers(row) for row in csv.DictReader(file)]
    found = [_measured(row, tuple(parts.get(row["id"], ()))) for row in rows]
    return tuple(row for row in found if any(row.value(q) for q in QUANTITIES))


def _numbers(row: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, text in row.items():
        try:
            found[name] = float(text) if text else None
        except ValueError:
            found[name] = text
    return found


def _measured(row: dict[str, Any], parts: tuple[tuple[tuple[str, ...], float], ...]) -> Measured:
    step_bits = int(row["in_bits_step"] or (row["in_bits"] if row["family"] == "neurram" else 1))
    input_bits = int(row["in_bits"] or step_bits)
    weight_bits = int(row["w_bits"] or row["w_bits_step"] or 4)
    if row["tops_w"] is None and row["tops_w_1b"] is not None:
        input_bits, weight_bits = step_bits, int(row["w_bits_step"])
    fj_per_mac = None
    if row["tops_w_1b"] is not None or row["tops_w"] is not None:
        fj_per_mac = 2e3 / (row["tops_w"] or row["tops_w_1b"] / (step_bits * weight_bits))
    macro = _macro(row, weight_bits)
    return Measured(
        name=row["id"],
        family=row["family"],
        chip=row["chip"],
        kind=row["kind"],
        source=f"{row['doi'] or row['venue']}; {row['source']}",
        macro=macro,
        input_bits=input_bits,
        weight_bits=weight_bits,
        fj_per_mac=fj_per_mac,
        product_ns=_product_ns(row, macro, input_bits),
        area_mm2=row["area_mm2"],
        use={quantity: row[f"use_{quantity}"] for quantity in QUANTITIES},
        parts=parts,
    )


def _product_ns(row: dict[str, Any], macro: Macro, input_bits: int) -> float | None:
    if row["family"] == "neurram":  # 48 cores of 128 rows in pairs and 256 columns
        macs = macro.array.rows * macro.array.columns * row["arrays"]
        return float(2e-3 * macs / (row["tops_1b"] / (input_bits * 4)))
    if row["step_ns"] is None:
        return None
    steps = 1 if row["family"] == "ibm_14nm_pcm" else -(-input_bits // macro.input.bits_per_step)
    return float(row["step_ns"] * max(1, macro.conversions_in_turn) * steps)


def _macro(row: dict[str, Any], weight_bits: int) -> Macro:
    kind, family = row["kind"], row["family"]
    analog = kind != "digital"
    bits = int(row["w_bits_step"] or weight_bits)
    merged = 1 if kind in ("rram", "pcm", "flash") else bits
    chained = family == "colonnade"
    signed: Signed = _TWO_CELLS.get(family, "offset")
    rows = int(row["rows_on"] or row["rows"])
    outputs = int(row["outputs_step"] or row["cols"] // merged)
    turns = int(row["cols"] // (outputs * merged)) if family in _CONVERTED_IN_TURN else 1
    if signed == "differential_rows":
        rows = rows // 2
    columns = (
        int(row["cols"])
        if chained
        else outputs * turns * merged * (2 if signed == "differential_columns" else 1)
    )
    places = rows * columns * (2 if signed == "differential_rows" else 1)
    array = CellArray(
        cell=_cell(row),
        rows=rows,
        columns=columns,
        columns_merged=1 if chained else merged,
        bits_per_cell=bits if merged < bits else 1,
        signed=signed,
        read_ns=10.0 if family == "neurram" else None,
        depth=max(1, round(row["rows"] * row["cols"] / places)),
    )
    supply_v = row["supply_v"] or _SUPPLY_V[family]
    return Macro(
        name=row["id"],
        description=row["chip"],
        node_nm=row["node_nm"],
        supply_v=supply_v,
        array=array,
        input=_input(row),
        converter=_converter(row, outputs) if analog else None,
        logic=Logic(
            adder="chain" if chained else "tree",
            rows_per_register=8 if chained else None,
            booth=family == "tu22",
        ),
        cycle_ns=row["step_ns"] * turns if row["step_ns"] else None,
        copies=int(row["arrays"]),
    )


def _cell(row: dict[str, Any]) -> str:
    if row["kind"] == "bitline":
        return "sram_6t" if row["cell"] == "6T" else "sram_8t"
    return _CELLS[row["kind"]]


def _input(row: dict[str, Any]) -> Input:
    if row["family"] == "neurram":
        magnitude = max(1, int(row["in_bits"]) - 1)
        return Input(sign_magnitude=True, steps_per_conversion=magnitude)
    bits = int(row["in_bits_step"] or 1)
    mean = next((m for code, m in _OUTPUT_MEAN.items() if row["id"].endswith(code)), 0.5)
    if bits == 1 or row["kind"] == "digital":
        return Input(bits_per_step=bits, mean=mean)
    if row["family"] == "sinangil_7nm":
        return Input(encoding="pulse_count", bits_per_step=bits, mean=mean)
    timed = row["kind"] in ("bitline", "pcm")
    return Input(encoding="pulse_width" if timed else "dac", bits_per_step=bits, mean=mean)


def _converter(row: dict[str, Any], outputs: int) -> Converter:
    bits = _CONVERTER_BITS.get(row["family"], round(row["adc_bits"]))
    return Converter(bits=bits, kind=_KINDS.get(row["adc_kind"], "sar"), count=outputs)
