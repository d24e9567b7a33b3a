"""Hardware and macro files: strict TOML, shipped with the package or written by the user."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pim_sim.errors import InputError
from pim_sim.hardware.adc import ADC
from pim_sim.hardware.bit_line_array import Array, BitLineArray
from pim_sim.hardware.cells import Cell
from pim_sim.hardware.chip import DRAM, Buffer, Chip, Core, EventCore, Links, NeuronUnits
from pim_sim.hardware.description import Digital, Hardware, Mapping, Memory, Noise
from pim_sim.hardware.macro import CellArray, Converter, Input, Logic, Macro
from pim_sim.schema import build_part, check_keys, check_table, refuse, shown

Built = TypeVar("Built")

SCHEMA = 1
_OF_HARDWARE = ("schema", "description", "node_nm", "memory", "digital")
_OF_HARDWARE_OPTIONAL = (
    "supply_v", "array", "adc", "macro", "digital_macro", "mapping", "noise", "complete",
)  # fmt: skip
_OF_MACRO = ("schema", "description", "node_nm", "supply_v", "array")
_OF_MACRO_OPTIONAL = (
    "input", "converter", "logic", "cycle_ns", "area_mm2", "copies", "measured",
)  # fmt: skip

_OF_CHIP = ("schema", "description", "node_nm", "supply_v", "chip")
_CHIP_PARTS: dict[str, type] = {
    "core": Core,
    "neurons": NeuronUnits,
    "activation_buffer": Buffer,
    "weight_buffer": Buffer,
    "dram": DRAM,
    "links": Links,
}

_TEXT = re.compile(r"""^((?:[^#"']|"")*)("[^"]+"|'[^']*')""")
_NUMBER = re.compile(r"([\w-]+)\s*=[\s\[]*[-+]?\.?\d")


@dataclass(frozen=True)
class TomlFiles:
    """The files of one kind, such as "hardware": names of the package, and paths of the user."""

    kind: str
    folder: Path
    sourced: bool = False
    """True if every number of a file must be followed by its unit and source in a comment."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the files that ship with the package."""
        return tuple(sorted(path.stem for path in self.folder.glob("*.toml")))

    def file(self, name_or_path: str | Path) -> Path:
        """Return the file of a known name, or the path itself where it ends in ``.toml``.

        Raises `InputError` for a name that is neither.
        """
        path = Path(name_or_path)
        if path.suffix == ".toml":
            return path
        if str(name_or_path) not in self.names():
            expected = f"a path ending in .toml or one of {', '.join(self.names())}"
            raise refuse(self.kind, str(name_or_path), expected)
        return self.folder / f"{name_or_path}.toml"

    def load(
        self, name_or_path: str | Path, build: Callable[[str, dict[str, Any]], Built]
    ) -> Built:
        """Build an object from a file's name and content.

        Raises `InputError`, one line that starts with the file, where it cannot be read or `build`
        refuses it.
        """
        path = self.file(name_or_path)
        try:
            text = path.read_text(encoding="utf-8")
            built = build(path.stem, tomllib.loads(text))
            if self.sourced:
                _require_sources(text)
            return built
        except OSError as error:
            raise InputError(f"{path}: {error.strerror or error}") from None
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except (ValueError, RecursionError) as error:
            # not TOML (with the line), not UTF-8, a huge integer, endless nesting
            raise InputError(f"{path}: not TOML: {shown(str(error))}") from None


def _require_sources(text: str) -> None:
    """Refuse a number, except the schema's, without a comment of two words after it."""
    for line in text.splitlines():
        code, _, comment = _without_text(line).partition("#")
        number = _NUMBER.search(code)
        if number and number[1] != "schema" and len(comment.split()) < 2:
            expected = "expected its unit and source in a comment after it"
            raise InputError(f"{number[1]}: found {shown(comment.strip())}, {expected}")


def _without_text(line: str) -> str:
    """Return the line without quoted text, up to a comment."""
    while (shorter := _TEXT.sub(r'\1""', line)) != line:
        line = shorter
    return line


HARDWARE = TomlFiles("hardware", Path(__file__).parent / "technologies", sourced=True)
"""The technologies that ship with the package."""
MACROS = TomlFiles("macro", Path(__file__).parent / "chips")
"""The measured chips that ship with the package."""
CHIPS = TomlFiles("chip", Path(__file__).parent / "systems", sourced=True)
"""The whole chips that ship with the package."""


def load_hardware(name_or_path: str | Path) -> Hardware:
    """Read and check a hardware file.

    Args:
        name_or_path: known name, as ``pim-sim hardware`` lists them, or path ending in .toml.

    Returns:
        The hardware.

    Raises:
        InputError: the file cannot be read, a field is unknown, missing or of a wrong type, or a
            number is outside the limits of its unit or without a comment of its unit and source;
            one line names file, table and field.

    >>> load_hardware("sram_65nm").memory.banks
    4
    """
    return HARDWARE.load(name_or_path, _hardware)


def load_macro(name_or_path: str | Path) -> Macro:
    """Read and check a macro file, by known name or by path; `InputError` as `load_hardware`."""
    return MACROS.load(name_or_path, _macro)


def load_chip(name_or_path: str | Path) -> Chip:
    """Read and check the file of a whole chip.

    Args:
        name_or_path: known name, as ``pim-sim chips`` lists them, or path ending in .toml.

    Returns:
        The chip.

    Raises:
        InputError: as of `load_hardware`; one line names file, table and field.

    >>> load_chip("edge_65nm").node_nm
    65.0
    """
    return CHIPS.load(name_or_path, _chip)


def _chip(name: str, content: dict[str, Any]) -> Chip:
    _check_fields(content, _OF_CHIP, ("macro", "mapping"))
    parts = check_table(content["chip"], "chip")
    try:
        check_keys(parts, ("clock_ns", *_CHIP_PARTS, *(("events",) if "events" in parts else ())))
    except InputError as error:
        raise InputError(f"chip: {error}") from None
    built: dict[str, Any] = {
        table: build_part(kind, f"chip.{table}", parts[table])
        for table, kind in _CHIP_PARTS.items()
    }
    return Chip(
        name=name,
        description=content["description"],
        node_nm=content["node_nm"],
        supply_v=content["supply_v"],
        clock_ns=parts["clock_ns"],  # type: ignore[arg-type]  # Chip checks every type itself
        events=_optional(EventCore, "events", parts),
        macro=_macro_table(name, "macro", content),
        mapping=build_part(Mapping, "mapping", content.get("mapping", {})),
        **built,
    )


def load_measured(name_or_path: str | Path) -> tuple[Macro, list[dict[str, Any]]]:
    """Read a macro file and its ``[[measured]]`` tables; `InputError` as `load_hardware`."""
    return MACROS.load(name_or_path, _macro_and_measured)


def _macro_and_measured(name: str, content: dict[str, Any]) -> tuple[Macro, list[dict[str, Any]]]:
    tables = content.get("measured", [])
    if not isinstance(tables, list):
        raise refuse("measured", tables, "tables [[measured]]")
    return _macro(name, content), [check_table(table, "measured") for table in tables]


def _hardware(name: str, content: dict[str, Any]) -> Hardware:
    _check_fields(content, _OF_HARDWARE, _OF_HARDWARE_OPTIONAL)
    return Hardware(
        name=name,
        description=content["description"],
        node_nm=content["node_nm"],
        memory=build_part(Memory, "memory", content["memory"]),
        digital=build_part(Digital, "digital", content["digital"]),
        engine=_engine(name, content),
        digital_macro=_macro_table(name, "digital_macro", content),
        mapping=build_part(Mapping, "mapping", content.get("mapping", {})),
        noise=build_part(Noise, "noise", content.get("noise", {})),
        complete=content.get("complete", True),
    )


def _engine(name: str, content: dict[str, Any]) -> BitLineArray | Macro:
    array, adc = _optional(Array, "array", content), _optional(ADC, "adc", content)
    macro = _macro_table(name, "macro", content)
    if array is not None and adc is not None and macro is None:
        return BitLineArray(array=array, adc=adc)
    if (array is None) != (adc is None):
        raise InputError("array and adc: found one, expected both or neither")
    if macro is None or array is not None:
        raise InputError("expected either the tables array and adc, or the table macro")
    return macro


def _macro_table(name: str, table: str, content: dict[str, Any]) -> Macro | None:
    """Build a macro at the node and supply of the file, where it has the table."""
    if table not in content:
        return None
    parts = check_table(content[table], table)
    shared = {key: content[key] for key in ("schema", "description", "node_nm")}
    if own := sorted(set(parts) & {*_OF_HARDWARE, "supply_v"}):
        raise InputError(f"{table}: unknown field {own[0]!r}: the file's own holds")
    if "supply_v" not in content:
        raise InputError(f"missing field 'supply_v', which the table {table!r} needs")
    try:
        return _macro(name, {**parts, **shared, "supply_v": content["supply_v"]})
    except InputError as error:
        raise InputError(f"{table}: {error}") from None


def _macro(name: str, content: dict[str, Any]) -> Macro:
    _check_fields(content, _OF_MACRO, _OF_MACRO_OPTIONAL)
    return Macro(
        name=name,
        description=content["description"],
        node_nm=content["node_nm"],
        supply_v=content["supply_v"],
        array=_cell_array(content["array"]),
        input=build_part(Input, "input", content.get("input", {})),
        converter=_optional(Converter, "converter", content),
        logic=build_part(Logic, "logic", content.get("logic", {})),
        cycle_ns=content.get("cycle_ns"),
        area_mm2=content.get("area_mm2"),
        copies=content.get("copies", 1),
    )


def _optional(kind: type[Built], table: str, content: dict[str, Any]) -> Built | None:
    return build_part(kind, table, content[table]) if table in content else None


def _cell_array(found: object) -> CellArray:
    """Build the cells of a macro: of a kind by name, or of their own kind in a table."""
    table = check_table(found, "array")
    if isinstance(cell := table.get("cell"), dict):
        table = {**table, "cell": build_part(Cell, "array.cell", cell)}
    return build_part(CellArray, "array", table)


def _check_fields(
    content: dict[str, Any], required: tuple[str, ...], optional: tuple[str, ...]
) -> None:
    if unknown := sorted(set(content) - {*required, *optional}):
        check_keys(unknown, (*required, *optional))
    check_keys(content, (*required, *(key for key in optional if key in content)))
    if type(content["schema"]) is not int or content["schema"] != SCHEMA:
        raise refuse("schema", content["schema"], f"{SCHEMA}, the version this program reads")
