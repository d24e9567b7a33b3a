"""What a number of a hardware file may be; the unit at the end of its name decides."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pim_sim.checks import check_integer, check_number, refuse

# Wide enough for any memory or converter ever built, narrow enough to catch a wrong unit and to
# keep every sum finite. Nothing is free, so nothing is zero.
_LIMITS: dict[str, tuple[float, float]] = {
    "pj": (1e-9, 1e6),
    "ns": (1e-6, 1e6),
    "nm": (1.0, 1000.0),
}


def check_quantity(field: str, value: object) -> float:
    """A number within the limits of the unit its field name ends in."""
    return check_number(field, value, *_LIMITS[field.rpartition("_")[2]])


def check_part(part: Any, table: str) -> None:
    """Every number of the frozen dataclass ``part``: counts from 1, quantities by their unit."""
    for field in fields(part):
        name = f"{table}.{field.name}"
        value = getattr(part, field.name)
        if isinstance(field.default, bool):
            if not isinstance(value, bool):
                raise refuse(name, value, "true or false")
        elif field.name.rpartition("_")[2] in _LIMITS:
            object.__setattr__(part, field.name, check_quantity(name, value))
        else:
            check_integer(name, value, 1)
