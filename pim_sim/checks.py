"""Strict checks shared by the readers of workloads and of hardware files.

Each raises `InputError` with one line: the field, what was found, what was expected.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pim_sim.errors import InputError

LARGEST_INTEGER = 2**31 - 1


def shown(value: object) -> str:
    """What was found, on one line and short enough for an error message."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def refuse(field: str, found: object, expected: str) -> InputError:
    """The error to raise for a field that holds what it must not."""
    return InputError(f"{field}: found {shown(found)}, expected {expected}")


def check_table(found: object, what: str) -> dict[str, object]:
    """``found`` itself where it is a table (a JSON object or TOML table) with text keys."""
    if not isinstance(found, dict):
        raise refuse(what, found, "a table of named fields")
    return found


def check_keys(found: Collection[str], expected: Collection[str]) -> None:
    """Neither an unknown nor a missing field; the first of either is named."""
    if unknown := sorted(set(found) - set(expected)):
        raise InputError(f"unknown field {shown(unknown[0])}, expected {_listed(expected)}")
    if missing := [name for name in expected if name not in found]:
        raise InputError(f"missing field {shown(missing[0])}")


def check_integer(field: str, value: object, least: int, most: int = LARGEST_INTEGER) -> int:
    """A whole number in ``least .. most``; booleans and floats are refused."""
    if type(value) is not int or not least <= value <= most:
        raise refuse(field, value, f"a whole number from {least} to {most}")
    return value


def check_number(field: str, value: object, least: float, most: float) -> float:
    """A number in ``least .. most``, as a float; booleans and NaN are refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise refuse(field, value, f"a number from {least:g} to {most:g}")
    return float(value)


def check_text(field: str, value: object) -> str:
    """Printable text of at least one character."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise refuse(field, value, "printable text on one line")
    return value


def check_choice(field: str, value: object, allowed: Collection[str]) -> str:
    """One of the ``allowed`` words."""
    if not isinstance(value, str) or value not in allowed:
        raise refuse(field, value, f"one of {_listed(allowed)}")
    return value


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
