"""Reading macro files: strict TOML, one table a part."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from pim_sim.catalogue import Catalogue
from pim_sim.checks import check_keys, check_table, refuse
from pim_sim.errors import InputError
from pim_sim.macro.description import CellArray, Converter, Input, Logic, Macro

SCHEMA = 1
MACROS = Catalogue("macro", Path(__file__).parent / "chips")
"""The measured chips that come with the package."""
_REQUIRED = ("schema", "description", "node_nm", "supply_v", "array")
_OPTIONAL = ("input", "converter", "logic", "cycle_ns", "area_mm2", "copies")

Part = TypeVar("Part")


def load_macro(name_or_path: str | Path) -> Macro:
    """Read and check a macro file, by known name or by path.

    Raises `InputError`, one line naming file, table and field.
    """
    return MACROS.load(name_or_path, macro_from)


def macro_from(name: str, content: dict[str, Any]) -> Macro:
    """The macro of a file's content."""
    given = [key for key in _OPTIONAL if key in content]
    check_keys(content, (*_REQUIRED, *given) if not set(content) - set(_known()) else _known())
    if type(content["schema"]) is not int or content["schema"] != SCHEMA:
        raise refuse("schema", content["schema"], f"{SCHEMA}, the version this program reads")
    return Macro(
        name=name,
        description=content["description"],
        node_nm=content["node_nm"],
        supply_v=content["supply_v"],
        array=_part(CellArray, "array", content["array"]),
        input=_part(Input, "input", content.get("input", {})),
        converter=(
            _part(Converter, "converter", content["converter"]) if "converter" in content else None
        ),
        logic=_part(Logic, "logic", content.get("logic", {})),
        cycle_ns=content.get("cycle_ns"),
        area_mm2=content.get("area_mm2"),
        copies=content.get("copies", 1),
    )


def _known() -> tuple[str, ...]:
    return (*_REQUIRED, *_OPTIONAL)


def _part(kind: type[Part], table: str, found: object) -> Part:
    values = check_table(found, table)
    every = fields(kind)  # type: ignore[arg-type]
    try:
        if unknown := sorted(set(values) - {field.name for field in every}):
            check_keys(unknown, [field.name for field in every])
        check_keys(values, [f.name for f in every if f.default is MISSING or f.name in values])
    except InputError as error:
        raise InputError(f"{table}: {error}") from None
    return kind(**values)
