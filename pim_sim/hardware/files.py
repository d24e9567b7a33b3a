"""Finding and reading hardware files."""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from pim_sim.catalogue import Catalogue
from pim_sim.checks import check_keys, check_table, refuse
from pim_sim.errors import InputError
from pim_sim.hardware.adc import ADC
from pim_sim.hardware.parts import Array, Digital, Hardware, Mapping, Memory, Noise
from pim_sim.macro.description import Macro
from pim_sim.macro.files import macro_from

SCHEMA = 1

HARDWARE = Catalogue("hardware", Path(__file__).parent, sourced=True)
"""The technologies that come with the package."""
_REQUIRED = ("schema", "description", "node_nm", "memory", "digital")
_OPTIONAL = ("supply_v", "array", "adc", "macro", "digital_macro", "mapping", "noise", "complete")

Part = TypeVar("Part")


def load_hardware(name_or_path: str | Path) -> Hardware:
    """Read and check a hardware file, by known name or by path.

    Raises `InputError`, one line naming file, table and field, for a file that cannot be read, an
    unknown or missing field, a wrong type, a number outside the limits of its unit, or one without
    a comment that says its unit and source.
    """
    return HARDWARE.load(name_or_path, _hardware)


def _hardware(name: str, content: dict[str, Any]) -> Hardware:
    if unknown := sorted(set(content) - {*_REQUIRED, *_OPTIONAL}):
        check_keys(unknown, (*_REQUIRED, *_OPTIONAL))
    check_keys(content, (*_REQUIRED, *(key for key in _OPTIONAL if key in content)))
    if type(content["schema"]) is not int or content["schema"] != SCHEMA:
        raise refuse("schema", content["schema"], f"{SCHEMA}, the version this program reads")
    return Hardware(
        name=name,
        description=content["description"],
        node_nm=content["node_nm"],
        memory=_part(Memory, "memory", content),
        digital=_part(Digital, "digital", content),
        array=_part(Array, "array", content) if "array" in content else None,
        adc=_part(ADC, "adc", content) if "adc" in content else None,
        macro=_macro(name, "macro", content),
        digital_macro=_macro(name, "digital_macro", content),
        mapping=_part(Mapping, "mapping", content) if "mapping" in content else Mapping(),
        noise=_part(Noise, "noise", content) if "noise" in content else Noise(),
        complete=content.get("complete", True),
    )


def _macro(name: str, table: str, content: dict[str, Any]) -> Macro | None:
    """A macro at the node and supply of the file."""
    if table not in content:
        return None
    parts = check_table(content[table], table)
    shared = {key: content[key] for key in ("schema", "description", "node_nm")}
    if own := sorted(set(parts) & {*_REQUIRED, "supply_v"}):
        raise InputError(f"{table}: unknown field {own[0]!r}: the file's own holds")
    if "supply_v" not in content:
        raise InputError(f"missing field 'supply_v', which the table {table!r} needs")
    try:
        return macro_from(name, {**parts, **shared, "supply_v": content["supply_v"]})
    except InputError as error:
        raise InputError(f"{table}: {error}") from None


def _part(kind: type[Part], table: str, content: dict[str, Any]) -> Part:
    values = check_table(content[table], table)
    allowed = [f.name for f in fields(kind) if f.default is MISSING or f.name in values]  # type: ignore[arg-type]
    try:
        check_keys(values, allowed)
    except InputError as error:
        raise InputError(f"{table}: {error}") from None
    return kind(**values)
