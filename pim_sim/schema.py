"""Strict checks shared by the readers of workloads, hardware and accuracy files.

Each check raises `InputError` with one line: the field, the value found, the value expected.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from pim_sim.errors import InputError

Part = TypeVar("Part")

MAX_INTEGER = 2**31 - 1
_MAX_SHOWN = 60

# Wide enough for any memory or converter ever built, narrow enough to catch a wrong unit and to
# keep every sum finite. Nothing is free, so nothing is zero.
_LIMITS: dict[str, tuple[float, float]] = {
    "pj": (1e-9, 1e6),
    "ns": (1e-6, 1e6),
    "nm": (1.0, 1000.0),
}


def shown(value: object) -> str:
    """Return a value as text on one line, short enough for an error message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def refuse(field: str, found: object, expected: str) -> InputError:
    """Return the error for a field that holds a wrong value."""
    return InputError(f"{field}: found {shown(found)}, expected {expected}")


def check_table(found: object, name: str) -> dict[str, object]:
    """Return ``found`` where it is a table (a JSON object or TOML table) with text keys."""
    if not isinstance(found, dict):
        raise refuse(name, found, "a table of named fields")
    return found


def check_keys(found: Collection[str], expected: Collection[str]) -> None:
    """Refuse an unknown or a missing field; the first of either is named."""
    if unknown := sorted(set(found) - set(expected)):
        raise InputError(f"unknown field {shown(unknown[0])}, expected {_listed(expected)}")
    if missing := [name for name in expected if name not in found]:
        raise InputError(f"missing field {shown(missing[0])}")


def check_integer(field: str, value: object, low: int, high: int = MAX_INTEGER) -> int:
    """Return a whole number in ``low .. high``; refuse booleans and floats."""
    if type(value) is not int or not low <= value <= high:
        raise refuse(field, value, f"a whole number from {low} to {high}")
    return value


def check_number(field: str, value: object, low: float, high: float) -> float:
    """Return a number in ``low .. high`` as a float; refuse booleans and NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise refuse(field, value, f"a number from {low:g} to {high:g}")
    return float(value)


def check_flag(field: str, value: object) -> None:
    """Refuse anything except true and false."""
    if not isinstance(value, bool):
        raise refuse(field, value, "true or false")


def check_text(field: str, value: object) -> str:
    """Return printable text of at least one character."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise refuse(field, value, "printable text on one line")
    return value


def check_choice(field: str, value: object, allowed: Collection[str]) -> str:
    """Return one of the ``allowed`` words."""
    if not isinstance(value, str) or value not in allowed:
        raise refuse(field, value, f"one of {_listed(allowed)}")
    return value


def check_quantity(field: str, value: object) -> float:
    """Return a number within the limits of the unit at the end of its field's name."""
    return check_number(field, value, *_LIMITS[field.rpartition("_")[2]])


def check_part(
    part: Any,
    table: str,
    *,
    choices: Mapping[str, Collection[str]] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> None:
    """Check every field of a frozen dataclass: words, flags, numbers by their bounds, counts.

    A field without choices or bounds is text where its annotation says so, a flag where its default
    is one, a quantity where its name ends in a unit, and a count from 1 otherwise. An optional
    field may be None.
    """
    for field in fields(part):
        name, value = f"{table}{field.name}", getattr(part, field.name)
        if choices and field.name in choices:
            check_choice(name, value, choices[field.name])
        elif is_dataclass(value) or (value is None and field.default is None):
            continue  # a part checks itself
        elif str(field.type).startswith("str"):  # annotations are text in this package
            check_text(name, value)
        elif bounds and field.name in bounds:
            set_field(part, field.name, check_number(name, value, *bounds[field.name]))
        elif isinstance(field.default, bool):
            check_flag(name, value)
        elif field.name.rpartition("_")[2] in _LIMITS:
            set_field(part, field.name, check_quantity(name, value))
        else:
            check_integer(name, value, 1)


def set_field(part: object, field: str, value: object) -> None:
    """Set a field of a frozen dataclass, for one that normalises its own values."""
    object.__setattr__(part, field, value)


def build_part(kind: type[Part], table: str, found: object) -> Part:
    """Build a dataclass from a table of a file; `InputError` names table and field."""
    values = check_table(found, table)
    every = fields(kind)  # type: ignore[arg-type]  # a TypeVar can't be bound to dataclasses
    try:
        if unknown := sorted(set(values) - {field.name for field in every}):
            check_keys(unknown, [field.name for field in every])
        required = [f.name for f in every if f.default is MISSING and f.default_factory is MISSING]
        check_keys(values, [*required, *values])
    except InputError as error:
        raise InputError(f"{table}: {error}") from None
    return kind(**values)


def unchecked(part: Part, **changes: Any) -> Part:
    """Return a copy of a frozen dataclass with fields changed and not checked again.

    For changes that are right by construction, and for the arrays of a sweep, checked beforehand.
    """
    new = copy.copy(part)
    for name, value in changes.items():
        set_field(new, name, value)
    return new


def plain_numbers(part: Part) -> Part:
    """Return a copy of a dataclass with Python's own numbers in fields annotated int or float.

    Formulas that serve arrays too leave numpy's numbers, and whole ones in floating point.
    """
    kinds = {"int": int, "float": float}  # annotations are text in this package
    numbers = [field for field in fields(part) if field.type in kinds]  # type: ignore[arg-type]
    return unchecked(
        part, **{field.name: kinds[str(field.type)](getattr(part, field.name)) for field in numbers}
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
