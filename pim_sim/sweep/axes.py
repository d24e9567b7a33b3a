"""Axes of a sweep: fields of hardware, layer and scale factors, by their dotted names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from pim_sim.cost_model import Setup
from pim_sim.errors import InputError
from pim_sim.schema import shown, unchecked

MAX_VALUES = 100_000
NODE_AXES = ("node_nm", "supply_v")
"""Axes that move the whole hardware (`Hardware.moved`)."""
PARTS = ("memory", "digital", "digital_macro", "mapping", "noise")
"""Tables of a hardware file beside those of its engine."""


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """Parse ``name=1,2,4``, ``name=4:8`` or ``name=64:512:64``, both ends included; words too.

    Raises `InputError` for another form.
    """
    name, equals, values = text.partition("=")
    if not (name and equals and values):
        raise InputError(f"--axis: found {shown(text)}, expected NAME=VALUE,VALUE or NAME=LOW:HIGH")
    if ":" not in values:
        return name, [_value(value) for value in values.split(",")]
    ends = [_value(value) for value in values.split(":")]
    if len(ends) not in (2, 3) or not all(type(end) is int for end in ends):
        raise InputError(
            f"--axis {name}: found {shown(values)}, expected LOW:HIGH or LOW:HIGH:STEP"
        )
    low, high, step = (*ends, 1)[:3]
    if step < 1 or high < low or (high - low) // step >= MAX_VALUES:
        raise InputError(f"--axis {name}: found {shown(values)}, expected a rising range")
    return name, list(range(low, high + 1, step))


def is_vector(name: str, values: Sequence[Any]) -> bool:
    """Return whether an axis is computed at once: numbers, except node and supply."""
    return name not in NODE_AXES and all(type(value) in (int, float) for value in values)


def checked(setup: Setup, name: str, value: Any) -> Setup:
    """Return the setup with one field changed and checked.

    A node or supply moves the whole hardware (`Hardware.moved`). Raises `InputError` for a name
    that the hardware lacks or an impossible value.
    """
    try:
        if name in NODE_AXES:
            return replace(setup, hardware=setup.hardware.moved(**{name: value}))
        changed: Setup = _set(setup, _path(setup, name), value, check=True)
        return changed
    except InputError as error:
        raise InputError(f"--axis {name}: {error}") from None


def with_array(setup: Setup, name: str, values: Any) -> Setup:
    """Return the setup with an array of values for one field, all of them checked before."""
    changed: Setup = _set(setup, _path(setup, name), values, check=False)
    return changed


def _path(setup: Setup, name: str) -> list[str]:
    table, *rest = path = name.split(".")
    tables = setup.hardware.engine.TABLES
    if table in tables:
        path = ["hardware", "engine", *tables[table], *rest]
    elif table in PARTS:
        path = ["hardware", *path]
    if len(path) > 1 and path[-1] in NODE_AXES:
        raise InputError(f"found a field of one side, expected {path[-1]}, which moves both")
    part: Any = setup
    for step in path:
        if not is_dataclass(part) or step not in {field.name for field in fields(part)}:
            expected = f"one of `pim-sim fields`, such as {', '.join(_examples(setup))}"
            raise InputError(f"found no such field, expected {expected}")
        part = getattr(part, step)
    if is_dataclass(part):
        raise InputError("found a table, expected the name of a number or word")
    return path


def _examples(setup: Setup) -> list[str]:
    return [*setup.hardware.engine.AXES, "layer.weight_bits", "scales.converter", "node_nm"]


def _set(part: Any, path: Sequence[str], value: Any, check: bool) -> Any:
    name, *rest = path
    new = _set(getattr(part, name), rest, value, check) if rest else value
    return replace(part, **{name: new}) if check else unchecked(part, **{name: new})


def _value(text: str) -> Any:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
